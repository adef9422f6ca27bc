package endtoend

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/test/cluster"
)

// The cut of examples/iridium.yaml that the tests run: all stations but
// two, and so many satellites that they still reach each other.
func iridium(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/iridium.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// iridium.yaml runs as pods on two workers: the same file, ports by the plugin,
// routing by FRR, frames between workers.
func TestIridium(t *testing.T) {
	b := install(t, cluster.Options{Workers: 2, IPv6: true, Multus: true, MaxPods: 200})
	ctx := patient(t)
	began := time.Now()
	if _, err := b.Kubectl(ctx, []byte(iridium(t)), "apply", "--filename=-"); err != nil {
		t.Fatal(err)
	}
	if err := b.WaitFor(ctx, "condition=Running", "scenario/iridium"); err != nil {
		t.Fatal(err)
	}
	t.Logf("all pods are ready after %.1f s", time.Since(began).Seconds())

	out, err := b.Exec(ctx, "default", "iridium--tempe", "ip", "-br", "address")
	t.Logf("%s, %v", out, err)
	loopback := func(node string) string {
		out, err := b.Exec(ctx, "default", "iridium--"+node, "sh", "-c", "ip -6 -o address show dev lo scope global | sed 's/.*inet6 //;s,/.*,,'")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	fucino := loopback("fucino")
	until(t, "tempe reaches fucino", func() (bool, string) {
		out, err := b.Exec(ctx, "default", "iridium--tempe", "ping", "-c", "1", "-W", "2", fucino)
		return err == nil, fmt.Sprint(out, err)
	})
	t.Logf("tempe reaches fucino after %s s", strconv.FormatFloat(time.Since(began).Seconds(), 'f', 1, 64))
}

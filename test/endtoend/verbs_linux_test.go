package endtoend

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// links of a station are those that its kernel has a carrier for. One of its ports with a link
// is given.
func (i *Installed) links(t *testing.T, station string) (port string) {
	t.Helper()
	ctx := patient(t)
	eventually(t, "the links of "+station+" are those of its kernel", func() (bool, string) {
		out, err := i.Orrery(ctx, "links", station, "-o", "json")
		if err != nil {
			return false, err.Error()
		}
		var list struct {
			Links []struct{ A, B string }
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return false, err.Error() + " in " + out
		}
		kernel, err := i.Exec(ctx, "default", "iridium--"+station, "sh", "-c", "grep -l 1 /sys/class/net/ant*/carrier 2>/dev/null")
		up := len(strings.Fields(kernel))
		if err != nil || up == 0 || up != len(list.Links) {
			return false, fmt.Sprintf("the plan: %s; the kernel: %s %v", out, kernel, err)
		}
		if port = list.Links[0].A; !strings.HasPrefix(port, station+":") {
			port = list.Links[0].B
		}
		return true, ""
	})
	return port
}

// capture writes frames of a port into a file here, while a ping goes over it.
func (i *Installed) capture(t *testing.T, port, from, to string) {
	t.Helper()
	ctx := patient(t)
	loopback, err := i.Exec(ctx, "default", "iridium--"+to, "sh", "-c", "ip -6 -o address show dev lo scope global | sed 's/.*inet6 //;s,/.*,,'")
	if err != nil {
		t.Fatal(err)
	}
	stop := i.pinging(ctx, t, from, strings.TrimSpace(loopback)) // 20 s
	file := filepath.Join(t.TempDir(), "frames.pcapng")
	if _, err := i.Orrery(ctx, "capture", port, "-w", file, "--for", "10s"); err != nil {
		t.Error(err)
	}
	stop()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Blocks of pcapng: 6 is a packet (draft-ietf-opsawg-pcapng).
	packets := 0
	for len(b) >= 12 {
		kind, length := binary.LittleEndian.Uint32(b), int(binary.LittleEndian.Uint32(b[4:]))
		if length < 12 || length > len(b) {
			t.Fatalf("a block of %d bytes where there are %d", length, len(b))
		}
		if kind == 6 {
			packets++
		}
		b = b[length:]
	}
	if packets < 5 {
		t.Errorf("%d packets were captured at %s in 10 s with ten echo requests each second", packets, port)
	}
}

// speed is that of the scenario everywhere, and no pod is made anew by a change of it.
func (i *Installed) speed(t *testing.T) {
	t.Helper()
	ctx := patient(t)
	before := i.identities(ctx, t)
	for _, speed := range []float64{2, 1} {
		i.setSpeed(ctx, t, speed)
	}
	if now := i.identities(ctx, t); now != before {
		t.Errorf("pods were\n%s\nand are\n%s", before, now)
	}
}

// setSpeed waits until the sky has that speed.
func (i *Installed) setSpeed(ctx context.Context, t *testing.T, speed float64) {
	t.Helper()
	if _, err := i.Orrery(ctx, "speed", fmt.Sprint(speed)); err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("the speed is %g", speed), func() (bool, string) {
		var status struct{ Speed float64 }
		out, err := i.Orrery(ctx, "status", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &status)
		}
		return err == nil && status.Speed == speed, fmt.Sprint(out, err)
	})
}

// identities of all pods, which others in their place would not have.
func (i *Installed) identities(ctx context.Context, t *testing.T) string {
	t.Helper()
	out, err := i.Kubectl(ctx, nil, "get", "pods", `--output=jsonpath={.items[*].metadata.uid}`)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

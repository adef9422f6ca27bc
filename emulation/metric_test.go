package emulation

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/node/nodetest"
	"orrery.dev/orrery/plan"
)

// answerAsBIRD serves BIRD's control socket in a node's directory: a greeting, and
// a consent to each command.
func answerAsBIRD(t *testing.T, dir string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, "bird.ctl"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "0001 BIRD 2 ready.\n")
			if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				fmt.Fprint(c, "0003 Reconfigured\n")
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

var portCost = regexp.MustCompile(`interface "([^"]+)" \{\s+type ptp;\s+cost (\d+);`)

// costsOf a node's ports by what its daemon reads.
func costsOf(r *Run, n int) map[string]int {
	b, err := os.ReadFile(filepath.Join(r.nodes.Dir(r.name(n)), "bird.conf"))
	if err != nil {
		return nil // not written yet
	}
	out := make(map[string]int)
	for _, m := range portCost.FindAllStringSubmatch(string(b), -1) {
		out[m[1]], _ = strconv.Atoi(m[2])
	}
	return out
}

// foreseen tells whether exactly the links that end within the lead are the last
// choice of both their ends.
func foreseen(r *Run, lead time.Duration) bool {
	now := r.timeline.Now()
	for _, c := range r.director.up() {
		want := 10
		if c.Ends && c.End-lead <= now {
			want = 65535
		}
		for _, id := range [2]plan.PortID{c.A, c.B} {
			if p := r.plan.Port(id); costsOf(r, p.Node)[p.Name] != want {
				return false
			}
		}
	}
	return true
}

func TestForesightLeavesLinksBeforeTheyEnd(t *testing.T) {
	dir, err := os.MkdirTemp("", "orr") // short: the path of a unix socket has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const lead = 5 * time.Second
	text := strings.Replace(smallSky, "{protocol: oracle, lead: 1s}", "{protocol: ospf3, foresight: 5s}", 1)
	r, _, source := startRun(t, text, func(c *Config) { c.Nodes = nodetest.New(dir) })
	for i := range r.plan.Nodes {
		answerAsBIRD(t, r.nodes.Dir(r.name(i)))
	}
	for range 30 {
		var next applied
		eventually(t, "a next event is planned", func() (ok bool) {
			if next, ok = r.director.next(); !ok {
				source.Advance(time.Second)
			}
			return ok
		})
		for _, at := range []time.Duration{next.at - lead/2, next.at} {
			if now := r.timeline.Now(); at > now {
				source.Advance(at - now)
			}
			eventually(t, "costs at "+at.String(), func() bool { return foreseen(r, lead) })
		}
	}
	history, _, cancel := r.Events()
	cancel()
	kinds := make(map[EventKind]int)
	for _, e := range history {
		kinds[e.Kind]++
		if e.Kind == MetricRaised && (e.A == "" || e.B == "" || !strings.Contains(e.Text, "ends in")) {
			t.Errorf("event %+v", e)
		}
	}
	if kinds[MetricRaised] == 0 || kinds[MetricRestored] == 0 {
		t.Errorf("events %v", kinds)
	}
}

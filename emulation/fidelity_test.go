package emulation

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"orrery.dev/orrery/fidelity"
	"orrery.dev/orrery/plan"
)

// A frame that a node's kernel dropped since the fabric did not read counts
// only if the port had one and the same contact all the time; then the verdict
// changes, and the log tells.
func TestUnreadFramesChangeTheVerdict(t *testing.T) {
	r, nodes, _ := startRun(t, smallSky, nil)
	c := r.Links()[0]
	port := r.plan.Port(c.A)
	idle := slices.IndexFunc(r.plan.Nodes[port.Node].Ports, func(p plan.Port) bool { return r.director.contact(p.ID) == nil })

	x := newExaminer(r, fstest.MapFS{})
	read := func() fidelity.Verdict {
		t.Helper()
		for range lookRound { // every node has its turn
			x.examine(context.Background())
		}
		return x.judge.Verdict()
	}
	if v := read(); v.Level != fidelity.Faithful {
		t.Fatalf("at the start: %v", v)
	}
	if idle >= 0 {
		if err := nodes.Drop(r.name(port.Node), r.plan.Nodes[port.Node].Ports[idle].Name, 5); err != nil {
			t.Fatal(err)
		}
		if v := read(); v.Level != fidelity.Faithful {
			t.Fatalf("frames for a port without carrier: %v", v)
		}
	}
	if err := nodes.Drop(r.name(port.Node), port.Name, 3); err != nil {
		t.Fatal(err)
	}
	if v := read(); v.Level != fidelity.Overloaded || !strings.HasPrefix(v.Reasons[0], "3 frames were lost") {
		t.Fatalf("after frames were lost: %v", v)
	}
	events, _, stop := r.Events()
	stop()
	if !slices.ContainsFunc(events, func(e Event) bool {
		return e.Kind == FidelityChanged && strings.HasPrefix(e.Text, "overloaded: 3 frames were lost")
	}) {
		t.Error("the event log does not tell")
	}
	if x.lost.Queue != 3 {
		t.Errorf("%+v", x.lost)
	}
	x.settle()
	if v := read(); v.Level != fidelity.Faithful {
		t.Errorf("after settling: %v", v)
	}
}

func TestInHostTime(t *testing.T) {
	for _, c := range []struct {
		d     time.Duration
		speed float64
		want  time.Duration
	}{
		{time.Minute, 1, time.Minute}, {time.Minute, 60, time.Second}, {-time.Second, 10, -100 * time.Millisecond},
		{time.Minute, 0, 1<<63 - 1}, {1 << 62, 0.001, 1<<63 - 1},
	} {
		if got := inHostTime(c.d, c.speed); got != c.want {
			t.Errorf("%v at speed %v: %v, want %v", c.d, c.speed, got, c.want)
		}
	}
}

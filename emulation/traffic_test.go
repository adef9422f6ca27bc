package emulation

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/plan"
)

func TestPastTraffic(t *testing.T) {
	r, _, source := startRun(t, smallSky, nil)
	c := newPastTraffic(r) // looks when it is told to
	f := r.fabric.(*memfabric.Fabric)
	begin := time.Now()
	c.look(begin)
	if _, ok := c.history.At(0); ok {
		t.Error("traffic from before the first look")
	}
	linked := r.Links()[0].A
	idle := plan.PortID(-1)
	for p := range plan.PortID(r.plan.NumPorts()) {
		if contact, _ := r.ContactOf(p); contact == nil {
			idle = p
		}
	}
	for range 10 {
		f.Send(fabric.PortID(linked), make([]byte, 1000))
	}
	source.Advance(20 * time.Second)
	c.look(begin.Add(4 * time.Second))
	if idle >= 0 {
		f.Send(fabric.PortID(idle), make([]byte, 1000))
	}
	source.Advance(20 * time.Second)
	c.look(begin.Add(9 * time.Second))

	s, ok := c.history.At(7 * time.Second)
	if !ok || s.From != 0 || s.To != 20*time.Second || s.Host != 4*time.Second {
		t.Fatalf("%v to %v within %v, %v", s.From, s.To, s.Host, ok)
	}
	for p, bits := range s.Bits {
		want := 0.0
		if p == int(linked) {
			want = 10 * 1000 * 8 / 4.0
		}
		if math.Abs(float64(bits)-want) > 0.01 || s.Drops[p] != 0 {
			t.Errorf("port %d: %v bit/s, want %v; %v drops/s", p, bits, want, s.Drops[p])
		}
	}
	if s, ok = c.history.At(30 * time.Second); !ok || s.Bits[linked] != 0 {
		t.Errorf("later %+v, %v", s, ok)
	}
	if idle >= 0 && s.Drops[idle] != 0.2 {
		t.Errorf("a port without a link has dropped %v/s, want 1 in 5 s", s.Drops[idle])
	}
	if _, ok := r.TrafficAt(time.Hour); ok {
		t.Error("traffic of the future")
	}
}

// Failures at an instant are those that a list would have had that was written down at
// each change.
func TestFailuresAt(t *testing.T) {
	r, _, source := startRun(t, smallSky, nil)
	type state struct {
		at   time.Duration
		list []Failure
	}
	rapid.Check(t, func(t *rapid.T) {
		begin := r.timeline.Now()
		states := []state{{begin, r.Failures()}}
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			source.Advance(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
			a := r.portName(plan.PortID(rapid.IntRange(0, 2).Draw(t, "port")))
			switch all := r.Failures(); {
			case len(all) > 0 && rapid.Bool().Draw(t, "undo"):
				undo(t, r, all[rapid.IntRange(0, len(all)-1).Draw(t, "which")].ID())
			case rapid.Bool().Draw(t, "cut"):
				inject(t, r, Failure{Kind: Cut, A: a})
			default: // perhaps with another loss than before
				inject(t, r, Failure{Kind: Impair, A: a, Loss: rapid.Float64Range(0.1, 1).Draw(t, "loss")})
			}
			states = append(states, state{r.timeline.Now(), r.Failures()})
		}
		for i, s := range states {
			until := r.timeline.Now()
			if i+1 < len(states) {
				until = states[i+1].at - 1
			}
			for _, at := range []time.Duration{s.at, (s.at + until) / 2, until} {
				if got := r.FailuresAt(at); !slices.Equal(got, s.list) {
					t.Fatalf("at %v: %+v, want %+v", at, got, s.list)
				}
			}
		}
		for _, f := range r.Failures() {
			undo(t, r, f.ID())
		}
		source.Advance(time.Millisecond)
	})
	if n := len(r.failures.past); n > failuresKept {
		t.Errorf("%d are remembered", n)
	}
}

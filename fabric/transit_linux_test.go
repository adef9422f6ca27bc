package fabric_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

// A frame that a node passes on departs as if it had come in time, however late
// the emulator was; one that the node sends later on its own does not.
func TestLatenessDoesNotAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		src := new(clock.Manual)
		tl := clock.New(src, 0, 1)
		tl.Resume()
		// a ── router ── b
		na, da, _ := socketPair(t)
		nl, dl, _ := socketPair(t)
		nr, dr, _ := socketPair(t)
		nb, db, _ := socketPair(t)
		s, err := fabric.NewStepper(fabric.Config{Timeline: tl, Workers: 1, Ports: []fabric.Port{
			{Device: da, Node: 1}, {Device: dl, Node: 2}, {Device: dr, Node: 2}, {Device: db, Node: 3},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			s.CloseStepper()
			for _, fd := range []int{na, nl, nr, nb} {
				unix.Close(fd)
			}
		}()
		const delay = 100 * time.Millisecond
		wire := func(peer fabric.PortID) *fabric.Wire {
			return &fabric.Wire{Peer: peer, Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds())}
		}
		s.Set(0, wire(1))
		s.Set(2, wire(3))
		send := func(fd int) {
			if _, err := unix.Write(fd, make([]byte, tap.HeaderLen+64)); err != nil {
				t.Fatal(err)
			}
		}
		src.Advance(time.Second)
		start := src.Monotonic()
		send(na)
		s.Step()
		late := time.Duration(rapid.Int64Range(0, int64(40*time.Millisecond)).Draw(rt, "late"))
		src.Advance(delay + late)
		s.Step() // delivers to the router, too late
		work := time.Duration(rapid.Int64Range(0, int64(3*time.Millisecond)).Draw(rt, "work"))
		src.Advance(work)
		send(nr)
		s.Step()
		due, ok := s.Next()
		if !ok {
			t.Fatal("nothing is under way to b")
		}
		want := start + int64(2*delay)
		if work > time.Millisecond {
			want += int64(late + work) // not passed on, but sent by itself
		}
		if due != want {
			rt.Fatalf("due at b after %v, want %v", time.Duration(due-start), time.Duration(want-start))
		}
	})
}

package fabric_test

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

// packets draws one that a node receives and one that it sends then, and says
// whether the second is the first one forwarded or answered.
func packets(t *rapid.T) (in, out []byte, related bool) {
	in = rapid.SliceOfN(rapid.Byte(), 60, 100).Draw(t, "packet")
	header, hopLimit, src, dst := 40, 7, 8, 24
	copy(in[12:], "\x86\xdd")
	if rapid.Bool().Draw(t, "ipv4") {
		header, hopLimit, src, dst = 20, 8, 12, 16
		copy(in[12:], "\x08\x00")
	}
	out = slices.Clone(in)
	copy(out[:12], "others' MACs") // each link has its own
	out[14+hopLimit]--
	p := out[14:]
	switch rapid.SampledFrom([]string{"forwarded", "answered", "other peer", "other length", "no IP"}).Draw(t, "kind") {
	case "forwarded":
		return in, out, true
	case "answered":
		n := dst - src
		answer := slices.Clone(p)
		copy(answer[src:], p[dst:dst+n])
		copy(answer[dst:], p[src:src+n])
		copy(answer[header:], "another payload, same length"[:min(28, len(p)-header)])
		copy(p, answer)
		return in, out, true
	case "other peer":
		p[dst]++
	case "other length":
		p[map[int]int{40: 5, 20: 3}[header]]++
	case "no IP":
		copy(in[12:], "\x00\x20")
		copy(out[12:], "\x00\x20")
	}
	return in, out, false
}

// A packet that a node passes on departs as if it had come in time, however late
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
		send := func(fd int, p []byte) {
			if _, err := unix.Write(fd, append(make([]byte, tap.HeaderLen), p...)); err != nil {
				t.Fatal(err)
			}
		}
		in, out, related := packets(rt)
		src.Advance(time.Second)
		start := src.Monotonic()
		send(na, in)
		s.Step()
		late := time.Duration(rapid.Int64Range(0, int64(40*time.Millisecond)).Draw(rt, "late"))
		src.Advance(delay + late)
		s.Step() // delivers to the router, too late
		work := time.Duration(rapid.Int64Range(0, int64(3*time.Millisecond)).Draw(rt, "work"))
		src.Advance(work)
		send(nr, out)
		s.Step()
		due, ok := s.Next()
		if !ok {
			t.Fatal("nothing is under way to b")
		}
		want := start + int64(2*delay)
		if work > time.Millisecond || !related {
			want += int64(late + work) // not passed on, but sent by itself
		}
		if due != want {
			rt.Fatalf("due at b after %v, want %v", time.Duration(due-start), time.Duration(want-start))
		}
	})
}

package traffic

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Against a list of all that was added: steps hold every instant, without hole or overlap,
// the rates of each are the mean of what was added in it, and memory has its bound.
func TestHistoryAgainstAll(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		ports := 1 + r.IntN(4)
		room := 64 + 2*r.IntN(40)
		h := NewHistory(ports, math.MaxInt, room)
		var all []Step
		var now time.Duration
		for range r.IntN(2000) {
			s := Step{
				From: now, To: now + time.Duration(r.IntN(5))*time.Second, // 0: it was paused
				Host: time.Duration(4900+r.IntN(200)) * time.Millisecond,
				Bits: make([]float32, ports), Drops: make([]float32, ports),
			}
			for p := range ports {
				s.Bits[p], s.Drops[p] = r.Float32()*1e6, r.Float32()
			}
			now = s.To
			all = append(all, s)
			h.Add(s)
		}
		if n := len(h.steps); n >= room {
			t.Fatalf("seed %d: %d steps, room for %d", seed, n, room)
		}
		if s, ok := h.At(now + 1); ok {
			t.Fatalf("seed %d: after the end %v: %+v", seed, now, s)
		}
		if len(all) == 0 {
			continue
		}
		if s, ok := h.At(now); !ok || s.To != now {
			t.Fatalf("seed %d: the last instant %v: %+v, %v", seed, now, s, ok)
		}
		next := 0 // of all
		for _, s := range append(h.steps, h.pending) {
			if s.Host == 0 {
				continue // nothing is pending
			}
			if s.From != all[next].From {
				t.Fatalf("seed %d: a step from %v, want %v", seed, s.From, all[next].From)
			}
			bits, drops := make([]float64, ports), make([]float64, ports)
			var host time.Duration
			for ; next < len(all) && host < s.Host; next++ {
				host += all[next].Host
				for p := range ports {
					bits[p] += float64(all[next].Bits[p]) * all[next].Host.Seconds()
					drops[p] += float64(all[next].Drops[p]) * all[next].Host.Seconds()
				}
			}
			if host != s.Host || s.To != all[next-1].To {
				t.Fatalf("seed %d: a step of %v to %v, want %v to %v", seed, s.Host, s.To, host, all[next-1].To)
			}
			for p := range ports {
				if b := bits[p] / host.Seconds(); math.Abs(float64(s.Bits[p])-b) > 1e-5*b+1 {
					t.Fatalf("seed %d: %v bit/s, want %v", seed, s.Bits[p], b)
				}
				if d := drops[p] / host.Seconds(); math.Abs(float64(s.Drops[p])-d) > 1e-5 {
					t.Fatalf("seed %d: %v drops/s, want %v", seed, s.Drops[p], d)
				}
			}
			if middle := (s.From + s.To) / 2; s.To-s.From > 2 {
				if got, ok := h.At(middle); !ok || got.From != s.From || got.To != s.To {
					t.Fatalf("seed %d: at %v %+v, %v, want %+v", seed, middle, got, ok, s)
				}
			}
		}
		if next != len(all) {
			t.Fatalf("seed %d: %d of %d steps are in it", seed, next, len(all))
		}
	}
}

func TestHistoryKeepsToItsBytes(t *testing.T) {
	for _, x := range []struct{ ports, bytes, steps, want int }{
		{0, 0, 100, 100}, {1000, 8000 * 500, 2048, 500}, {1000, 8000 * 501, 2048, 500}, {100_000, 1 << 20, 2048, fewest}, {1, 1 << 30, 7, fewest},
	} {
		if got := NewHistory(x.ports, x.bytes, x.steps).room; got != x.want {
			t.Errorf("%+v: room for %d steps", x, got)
		}
	}
}

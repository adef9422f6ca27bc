package oneway

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestAccount(t *testing.T) {
	a := NewAccount(time.Second)
	for i := range 10 {
		at := time.Duration(i) * 200 * ms
		if n := a.Sent(at, int64(at)); n != uint64(i) {
			t.Fatalf("packet %d has number %d", i, n)
		}
	}
	for _, c := range []struct {
		n     uint64
		delay time.Duration
	}{{0, 10 * ms}, {2, 14 * ms}, {1, 30 * ms}, {1, 31 * ms}, {3, 11 * ms}, {6, 20 * ms}, {7, 22 * ms}, {99, ms}} {
		a.Came(c.n, c.delay)
	}
	if s, o := a.Take(); s != nil || o != nil {
		t.Fatal("judged before it is time")
	}
	a.Judge(int64(9*200*ms + Patience + 1))
	a.Came(9, ms) // too late
	a.End()
	s, o := a.Take()
	want := []Summary{
		{Sent: 5, Received: 4, Lost: 1, Reordered: 1, Duplicated: 1, Min: 10 * ms, P50: 11 * ms, P90: 30 * ms, P99: 30 * ms, Longest: 30 * ms,
			Jitter: (20*ms + 16*ms + 3*ms) / 3, Pairs: 3},
		{From: time.Second, Sent: 5, Received: 2, Lost: 3, Min: 20 * ms, P50: 20 * ms, P90: 22 * ms, P99: 22 * ms, Longest: 22 * ms, Jitter: 2 * ms, Pairs: 1},
	}
	if !slices.Equal(s, want) {
		t.Errorf("intervals\n%+v, want\n%+v", s, want)
	}
	outages := []Outage{{From: 800 * ms, To: 1200 * ms, Lost: 2}, {From: 1600 * ms, To: 1800 * ms, Lost: 2, Open: true}}
	if !slices.Equal(o, outages) {
		t.Errorf("outages %+v, want %+v", o, outages)
	}
}

// Whatever comes, in whatever order and however often: each packet that is judged is
// counted once, as received or as lost.
func TestAccountCountsEachPacketOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := NewAccount(100 * ms)
		var now time.Duration
		sent, came := 0, map[uint64]bool{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * ms
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				a.Sent(now, int64(now))
				sent++
			case 1:
				n := rapid.Uint64Range(0, 100).Draw(t, "number")
				if n >= a.first && n < uint64(sent) {
					came[n] = true
				}
				a.Came(n, time.Duration(rapid.IntRange(-1, 90).Draw(t, "delay"))*ms)
			case 2:
				a.Judge(int64(now))
			}
		}
		a.Judge(int64(now + Patience + 1))
		a.End()
		var all, received, lost int64
		s, _ := a.Take()
		for i, x := range s {
			all, received, lost = all+x.Sent, received+x.Received, lost+x.Lost
			if i > 0 && x.From <= s[i-1].From || x.Received > 0 && (x.Min > x.P50 || x.P50 > x.P90 || x.P99 > x.Longest) {
				t.Fatalf("intervals %+v", s)
			}
		}
		if all != int64(sent) || received != int64(len(came)) || received+lost != all {
			t.Fatalf("%d sent, %d came; counted %d, %d received and %d lost", sent, len(came), all, received, lost)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(Packet{1, 2, 3, 4}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := Parse(b); err == nil && !slices.Equal(p.Append(nil), b) {
			t.Errorf("%x is not what it was parsed from", p.Append(nil))
		}
	})
}

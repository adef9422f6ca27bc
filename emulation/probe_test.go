package emulation

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the order in which answers and time-outs come, a pair is judged by
// the requests in order of sending.
func TestPairsAreJudgedInOrderOfSending(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lost := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "lost")
		lost[0] = false // the answer from which on a pair is counted
		start := time.Now()
		p := &pairState{Pair: Pair{EverBoth: true, Reachable: true}}
		for i := range lost {
			p.requests = append(p.requests, &request{sent: start.Add(time.Duration(i) * time.Second)})
		}
		requests := p.requests
		var got []EventKind
		for _, i := range rapid.Permutation(indices(len(lost))).Draw(t, "order") {
			requests[i].done, requests[i].rtt.Lost = true, lost[i]
			for _, e := range p.judge() {
				got = append(got, e.Kind)
			}
		}

		var want []EventKind
		row, losses := 0, 0
		var since time.Time
		for i, l := range lost {
			switch {
			case l:
				losses++
				if row++; row == probeLostInRow {
					want, since = append(want, Unreachable), requests[i-1].sent
				}
			default:
				if row >= probeLostInRow {
					want, since = append(want, Reachable), requests[i].sent
				}
				row = 0
			}
		}
		if len(got) != len(want) {
			t.Fatalf("events %v, want %v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("events %v, want %v", got, want)
			}
		}
		if p.Sent != int64(len(lost)) || p.Lost != int64(losses) || p.Reachable == (row >= probeLostInRow) || !p.Since.Equal(since) {
			t.Fatalf("pair %+v, want %d of %d lost, since %v", p.Pair, losses, len(lost), since)
		}
	})
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// What is remembered of a pair is the end of what was judged, in order, and its
// outages are where requests in a row were lost.
func TestHistoryOfAPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pairState{Pair: Pair{EverBoth: true, Reachable: true}, history: history{keep: rapid.IntRange(1, 12).Draw(t, "keep")}}
		lost := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "lost")
		start := time.Now()
		for i, l := range lost {
			p.requests = append(p.requests, &request{
				sent: start.Add(time.Duration(i) * sampleEvery), at: time.Duration(i), done: true, rtt: RTT{Lost: l, Measured: time.Duration(i)},
			})
			p.judge()
		}
		h := &p.history
		samples := append(append([]Sample(nil), h.samples[h.next:]...), h.samples[:h.next]...)
		for i, s := range samples {
			if want := time.Duration(len(lost) - len(samples) + i); s.At != want || s.Lost != lost[want] {
				t.Fatalf("sample %d is %+v, want that of %d", i, s, want)
			}
		}
		if len(samples) != min(len(lost), h.keep) {
			t.Fatalf("%d samples of %d, keep %d", len(samples), len(lost), h.keep)
		}
		var want []Outage
		for i := 0; i < len(lost); {
			n := 0
			for i+n < len(lost) && lost[i+n] {
				n++
			}
			if n >= probeLostInRow {
				o := Outage{From: time.Duration(i), Lasts: i+n == len(lost)}
				if !o.Lasts {
					o.To = time.Duration(i + n)
				}
				want = append(want, o)
			}
			i += n + 1
		}
		if len(want) > outagesKept {
			want = want[len(want)-outagesKept:]
		}
		if !slices.Equal(h.outages, want) {
			t.Fatalf("outages %v, want %v", h.outages, want)
		}
	})
}

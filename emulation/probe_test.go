package emulation

import (
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

package emulation

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A reader that comes back with the number it was given reads every event once that is
// still kept, and is told when there are more.
func TestReadersGoOnWhereTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := newEventLog("", func() time.Duration { return 1 })
		if err != nil {
			t.Fatal(err)
		}
		var next, added uint64
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			if n := rapid.SampledFrom([]int{0, 1, 2, 100, eventsKept, eventsKept + 7}).Draw(t, "add"); n > 0 {
				_, _, changed := l.since(added, 1)
				l.add(make([]Event, n)...)
				added += uint64(n)
				select {
				case <-changed:
				default:
					t.Fatal("readers are not told")
				}
			}
			want := max(next, added-min(added, eventsKept))
			events, then, _ := l.since(next, rapid.SampledFrom([]int{1, 3, 5000}).Draw(t, "limit"))
			for i, e := range events {
				if e.Sequence != want+uint64(i) {
					t.Fatalf("event %d has the number %d, want %d", i, e.Sequence, want+uint64(i))
				}
			}
			if then != want+uint64(len(events)) || len(events) == 0 && want < added {
				t.Fatalf("%d events from %d on, go on with %d; there are %d", len(events), next, then, added)
			}
			next = then
		}
	})
}

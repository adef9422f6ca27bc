package underlay

import (
	"testing"

	"pgregory.net/rapid"
)

// A window accepts each number once, if no number that is windowSize above it was
// accepted before.
func TestWindowAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		seen := make(map[uint64]bool)
		var next uint64
		for range rapid.IntRange(1, 300).Draw(t, "datagrams") {
			n := rapid.OneOf(
				rapid.Uint64Range(0, 100),
				rapid.Uint64Range(next-min(next, windowSize+3), next+3),
				rapid.Uint64Range(next, next+3*windowSize),
				rapid.Uint64Range(maxSequence-2, maxSequence+2),
				rapid.Uint64(),
			).Draw(t, "number")
			want := n < maxSequence && !seen[n] && n+windowSize >= next
			if got := w.accept(n); got != want {
				t.Fatalf("accept(%d) = %v, want %v, with %d accepted below %d", n, got, want, len(seen), next)
			}
			if want {
				seen[n] = true
				next = max(next, n+1)
			}
			if got := w.lost(); got != next-uint64(len(seen)) {
				t.Fatalf("%d are lost, want %d", got, next-uint64(len(seen)))
			}
		}
	})
}

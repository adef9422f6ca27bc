package emulation

import (
	"testing"
	"time"
)

// A wall clock that is stepped while an answer is on its way does not show.
func TestRoundTripOfASteppedClock(t *testing.T) {
	const actual, read = 80 * time.Millisecond, 81 * time.Millisecond
	for _, c := range []struct{ step, want time.Duration }{
		{0, actual}, {time.Hour, read}, {-time.Hour, read}, {-81 * time.Millisecond, read}, {100 * time.Microsecond, actual + 100*time.Microsecond},
	} {
		if got := roundTrip(actual+c.step, read); got != c.want {
			t.Errorf("stepped by %v: %v, want %v", c.step, got, c.want)
		}
	}
}

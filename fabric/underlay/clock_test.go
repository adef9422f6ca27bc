package underlay

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// However long each direction takes, an estimate errs by no more than half of the
// shortest round trip and what the clocks have drifted since.
func TestEstimateErrsWithinItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ahead := rapid.Int64Range(-1e18, 1e18).Draw(t, "ahead")
		rate := rapid.Float64Range(-100e-6, 100e-6).Draw(t, "drift")
		base := rapid.Int64Range(0, 5e6).Draw(t, "path")
		queue := rapid.Int64Range(1, 10e6)
		var f filter
		var e *estimate
		begin := rapid.Int64Range(0, 1e15).Draw(t, "start")
		now := begin
		remote := func(local int64) int64 { return local + ahead + int64(rate*float64(local-begin)) }
		for range rapid.IntRange(1, 200).Draw(t, "samples") {
			now += rapid.Int64Range(1e6, 300e6).Draw(t, "pause")
			t1 := now
			t2 := t1 + base + queue.Draw(t, "there")
			t3 := t2 + rapid.Int64Range(0, 1e6).Draw(t, "thinking")
			now = t3 + base + queue.Draw(t, "back")
			s, ok := newSample(t1, remote(t2), remote(t3), now)
			if !ok {
				t.Fatalf("a true exchange is refused: %+v", s)
			}
			e = f.add(s, e)
			due := now + rapid.Int64Range(0, 1e9).Draw(t, "due")
			got := e.local(remote(due))
			bound := float64(e.trip)/2 + math.Abs(rate-e.drift)*float64(due-e.at) + math.Abs(rate)*float64(now-t1) + 100
			if off := math.Abs(float64(got - due)); off > bound {
				t.Fatalf("an instant %d ns ahead is off by %v ns, more than %v (shortest round trip %d ns, drift %v, estimated %v)",
					due-now, off, bound, e.trip, rate, e.drift)
			}
		}
	})
}

// With paths that take equally long, a drift is found and followed.
func TestDriftIsFound(t *testing.T) {
	const ahead, rate = int64(-7e15), 40e-6
	remote := func(local int64) int64 { return local + ahead + int64(rate*float64(local)) }
	var f filter
	var e *estimate
	now := int64(0)
	for i := range int64(100) {
		t1 := now
		extra := i * 7919 % 31 * 10_000 // up to 0.3 ms in one direction
		t2 := t1 + 50_000 + extra
		t4 := t2 + 50_000
		s, _ := newSample(t1, remote(t2), remote(t2), t4)
		e = f.add(s, e)
		now += int64(250e6)
	}
	if math.Abs(e.drift-rate) > 1e-6 {
		t.Errorf("drift %v, want %v", e.drift, rate)
	}
	if due := now + int64(1e9); math.Abs(float64(e.local(remote(due))-due)) > 5_000 {
		t.Errorf("an instant a second ahead is off by %d ns", e.local(remote(due))-due)
	}
}

// A clock that steps, as that of a machine that was asleep does, is followed after a
// few exchanges.
func TestStepIsFollowed(t *testing.T) {
	var f filter
	var e *estimate
	exchange := func(at, ahead int64) {
		s, _ := newSample(at, at+ahead+1000, at+ahead+1000, at+2000)
		e = f.add(s, e)
	}
	for i := range int64(100) {
		exchange(i*1e8, 5e9)
	}
	if e.offset != 5e9 {
		t.Fatalf("offset %d", e.offset)
	}
	for i := range int64(steps) {
		if e.offset != 5e9 {
			t.Fatalf("one strange exchange is believed: offset %d", e.offset)
		}
		exchange((100+i)*1e8, 9e9)
	}
	if e.offset != 9e9 {
		t.Errorf("offset %d after the step", e.offset)
	}
}

func TestTimestampsThatCannotBeTrue(t *testing.T) {
	for _, c := range [][4]int64{{10, 0, 0, 5}, {0, 10, 5, 20}, {0, 0, 30, 20}} {
		if s, ok := newSample(c[0], c[1], c[2], c[3]); ok {
			t.Errorf("%v gave %+v", c, s)
		}
	}
}

package v1alpha1

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func drawTimeline(t *rapid.T) *Timeline {
	return &Timeline{
		At:       metav1.NewMicroTime(time.UnixMicro(rapid.Int64Range(1e15, 2e15).Draw(t, "at")).UTC()),
		Scenario: metav1.Duration{Duration: time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "scenario"))},
		Speed:    rapid.Float64Range(0.001, 100000).Draw(t, "speed"), Paused: rapid.Bool().Draw(t, "paused"),
	}
}

// Scenario time makes no jump when speed or pause change, and never goes back.
func TestTimelineContinues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawTimeline(t)
		now := before.At.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "later")) * time.Nanosecond)
		after := before.Continue(now, rapid.Float64Range(0.001, 100000).Draw(t, "next speed"), rapid.Bool().Draw(t, "stop"))
		at := after.At.Time
		if now.Sub(at) < 0 || now.Sub(at) >= time.Microsecond {
			t.Fatalf("it begins at %v, and it is %v", at, now)
		}
		// The instant is cut to a microsecond, which is speed microseconds of the scenario.
		if d := before.Now(now) - after.Now(at); d < 0 || float64(d) > 1+1e3*before.Speed {
			t.Fatalf("it jumps by %v", d)
		}
		later := at.Add(time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "then")))
		if after.Now(later) < after.Now(at) || after.Paused && after.Now(later) != after.Now(at) {
			t.Fatalf("from %v it comes to %v", after.Now(at), after.Now(later))
		}
	})
}

// When is where Now comes to.
func TestTimelineWhen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := drawTimeline(t)
		ahead := time.Duration(rapid.Int64Range(1, 1e15).Draw(t, "ahead"))
		want := line.Scenario.Duration + ahead
		when, ok := line.When(want)
		if ok == line.Paused {
			t.Fatalf("there is an instant: %v, paused: %v", ok, line.Paused)
		}
		if ok && math.Abs(float64(line.Now(when)-want)) > 1+line.Speed+1e-9*float64(ahead) {
			t.Fatalf("at %v it is %v, want %v", when, line.Now(when), want)
		}
	})
}

// A timeline reads back as it was written, to the microsecond.
func TestTimelineRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := drawTimeline(t)
		b, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		var back Timeline
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if !back.At.Time.Equal(line.At.Time) || back.Scenario != line.Scenario || back.Speed != line.Speed || back.Paused != line.Paused {
			t.Fatalf("%+v reads back as %+v", line, back)
		}
	})
}

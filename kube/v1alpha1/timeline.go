package v1alpha1

import (
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Timeline tells scenario time to everyone who has a clock of the cluster: at
// the instant At it was Scenario, and since then it runs with Speed, or stands.
// A new one continues the old: it is written when the speed changes, and never
// while nothing does.
type Timeline struct {
	// At is an instant of the cluster's clocks, in microseconds.
	At metav1.MicroTime `json:"at"`
	// Scenario time at that instant.
	Scenario metav1.Duration `json:"scenario"`
	// Speed in seconds of scenario time per second.
	Speed float64 `json:"speed"`
	// Paused says that scenario time stands.
	Paused bool `json:"paused,omitempty"`
}

// Now is the scenario time at an instant. It is never before that of At, so that
// agents whose clocks are behind do not see time before the beginning.
func (t *Timeline) Now(now time.Time) time.Duration {
	since := now.Sub(t.At.Time)
	if t.Paused || since <= 0 {
		return t.Scenario.Duration
	}
	d := float64(since) * t.Speed
	if d > math.MaxInt64/2 {
		return math.MaxInt64 / 2 // 146 years
	}
	return t.Scenario.Duration + time.Duration(d)
}

// When is the instant at which it will be some scenario time, if that lies ahead
// and time runs.
func (t *Timeline) When(scenario time.Duration) (time.Time, bool) {
	left := scenario - t.Scenario.Duration
	d := float64(left) / t.Speed
	if t.Paused || left <= 0 || d > math.MaxInt64/2 {
		return time.Time{}, false
	}
	return t.At.Add(time.Duration(d)), true
}

// Continue is the timeline from now on with another speed, or paused.
func (t *Timeline) Continue(now time.Time, speed float64, paused bool) Timeline {
	return Timeline{
		At: metav1.NewMicroTime(now.Truncate(time.Microsecond)), Scenario: metav1.Duration{Duration: t.Now(now)}, Speed: speed, Paused: paused,
	}
}

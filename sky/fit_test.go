package sky

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/orbit"
)

func circular(t testing.TB, altitude, inclination, raan, latitude float64) *orbit.Kepler {
	t.Helper()
	k, err := orbit.NewKepler(orbit.Circular(altitude, inclination*orbit.Degree, raan*orbit.Degree, latitude*orbit.Degree), epoch)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// fitted is the delay between two motions over a stretch of time, fitted in
// blocks of a minute as the planner does it.
func fitted(t testing.TB, a, b *Mover, kinks []time.Duration, length time.Duration) curve.Curve {
	t.Helper()
	var segs []curve.Segment
	for from := time.Duration(0); from < length; from += time.Minute {
		to := min(from+time.Minute, length)
		pathA, err := NewPath(a, from, to, 15*time.Second, kinks)
		if err != nil {
			t.Fatal(err)
		}
		pathB, err := NewPath(b, from, to, 15*time.Second, nil)
		if err != nil {
			t.Fatal(err)
		}
		segs = FitDelay(segs, pathA, pathB, from, to)
	}
	return curve.New(segs)
}

// worstDelay is the greatest error of a fitted delay, in seconds.
func worstDelay(t testing.TB, c curve.Curve, a, b *Mover, length, step time.Duration) float64 {
	t.Helper()
	worst := 0.0
	for at := time.Duration(0); at < length; at += step {
		p, err := a.At(at)
		if err != nil {
			t.Fatal(err)
		}
		q, err := b.At(at)
		if err != nil {
			t.Fatal(err)
		}
		worst = max(worst, math.Abs(c.At(at)-Delay(Range(p.Position, q.Position))))
	}
	return worst
}

func TestFitDelay(t *testing.T) {
	observer := func(m orbit.Motion) *Mover {
		o, err := NewObserver(m)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	zenith := circular(t, 550, 53, 0, 10)
	under, err := zenith.State(5 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	sub := orbit.SubPoint(under.Position)
	flight, err := orbit.NewWaypoints([]orbit.Waypoint{
		{At: 0, Place: orbit.Degrees(40, -70, 10)},
		{At: 61 * time.Second, Place: orbit.Degrees(40.1, -70, 11)},
		{At: 130 * time.Second, Place: orbit.Degrees(40.0, -70.1, 11)},
		{At: 15 * time.Minute, Place: orbit.Degrees(41, -71, 0)},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	kinks := []time.Duration{61 * time.Second, 130 * time.Second, 15 * time.Minute}
	low := NewMover(circular(t, 780, 86.4, 0, 60))
	cases := []struct {
		name  string
		a, b  *Mover
		kinks []time.Duration
	}{
		{"within a plane", low, NewMover(circular(t, 780, 86.4, 0, 92)), nil},
		{"neighbouring planes, crossing near the pole", low, NewMover(circular(t, 780, 86.4, 31.6, 62)), nil},
		{"opposite directions at 20 km", NewMover(circular(t, 780, 86.4, 0, 0)), NewMover(circular(t, 800, 86.4, 180, 176)), nil},
		{"low to ground through the zenith", observer(orbit.NewFixed(sub)), NewMover(zenith), nil},
		{"low to aircraft", observer(flight), low, kinks},
		{"low to medium", low, NewMover(circular(t, 8062, 0, 30, 40)), nil},
		{"geostationary to ground", observer(orbit.NewFixed(orbit.Degrees(50, 8, 0.1))), NewMover(circular(t, 35786, 0.05, 100, 0)), nil},
	}
	const length = 20 * time.Minute
	for _, c := range cases {
		delay := fitted(t, c.a, c.b, c.kinks, length)
		worst := worstDelay(t, delay, c.a, c.b, length, 7*time.Millisecond+123)
		t.Logf("%-45s %3d pieces, worst error %.4f µs", c.name, len(delay.Segments()), worst*1e6)
		if worst > 1e-6 {
			t.Errorf("%s: worst error %.3f µs", c.name, worst*1e6)
		}
	}
}

func TestFitDelayOfRandomPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := NewMover(drawSatellite(t, "A")), NewMover(drawSatellite(t, "B"))
		const length = 2 * time.Minute
		from := func(m *Mover) *Path {
			p, err := NewPath(m, 0, length, 15*time.Second, nil)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		c := curve.New(FitDelay(nil, from(a), from(b), 0, length))
		for at := time.Duration(0); at < length; at += 31 * time.Millisecond {
			p, _ := a.At(at)
			q, _ := b.At(at)
			if worst := math.Abs(c.At(at) - Delay(Range(p.Position, q.Position))); worst > 1e-6 {
				t.Fatalf("at %v the error is %.3f µs", at, worst*1e6)
			}
		}
	})
}

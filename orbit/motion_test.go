package orbit

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// derivative of the position by five points, 1 s apart. For motion that turns
// at up to 2e-3 rad/s its own error is below 1e-11 km/s.
func derivative(t *rapid.T, m Motion, at time.Duration) Vec {
	p := func(k int) Vec {
		s, err := m.State(at + time.Duration(k)*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return s.Position
	}
	return p(1).Sub(p(-1)).Scale(8).Sub(p(2).Sub(p(-2))).Scale(1.0 / 12)
}

func checkVelocity(t *rapid.T, m Motion, at time.Duration, tolerance float64) {
	s, err := m.State(at)
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Velocity.Sub(derivative(t, m, at)).Norm(); d > tolerance {
		t.Fatalf("velocity %v at %v is %g km/s off the derivative of position", s.Velocity, at, d)
	}
}

func drawElements(t *rapid.T) Elements {
	ecc := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 0.8)).Draw(t, "e")
	perigee := rapid.Float64Range(6578, 42164).Draw(t, "perigee")
	angle := rapid.Float64Range(0, 2*math.Pi)
	return Elements{
		SemiMajorAxis:     perigee / (1 - ecc),
		Eccentricity:      ecc,
		Inclination:       rapid.Float64Range(0, math.Pi).Draw(t, "i"),
		RAAN:              angle.Draw(t, "raan"),
		ArgumentOfPerigee: angle.Draw(t, "perigee angle"),
		MeanAnomaly:       angle.Draw(t, "anomaly"),
	}
}

func drawTime(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(0, int64(30*24*time.Hour)).Draw(t, "t"))
}

func TestKeplerVelocity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, err := NewKepler(drawElements(t), epoch)
		if err != nil {
			t.Fatal(err)
		}
		checkVelocity(t, k, drawTime(t), 1e-8) // an angle of 3000 rad has 13 decimals
	})
}

// TestKeplerConserves: without its drifts a Kepler orbit keeps energy and
// angular momentum; with them the shape stays and only the plane and the
// perigee turn, so the values of the osculating ellipse in its own turning
// frame are constant.
func TestKeplerConserves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawElements(t)
		k, err := NewKepler(e, epoch)
		if err != nil {
			t.Fatal(err)
		}
		k.n, k.dw, k.do = math.Sqrt(Mu/(k.a*k.a*k.a)), 0, 0 // two bodies
		s, _ := k.InertialState(drawTime(t))
		energy := s.Velocity.Dot(s.Velocity)/2 - Mu/s.Position.Norm()
		if want := -Mu / (2 * e.SemiMajorAxis); math.Abs(energy/want-1) > 1e-10 {
			t.Fatalf("energy %v, want %v", energy, want)
		}
		h := s.Position.Cross(s.Velocity)
		sinI, cosI := math.Sincos(e.Inclination)
		sinO, cosO := math.Sincos(e.RAAN)
		want := Vec{sinO * sinI, -cosO * sinI, cosI}.Scale(math.Sqrt(Mu * e.SemiMajorAxis * (1 - e.Eccentricity*e.Eccentricity)))
		if d := h.Sub(want).Norm() / want.Norm(); d > 1e-11 {
			t.Fatalf("angular momentum %v, want %v", h, want)
		}
	})
}

// TestKeplerEquation solves it near a parabola too.
func TestKeplerEquation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.OneOf(rapid.Float64Range(0, 0.999999), rapid.SampledFrom([]float64{0.99, 0.9999, 1e-12})).Draw(t, "e")
		want := rapid.OneOf(rapid.Float64Range(-math.Pi, math.Pi), rapid.Float64Range(-1e-3, 1e-3)).Draw(t, "E")
		sin, cos := eccentricAnomaly(want-e*math.Sin(want), e)
		// An error of M's last digit is 1/(1-e·cos E) times as large in E.
		tolerance := 4e-15 / (1 - e*math.Cos(want))
		if d := math.Abs(turn(math.Atan2(sin, cos), want)); d > tolerance+1e-15 {
			t.Fatalf("E is off by %g, tolerance %g", d, tolerance)
		}
		if d := math.Abs(math.Hypot(sin, cos) - 1); d > 1e-14 {
			t.Fatalf("sine and cosine are off the circle by %g", d)
		}
	})
}

func TestKeplerCircularIsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawElements(t)
		e.Eccentricity = 0
		a, err := NewKepler(e, epoch)
		if err != nil {
			t.Fatal(err)
		}
		e.Eccentricity = 1e-13
		b, err := NewKepler(e, epoch)
		if err != nil {
			t.Fatal(err)
		}
		at := drawTime(t)
		s, _ := a.State(at)
		r, _ := b.State(at)
		if d := s.Position.Sub(r.Position).Norm(); d > 1e-6 {
			t.Fatalf("circular and nearly circular differ by %g km", d)
		}
	})
}

func TestKeplerRefuses(t *testing.T) {
	good := Circular(780, 86.4*Degree, 0, 0)
	for _, c := range []struct {
		change func(*Elements)
		want   string
	}{
		{func(e *Elements) { e.Eccentricity = 1 }, "eccentricity 1 is not in [0, 1): only closed orbits are known"},
		{func(e *Elements) { e.Eccentricity = math.NaN() }, "eccentricity NaN is not"},
		{func(e *Elements) { e.Eccentricity = 0.2 }, "perigee 5726.510 km from the Earth's centre is below the surface"},
		{func(e *Elements) { e.SemiMajorAxis = 2e6 }, "beyond 1,000,000 km"},
		{func(e *Elements) { e.Inclination = -0.1 }, "is not within 0° and 180°"},
		{func(e *Elements) { e.RAAN = math.Inf(1) }, "an angle of the orbit is +Inf"},
	} {
		e := good
		c.change(&e)
		if _, err := NewKepler(e, epoch); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestWalker(t *testing.T) {
	// Iridium: 86.4°: 66/6/2 star.
	w := Walker{Planes: 6, PerPlane: 11, Phasing: 3, Spread: Star, Inclination: 86.4 * Degree, Altitude: 780}
	if err := w.Check(); err != nil {
		t.Fatal(err)
	}
	e := w.Elements(1, 0)
	near(t, "node of plane 1 in deg", e.RAAN/Degree, 30, 1e-12)
	near(t, "shift of plane 1 in deg", e.MeanAnomaly/Degree, 3*360.0/66, 1e-12)
	near(t, "slot 4 of plane 0 in deg", w.Elements(0, 4).MeanAnomaly/Degree, 4*360.0/11, 1e-12)

	// A delta looks the same from each of its planes: going once around all
	// planes shifts by f slots.
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.IntRange(1, 80).Draw(t, "p")
		n := rapid.IntRange(1, 80).Draw(t, "t/p")
		f := rapid.IntRange(0, p-1).Draw(t, "f")
		w := Walker{Planes: p, PerPlane: n, Phasing: float64(f), Spread: Delta, Inclination: 0.9, Altitude: 550}
		plane, slot := rapid.IntRange(0, p-1).Draw(t, "plane"), rapid.IntRange(0, n-1).Draw(t, "slot")
		around, shifted := w.Elements(plane+p, slot), w.Elements(plane, slot+f)
		if d := turn(around.RAAN, shifted.RAAN); math.Abs(d) > 1e-12 {
			t.Fatalf("node differs by %g", d)
		}
		if d := turn(around.MeanAnomaly, shifted.MeanAnomaly); math.Abs(d) > 1e-11 {
			t.Fatalf("anomaly differs by %g", d)
		}
	})

	w.Planes = 0
	if err := w.Check(); err == nil {
		t.Error("no planes are accepted")
	}
}

func TestFixed(t *testing.T) {
	g := Degrees(48.1, 11.6, 0.5)
	for _, at := range []time.Duration{0, time.Hour, -time.Hour} {
		s, err := NewFixed(g).State(at)
		if err != nil || s.Position != g.ECEF() || s.Velocity != (Vec{}) {
			t.Errorf("%v: %v, %v", at, s, err)
		}
	}
}

func drawWaypoints(t *rapid.T) []Waypoint {
	var points []Waypoint
	at := time.Duration(0)
	for range rapid.IntRange(1, 6).Draw(t, "points") {
		points = append(points, Waypoint{at, drawPlace(t, 0, 12)})
		at += time.Duration(rapid.Int64Range(int64(2*time.Hour), int64(20*time.Hour)).Draw(t, "leg"))
	}
	return points
}

func TestWaypoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := drawWaypoints(t)
		loop := rapid.Bool().Draw(t, "loop")
		if loop {
			last := points[len(points)-1]
			points = append(points, Waypoint{last.At + 3*time.Hour, points[0].Place})
		}
		w, err := NewWaypoints(points, loop)
		if err != nil {
			if strings.Contains(err.Error(), "opposite sides") {
				t.Skip()
			}
			t.Fatal(err)
		}
		for _, p := range points {
			s, _ := w.State(p.At)
			if d := s.Position.Sub(p.Place.ECEF()).Norm(); d > 1e-8 {
				t.Fatalf("%g km off the waypoint at %v", d, p.At)
			}
			// No jump there.
			before, _ := w.State(p.At - time.Nanosecond)
			if d := before.Position.Sub(s.Position).Norm(); d > 1e-8 {
				t.Fatalf("jumps by %g km at %v", d, p.At)
			}
		}
		first, last := points[0].At, points[len(points)-1].At
		for _, at := range []time.Duration{first - time.Hour, first - time.Nanosecond} {
			if s, _ := w.State(at); s.Velocity != (Vec{}) || s.Position != points[0].Place.ECEF() {
				t.Fatalf("does not rest before the first waypoint: %v", s)
			}
		}
		if loop {
			at := first + time.Duration(rapid.Int64Range(0, int64(last-first)-1).Draw(t, "phase"))
			a, _ := w.State(at)
			b, _ := w.State(at + 7*(last-first))
			if a != b {
				t.Fatalf("the loop does not repeat: %v, %v", a, b)
			}
		} else if s, _ := w.State(last + time.Hour); s.Velocity != (Vec{}) {
			t.Fatalf("does not rest after the last waypoint: %v", s)
		}

		if len(points) == 1 {
			return
		}
		i := rapid.IntRange(1, len(points)-1).Draw(t, "leg")
		p, q := points[i-1], points[i]
		at := p.At + time.Duration(rapid.Int64Range(int64(3*time.Second), int64(q.At-p.At-3*time.Second)).Draw(t, "within"))
		checkVelocity(t, w, at, 1e-10)

		// The vertical turns on the great circle at a constant rate, and the height
		// is linear.
		s, _ := w.State(at)
		g := SubPoint(s.Position)
		f := (at - p.At).Seconds() / (q.At - p.At).Seconds()
		near := func(what string, got, want, tolerance float64) {
			if math.Abs(got-want) > tolerance {
				t.Fatalf("%s is %v, want %v", what, got, want)
			}
		}
		near("height", g.Height, p.Place.Height+f*(q.Place.Height-p.Place.Height), 1e-8)
		angle := func(a, b Vec) float64 { return math.Atan2(a.Cross(b).Norm(), a.Dot(b)) }
		whole := angle(p.Place.normal(), q.Place.normal())
		near("angle gone", angle(p.Place.normal(), g.normal()), f*whole, 1e-9)
		near("angle to go", angle(g.normal(), q.Place.normal()), (1-f)*whole, 1e-9)
	})
}

func TestWaypointsRefuses(t *testing.T) {
	here, there := Degrees(10, 20, 0), Degrees(-10, -160, 0)
	for _, c := range []struct {
		points []Waypoint
		loop   bool
		want   string
	}{
		{nil, false, "there is no waypoint"},
		{[]Waypoint{{0, here}, {0, there}}, false, "waypoint 2 at 0s does not come after waypoint 1 at 0s"},
		{[]Waypoint{{0, here}, {time.Hour, there}}, false, "waypoints 1 and 2 lie on opposite sides of the Earth"},
		{[]Waypoint{{0, Degrees(91, 0, 0)}}, false, "waypoint 1: latitude 91° is not within -90° and 90°"},
		{[]Waypoint{{0, Degrees(0, math.NaN(), 0)}}, false, "waypoint 1: longitude NaN°"},
		{[]Waypoint{{0, here}, {time.Hour, Degrees(11, 20, 0)}}, true, "the loop does not close: its last waypoint is 110.6"},
		{[]Waypoint{{0, here}}, true, "a loop needs at least two waypoints, not 1"},
	} {
		if _, err := NewWaypoints(c.points, c.loop); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	k, err := NewKepler(Elements{SemiMajorAxis: 26000, Eccentricity: 0.7, Inclination: 1.1}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewKepler(Circular(550, 0.9, 1, 2), epoch)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWaypoints([]Waypoint{{0, Degrees(0, 0, 0)}, {time.Hour, Degrees(3, 4, 10)}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Motion{k, c, w, NewFixed(Degrees(1, 2, 3))} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := m.State(17 * time.Minute); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%T.State allocates %v times", m, n)
		}
	}
}

func BenchmarkState(b *testing.B) {
	must := func(e Elements) Motion {
		k, err := NewKepler(e, epoch)
		if err != nil {
			b.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		name string
		m    Motion
	}{
		{"circular", must(Circular(550, 0.9, 1, 2))},
		{"eccentric", must(Elements{SemiMajorAxis: 26600, Eccentricity: 0.7, Inclination: 1.1})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			at := time.Duration(0)
			for b.Loop() {
				sink, _ = c.m.State(at)
				at += time.Second
			}
		})
	}
}

var sink State

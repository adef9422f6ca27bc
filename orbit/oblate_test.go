package orbit

import (
	"math"
	"testing"
	"time"
)

// acceleration by a central body with J2 (Vallado, 4th ed., eq. 8-30).
func acceleration(p Vec) Vec {
	r := p.Norm()
	k := 1.5 * J2 * EarthRadius * EarthRadius / (r * r)
	z := 5 * p.Z * p.Z / (r * r)
	return Vec{
		p.X * (1 + k*(1-z)),
		p.Y * (1 + k*(1-z)),
		p.Z * (1 + k*(3-z)),
	}.Scale(-Mu / (r * r * r))
}

// integrate makes one step of the classical Runge-Kutta method.
func integrate(s State, h float64) State {
	f := func(s State) State { return State{s.Velocity, acceleration(s.Position)} }
	on := func(d State, h float64) State {
		return State{s.Position.Add(d.Position.Scale(h)), s.Velocity.Add(d.Velocity.Scale(h))}
	}
	k1 := f(s)
	k2 := f(on(k1, h/2))
	k3 := f(on(k2, h/2))
	k4 := f(on(k3, h))
	sum := func(a, b, c, d Vec) Vec { return a.Add(b.Scale(2)).Add(c.Scale(2)).Add(d).Scale(h / 6) }
	return State{
		s.Position.Add(sum(k1.Position, k2.Position, k3.Position, k4.Position)),
		s.Velocity.Add(sum(k1.Velocity, k2.Velocity, k3.Velocity, k4.Velocity)),
	}
}

// osculating elements of a state (Vallado, 4th ed., algorithm 9).
func osculating(s State) Elements {
	r, v := s.Position.Norm(), s.Velocity.Norm()
	h := s.Position.Cross(s.Velocity)
	node := Vec{-h.Y, h.X, 0}
	e := s.Velocity.Cross(h).Scale(1 / Mu).Sub(s.Position.Scale(1 / r))
	// The angle from a to b, counted about h.
	angle := func(a, b Vec) float64 { return math.Atan2(a.Cross(b).Dot(h)/h.Norm(), a.Dot(b)) }
	nu := angle(e, s.Position)
	ecc := e.Norm()
	sinE, cosE := math.Sqrt(1-ecc*ecc)*math.Sin(nu), ecc+math.Cos(nu)
	ea := math.Atan2(sinE, cosE)
	return Elements{
		SemiMajorAxis:     1 / (2/r - v*v/Mu),
		Eccentricity:      ecc,
		Inclination:       math.Acos(h.Z / h.Norm()),
		RAAN:              math.Atan2(node.Y, node.X),
		ArgumentOfPerigee: angle(node, e),
		MeanAnomaly:       ea - ecc*math.Sin(ea),
	}
}

// fit is the least-squares line through evenly spaced values: its value in
// the middle, its slope per step, and the largest residual.
func fit(y []float64) (middle, slope, worst float64) {
	n := float64(len(y))
	var sxx, sxy float64
	for i, v := range y {
		x := float64(i) - (n-1)/2
		middle += v / n
		sxx += x * x
		sxy += x * v
	}
	slope = sxy / sxx
	for i, v := range y {
		worst = math.Max(worst, math.Abs(v-middle-slope*(float64(i)-(n-1)/2)))
	}
	return middle, slope, worst
}

// TestKeplerAgainstIntegration integrates two-body motion with J2 numerically
// and compares.
//
// What agreement is there to expect? The integrated orbit's osculating
// elements are mean elements plus short-period terms of order J2 = 1e-3, which
// average out over a revolution. So lines fitted to the osculating elements
// over three days give the mean elements, a to order J2² and e and i to order
// J2. With these, the rates of the first-order theory must be right to order
// J2 of the drift: a few 1e-3 of the node's rate, a few 1e-6 of the rate of the
// argument of latitude (n itself being exact). The positions then differ by the
// short-period terms, of the order of J2·R²/a = 7 km and bounded, and by up to
// 3 km that the rate's error makes in three days.
func TestKeplerAgainstIntegration(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Elements
	}{
		{"53° circular", Circular(550, 53*Degree, 1, 2)},
		{"86.4° circular", Circular(780, 86.4*Degree, 3, 0)},
		{"97.6° circular", Circular(570, 97.6*Degree, 0, 1)},
		{"30° e=0.05", Elements{SemiMajorAxis: 7300, Eccentricity: 0.05, Inclination: 30 * Degree, RAAN: 2, ArgumentOfPerigee: 1, MeanAnomaly: 0.5}},
		{"63.4° e=0.3", Elements{SemiMajorAxis: 10500, Eccentricity: 0.3, Inclination: 63.4 * Degree, RAAN: 1, ArgumentOfPerigee: 4.7, MeanAnomaly: 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start, err := NewKepler(c.e, epoch)
			if err != nil {
				t.Fatal(err)
			}
			s, _ := start.InertialState(0)
			// The integrated orbit begins at this state; its mean elements are near
			// those of start, but not the same, and are found below.
			period := 2 * math.Pi / (start.n + start.dw)
			const days, perRevolution = 3, 720
			revolutions := int(days * 86400 / period)
			h := period / perRevolution
			n := revolutions * perRevolution
			states := make([]State, n)
			a, ex, ey, inc := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
			node, lat := make([]float64, n), make([]float64, n)
			for i := range states {
				states[i] = s
				o := osculating(s)
				a[i], inc[i] = o.SemiMajorAxis, o.Inclination
				// Perigee and anomaly by themselves mean little in a nearly circular
				// orbit; eccentricity vector and argument of latitude do.
				w := o.ArgumentOfPerigee
				drift := start.dw * h * float64(i)
				ex[i], ey[i] = o.Eccentricity*math.Cos(w-drift), o.Eccentricity*math.Sin(w-drift)
				node[i], lat[i] = o.RAAN, w+o.MeanAnomaly
				if i > 0 {
					node[i] = node[i-1] + turn(node[i], node[i-1])
					lat[i] = lat[i-1] + turn(lat[i], lat[i-1])
				}
				s = integrate(s, h)
			}
			middle := h * float64(n-1) / 2
			var m Elements
			m.SemiMajorAxis, _, _ = fit(a)
			m.Inclination, _, _ = fit(inc)
			mx, _, _ := fit(ex)
			my, _, _ := fit(ey)
			m.Eccentricity = math.Hypot(mx, my)
			var nodeSlope, latSlope, nodeWorst float64
			m.RAAN, nodeSlope, nodeWorst = fit(node)
			var u float64
			u, latSlope, _ = fit(lat)
			m.ArgumentOfPerigee = math.Atan2(my, mx) + start.dw*middle
			m.MeanAnomaly = u - m.ArgumentOfPerigee
			mean := m.rates()

			nodeError := nodeSlope/h/mean.node - 1
			latError := latSlope/h/(mean.anomaly+mean.perigee) - 1
			if math.Abs(nodeError) > 3e-3 {
				t.Errorf("the node drifts by %.8g rad/s, integrated %.8g", mean.node, nodeSlope/h)
			}
			if math.Abs(latError) > 1e-5 {
				t.Errorf("the argument of latitude moves by %.10g rad/s, integrated %.10g", mean.anomaly+mean.perigee, latSlope/h)
			}
			if nodeWorst > 2*J2 {
				t.Errorf("the node leaves its line by %g rad", nodeWorst)
			}

			k, err := NewKepler(m, epoch)
			if err != nil {
				t.Fatal(err)
			}
			var distance float64
			for i, s := range states {
				at := time.Duration((h*float64(i) - middle) * 1e9)
				r, _ := k.InertialState(at)
				distance = math.Max(distance, r.Position.Sub(s.Position).Norm())
			}
			if distance > 12 {
				t.Errorf("within %d days the positions differ by up to %.3f km", days, distance)
			}
			t.Logf("node rate off by %.2g, latitude rate by %.2g, node wobbles %.2g rad, position within %.2f km", nodeError, latError, nodeWorst, distance)
		})
	}
}

package orbit

import (
	"fmt"
	"math"
	"time"
)

// Gravity of the Earth for J2 Kepler motion: WGS-84 with the J2 of EGM-96
// (Vallado, 4th ed., Table D-1). SGP4 has constants of its own (WGS-72).
const (
	// Mu is the gravitational parameter in km³/s².
	Mu = 398600.4418
	// J2 is the zonal harmonic of degree 2 (no unit).
	J2 = 1.08262668e-3
)

// Elements are mean Kepler elements in TEME: those of the orbit without the
// short-period wobble that the Earth's oblateness puts on it.
type Elements struct {
	SemiMajorAxis     float64 // km
	Eccentricity      float64 // in [0, 1)
	Inclination       float64 // rad, in [0, π]
	RAAN              float64 // right ascension of the ascending node, rad
	ArgumentOfPerigee float64 // rad
	MeanAnomaly       float64 // rad
}

// Circular are the elements of a circular orbit at an altitude in km above
// the equatorial radius; the argument of latitude is the angle from the
// ascending node. Angles in radians.
func Circular(altitude, inclination, raan, argumentOfLatitude float64) Elements {
	return Elements{
		SemiMajorAxis: EarthRadius + altitude,
		Inclination:   inclination,
		RAAN:          raan,
		MeanAnomaly:   argumentOfLatitude,
	}
}

// Kepler is two-body motion with the secular drift of the node, the perigee
// and the mean anomaly under J2. It implements InertialMotion.
//
// The true path wobbles about it by J2·R²/a (up to 10 km in a low orbit)
// within each revolution, and drag and all else is left out: right for
// constellations that do not exist yet, whose orbits are kept by thrusters.
type Kepler struct {
	earth Earth

	ecc, beta float64 // eccentricity, √(1-e²)
	a         float64 // km
	m0, n     float64 // mean anomaly at epoch, rad; its rate with J2, rad/s
	w0, dw    float64 // argument of perigee, rad, rad/s
	o0, do    float64 // node, rad, rad/s
	sinI      float64
	cosI      float64
}

// NewKepler is the motion of a satellite that has elements e at the
// scenario's epoch.
func NewKepler(e Elements, epoch time.Time) (*Kepler, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	r := e.rates()
	sinI, cosI := math.Sincos(e.Inclination)
	k := &Kepler{
		earth: NewEarth(epoch),
		ecc:   e.Eccentricity,
		beta:  math.Sqrt(1 - e.Eccentricity*e.Eccentricity),
		a:     e.SemiMajorAxis,
		m0:    math.Mod(e.MeanAnomaly, 2*math.Pi), n: r.anomaly,
		w0: math.Mod(e.ArgumentOfPerigee, 2*math.Pi), dw: r.perigee,
		o0: math.Mod(e.RAAN, 2*math.Pi), do: r.node,
		sinI: sinI, cosI: cosI,
	}
	return k, nil
}

func (e Elements) check() error {
	switch perigee := e.SemiMajorAxis * (1 - e.Eccentricity); {
	case !(e.Eccentricity >= 0 && e.Eccentricity < 1):
		return fmt.Errorf("eccentricity %g is not in [0, 1): only closed orbits are known", e.Eccentricity)
	case !(e.SemiMajorAxis <= 1e6):
		return fmt.Errorf("semi-major axis %g km is beyond 1,000,000 km, where the Earth no longer rules", e.SemiMajorAxis)
	case !(perigee > EarthRadius):
		return fmt.Errorf("perigee %.3f km from the Earth's centre is below the surface (%g km); raise the semi-major axis or lower the eccentricity", perigee, EarthRadius)
	case !(e.Inclination >= 0 && e.Inclination <= math.Pi):
		return fmt.Errorf("inclination %g° is not within 0° and 180°", e.Inclination/Degree)
	}
	for _, a := range []float64{e.RAAN, e.ArgumentOfPerigee, e.MeanAnomaly} {
		if math.IsNaN(a) || math.IsInf(a, 0) {
			return fmt.Errorf("an angle of the orbit is %g; give a number", a)
		}
	}
	return nil
}

// rates are the secular rates in rad/s.
type rates struct{ anomaly, perigee, node float64 }

// rates by J2 to first order (Vallado, 4th ed., eqs. 9-38, 9-40 and 9-41).
func (e Elements) rates() rates {
	n := math.Sqrt(Mu / (e.SemiMajorAxis * e.SemiMajorAxis * e.SemiMajorAxis))
	beta2 := 1 - e.Eccentricity*e.Eccentricity
	q := EarthRadius / (e.SemiMajorAxis * beta2)
	g := 0.75 * n * J2 * q * q
	c := math.Cos(e.Inclination)
	return rates{
		anomaly: n + g*math.Sqrt(beta2)*(3*c*c-1),
		perigee: g * (5*c*c - 1),
		node:    -2 * g * c,
	}
}

// State is position and velocity in ECEF. It never fails.
func (k *Kepler) State(t time.Duration) (State, error) {
	s, _ := k.InertialState(t)
	return k.earth.At(t).Fixed(s), nil
}

// InertialState is position and velocity in TEME. The velocity is the
// derivative of the position, drifts included. It never fails.
func (k *Kepler) InertialState(t time.Duration) (State, error) {
	dt := t.Seconds()
	m := k.m0 + k.n*dt
	sinO, cosO := math.Sincos(k.o0 + k.do*dt)

	// In the orbital plane, along the node (x) and across it (y).
	var x, y, vx, vy float64
	if k.ecc == 0 {
		sinU, cosU := math.Sincos(m + k.w0 + k.dw*dt)
		v := k.a * (k.n + k.dw)
		x, y, vx, vy = k.a*cosU, k.a*sinU, -v*sinU, v*cosU
	} else {
		sinE, cosE := eccentricAnomaly(m, k.ecc)
		dE := k.n / (1 - k.ecc*cosE)
		px, py := k.a*(cosE-k.ecc), k.a*k.beta*sinE // towards the perigee, across
		dpx, dpy := -k.a*sinE*dE, k.a*k.beta*cosE*dE
		sinW, cosW := math.Sincos(k.w0 + k.dw*dt)
		x, y = cosW*px-sinW*py, sinW*px+cosW*py
		vx, vy = cosW*dpx-sinW*dpy-k.dw*y, sinW*dpx+cosW*dpy+k.dw*x
	}

	// Tilted by the inclination, turned by the node.
	yi, vyi := y*k.cosI, vy*k.cosI
	p := Vec{cosO*x - sinO*yi, sinO*x + cosO*yi, y * k.sinI}
	return State{
		Position: p,
		Velocity: Vec{
			X: cosO*vx - sinO*vyi - k.do*p.Y,
			Y: sinO*vx + cosO*vyi + k.do*p.X,
			Z: vy * k.sinI,
		},
	}, nil
}

// eccentricAnomaly solves Kepler's equation m = E - e·sin E for 0 <= e < 1 and
// gives sine and cosine of E.
//
// Newton's method, kept between the bounds m-e <= E <= m+e that hold for every
// root, so that it converges for orbits near a parabola too: a step that
// leaves the bracket is replaced by its middle.
func eccentricAnomaly(m, e float64) (sin, cos float64) {
	m = math.Remainder(m, 2*math.Pi)
	lo, hi := m-e, m+e
	x := m + e*math.Sin(m)
	for range 50 {
		sin, cos = math.Sincos(x)
		f := x - e*sin - m
		if f > 0 {
			hi = x
		} else {
			lo = x
		}
		step := f / (1 - e*cos)
		if math.Abs(step) < 1e-8 {
			// The error after this last step is of the order of step²: the sines
			// are moved along by it rather than computed again.
			step = -step
			return sin + step*cos - step*step/2*sin, cos - step*sin - step*step/2*cos
		}
		if x -= step; x <= lo || x >= hi {
			x = (lo + hi) / 2
		}
	}
	return math.Sincos(x)
}

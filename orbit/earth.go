package orbit

import (
	"math"
	"time"
)

// Earth is the rotation of the Earth as a function of scenario time.
//
// The inertial frame is TEME, the true equator and mean equinox of date, in
// which SGP4 states are. GMST turns it about its z axis into the Earth-fixed
// frame. Polar motion is neglected (below 0.6", 20 m on the ground), so ECEF
// here is the pseudo Earth-fixed frame (PEF) of the literature.
type Earth struct {
	angle0 float64 // GMST at the scenario epoch, rad
	rate   float64 // rad/s
}

// NewEarth is the Earth's rotation for a scenario that begins at epoch.
//
// GMST is advanced linearly from the epoch: what that leaves out grows with
// the square of time to 7e-10 rad (5 mm at a low satellite) after a year.
func NewEarth(epoch time.Time) Earth {
	j := Julian(epoch)
	return Earth{angle0: j.GMST(), rate: j.gmstRate()}
}

// At is the rotation at scenario time t. Who needs the states of many
// satellites at one instant takes it once and shares it.
func (e Earth) At(t time.Duration) Rotation {
	sin, cos := math.Sincos(e.angle0 + e.rate*t.Seconds())
	return Rotation{sin: sin, cos: cos, rate: e.rate}
}

// Rotation is the turn from TEME to ECEF at one instant.
type Rotation struct {
	sin, cos float64 // of GMST
	rate     float64 // rad/s
}

// Fixed turns a TEME state into an ECEF state. The velocity is the one seen
// by an observer who rotates with the Earth.
func (r Rotation) Fixed(s State) State {
	p := r.FixedPosition(s.Position)
	v := r.FixedPosition(s.Velocity)
	v.X += r.rate * p.Y
	v.Y -= r.rate * p.X
	return State{Position: p, Velocity: v}
}

// FixedPosition turns the components of a TEME vector into ECEF.
func (r Rotation) FixedPosition(p Vec) Vec {
	return Vec{
		X: r.cos*p.X + r.sin*p.Y,
		Y: r.cos*p.Y - r.sin*p.X,
		Z: p.Z,
	}
}

// Inertial turns an ECEF state into a TEME state; it is the inverse of Fixed.
func (r Rotation) Inertial(s State) State {
	v := s.Velocity
	v.X -= r.rate * s.Position.Y
	v.Y += r.rate * s.Position.X
	return State{Position: r.InertialPosition(s.Position), Velocity: r.InertialPosition(v)}
}

// InertialPosition turns the components of an ECEF vector into TEME.
func (r Rotation) InertialPosition(p Vec) Vec {
	return Vec{
		X: r.cos*p.X - r.sin*p.Y,
		Y: r.cos*p.Y + r.sin*p.X,
		Z: p.Z,
	}
}

// InertialMotion is a Motion that knows its state before the Earth's rotation
// is applied. Satellites are such. With one Rotation per instant, a step over
// many of them saves a sine and a cosine each:
//
//	rot := earth.At(t)
//	for _, m := range satellites {
//		s, err := m.InertialState(t)
//		… rot.Fixed(s)
//	}
//
// earth must have the epoch that the motions were made with.
type InertialMotion interface {
	Motion
	// InertialState is position and velocity at t in TEME.
	InertialState(t time.Duration) (State, error)
}

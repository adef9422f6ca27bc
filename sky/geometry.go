package sky

import (
	"math"
	"time"

	"orrery.dev/orrery/orbit"
)

// SpeedOfLight in vacuum, in km/s (exact by definition of the metre).
const SpeedOfLight = 299792.458

// Elevation of target above the horizon of observer (geodetic vertical), in
// radians. Positions are ECEF, in km.
func Elevation(observer, target orbit.Vec) float64 {
	return orbit.SubPoint(observer).Horizon().Look(target).Elevation
}

// Range is the distance between two positions in km.
func Range(a, b orbit.Vec) float64 { return b.Sub(a).Norm() }

// GrazingAltitude is how near the line of sight between two positions comes to
// the Earth's surface, in km: the least distance of the segment from the
// Earth's centre, less 6378.137 km.
func GrazingAltitude(a, b orbit.Vec) float64 {
	d := b.Sub(a)
	x := 0.0
	if dd := d.Dot(d); dd > 0 {
		x = min(1, max(0, -a.Dot(d)/dd))
	}
	return a.Add(d.Scale(x)).Norm() - orbit.EarthRadius
}

// Latitude is the geocentric latitude of a position in radians.
func Latitude(p orbit.Vec) float64 {
	return math.Atan2(p.Z, math.Hypot(p.X, p.Y))
}

// Delay is the time light takes along a range, in seconds.
func Delay(km float64) float64 { return km / SpeedOfLight }

// End is one end of a line of sight at one instant, in ECEF.
type End struct {
	orbit.State
	// Vertical is set for observers only: elevation is measured from it.
	Vertical
}

// Vertical is the upward unit vector of a place on the ellipsoid and how fast
// it turns (1/s) as the place moves over the Earth.
type Vertical struct{ Up, Rate orbit.Vec }

// VerticalOf is the geodetic vertical at a state, and its rate of turn.
func VerticalOf(s orbit.State) Vertical {
	place := orbit.SubPoint(s.Position)
	h := place.Horizon()
	v := Vertical{Up: h.Up}
	if s.Velocity == (orbit.Vec{}) {
		return v
	}
	// Moving north turns the vertical by the meridian's radius of curvature,
	// moving east by the prime vertical's (Vallado, 4th ed., section 3.2).
	const e2 = orbit.EarthFlattening * (2 - orbit.EarthFlattening)
	w := 1 - e2*h.Up.Z*h.Up.Z
	east := orbit.EarthRadius / math.Sqrt(w)
	north := east * (1 - e2) / w
	v.Rate = h.East.Scale(s.Velocity.Dot(h.East) / (east + place.Height)).
		Add(h.North.Scale(s.Velocity.Dot(h.North) / (north + place.Height)))
	return v
}

// Mover is a motion as seen from this package: an observer also has a vertical.
type Mover struct {
	motion   orbit.Motion
	observer bool
	fixed    bool
	end      End // if fixed
}

// NewMover wraps the motion of something that only is looked at.
func NewMover(m orbit.Motion) *Mover { return &Mover{motion: m} }

// NewObserver wraps the motion of a place from which elevations are measured.
func NewObserver(m orbit.Motion) (*Mover, error) {
	o := &Mover{motion: m, observer: true}
	if _, ok := m.(orbit.Fixed); ok {
		end, err := o.At(0)
		if err != nil {
			return nil, err
		}
		o.fixed, o.end = true, end
	}
	return o, nil
}

// At is the exact end at t.
func (m *Mover) At(t time.Duration) (End, error) {
	if m.fixed {
		return m.end, nil
	}
	s, err := m.motion.State(t)
	if err != nil {
		return End{}, err
	}
	e := End{State: s}
	if m.observer {
		e.Vertical = VerticalOf(s)
	}
	return e, nil
}

// Observer tells whether elevations can be measured from m.
func (m *Mover) Observer() bool { return m.observer }

// Fixed tells whether m rests on the Earth.
func (m *Mover) Fixed() bool { return m.fixed }

// SineOfElevation is the sine of the angle at which a position stands above
// the horizon of an observer.
func SineOfElevation(observer *End, target orbit.Vec) float64 {
	d := target.Sub(observer.Position)
	return d.Dot(observer.Up) / d.Norm()
}

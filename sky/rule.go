package sky

import (
	"math"

	"orrery.dev/orrery/orbit"
)

// Limits are the conditions under which two ends see each other. What is
// absent does not limit.
type Limits struct {
	MaxRange           float64  // km; 0: none
	MinGrazingAltitude *float64 // km above 6378.137 km
	MaxLatitude        *float64 // rad, geocentric, of either end
	MinElevation       *float64 // rad above the horizon of the first end, an observer
}

// Rule is Limits made ready for use. It is immutable.
type Rule struct {
	conditions [7]condition
	n          int

	maxRange float64 // km
	grazing  float64 // km from the Earth's centre
	sinLat2  float64
	sinEl    float64
}

// condition names one of the functions of the package comment.
type condition uint8

const (
	inRange condition = iota
	firstAbove
	secondAbove
	clearOfEarth
	firstLatitude
	secondLatitude
	elevated
)

// NewRule is the rule of the limits.
func NewRule(l Limits) *Rule {
	r := &Rule{}
	add := func(c condition) { r.conditions[r.n] = c; r.n++ }
	// The conditions that fail most often come first.
	if l.MinElevation != nil {
		r.sinEl = math.Sin(*l.MinElevation)
		add(elevated)
	}
	if l.MinGrazingAltitude != nil {
		r.grazing = orbit.EarthRadius + *l.MinGrazingAltitude
		add(clearOfEarth)
		add(firstAbove)
		add(secondAbove)
	}
	if l.MaxRange > 0 {
		r.maxRange = l.MaxRange
		add(inRange)
	}
	if l.MaxLatitude != nil {
		s := math.Sin(*l.MaxLatitude)
		r.sinLat2 = s * s
		add(firstLatitude)
		add(secondLatitude)
	}
	return r
}

// Holds tells whether the ends see each other.
func (r *Rule) Holds(a, b *End) bool {
	for _, c := range r.conditions[:r.n] {
		if f, _ := r.value(c, a, b); f < 0 {
			return false
		}
	}
	return true
}

// value is f in km, at least 0 while condition c holds, and its derivative in
// km/s.
func (r *Rule) value(c condition, a, b *End) (f, df float64) {
	switch c {
	case inRange:
		d := b.Position.Sub(a.Position)
		v := b.Velocity.Sub(a.Velocity)
		return (r.maxRange*r.maxRange - d.Dot(d)) / (2 * r.maxRange), -d.Dot(v) / r.maxRange
	case clearOfEarth:
		return r.clear(a, b)
	case firstAbove:
		return r.above(a)
	case secondAbove:
		return r.above(b)
	case firstLatitude:
		return r.equatorward(a)
	case secondLatitude:
		return r.equatorward(b)
	default:
		d := b.Position.Sub(a.Position)
		v := b.Velocity.Sub(a.Velocity)
		n := d.Norm()
		if n == 0 {
			return 0, 0
		}
		return d.Dot(a.Up) - r.sinEl*n, v.Dot(a.Up) + d.Dot(a.Rate) - r.sinEl*d.Dot(v)/n
	}
}

func (r *Rule) clear(a, b *End) (f, df float64) {
	g2 := r.grazing * r.grazing
	f = a.Position.Dot(b.Position) - g2
	df = a.Velocity.Dot(b.Position) + a.Position.Dot(b.Velocity)
	qa, qb := a.Position.Dot(a.Position)-g2, b.Position.Dot(b.Position)-g2
	if qa > 0 && qb > 0 {
		sa, sb := math.Sqrt(qa), math.Sqrt(qb)
		f += sa * sb
		df += a.Position.Dot(a.Velocity)*sb/sa + b.Position.Dot(b.Velocity)*sa/sb
	}
	return f / r.grazing, df / r.grazing
}

func (r *Rule) above(e *End) (f, df float64) {
	return (e.Position.Dot(e.Position) - r.grazing*r.grazing) / r.grazing,
		2 * e.Position.Dot(e.Velocity) / r.grazing
}

func (r *Rule) equatorward(e *End) (f, df float64) {
	p, v := e.Position, e.Velocity
	return (r.sinLat2*p.Dot(p) - p.Z*p.Z) / orbit.EarthRadius,
		2 * (r.sinLat2*p.Dot(v) - p.Z*v.Z) / orbit.EarthRadius
}

// shortestSegment in seconds is where segments are not cut any more.
const shortestSegment = 0.1

// rough tells whether a segment is too long for the grazing condition: where
// an end is hardly above the grazing radius, √(a²-g²) bends sharply. Its Hermite
// error grows with the fourth power of the relative change ρ of a²-g² within
// the segment, as √(a²-g²)·ρ⁴/410.
func (r *Rule) rough(h float64, s *segment) bool {
	return r.grazing > 0 && (r.bends(h, s.a0, s.a1) || r.bends(h, s.b0, s.b1))
}

func (r *Rule) bends(h float64, e0, e1 *End) bool {
	const most = 0.1
	g2 := r.grazing * r.grazing
	q0, q1 := e0.Position.Dot(e0.Position)-g2, e1.Position.Dot(e1.Position)-g2
	if q0 < 0 && q1 < 0 {
		return false // it is too low anyway
	}
	d0, d1 := e0.Position.Dot(e0.Velocity), e1.Position.Dot(e1.Velocity)
	return 2*h*max(math.Abs(d0), math.Abs(d1)) > most*max(0, min(q0, q1))
}

// tolerance bounds, in km, how far f may be from the cubic through its values
// and derivatives at a and b, which are the ends h seconds apart, and through
// interpolated instead of exact ends.
//
// In a circular orbit of speed v and mean motion n the k-th derivative of the
// position is v·n^(k-1). For two of them |(d²)⁗| = 2|4 d'·d‴ + 3 d″² + d·d⁗| is
// at most 64·v²n²; three times that allows for eccentric orbits, and the
// products of two positions in the other conditions have less. The elevation
// has |d|, whose fourth derivative is 3v⁴/d³ at the closest approach.
func (r *Rule) tolerance(c condition, h float64, a0, b0, a1, b1 *End) float64 {
	const positions = 1e-3 // km: interpolated ends, velocities that do not quite match
	h4 := h * h * h * h / 384
	switch c {
	case elevated:
		d := math.Sqrt(min(dist2(a0, b0), dist2(a1, b1)))
		v := b0.Velocity.Sub(a0.Velocity).Norm()
		d = max(d-v*h/2, 1)
		return h4*(math.Abs(r.sinEl)*3*v*v*v*v/(d*d*d)+jerkiness(b0)/orbit.EarthRadius) + positions
	case inRange:
		return h4*max(jerkiness(a0), jerkiness(b0))/(2*r.maxRange) + positions
	case clearOfEarth:
		const bend = 0.01 // see rough
		return h4*max(jerkiness(a0), jerkiness(b0))/orbit.EarthRadius + positions + bend
	default:
		return h4*max(jerkiness(a0), jerkiness(b0))/orbit.EarthRadius + positions
	}
}

// jerkiness is 200·v²n² in km²/s⁴, in the inertial frame.
func jerkiness(e *End) float64 {
	r2 := e.Position.Dot(e.Position)
	v2 := e.Velocity.Dot(e.Velocity) + spin*spin*r2
	v2 *= 2 // (x+y)² is at most 2x²+2y²
	return 200 * v2 * v2 / r2
}

// spin of the Earth in rad/s.
const spin = 7.2921e-5

func dist2(a, b *End) float64 {
	d := b.Position.Sub(a.Position)
	return d.Dot(d)
}

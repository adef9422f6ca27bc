package orbit

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// Waypoint is a place at a scenario time.
type Waypoint struct {
	At    time.Duration
	Place Geodetic
}

// Waypoints is a motion near the Earth's surface: a ship, an aircraft. It
// implements Motion.
//
// Between two waypoints the vertical turns at a constant rate along a great
// circle and the height changes linearly, so the ground speed is constant but
// for the Earth's flattening (0.3 %). Before the first waypoint and after the
// last it rests. At a waypoint the velocity is that of the leg which begins
// there.
type Waypoints struct {
	legs  []leg
	first time.Duration
	last  time.Duration
	loop  bool
	rest  [2]Vec // positions before and after
}

// leg goes along the great circle normal(θ) = cos θ·from + sin θ·towards.
type leg struct {
	start         time.Duration
	from, towards Vec     // orthonormal
	rate          float64 // rad/s
	height        float64 // km at start
	climb         float64 // km/s
}

// NewWaypoints makes a motion of at least one waypoint in increasing order of
// time. With loop, the motion starts again at the first waypoint whenever it
// has reached the last; these two must then be the same place, since nothing
// jumps.
func NewWaypoints(points []Waypoint, loop bool) (*Waypoints, error) {
	if len(points) == 0 {
		return nil, fmt.Errorf("there is no waypoint; give at least one")
	}
	first, last := points[0], points[len(points)-1]
	w := &Waypoints{
		first: first.At, last: last.At, loop: loop,
		rest: [2]Vec{first.Place.ECEF(), last.Place.ECEF()},
	}
	for i, p := range points {
		if err := p.Place.check(); err != nil {
			return nil, fmt.Errorf("waypoint %d: %w", i+1, err)
		}
		if i == 0 {
			continue
		}
		q := points[i-1]
		if p.At <= q.At {
			return nil, fmt.Errorf("waypoint %d at %v does not come after waypoint %d at %v; put them in order of time", i+1, p.At, i, q.At)
		}
		l, ok := newLeg(q, p)
		if !ok {
			return nil, fmt.Errorf("waypoints %d and %d lie on opposite sides of the Earth, so the way between them is not defined; add one in between", i, i+1)
		}
		w.legs = append(w.legs, l)
	}
	if loop {
		if len(points) < 2 {
			return nil, fmt.Errorf("a loop needs at least two waypoints, not %d", len(points))
		}
		if gap := w.rest[1].Sub(w.rest[0]).Norm(); gap > 1e-3 {
			return nil, fmt.Errorf("the loop does not close: its last waypoint is %.3f km from its first; end where it begins", gap)
		}
	}
	return w, nil
}

func (g Geodetic) check() error {
	switch {
	case !(math.Abs(g.Latitude) <= math.Pi/2):
		return fmt.Errorf("latitude %g° is not within -90° and 90°", g.Latitude/Degree)
	case !(math.Abs(g.Longitude) <= 2*math.Pi):
		return fmt.Errorf("longitude %g° is not within -360° and 360°", g.Longitude/Degree)
	case !(math.Abs(g.Height) <= 1e6):
		return fmt.Errorf("height %g km is not within ±1,000,000 km", g.Height)
	}
	return nil
}

func newLeg(p, q Waypoint) (leg, bool) {
	from, to := p.Place.normal(), q.Place.normal()
	seconds := (q.At - p.At).Seconds()
	l := leg{
		start:  p.At,
		from:   from,
		height: p.Place.Height,
		climb:  (q.Place.Height - p.Place.Height) / seconds,
	}
	axis := from.Cross(to)
	sin, cos := axis.Norm(), from.Dot(to)
	const nothing = 1e-12 // rad: 6 µm on the ground
	if sin < nothing {
		return l, cos > 0 // towards and rate are 0: only the height changes
	}
	l.towards = axis.Scale(1 / sin).Cross(from)
	l.rate = math.Atan2(sin, cos) / seconds
	return l, true
}

// State is where the traveller is at t, and its velocity over the rotating
// Earth. It never fails.
func (w *Waypoints) State(t time.Duration) (State, error) {
	if t < w.first || len(w.legs) == 0 {
		return State{Position: w.rest[0]}, nil
	}
	if t >= w.last {
		if !w.loop {
			return State{Position: w.rest[1]}, nil
		}
		t = w.first + (t-w.first)%(w.last-w.first)
	}
	i := sort.Search(len(w.legs), func(i int) bool { return w.legs[i].start > t })
	return w.legs[i-1].state(t), nil
}

// state places the traveller by its vertical n, a unit vector: with
// D = diag(a², a², b²) and q = √(n·Dn) the point of the ellipsoid whose normal
// is n is Dn/q (the gradient of the ellipsoid's equation is along n there).
// The velocity is the derivative of that.
func (l *leg) state(t time.Duration) State {
	dt := (t - l.start).Seconds()
	sin, cos := math.Sincos(l.rate * dt)
	n := l.from.Scale(cos).Add(l.towards.Scale(sin))
	dn := l.towards.Scale(l.rate * cos).Sub(l.from.Scale(l.rate * sin))
	h := l.height + l.climb*dt

	foot, dFoot := stretch(n), stretch(dn)
	q := math.Sqrt(n.Dot(foot))
	dq := dn.Dot(foot) / q
	return State{
		Position: foot.Scale(1 / q).Add(n.Scale(h)),
		Velocity: dFoot.Scale(1 / q).Sub(foot.Scale(dq / (q * q))).Add(n.Scale(l.climb)).Add(dn.Scale(h)),
	}
}

// stretch is Dv.
func stretch(v Vec) Vec {
	const a2, b2 = EarthRadius * EarthRadius, polarRadius * polarRadius
	return Vec{a2 * v.X, a2 * v.Y, b2 * v.Z}
}

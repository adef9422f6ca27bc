package sky

import (
	"time"

	"orrery.dev/orrery/orbit"
)

// Path is a mover's way through a stretch of time: its ends at some knots.
// Between knots positions are cubic Hermite polynomials: with knots 15 s apart
// less than 1 cm from the motion, in any orbit around the Earth.
//
// Times do not decrease. The same instant twice marks a kink (a waypoint): the
// first end is the limit from before, the second holds from there on.
type Path struct {
	Times []time.Duration
	Ends  []End
}

// End is the interpolated end at t, which must lie within the path. At a kink
// it is the end from there on.
func (p *Path) End(t time.Duration) End {
	k := p.segment(t)
	if p.Times[k] == t {
		return p.Ends[k]
	}
	return p.between(k, t)
}

// Position is the interpolated position at t, in km.
func (p *Path) Position(t time.Duration) orbit.Vec {
	k := p.segment(t)
	if p.Times[k] == t {
		return p.Ends[k].Position
	}
	h := (p.Times[k+1] - p.Times[k]).Seconds()
	w := basis((t - p.Times[k]).Seconds() / h)
	a, b := &p.Ends[k].State, &p.Ends[k+1].State
	return orbit.Vec{
		X: w[0]*a.Position.X + w[1]*b.Position.X + h*(w[2]*a.Velocity.X+w[3]*b.Velocity.X),
		Y: w[0]*a.Position.Y + w[1]*b.Position.Y + h*(w[2]*a.Velocity.Y+w[3]*b.Velocity.Y),
		Z: w[0]*a.Position.Z + w[1]*b.Position.Z + h*(w[2]*a.Velocity.Z+w[3]*b.Velocity.Z),
	}
}

// From and To bound the path.
func (p *Path) From() time.Duration { return p.Times[0] }

// To is the last instant of the path.
func (p *Path) To() time.Duration { return p.Times[len(p.Times)-1] }

// segment is the last k with Times[k] <= t that begins a segment, or the last
// knot. Paths have a handful of knots.
func (p *Path) segment(t time.Duration) int {
	k := len(p.Times) - 1
	for k > 0 && p.Times[k] > t {
		k--
	}
	return k
}

func (p *Path) between(k int, t time.Duration) End {
	a, b := &p.Ends[k], &p.Ends[k+1]
	h := (p.Times[k+1] - p.Times[k]).Seconds()
	x := (t - p.Times[k]).Seconds() / h
	w, dw := basis(x), slope(x)
	mix := func(p, v, q, u orbit.Vec) (orbit.Vec, orbit.Vec) {
		return orbit.Vec{
				X: w[0]*p.X + w[1]*q.X + h*(w[2]*v.X+w[3]*u.X),
				Y: w[0]*p.Y + w[1]*q.Y + h*(w[2]*v.Y+w[3]*u.Y),
				Z: w[0]*p.Z + w[1]*q.Z + h*(w[2]*v.Z+w[3]*u.Z),
			}, orbit.Vec{
				X: (dw[0]*p.X+dw[1]*q.X)/h + dw[2]*v.X + dw[3]*u.X,
				Y: (dw[0]*p.Y+dw[1]*q.Y)/h + dw[2]*v.Y + dw[3]*u.Y,
				Z: (dw[0]*p.Z+dw[1]*q.Z)/h + dw[2]*v.Z + dw[3]*u.Z,
			}
	}
	var e End
	e.Position, e.Velocity = mix(a.Position, a.Velocity, b.Position, b.Velocity)
	if a.Up != (orbit.Vec{}) {
		e.Up, e.Rate = mix(a.Up, a.Rate, b.Up, b.Rate)
	}
	return e
}

// basis holds the cubic Hermite polynomials at x in [0, 1]: of the values at
// both ends, then of the derivatives.
func basis(x float64) [4]float64 {
	y := 1 - x
	return [4]float64{y * y * (1 + 2*x), x * x * (3 - 2*x), x * y * y, -x * x * y}
}

// slope holds their derivatives.
func slope(x float64) [4]float64 {
	return [4]float64{6 * x * (x - 1), 6 * x * (1 - x), 1 + x*(3*x-4), x * (3*x - 2)}
}

// next is the first knot after t.
func (p *Path) next(t time.Duration) time.Duration {
	for _, k := range p.Times {
		if k > t {
			return k
		}
	}
	return p.To()
}

// before is the end at t as the limit from before: at a kink the first end.
func (p *Path) before(t time.Duration) End {
	k := p.segment(t)
	if p.Times[k] != t {
		return p.between(k, t)
	}
	for k > 0 && p.Times[k-1] == t {
		k--
	}
	return p.Ends[k]
}

// NewPath follows a mover from one instant to another with knots step apart,
// and at each of the kinks (ascending) in between.
func NewPath(m *Mover, from, to, step time.Duration, kinks []time.Duration) (*Path, error) {
	p := &Path{}
	add := func(t, sample time.Duration) error {
		e, err := m.At(sample)
		if err != nil {
			return err
		}
		p.Times, p.Ends = append(p.Times, t), append(p.Ends, e)
		return nil
	}
	if err := add(from, from); err != nil {
		return nil, err
	}
	for t := from; t < to; {
		t = min(t+step-t%step, to)
		for len(kinks) > 0 && kinks[0] < t {
			if k := kinks[0]; k > p.To() {
				if err := add(k, k-1); err != nil { // 1 ns before: the limit
					return nil, err
				}
				if err := add(k, k); err != nil {
					return nil, err
				}
			}
			kinks = kinks[1:]
		}
		sample := t
		kink := len(kinks) > 0 && kinks[0] == t
		if kink {
			sample--
		}
		if err := add(t, sample); err != nil {
			return nil, err
		}
		if kink && t < to {
			if err := add(t, t); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

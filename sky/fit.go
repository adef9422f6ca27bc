package sky

import (
	"math"
	"time"

	"orrery.dev/orrery/curve"
)

const (
	// fitTolerance in km is 0.1 µs of light: a tenth of what is promised, since
	// the error is only looked at in three places of each piece.
	fitTolerance = 0.03
	// shortest piece: two satellites that meet at 15 km/s and miss each other by
	// metres have a kink in their range that no polynomial follows.
	shortest = time.Millisecond
)

// FitDelay appends to dst cubic pieces of the one-way delay in seconds between
// two paths, from one instant to another. Each piece has the exact range and
// range rate at its ends; pieces are halved until they are within 1 µs.
func FitDelay(dst []curve.Segment, a, b *Path, from, to time.Duration) []curve.Segment {
	f := fitter{a, b, dst}
	// No piece crosses a kink.
	for start := from; start < to; {
		end := min(a.kinkAfter(start), b.kinkAfter(start), to)
		a0, b0, a1, b1 := a.End(start), b.End(start), a.before(end), b.before(end)
		f.fit(sightAt(start, &a0, &b0), sightAt(end, &a1, &b1))
		start = end
	}
	return f.dst
}

// kinkAfter is the first kink after t, or the end of all time.
func (p *Path) kinkAfter(t time.Duration) time.Duration {
	for k := 1; k < len(p.Times); k++ {
		if p.Times[k] > t && p.Times[k-1] == p.Times[k] {
			return p.Times[k]
		}
	}
	return math.MaxInt64
}

// sight is the range and its rate at one instant.
type sight struct {
	t         time.Duration
	rng, rate float64 // km, km/s
}

func sightAt(t time.Duration, a, b *End) sight {
	d := b.Position.Sub(a.Position)
	r := d.Norm()
	if r == 0 {
		return sight{t, 0, 0}
	}
	return sight{t, r, d.Dot(b.Velocity.Sub(a.Velocity)) / r}
}

type fitter struct {
	a, b *Path
	dst  []curve.Segment
}

// fit appends the pieces from p to q.
func (f *fitter) fit(p, q sight) {
	h := (q.t - p.t).Seconds()
	c := [4]float64{
		p.rng,
		p.rate,
		(3*(q.rng-p.rng)/h - 2*p.rate - q.rate) / h,
		(2*(p.rng-q.rng)/h + p.rate + q.rate) / (h * h),
	}
	if q.t-p.t > shortest && !f.follows(p.t, q.t, &c) {
		mid := p.t + (q.t-p.t)/2
		a, b := f.a.End(mid), f.b.End(mid)
		m := sightAt(mid, &a, &b)
		f.fit(p, m)
		f.fit(m, q)
		return
	}
	f.dst = append(f.dst, curve.Segment{Start: p.t, C: [4]float64{
		c[0] / SpeedOfLight, c[1] / SpeedOfLight, c[2] / SpeedOfLight, c[3] / SpeedOfLight}})
}

// follows tells whether the cubic is near the range at three inner points. The
// error of a Hermite cubic is x²·(1-x)² times a slowly varying factor.
func (f *fitter) follows(from, to time.Duration, c *[4]float64) bool {
	for i := time.Duration(1); i <= 3; i++ {
		t := from + (to-from)*i/4
		x := (t - from).Seconds()
		r := f.b.Position(t).Sub(f.a.Position(t)).Norm()
		if math.Abs(c[0]+x*(c[1]+x*(c[2]+x*c[3]))-r) > fitTolerance {
			return false
		}
	}
	return true
}

package sky

import (
	"math"
	"time"

	"orrery.dev/orrery/orbit"
)

// Span is the period [Start, End).
type Span struct{ Start, End time.Duration }

// resolution of the instants that are found.
const resolution = time.Microsecond

// Pair is two movers and the rule under which they see each other. The first
// must be an observer if the rule has an elevation.
type Pair struct {
	Rule *Rule
	A, B *Mover
}

// Spans appends to dst the periods in which the pair sees each other, within
// the time that both paths cover. The paths are those of A and B.
func (p *Pair) Spans(dst []Span, a, b *Path) []Span {
	base := len(dst)
	if len(a.Times) == len(b.Times) && &a.Times[0] == &b.Times[0] {
		for k := 1; k < len(a.Times); k++ {
			dst = p.segment(dst, base, segment{
				a.Times[k-1], a.Times[k], &a.Ends[k-1], &b.Ends[k-1], &a.Ends[k], &b.Ends[k]})
		}
		return dst
	}
	to := min(a.To(), b.To())
	for t := max(a.From(), b.From()); t < to; {
		next := min(a.next(t), b.next(t), to)
		a0, b0, a1, b1 := a.End(t), b.End(t), a.before(next), b.before(next)
		dst = p.segment(dst, base, segment{t, next, &a0, &b0, &a1, &b1})
		t = next
	}
	return dst
}

// Until is the first instant from which on the pair does not see each other
// any more, searched with the exact motions up to limit. If a motion has no
// state any more before that, it is the last instant at which it has one, to
// within a second.
func (p *Pair) Until(from, limit time.Duration) time.Duration {
	until := from
	p.walk(from, limit, func(t, next time.Duration, spans []Span) bool {
		if len(spans) == 0 || spans[0].Start > t {
			return false
		}
		until = spans[0].End
		return until == next
	})
	return until
}

// LastSeen is the last instant up to limit at which the pair still sees each
// other, searched with the exact motions. It is not ok if they never do.
func (p *Pair) LastSeen(from, limit time.Duration) (last time.Duration, ok bool) {
	p.walk(from, limit, func(_, _ time.Duration, spans []Span) bool {
		if n := len(spans); n > 0 {
			last, ok = spans[n-1].End, true
		}
		return true
	})
	return last, ok
}

// Between are the periods in [from, to) in which the pair sees each other, by
// the exact motions, which must have no kinks.
func (p *Pair) Between(from, to time.Duration) []Span {
	var all []Span
	p.walk(from, to, func(_, _ time.Duration, spans []Span) bool {
		for _, s := range spans {
			all = join(all, 0, s.Start, s.End)
		}
		return true
	})
	return all
}

// walk visits stretch after stretch with the periods of sight in it, as long
// as visit says so. It ends early where a motion has no state any more.
func (p *Pair) walk(from, limit time.Duration, visit func(t, next time.Duration, spans []Span) bool) {
	a0, errA := p.A.At(from)
	b0, errB := p.B.At(from)
	if errA != nil || errB != nil {
		return
	}
	var buf [4]Span
	for t := from; t < limit; {
		radius := b0.Position.Norm()
		if !p.A.observer {
			radius = min(radius, a0.Position.Norm())
		}
		step := min(KnotStep(radius), limit-t)
		a1, errA := p.A.At(t + step)
		b1, errB := p.B.At(t + step)
		for errA != nil || errB != nil {
			if step /= 2; step < time.Second {
				return
			}
			a1, errA = p.A.At(t + step)
			b1, errB = p.B.At(t + step)
		}
		if !visit(t, t+step, p.segment(buf[:0], 0, segment{t, t + step, &a0, &b0, &a1, &b1})) {
			return
		}
		t, a0, b0 = t+step, a1, b1
	}
}

// KnotStep is how far apart the knots of a path may be for something at a
// distance from the Earth's centre in km: 15 s in the lowest orbits, and the
// same fraction of a revolution above.
func KnotStep(radius float64) time.Duration {
	x := max(1, radius/orbit.EarthRadius)
	return time.Duration(15*x*math.Sqrt(x)) * time.Second
}

// segment is the stretch between two knots.
type segment struct {
	t0, t1         time.Duration
	a0, b0, a1, b1 *End
}

// cut is a sign change of one condition.
type cut struct {
	t         time.Duration
	condition int // bit number
	rising    bool
}

// segment appends the spans of one segment, joining the first to the span that
// ends where the segment begins, if that is not before base.
func (p *Pair) segment(dst []Span, base int, s segment) []Span {
	h := (s.t1 - s.t0).Seconds()
	if h <= 0 {
		return dst
	}
	r := p.Rule
	if h > 2*shortestSegment && r.rough(h, &s) {
		if mid, ok := p.middle(&s); ok {
			dst = p.segment(dst, base, segment{s.t0, mid.t0, s.a0, s.b0, mid.a0, mid.b0})
			return p.segment(dst, base, segment{mid.t0, s.t1, mid.a0, mid.b0, s.a1, s.b1})
		}
	}
	var doubtful [len(r.conditions)]struct {
		c     condition
		q     cubic
		slack float64
	}
	n := 0
	for _, c := range r.conditions[:r.n] {
		f0, d0 := r.value(c, s.a0, s.b0)
		f1, d1 := r.value(c, s.a1, s.b1)
		q := cubic{f0, f0 + d0*h/3, f1 - d1*h/3, f1}
		lo, hi := min(q[0], q[1], q[2], q[3]), max(q[0], q[1], q[2], q[3])
		slack := r.tolerance(c, h, s.a0, s.b0, s.a1, s.b1)
		if hi < -slack {
			return dst
		}
		if lo <= slack {
			doubtful[n].c, doubtful[n].q, doubtful[n].slack = c, q, slack
			n++
		}
	}
	if n == 0 {
		return join(dst, base, s.t0, s.t1)
	}

	var buf [16]cut
	cuts := buf[:0]
	missing := 0 // bits of the conditions that do not hold
	for i := range doubtful[:n] {
		d := &doubtful[i]
		if d.q[0] < 0 {
			missing |= 1 << i
		}
		cuts = p.cuts(cuts, i, d.c, &d.q, d.slack, s.t0, s.t1)
	}
	sortCuts(cuts)
	start := s.t0
	for _, c := range cuts {
		was := missing
		if c.rising {
			missing &^= 1 << c.condition
		} else {
			missing |= 1 << c.condition
		}
		switch {
		case was != 0 && missing == 0:
			start = c.t
		case was == 0 && missing != 0:
			dst = join(dst, base, start, c.t)
		}
	}
	if missing == 0 {
		dst = join(dst, base, start, s.t1)
	}
	return dst
}

// middle is the exact ends in the middle of a segment.
func (p *Pair) middle(s *segment) (segment, bool) {
	t := s.t0 + (s.t1-s.t0)/2
	a, errA := p.A.At(t)
	b, errB := p.B.At(t)
	return segment{t0: t, a0: &a, b0: &b}, errA == nil && errB == nil
}

// join appends [start, end) to dst[base:], or prolongs its last span.
func join(dst []Span, base int, start, end time.Duration) []Span {
	if end <= start {
		return dst
	}
	if n := len(dst); n > base && dst[n-1].End == start {
		dst[n-1].End = end
		return dst
	}
	return append(dst, Span{start, end})
}

// sortCuts orders by time; of one instant, the condition that ends comes
// first, so that two spans which only touch stay two.
func sortCuts(cuts []cut) {
	before := func(a, b cut) bool {
		return a.t < b.t || a.t == b.t && !a.rising && b.rising
	}
	for i := 1; i < len(cuts); i++ {
		for j := i; j > 0 && before(cuts[j], cuts[j-1]); j-- {
			cuts[j], cuts[j-1] = cuts[j-1], cuts[j]
		}
	}
}

// cuts appends the sign changes of condition c between t0 and t1, where the
// cubic q is within slack of it.
func (p *Pair) cuts(dst []cut, bit int, c condition, q *cubic, slack float64, t0, t1 time.Duration) []cut {
	h := float64(t1 - t0)
	at := func(x float64) time.Duration { return t0 + time.Duration(x*h) }

	x0, t, positive := 0.0, t0, q[0] >= 0
	change := func(x1 float64, to time.Duration, is bool) {
		if is != positive {
			dst = append(dst, cut{p.root(c, t, to, is, at(q.root(x0, x1, is))), bit, is})
		}
		x0, t, positive = x1, to, is
	}
	extrema, n := q.extrema()
	for _, x := range extrema[:n] {
		value, where := q.at(x), at(x)
		if math.Abs(value) <= slack {
			value, where = p.extremum(c, where, t, t1)
			x = float64(where-t0) / h
		}
		if where > t && where < t1 {
			change(x, where, value >= 0)
		}
	}
	change(1, t1, q[3] >= 0)
	return dst
}

// extremum finds the exact extremum of condition c near guess within (lo, hi):
// its value and instant.
func (p *Pair) extremum(c condition, guess, lo, hi time.Duration) (float64, time.Duration) {
	f, df, ok := p.value(c, guess)
	if !ok {
		return -1, guess
	}
	// Bracket the sign change of the derivative.
	left, right, dLeft, dRight := guess, guess, df, df
	for width := (hi - lo) / 256; dLeft*dRight > 0 && width > 0; width *= 2 {
		left, right = max(lo, guess-width), min(hi, guess+width)
		_, dLeft, _ = p.value(c, left)
		_, dRight, _ = p.value(c, right)
		if left == lo && right == hi {
			break
		}
	}
	if dLeft*dRight > 0 {
		return f, guess // monotone after all
	}
	// The value is flat here: half a millisecond off matters by micrometres.
	for right-left > time.Millisecond {
		guess = left + (right-left)/2
		_, df, ok = p.value(c, guess)
		if !ok {
			return -1, guess
		}
		if (df > 0) == (dLeft > 0) {
			left = guess
		} else {
			right = guess
		}
	}
	guess = left + (right-left)/2
	if f, _, ok = p.value(c, guess); !ok {
		return -1, guess
	}
	return f, guess
}

// root locates the sign change of condition c in [lo, hi] with the exact
// motions, to the nearest microsecond: Newton's method, kept inside the
// bracket by bisection.
func (p *Pair) root(c condition, lo, hi time.Duration, rising bool, guess time.Duration) time.Duration {
	first, last := lo, hi
	t := min(max(guess, lo), hi)
	for range 64 {
		f, df, ok := p.value(c, t)
		if !ok {
			f, df = -1, 0
		}
		if (f >= 0) == rising {
			hi = t
		} else {
			lo = t
		}
		next := lo + (hi-lo)/2
		if df != 0 {
			if step := -f / df * 1e9; math.Abs(step) < 1e18 {
				if newton := t + time.Duration(step); newton >= lo && newton <= hi {
					next = newton
				}
			}
		}
		moved := next - t
		t = next
		if hi-lo <= resolution || moved < resolution/8 && moved > -resolution/8 {
			break
		}
	}
	return min(max(t.Round(resolution), first), last)
}

// value of a condition at t by the exact motions; not ok if one has no state.
func (p *Pair) value(c condition, t time.Duration) (f, df float64, ok bool) {
	a, err := p.A.At(t)
	if err != nil {
		return 0, 0, false
	}
	b, err := p.B.At(t)
	if err != nil {
		return 0, 0, false
	}
	f, df = p.Rule.value(c, &a, &b)
	return f, df, true
}

// Loss is the first instant in [from, to] at which the pair does not see each
// other any more, to if there is none. The paths must cover from; one that
// ends before to is lost at its end.
func (p *Pair) Loss(a, b *Path, from, to time.Duration) time.Duration {
	end := min(a.To(), b.To(), to)
	var buf [4]Span
	a0, b0 := a.End(from), b.End(from)
	for t := from; t < end; {
		next := min(a.next(t), b.next(t), end)
		a1, b1 := a.before(next), b.before(next)
		spans := p.segment(buf[:0], 0, segment{t, next, &a0, &b0, &a1, &b1})
		switch {
		case len(spans) == 0 || spans[0].Start > t:
			return t
		case spans[0].End < next:
			return spans[0].End
		}
		t = next
		a0, b0 = a.End(t), b.End(t)
	}
	return end
}

package interchange

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/plan"
)

// Span is a stretch of scenario time, [From, To).
type Span struct{ From, To time.Duration }

func (s Span) check() error {
	if s.From < 0 || s.To <= s.From {
		return fmt.Errorf("the span from %v to %v is empty; it begins at 0 or later and ends after its beginning", s.From, s.To)
	}
	return nil
}

// extent is how a curve runs through a stretch of time.
type extent struct{ first, last, least, most float64 }

// extentOf a curve over [from, to), whose last value is that just before to. The pieces are cubics (package curve): each has its
// extremes at its ends and where its derivative is 0.
func extentOf(c curve.Curve, from, to time.Duration) extent {
	e := extent{first: c.At(from), least: math.Inf(1), most: math.Inf(-1)}
	see := func(v float64) { e.least, e.most = min(e.least, v), max(e.most, v) }
	segments := c.Segments()
	if len(segments) == 0 {
		return extent{}
	}
	for i := range segments {
		s := &segments[i]
		begin, end := from, to
		if i > 0 {
			begin = max(begin, s.Start)
		}
		if i+1 < len(segments) {
			end = min(end, segments[i+1].Start)
		}
		if begin >= end {
			continue
		}
		value := func(x float64) float64 { return s.C[0] + x*(s.C[1]+x*(s.C[2]+x*s.C[3])) }
		a, b := (begin - s.Start).Seconds(), (end - s.Start).Seconds()
		see(value(a))
		e.last = value(b)
		see(e.last)
		for _, x := range roots(3*s.C[3], 2*s.C[2], s.C[1]) {
			if x > a && x < b {
				see(value(x))
			}
		}
	}
	return e
}

// roots of a·x² + b·x + c that are real.
func roots(a, b, c float64) []float64 {
	if a == 0 {
		if b == 0 {
			return nil
		}
		return []float64{-c / b}
	}
	d := b*b - 4*a*c
	if d < 0 {
		return nil
	}
	// Without cancellation: Press et al., Numerical Recipes, 5.6.
	q := -(b + math.Copysign(math.Sqrt(d), b)) / 2
	if q == 0 {
		return []float64{0}
	}
	return []float64{q / a, c / q}
}

// then is e followed by f.
func (e extent) then(f extent) extent {
	return extent{first: e.first, last: f.last, least: min(e.least, f.least), most: max(e.most, f.most)}
}

// contact is what a span holds of a contact, summed up.
type contact struct {
	id         plan.ContactID
	a, b       plan.PortID
	class      plan.Class
	start, end time.Duration // within the span
	begins     bool          // it begins within the span
	ends       bool          // its end is in the span and known

	delay, rate, loss extent // s, bit/s (0: no limit), probability
}

// walk goes through a span. visit, if given, sees each window cut to the span, with its
// contacts; done, if given, gets each contact once it is over, in order of their ends,
// those that end at the same instant and those that go on beyond the span by their
// number.
func walk(ctx context.Context, p *plan.Plan, s Span, visit func(plan.Window) error, done func(*contact) error) error {
	if err := s.check(); err != nil {
		return err
	}
	open := make(map[plan.ContactID]*contact)
	over := func(list []*contact) error {
		slices.SortFunc(list, func(x, y *contact) int { return cmp.Or(cmp.Compare(x.end, y.end), cmp.Compare(x.id, y.id)) })
		for _, c := range list {
			delete(open, c.id)
			if done == nil {
				continue
			}
			if err := done(c); err != nil {
				return err
			}
		}
		return nil
	}
	cursor := p.Windows(plan.DefaultWindow)
	for at := time.Duration(0); at < s.To; {
		w, err := cursor.Next(ctx)
		if err != nil {
			return err
		}
		at = w.To
		if w.To <= s.From {
			continue
		}
		w.From, w.To = max(w.From, s.From), min(w.To, s.To)
		kept := w.Contacts[:0]
		var ended []*contact
		for _, c := range w.Contacts {
			if c.Start >= w.To || c.End <= w.From {
				continue
			}
			if c.End > w.To {
				c.End, c.Ends = w.To, false
			}
			kept = append(kept, c)
			k := sumUp(&c, w.From, open[c.ID], s)
			open[c.ID] = k
			if k.ends {
				ended = append(ended, k)
			}
		}
		w.Contacts = kept
		if visit != nil {
			if err := visit(w); err != nil {
				return err
			}
		}
		if err := over(ended); err != nil {
			return err
		}
	}
	var rest []*contact
	for _, c := range open {
		rest = append(rest, c)
	}
	return over(rest)
}

// sumUp adds a window's part of a contact, from an instant on, to what is known of it;
// known is nil at first.
func sumUp(c *plan.Contact, from time.Duration, known *contact, s Span) *contact {
	from = max(c.Start, from)
	delay, rate, loss := extentOf(c.Delay, from, c.End), extentOf(c.Rate, from, c.End), extentOf(c.Loss, from, c.End)
	if known == nil {
		return &contact{
			id: c.ID, a: c.A, b: c.B, class: c.Class, start: from, end: c.End,
			begins: c.Start >= s.From, ends: c.Ends, delay: delay, rate: rate, loss: loss,
		}
	}
	known.end, known.ends = c.End, c.Ends
	known.delay, known.rate, known.loss = known.delay.then(delay), known.rate.then(rate), known.loss.then(loss)
	return known
}

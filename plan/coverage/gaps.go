package coverage

import (
	"slices"
	"time"

	"orrery.dev/orrery/plan"
)

// Span of scenario time, [From, To).
type Span struct{ From, To time.Duration }

// Length of the span.
func (s Span) Length() time.Duration { return s.To - s.From }

// Gaps between spans, in order: what of [from, to) none of them covers. The spans
// may overlap and reach beyond; they are sorted in place.
func Gaps(spans []Span, from, to time.Duration) (gaps []Span) {
	slices.SortFunc(spans, func(a, b Span) int { return int(min(1, max(-1, a.From-b.From))) })
	at := from
	for _, s := range spans {
		if s.From >= to {
			break
		}
		if s.From > at {
			gaps = append(gaps, Span{at, s.From})
		}
		at = max(at, s.To)
	}
	if at < to {
		gaps = append(gaps, Span{at, to})
	}
	return gaps
}

// Station is when a node has contacts within a stretch of time.
type Station struct {
	Node     int
	Contacts int
	// Sum of the contacts' lengths within the stretch.
	Sum  time.Duration
	Gaps []Span
}

// Covered is the time with at least one contact, of a stretch of a length.
func (s *Station) Covered(length time.Duration) time.Duration {
	for _, g := range s.Gaps {
		length -= g.Length()
	}
	return length
}

// Longest gap, 0 if there is none.
func (s *Station) Longest() (d time.Duration) {
	for _, g := range s.Gaps {
		d = max(d, g.Length())
	}
	return d
}

// Nodes sums up the contacts of each of a plan's nodes within [from, to).
func Nodes(p *plan.Plan, contacts []plan.Contact, from, to time.Duration) []Station {
	spans := make([][]Span, len(p.Nodes))
	out := make([]Station, len(p.Nodes))
	for i := range contacts {
		c := &contacts[i]
		s := Span{max(c.Start, from), min(c.End, to)}
		if s.Length() <= 0 {
			continue
		}
		for _, id := range [2]plan.PortID{c.A, c.B} {
			n := p.Port(id).Node
			spans[n] = append(spans[n], s)
			out[n].Contacts++
			out[n].Sum += s.Length()
		}
	}
	for i := range out {
		out[i].Node, out[i].Gaps = i, Gaps(spans[i], from, to)
	}
	return out
}

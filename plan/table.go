package plan

import (
	"math"
	"slices"
	"time"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// table is properties by elevation or range. In time each property becomes
// pieces of straight lines through exact values, short enough that the error
// in between stays below its tolerance.
type table struct {
	byElevation bool
	at          []float64 // ascending: deg or km
	rate        column    // bit/s
	loss        column
	extra       column // s
}

// column is one property: its value in each row, and its tolerance.
type column struct {
	values    []float64
	tolerance float64
	varies    bool
}

// Errors in time: a thousandth of the greatest rate and of the greatest loss,
// and of the delay less than what the fit of the range may add up to 1 µs.
const (
	relativeTolerance = 1e-3
	extraTolerance    = 0.2e-6 // s
	shortestPiece     = time.Millisecond
)

func newTable(p *scenario.Properties) *table {
	rows := slices.Clone(p.Table.Rows)
	t := &table{byElevation: p.Table.By == "elevation"}
	where := func(r scenario.TableRow) float64 {
		switch {
		case t.byElevation && r.Elevation != nil:
			return float64(*r.Elevation)
		case !t.byElevation && r.Range != nil:
			return float64(*r.Range)
		}
		return 0
	}
	slices.SortStableFunc(rows, func(a, b scenario.TableRow) int {
		switch d := where(a) - where(b); {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return 0
	})
	loss := 0.0
	if p.Loss != nil {
		loss = float64(p.Loss.Probability)
	}
	for _, r := range rows {
		t.at = append(t.at, where(r))
		t.rate.add(float64(p.Rate), r.Rate != nil, func() float64 { return float64(*r.Rate) })
		t.loss.add(loss, r.Loss != nil, func() float64 { return float64(*r.Loss) })
		t.extra.add(time.Duration(p.ExtraDelay).Seconds(), r.ExtraDelay != nil,
			func() float64 { return time.Duration(*r.ExtraDelay).Seconds() })
	}
	t.rate.tolerance = relativeTolerance * slices.Max(t.rate.values)
	t.loss.tolerance = relativeTolerance * slices.Max(t.loss.values)
	t.extra.tolerance = extraTolerance
	return t
}

func (c *column) add(otherwise float64, given bool, value func() float64) {
	v := otherwise
	if given {
		v = value()
	}
	c.values = append(c.values, v)
	c.varies = c.varies || v != c.values[0]
}

// value of a column at x: linear between rows and constant outside of them.
func (t *table) value(c *column, x float64) float64 {
	n := len(t.at)
	switch {
	case x <= t.at[0]:
		return c.values[0]
	case x >= t.at[n-1]:
		return c.values[n-1]
	}
	i, _ := slices.BinarySearch(t.at, x)
	f := (x - t.at[i-1]) / (t.at[i] - t.at[i-1])
	return c.values[i-1] + f*(c.values[i]-c.values[i-1])
}

// fit appends the properties of j in [from, to), and adds the extra delay to
// its delays from the n-th segment on.
func (t *table) fit(j *joined, n int, a, b *sky.Path, from, to time.Duration) {
	f := lineFitter{table: t, a: a, b: b}
	j.rate = f.column(j.rate, &t.rate, from, to)
	j.loss = f.column(j.loss, &t.loss, from, to)
	extra := f.column(nil, &t.extra, from, to)
	if len(extra) == 1 && extra[0].C[1] == 0 {
		for i := n; i < len(j.delay); i++ {
			j.delay[i].C[0] += extra[0].C[0]
		}
		return
	}
	j.delay = append(j.delay[:n], sum(j.delay[n:], extra)...)
}

type lineFitter struct {
	*table
	a, b *sky.Path
	c    *column
	dst  []curve.Segment
}

func (f *lineFitter) column(dst []curve.Segment, c *column, from, to time.Duration) []curve.Segment {
	if !c.varies {
		return append(dst, curve.Segment{Start: from, C: [4]float64{c.values[0]}})
	}
	f.c, f.dst = c, dst
	f.fit(from, to, f.at(from), f.at(to))
	return f.dst
}

// at is the exact value at an instant.
func (f *lineFitter) at(t time.Duration) float64 {
	a, b := f.a.End(t), f.b.Position(t)
	if f.byElevation {
		return f.value(f.c, math.Asin(min(1, max(-1, sky.SineOfElevation(&a, b))))/orbit.Degree)
	}
	return f.value(f.c, sky.Range(a.Position, b))
}

func (f *lineFitter) fit(from, to time.Duration, v, w float64) {
	if to-from > shortestPiece {
		// Three places, so that a bend which is even about the middle shows; a
		// quarter of the tolerance, since a bend may lie between them.
		for i := time.Duration(1); i <= 3; i++ {
			t := from + (to-from)*i/4
			line := v + (w-v)*float64(i)/4
			if math.Abs(f.at(t)-line) > f.c.tolerance/4 {
				mid := from + (to-from)/2
				m := f.at(mid)
				f.fit(from, mid, v, m)
				f.fit(mid, to, m, w)
				return
			}
		}
	}
	f.dst = append(f.dst, curve.Segment{Start: from, C: [4]float64{v, (w - v) / (to - from).Seconds()}})
}

// sum of two piecewise polynomials that begin at the same instant.
func sum(a, b []curve.Segment) []curve.Segment {
	out := make([]curve.Segment, 0, len(a)+len(b))
	for i, j := 0, 0; ; {
		start := max(a[i].Start, b[j].Start)
		p, q := shifted(&a[i], start), shifted(&b[j], start)
		for k := range p {
			p[k] += q[k]
		}
		out = append(out, curve.Segment{Start: start, C: p})
		nextA, nextB := never, never
		if i+1 < len(a) {
			nextA = a[i+1].Start
		}
		if j+1 < len(b) {
			nextB = b[j+1].Start
		}
		switch {
		case nextA == never && nextB == never:
			return out
		case nextA < nextB:
			i++
		case nextB < nextA:
			j++
		default:
			i, j = i+1, j+1
		}
	}
}

// shifted is a segment's polynomial about another origin.
func shifted(s *curve.Segment, start time.Duration) [4]float64 {
	x, c := (start - s.Start).Seconds(), &s.C
	return [4]float64{
		c[0] + x*(c[1]+x*(c[2]+x*c[3])),
		c[1] + x*(2*c[2]+3*x*c[3]),
		c[2] + 3*x*c[3],
		c[3],
	}
}

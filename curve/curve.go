// Package curve holds functions of scenario time as piecewise polynomials.
//
// A link's delay, rate and loss change continuously while satellites move.
// The planner fits them once, ahead of time; the frame path only evaluates
// them. A Curve is an immutable value that any number of goroutines may read.
package curve

import (
	"fmt"
	"sort"
	"time"
)

// Segment is one cubic piece. Its value at scenario time t is
//
//	C[0] + C[1]·x + C[2]·x² + C[3]·x³,  x = (t - Start) in seconds.
//
// It is valid from Start until the next segment's Start.
type Segment struct {
	Start time.Duration // scenario time, since the epoch
	C     [4]float64    // coefficients in the curve's own unit per s⁰, s¹, s², s³
}

func (s *Segment) at(t time.Duration) float64 {
	x := float64(t-s.Start) * 1e-9
	return s.C[0] + x*(s.C[1]+x*(s.C[2]+x*s.C[3]))
}

// Curve is a function of scenario time. What its values mean (seconds, bit/s,
// a probability) is said where it is used. The zero Curve is 0 everywhere.
type Curve struct {
	segs []Segment
}

// New makes a curve of segments whose Start instants strictly increase.
// It keeps the slice. It panics if they do not increase, since that is a
// fault of the program and never of its input.
func New(segs []Segment) Curve {
	for i := 1; i < len(segs); i++ {
		if segs[i].Start <= segs[i-1].Start {
			panic(fmt.Sprintf("curve: segment %d starts at %v, not after %v", i, segs[i].Start, segs[i-1].Start))
		}
	}
	return Curve{segs}
}

// Constant is v at every instant.
func Constant(v float64) Curve {
	return Curve{[]Segment{{C: [4]float64{v}}}}
}

// At is the value at scenario time t. Before the first segment and after the
// last one the nearest segment is continued. It allocates nothing.
func (c Curve) At(t time.Duration) float64 {
	switch len(c.segs) {
	case 0:
		return 0
	case 1:
		return c.segs[0].at(t)
	}
	// The segments of one link are few and about equally long: guess, then step.
	lo, hi := 0, len(c.segs)-1
	if t >= c.segs[hi].Start {
		return c.segs[hi].at(t)
	}
	if t < c.segs[1].Start {
		return c.segs[0].at(t)
	}
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if c.segs[mid].Start <= t {
			lo = mid
		} else {
			hi = mid
		}
	}
	return c.segs[lo].at(t)
}

// Segments are the pieces in order of time. The caller must not change them.
func (c Curve) Segments() []Segment { return c.segs }

// IsConstant tells whether the curve has one value at all times.
func (c Curve) IsConstant() bool {
	if len(c.segs) == 0 {
		return true
	}
	return len(c.segs) == 1 && c.segs[0].C[1] == 0 && c.segs[0].C[2] == 0 && c.segs[0].C[3] == 0
}

// Append is c followed by d: up to d's first Start it is c, from there on d.
func (c Curve) Append(d Curve) Curve {
	if len(d.segs) == 0 {
		return c
	}
	first := d.segs[0].Start
	n := sort.Search(len(c.segs), func(i int) bool { return c.segs[i].Start >= first })
	out := make([]Segment, 0, n+len(d.segs))
	return Curve{append(append(out, c.segs[:n]...), d.segs...)}
}

// Affine is scale·c + offset at every instant.
func (c Curve) Affine(scale, offset float64) Curve {
	if len(c.segs) == 0 {
		return Constant(offset)
	}
	out := make([]Segment, len(c.segs))
	for i, s := range c.segs {
		for k := range s.C {
			s.C[k] *= scale
		}
		s.C[0] += offset
		out[i] = s
	}
	return Curve{out}
}

// After drops the pieces that ended at or before t; what remains evaluates
// alike from t on. A rolling consumer so keeps its memory bounded.
func (c Curve) After(t time.Duration) Curve {
	n := sort.Search(len(c.segs), func(i int) bool { return c.segs[i].Start > t })
	if n <= 1 {
		return c
	}
	return Curve{c.segs[n-1:]}
}

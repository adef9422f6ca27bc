package curve

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func draw(t *rapid.T, name string, from time.Duration) Curve {
	n := rapid.IntRange(0, 12).Draw(t, name)
	segs := make([]Segment, n)
	for i := range segs {
		from += time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "step"))
		segs[i].Start = from
		for k := range segs[i].C {
			segs[i].C[k] = rapid.Float64Range(-10, 10).Draw(t, "c")
		}
	}
	return New(segs)
}

// slow evaluates by the definition: the last segment that has begun, or the first.
func slow(c Curve, t time.Duration) float64 {
	segs := c.Segments()
	if len(segs) == 0 {
		return 0
	}
	s := segs[0]
	for _, next := range segs[1:] {
		if next.Start <= t {
			s = next
		}
	}
	x := (t - s.Start).Seconds()
	return s.C[0] + s.C[1]*x + s.C[2]*x*x + s.C[3]*x*x*x
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(a)) }

func TestAtIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t, "n", 0)
		at := time.Duration(rapid.Int64Range(-int64(time.Minute), int64(15*time.Minute)).Draw(t, "at"))
		if got, want := c.At(at), slow(c, at); !near(want, got) {
			t.Fatalf("At(%v) = %v, want %v", at, got, want)
		}
	})
}

func TestAppendAndAfterKeepTheFunction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := draw(t, "a", 0)
		b := draw(t, "b", time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "gap")))
		at := time.Duration(rapid.Int64Range(0, int64(15*time.Minute)).Draw(t, "at"))
		want := a
		if segs := b.Segments(); len(segs) > 0 && (at >= segs[0].Start || len(a.Segments()) == 0 || a.Segments()[0].Start >= segs[0].Start) {
			want = b
		}
		joined := a.Append(b)
		if got := joined.At(at); !near(want.At(at), got) {
			t.Fatalf("joined.At(%v) = %v, want %v", at, got, want.At(at))
		}
		cut := time.Duration(rapid.Int64Range(0, int64(at)).Draw(t, "cut"))
		if got := joined.After(cut).At(at); !near(joined.At(at), got) {
			t.Fatalf("After(%v).At(%v) = %v, want %v", cut, at, got, joined.At(at))
		}
	})
}

func TestAffineIsTakenOfEachValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t, "n", 0)
		at := time.Duration(rapid.Int64Range(-int64(time.Minute), int64(15*time.Minute)).Draw(t, "at"))
		scale, offset := rapid.Float64Range(-2, 2).Draw(t, "scale"), rapid.Float64Range(-2, 2).Draw(t, "offset")
		if got, want := c.Affine(scale, offset).At(at), scale*c.At(at)+offset; !near(want, got) && !near(scale*c.At(at), got-offset) {
			t.Fatalf("Affine(%g, %g).At(%v) = %v, want %v", scale, offset, at, got, want)
		}
	})
}

func TestNewRefusesDisorder(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("segments out of order were taken")
		}
	}()
	New([]Segment{{Start: 1}, {Start: 1}})
}

func TestAtAllocatesNothing(t *testing.T) {
	c := New([]Segment{{Start: 0}, {Start: 1e9}, {Start: 2e9}})
	if n := testing.AllocsPerRun(100, func() { c.At(1500 * time.Millisecond) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

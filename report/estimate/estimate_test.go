package estimate

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Gosset's own data: additional sleep by two drugs (Biometrika 1908). R's
// t.test(extra ~ group, sleep) gives these figures.
var drug1 = []float64{0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0}
var drug2 = []float64{1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

func TestKnownIntervals(t *testing.T) {
	d := Difference(drug1, drug2, 1)
	near(t, "the difference", d.Value, -1.58, 1e-9)
	near(t, "its lower end", d.Low, -3.3654832, 1e-6)
	near(t, "its upper end", d.High, 0.2054832, 1e-6)
	if d.Differs() {
		t.Error("an interval around zero is said to differ")
	}
	m := Mean(drug1)
	near(t, "the mean", m.Value, 0.75, 1e-9)
	near(t, "its lower end", m.Low, -0.5297804, 1e-6) // t.test(extra[1:10])
}

func TestOneRepetitionHasNoInterval(t *testing.T) {
	if m := Mean([]float64{3}); m.OK || m.Value != 3 || m.Low != 3 {
		t.Errorf("got %+v", m)
	}
	if d := Difference([]float64{3, 4}, []float64{1}, 1); d.OK || d.Differs() || d.Value != 2.5 {
		t.Errorf("got %+v", d)
	}
	if m := Mean([]float64{math.NaN()}); m.OK || !math.IsNaN(m.Value) {
		t.Errorf("got %+v", m)
	}
}

// An interval holds its mean, and differences that hold at once are told less exactly.
func TestIntervalProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "n")
		values := rapid.SliceOfN(rapid.Float64Range(-1e3, 1e3), n, n).Draw(t, "values")
		m := Mean(values)
		if !(m.Low <= m.Value && m.Value <= m.High) {
			t.Fatalf("%+v", m)
		}
		wide := Difference(values, drug1, 6)
		if one := Difference(values, drug1, 1); wide.High-wide.Low < one.High-one.Low {
			t.Fatalf("six differences at once are told more exactly than one: %+v, %+v", wide, one)
		}
	})
}

// What lies beyond all that was seen is larger than anything, and nothing is claimed of it.
func TestBeyondAllSeen(t *testing.T) {
	inf := math.Inf(1)
	if m := Mean([]float64{3, inf, math.NaN()}); m.OK || m.Value != inf || m.N != 2 {
		t.Errorf("got %+v", m)
	}
	if d := Difference([]float64{3, 4}, []float64{1, inf}, 1); d.OK || d.Differs() || d.Value != -inf {
		t.Errorf("got %+v", d)
	}
	if d := Difference([]float64{3, inf}, []float64{1, inf}, 1); d.OK || d.Differs() || !math.IsNaN(d.Value) {
		t.Errorf("got %+v", d)
	}
	var d Distribution
	if q := d.Quantile(0.5); !math.IsNaN(q) {
		t.Errorf("the median of nothing is %v", q)
	}
	d.AddMore(1, 1)
	if q := d.Quantile(0.5); q != inf {
		t.Errorf("the median of what is known only to exceed 1 is %v", q)
	}
	if x, _ := d.Curve(9); x != nil {
		t.Errorf("a curve of nothing that ended: %v", x)
	}
}

// Times of remission under 6-mercaptopurine, in weeks (Freireich et al., Blood 1963), some
// of them of patients who were still well: the example of Cox and Oakes, Analysis of
// Survival Data, 1984, table 1.1. R's survfit gives these shares.
func TestProductLimit(t *testing.T) {
	var d Distribution
	for _, v := range []float64{6, 6, 6, 7, 10, 13, 16, 22, 23} {
		d.Add(v, 1)
	}
	for _, v := range []float64{6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35} {
		d.AddMore(v, 1)
	}
	x, y := d.Curve(1000)
	want := []float64{0.8571429, 0.8067227, 0.7529412, 0.6901961, 0.6274510, 0.5378151, 0.4481793, 0.4481793}
	at := []float64{6, 7, 10, 13, 16, 22, 23, 35}
	if !slices.Equal(x, at) {
		t.Fatalf("steps at %v, not %v", x, at)
	}
	for i, s := range want {
		near(t, "the share above", 1-y[i], s, 1e-6)
	}
	if q := d.Quantile(0.5); q != 23 {
		t.Errorf("the median is %v, not 23", q)
	}
	if q := d.Quantile(0.6); !math.IsInf(q, 1) {
		t.Errorf("the quantile 0.6 is %v", q)
	}
}

// The shares are those of the product itself; without values that are known only to be
// larger, those of counting.
func TestDistribution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Distribution
		n := rapid.IntRange(1, 50).Draw(t, "n")
		var all []value
		censored := rapid.Bool().Draw(t, "censored")
		for range n {
			v := value{float64(rapid.IntRange(0, 20).Draw(t, "value")), rapid.Float64Range(0.1, 3).Draw(t, "weight"), censored && rapid.Bool().Draw(t, "more")}
			all = append(all, v)
			if v.more {
				d.AddMore(v.at, v.weight)
			} else {
				d.Add(v.at, v.weight)
			}
		}
		share := func(x float64) float64 {
			above := 1.0
			for at := 0.0; at <= x; at++ {
				ended, risk := 0.0, 0.0
				for _, v := range all {
					if v.at >= at {
						risk += v.weight
						if v.at == at && !v.more {
							ended += v.weight
						}
					}
				}
				if risk > 0 {
					above *= 1 - ended/risk
				}
			}
			return 1 - above
		}
		plain := func(x float64) (sum float64) {
			for _, v := range all {
				if v.at <= x {
					sum += v.weight / d.Total()
				}
			}
			return sum
		}
		x, y := d.Curve(20)
		if len(x) > 23 {
			t.Fatalf("%d points", len(x))
		}
		for i := range x {
			if i > 0 && (x[i] <= x[i-1] || y[i] < y[i-1]) {
				t.Fatalf("the curve falls: %v %v", x, y)
			}
			if want := share(x[i]); math.Abs(y[i]-want) > 1e-9 {
				t.Fatalf("the share up to %v is %v, not %v", x[i], y[i], want)
			}
			if want := plain(x[i]); !censored && math.Abs(y[i]-want) > 1e-9 {
				t.Fatalf("the share up to %v is %v, not %v", x[i], y[i], want)
			}
		}
		q := rapid.Float64Range(0.01, 0.99).Draw(t, "q")
		switch at := d.Quantile(q); {
		case math.IsInf(at, 1):
			if s := share(1e3); s > q+1e-9 {
				t.Fatalf("quantile %v is beyond all, and %v is not", q, s)
			}
		case share(at) < q-1e-9 || share(at-1) > q+1e-9:
			t.Fatalf("quantile %v is %v, where the share is %v", q, at, share(at))
		}
	})
}

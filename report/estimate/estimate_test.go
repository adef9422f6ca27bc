package estimate

import (
	"math"
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

func TestDistribution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Distribution
		values := rapid.SliceOfN(rapid.Float64Range(0, 100), 1, 50).Draw(t, "values")
		for _, v := range values {
			d.Add(v, rapid.Float64Range(0.1, 3).Draw(t, "weight"))
		}
		d.Beyond = rapid.Float64Range(0, 5).Draw(t, "beyond")
		x, y := d.Curve(20)
		if len(x) > 22 {
			t.Fatalf("%d points", len(x))
		}
		for i := 1; i < len(x); i++ {
			if x[i] <= x[i-1] || y[i] <= y[i-1] {
				t.Fatalf("the curve falls: %v %v", x, y)
			}
		}
		if end, want := y[len(y)-1], 1-d.Beyond/d.Total(); math.Abs(end-want) > 1e-9 {
			t.Fatalf("the curve ends at %v, not %v", end, want)
		}
		q := d.Quantile(0.5)
		if math.IsNaN(q) != (d.Beyond > d.Total()/2*(1+1e-9)) && math.Abs(d.Beyond/d.Total()-0.5) > 1e-6 {
			t.Fatalf("the median is %v with %v of %v beyond", q, d.Beyond, d.Total())
		}
	})
}

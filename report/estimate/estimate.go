// Package estimate says what few repetitions tell: means with intervals,
// differences with intervals, and distributions of what was counted.
//
// Intervals are Student's t (W. S. Gosset, The probable error of a mean,
// Biometrika 1908): repetitions are taken for independent and their mean for
// roughly normal. Differences are Welch's (B. L. Welch, Biometrika 1947), which
// does not ask that variants scatter alike.
//
// # Caveats
//
// One repetition has no interval, and nothing here makes one up: OK is false. What
// repetitions have in common (the same sky, the same machine) is in none of the
// intervals.
package estimate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Level is the confidence of all intervals.
const Level = 0.95

// Interval is an estimate with its bounds.
type Interval struct {
	Value     float64 // the mean, or a difference of means
	Low, High float64 // equal to Value where OK is false
	N         int     // repetitions; of a difference the fewer
	OK        bool    // whether there is an interval
}

// Mean is the mean of repetitions; NaN are left out. Without any the value is NaN.
func Mean(values []float64) Interval {
	v := finite(values)
	if len(v) == 0 {
		return Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	mean := stat.Mean(v, nil)
	e := Interval{Value: mean, Low: mean, High: mean, N: len(v)}
	if len(v) < 2 {
		return e
	}
	e.OK = true
	half := student(float64(len(v)-1), Level) * stat.StdDev(v, nil) / math.Sqrt(float64(len(v)))
	e.Low, e.High = mean-half, mean+half
	return e
}

// Difference is the mean of a less that of b. The intervals of so many
// differences hold all at once with probability Level (Bonferroni).
func Difference(a, b []float64, of int) Interval {
	a, b = finite(a), finite(b)
	if len(a) == 0 || len(b) == 0 {
		return Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	d := stat.Mean(a, nil) - stat.Mean(b, nil)
	e := Interval{Value: d, Low: d, High: d, N: min(len(a), len(b))}
	if e.N < 2 {
		return e
	}
	e.OK = true
	va, vb := stat.Variance(a, nil)/float64(len(a)), stat.Variance(b, nil)/float64(len(b))
	if va+vb == 0 {
		return e
	}
	freedom := (va + vb) * (va + vb) / (va*va/float64(len(a)-1) + vb*vb/float64(len(b)-1))
	half := student(freedom, 1-(1-Level)/float64(max(1, of))) * math.Sqrt(va+vb)
	e.Low, e.High = d-half, d+half
	return e
}

// Differs says whether an interval of a difference leaves zero out.
func (e Interval) Differs() bool { return e.OK && (e.Low > 0 || e.High < 0) }

// student is the two-sided quantile of Student's distribution.
func student(freedom, level float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile(1 - (1-level)/2)
}

func finite(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// Distribution is what values were seen, each with a weight.
type Distribution struct {
	values, weights []float64 // sorted by value once asked
	total           float64
	// Beyond is the weight of what is known only to be larger than all: an outage
	// that lasted to the end of the run.
	Beyond float64
	sorted bool
}

// Add counts a value with a weight above 0; NaN is left out.
func (d *Distribution) Add(value, weight float64) {
	if math.IsNaN(value) || !(weight > 0) {
		return
	}
	d.values, d.weights = append(d.values, value), append(d.weights, weight)
	d.total += weight
	d.sorted = false
}

// Merge counts all of another distribution, too.
func (d *Distribution) Merge(o *Distribution) {
	d.values, d.weights = append(d.values, o.values...), append(d.weights, o.weights...)
	d.total += o.total
	d.Beyond += o.Beyond
	d.sorted = false
}

// Len is how many values were seen.
func (d *Distribution) Len() int { return len(d.values) }

// Total is the weight of all, Beyond included.
func (d *Distribution) Total() float64 { return d.total + d.Beyond }

func (d *Distribution) sort() {
	if !d.sorted {
		stat.SortWeighted(d.values, d.weights)
		d.sorted = true
	}
}

// Quantile is the least value that a share q of the weight is not above; NaN if it
// lies beyond all values, or there are none.
func (d *Distribution) Quantile(q float64) float64 {
	d.sort()
	sum, want := 0.0, q*d.Total()
	for i, v := range d.values {
		sum += d.weights[i]
		if sum >= want*(1-1e-12) {
			return v
		}
	}
	return math.NaN()
}

// Mean of the values, NaN without any.
func (d *Distribution) Mean() float64 {
	if len(d.values) == 0 {
		return math.NaN()
	}
	return stat.Mean(d.values, d.weights)
}

// Sum of values times weights.
func (d *Distribution) Sum() float64 {
	sum := 0.0
	for i, v := range d.values {
		sum += v * d.weights[i]
	}
	return sum
}

// Curve is the cumulative distribution as a step function in at most so many
// points: from x on, a share y is not above x. It ends below 1 if Beyond is not 0.
func (d *Distribution) Curve(points int) (x, y []float64) {
	d.sort()
	sum, last := 0.0, 0.0
	for i, v := range d.values {
		sum += d.weights[i]
		share := sum / d.Total()
		final := i == len(d.values)-1
		if !final && d.values[i+1] == v || !final && share-last < 1/float64(points) && len(x) > 0 {
			continue
		}
		x, y = append(x, v), append(y, share)
		last = share
	}
	return x, y
}

// Package estimate says what few repetitions tell: means with intervals,
// differences with intervals, and distributions of what was counted.
//
// Intervals are Student's t (W. S. Gosset, The probable error of a mean,
// Biometrika 1908): repetitions are taken for independent and their mean for
// roughly normal. Differences are Welch's (B. L. Welch, Biometrika 1947), which
// does not ask that variants scatter alike.
//
// Distributions may have values that are known only to exceed what was seen of them,
// as an outage that lasted at the end of its run. Shares are then the product-limit
// estimate (E. L. Kaplan and P. Meier, Nonparametric estimation from incomplete
// observations, J. Am. Stat. Assoc. 1958). A quantile may lie beyond all that was seen:
// it is +Inf, and so is any mean that it is part of; no interval is known of that.
//
// # Caveats
//
// One repetition has no interval, and nothing here makes one up: OK is false. What
// repetitions have in common (the same sky, the same machine) is in none of the
// intervals. The product-limit estimate takes what ends the observation of a value to
// have nothing to do with how large the value would have become.
package estimate

import (
	"cmp"
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

// Mean is the mean of repetitions; NaN are left out. Without any the value is NaN. With
// +Inf among them it is +Inf, without an interval.
func Mean(values []float64) Interval {
	v := known(values)
	if len(v) == 0 {
		return Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	mean := stat.Mean(v, nil)
	e := Interval{Value: mean, Low: mean, High: mean, N: len(v)}
	if len(v) < 2 || math.IsInf(mean, 0) {
		return e
	}
	e.OK = true
	half := student(float64(len(v)-1), Level) * stat.StdDev(v, nil) / math.Sqrt(float64(len(v)))
	e.Low, e.High = mean-half, mean+half
	return e
}

// Difference is the mean of a less that of b. The intervals of so many
// differences hold all at once with probability Level (Bonferroni). Where a mean is +Inf
// there is no interval, and no value if both are.
func Difference(a, b []float64, of int) Interval {
	a, b = known(a), known(b)
	if len(a) == 0 || len(b) == 0 {
		return Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	d := stat.Mean(a, nil) - stat.Mean(b, nil)
	e := Interval{Value: d, Low: d, High: d, N: min(len(a), len(b))}
	if e.N < 2 || math.IsInf(d, 0) || math.IsNaN(d) {
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

func known(values []float64) []float64 { return slices.DeleteFunc(slices.Clone(values), math.IsNaN) }

// Distribution is what values were seen, each with a weight.
type Distribution struct {
	values []value // sorted once asked
	total  float64
	sorted bool
}

type value struct {
	at, weight float64
	more       bool // it is known only to be larger
}

// Add counts a value with a weight above 0; NaN is left out.
func (d *Distribution) Add(at, weight float64) { d.add(value{at, weight, false}) }

// AddMore counts one that is known only to be larger than what is given.
func (d *Distribution) AddMore(than, weight float64) { d.add(value{than, weight, true}) }

func (d *Distribution) add(v value) {
	if math.IsNaN(v.at) || !(v.weight > 0) {
		return
	}
	d.values = append(d.values, v)
	d.total += v.weight
	d.sorted = false
}

// Merge counts all of another distribution, too.
func (d *Distribution) Merge(o *Distribution) {
	d.values = append(d.values, o.values...)
	d.total += o.total
	d.sorted = false
}

// Total is the weight of all, also of those known only to be larger.
func (d *Distribution) Total() float64 { return d.total }

// steps gives values, ascending, each with the share that is not above it, until f
// returns false. The weight of one that is known only to be larger is handed on to all
// above it, in proportion to theirs, which comes to the same as Kaplan's and Meier's
// product (B. Efron, The two sample problem with censored data, Berkeley Symp. 1967).
func (d *Distribution) steps(f func(at, share float64) bool) {
	if !d.sorted {
		slices.SortFunc(d.values, func(a, b value) int {
			if c := cmp.Compare(a.at, b.at); c != 0 || a.more == b.more {
				return c
			}
			if b.more { // it is above all that are equal
				return -1
			}
			return 1
		})
		d.sorted = true
	}
	factor, share, left := 1.0, 0.0, d.total
	for i, v := range d.values {
		left -= v.weight
		if v.more {
			if i+1 < len(d.values) {
				factor *= (left + v.weight) / left
			}
			continue
		}
		share += factor * v.weight / d.total
		if i+1 < len(d.values) && d.values[i+1].at == v.at && !d.values[i+1].more {
			continue // the last of those that are equal stands for all
		}
		if !f(v.at, share) {
			return
		}
	}
}

// Quantile is the least value that a share q of the weight is not above: +Inf if it lies
// beyond all that was seen, NaN if nothing was.
func (d *Distribution) Quantile(q float64) float64 {
	if d.total == 0 {
		return math.NaN()
	}
	found := math.Inf(1)
	d.steps(func(at, share float64) bool {
		if share < q-rounding {
			return true
		}
		found = at
		return false
	})
	return found
}

// rounding is what sums of shares may be off by.
const rounding = 1e-10

// Mean of the values, NaN without any and with some that are known only to be larger.
func (d *Distribution) Mean() float64 { return d.Sum() / d.total }

// Sum of values times weights, NaN with some that are known only to be larger.
func (d *Distribution) Sum() float64 {
	sum := 0.0
	for _, v := range d.values {
		if v.more {
			return math.NaN()
		}
		sum += v.at * v.weight
	}
	return sum
}

// Curve is the cumulative distribution as a step function in at most about so many
// points: from x on, a share y is not above x. It goes on level as far as something was
// seen, and ends below 1 if the largest is known only to be larger.
func (d *Distribution) Curve(points int) (x, y []float64) {
	last, at, share := 0.0, math.NaN(), 0.0
	d.steps(func(a, s float64) bool {
		at, share = a, s
		if s-last >= 1/float64(points) || len(x) == 0 {
			x, y, last = append(x, a), append(y, s), s
		}
		return true
	})
	if len(x) == 0 {
		return nil, nil
	}
	if x[len(x)-1] != at {
		x, y = append(x, at), append(y, share)
	}
	if end := d.values[len(d.values)-1]; end.more && end.at > at {
		x, y = append(x, end.at), append(y, share)
	}
	return x, y
}

package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"gonum.org/v1/gonum/stat"
)

// trend is a line through a series.
type trend struct {
	mean  float64
	slope float64 // per second
	error float64 // standard error of the slope
	span  time.Duration
}

// settled is the share of the run from which on nothing may grow: before it,
// caches and pools fill.
const settled = 0.2

// fit draws the line through the settled part of a series.
func fit(series []reading, value func(*reading) float64) trend {
	var x, y []float64
	for i := range series {
		r := &series[i]
		if r.at.Seconds() >= settled*series[len(series)-1].at.Seconds() {
			x, y = append(x, r.at.Seconds()), append(y, value(r))
		}
	}
	if len(x) < 3 {
		return trend{error: math.Inf(1)}
	}
	a, b := stat.LinearRegression(x, y, nil, false)
	t := trend{mean: stat.Mean(y, nil), slope: b, span: time.Duration((x[len(x)-1] - x[0]) * 1e9)}
	// The standard error of a slope: the residuals' scatter over that of x.
	var residuals float64
	for i := range x {
		d := y[i] - a - b*x[i]
		residuals += d * d
	}
	n := float64(len(x))
	t.error = math.Sqrt(residuals/(n-2)) / math.Sqrt(stat.Variance(x, nil)*(n-1))
	return t
}

// growth over the span, as a share of the mean.
func (t trend) growth() float64 {
	if t.mean == 0 {
		return 0
	}
	return t.slope * t.span.Seconds() / t.mean
}

// grows tells whether the growth is more than the tolerance and more than
// chance: four standard errors.
func (t trend) grows(tolerance float64) bool {
	return t.growth() > tolerance && t.slope > 4*t.error
}

// report prints the trends and gives the number of quantities that grow.
func report(w io.Writer, series []reading, tolerance float64) (leaks int) {
	if len(series) < 5 {
		fmt.Fprintf(w, "%d readings are too few for a trend\n", len(series))
		return 0
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "first\tlast\tper hour\t± \tover the span\t\t")
	for i, q := range quantities {
		line := fit(series, func(r *reading) float64 { return r.values[i] })
		verdict := "flat"
		if line.grows(tolerance) {
			verdict = "GROWS"
			leaks++
		}
		name := q.name
		if q.unit != "" {
			name += ", " + q.unit
		}
		fmt.Fprintf(t, "%.0f\t%.0f\t%+.1f\t%.1f\t%+.2f %%\t%s\t  %s\n", series[0].values[i], series[len(series)-1].values[i],
			line.slope*3600, line.error*3600, 100*line.growth(), verdict, name)
	}
	_ = t.Flush()
	return leaks
}

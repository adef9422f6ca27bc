package report

import (
	"math"

	"orrery.dev/orrery/report/estimate"
	"orrery.dev/orrery/report/plot"
)

// firstCost is the first metric of those about paths and cost; the ones before are about
// forwarding.
const firstCost = "stretch"

// Metric is a figure by which variants are compared.
type Metric struct {
	Key   string // in the tables
	Short string // at the head of a column
	Label string // in words, as the subject of a sentence
	Unit  plot.Unit
	Per   string // behind the unit: "/s"
	Of    func(*Figures) float64
}

// Metrics are all of them in the order of the table.
var Metrics = []Metric{
	{"cut_off", "cut off", "the share of time in which a pair was cut off although a way existed", plot.Percent, "", func(f *Figures) float64 { return f.CutOff }},
	{"loop", "in loops", "the share of time in which packets of a pair looped", plot.Percent, "", func(f *Figures) float64 { return f.Loop }},
	{"outages", "outages", "the number of outages of a pair in an hour", plot.Plain, "/pair h", func(f *Figures) float64 {
		return ratio(f.Outages.Total(), float64(f.Pairs)*f.Span/3600)
	}},
	{"outage_p50", "outage p50", "the median outage", plot.Seconds, "", func(f *Figures) float64 { return f.Outages.Quantile(0.5) }},
	{"outage_p95", "outage p95", "the outage that 95 of 100 do not exceed", plot.Seconds, "", func(f *Figures) float64 { return f.Outages.Quantile(0.95) }},
	{"repair_p50", "repair p50", "the median time from an event that cut pairs off until all of them forward again", plot.Seconds, "", func(f *Figures) float64 { return f.Repair.Quantile(0.5) }},
	{"settle_p50", "settle p50", "the median time from an event to the last table change that followed", plot.Seconds, "", func(f *Figures) float64 { return f.Settle.Quantile(0.5) }},
	{"stretch", "stretch", "the mean stretch of paths over the shortest", plot.Plain, "", func(f *Figures) float64 { return f.Stretch.Mean() }},
	{"echo_loss", "echoes lost", "the share of echo requests between stations that were not answered although a way existed", plot.Percent, "", func(f *Figures) float64 { return f.EchoLoss }},
	{"control", "control", "control traffic in all the network", plot.Bytes, "/s", func(f *Figures) float64 { return f.ControlSum }},
	{"cpu", "CPU", "the number of CPUs that the daemons keep busy", plot.Plain, " CPU", func(f *Figures) float64 { return f.DaemonCPU }},
	{"memory", "memory", "memory of the daemons", plot.Bytes, "", func(f *Figures) float64 { return f.DaemonBytes }},
}

// metric by its key.
func metric(key string) *Metric {
	for i := range Metrics {
		if Metrics[i].Key == key {
			return &Metrics[i]
		}
	}
	panic("report: no metric " + key)
}

// Values of a metric, one for each run that counts.
func (v *Variant) Values(m *Metric) []float64 {
	values := make([]float64, len(v.Runs))
	for i, f := range v.Runs {
		values[i] = m.Of(f)
	}
	return values
}

// Estimate of a metric over the repetitions.
func (v *Variant) Estimate(m *Metric) estimate.Interval { return estimate.Mean(v.Values(m)) }

// format writes a value of a metric.
func (m *Metric) format(x float64) string {
	switch {
	case math.IsNaN(x):
		return "–"
	case math.IsInf(x, 1):
		return "beyond all seen"
	}
	return m.Unit.Format(x) + m.Per
}

// interval writes an estimate with its bounds, if there are any. A bound below
// zero of what cannot be is written as zero.
func (m *Metric) interval(e estimate.Interval) (value, bounds string) {
	if e.OK {
		bounds = m.Unit.Format(max(0, e.Low)) + " to " + m.Unit.Format(e.High)
	}
	return m.format(e.Value), bounds
}

// pooled is a distribution over all runs of a variant that count.
func (v *Variant) pooled(of func(*Figures) *estimate.Distribution) *estimate.Distribution {
	var d estimate.Distribution
	for _, f := range v.Runs {
		d.Merge(of(f))
	}
	return &d
}

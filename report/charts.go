package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"sort"
	"strings"

	"orrery.dev/orrery/report/estimate"
	"orrery.dev/orrery/report/plot"
)

// figure is a chart with what is said below it.
type figure struct {
	Charts  []template.HTML
	Legend  []legendEntry
	Caption string
	Half    bool // two stand beside each other where there is room
}

type legendEntry struct {
	Key  template.HTML
	Text string
}

// counting are the variants that have runs that count.
func (r *Report) counting() []*Variant {
	return slices.DeleteFunc(slices.Clone(r.Variants), func(v *Variant) bool { return len(v.Runs) == 0 })
}

// legend of some variants.
func legend(variants []*Variant) []legendEntry {
	var out []legendEntry
	for _, v := range variants {
		out = append(out, legendEntry{template.HTML(plot.Key(v.Index, false)), v.mark()}) //nolint:gosec // our own SVG
	}
	return out
}

// curvePoints bounds the points of a distribution's curve.
const curvePoints = 400

// reachability over time, a chart for each variant, one above the other.
func (r *Report) reachability() *figure {
	variants := slices.DeleteFunc(r.counting(), func(v *Variant) bool { return len(v.Runs[0].Reach.At) == 0 })
	if len(variants) == 0 {
		return nil
	}
	lowest := 1.0
	for _, v := range variants {
		lowest = min(lowest, slices.Min(v.Runs[0].Reach.Low))
	}
	floor := 0.0
	for _, f := range []float64{0.5, 0.8, 0.9} {
		if lowest >= f {
			floor = f
		}
	}
	fig := &figure{Caption: fmt.Sprintf("Share of the pairs whose way through all nodes' tables leads to its destination, in %d parts of the measured span: the line is the mean of each part, the coloured area reaches down to its least. "+
		"Grey: pairs for which the sky has no way. Strokes: links that came or went. Of each variant the first repetition that counts.", bins)}
	for i, v := range variants {
		f := v.Runs[0]
		s := &f.Reach
		ones := make([]float64, len(s.At))
		for k := range ones {
			ones[k] = 1
		}
		last := i == len(variants)-1
		c := plot.Chart{
			Label: "Reachable pairs over time: " + v.Title, Title: v.mark(), Height: 104, Bare: !last,
			X:     plot.Axis{Unit: plot.Clock, Min: 0, Max: f.Span, Fixed: true},
			Y:     plot.Axis{Unit: plot.Percent, Min: floor, Max: 1, Fixed: true},
			Bands: []plot.Band{{Neutral: true, X: s.At, Low: s.Exists, High: ones}, {Series: v.Index, X: s.At, Low: s.Low, High: s.Mean}},
			Lines: []plot.Line{{Series: v.Index, X: s.At, Y: s.Mean, Whole: true}},
			Marks: f.Events,
		}
		if last {
			c.Height, c.X.Label = 140, "orbital time since the span's begin, min:s"
		}
		fig.Charts = append(fig.Charts, template.HTML(c.SVG())) //nolint:gosec // our own SVG
	}
	return fig
}

// curves draws the distributions of all variants.
func (r *Report) curves(label, x string, of func(*Figures) *estimate.Distribution, axis plot.Axis) *figure {
	axis.Label = x
	c := plot.Chart{Label: label, Width: 560, Height: 300, X: axis, Y: plot.Axis{Label: "share", Unit: plot.Percent, Min: 0, Max: 1, Fixed: true}}
	var shown []*Variant
	for _, v := range r.counting() {
		d := v.pooled(of)
		xs, ys := d.Curve(curvePoints)
		if xs == nil {
			continue
		}
		xs, ys = append([]float64{xs[0]}, xs...), append([]float64{0}, ys...)
		c.Lines = append(c.Lines, plot.Line{Series: v.Index, X: xs, Y: ys, Step: true, Hint: v.Title})
		shown = append(shown, v)
	}
	if shown == nil {
		return nil
	}
	if axis.Log { // a stretch of flat line up to the end, where it is known to be flat
		high := 0.0
		for _, l := range c.Lines {
			high = math.Max(high, l.X[len(l.X)-1])
		}
		for i := range c.Lines {
			l := &c.Lines[i]
			if l.Y[len(l.Y)-1] < 1-1e-9 {
				continue
			}
			l.X, l.Y = append(l.X, high), append(l.Y, l.Y[len(l.Y)-1])
		}
	}
	return &figure{Charts: []template.HTML{template.HTML(c.SVG())}, Legend: legend(shown), Half: true} //nolint:gosec // our own SVG
}

// censored says how the curves of estimate.Distribution take what was not seen to end.
const censored = "Of one whose end was not seen it counts that it took longer than that (Kaplan–Meier). A curve that ends below 100 % says nothing of what lies beyond its end."

func (r *Report) outages() *figure {
	f := r.curves("Distribution of outage lengths", "length of an outage while a way existed", func(f *Figures) *estimate.Distribution { return &f.Outages }, plot.Axis{Unit: plot.Seconds, Log: true})
	if f != nil {
		f.Caption = "Outages of pairs by the tables: how long of each a way existed. " + censored
	}
	return f
}

func (r *Report) repairs() *figure {
	f := r.curves("Distribution of repair times", "from an event to all affected pairs forwarding again", func(f *Figures) *estimate.Distribution { return &f.Repair }, plot.Axis{Unit: plot.Seconds, Log: true})
	if f != nil {
		f.Caption = "Events that took the way from at least one pair. " + censored
	}
	return f
}

func (r *Report) settling() *figure {
	f := r.curves("Distribution of settling times", "from an event to the last table change that it caused", func(f *Figures) *estimate.Distribution { return &f.Settle }, plot.Axis{Unit: plot.Seconds, Log: true})
	if f != nil {
		f.Caption = "All events after which some table changed. The last change before the next event counts, whatever caused it."
	}
	return f
}

func (r *Report) stretch() *figure {
	high := 1.1 // so that nothing much looks like it
	for _, v := range r.counting() {
		if x := v.pooled(func(f *Figures) *estimate.Distribution { return &f.Stretch }).Quantile(1); x > high {
			high = x
		}
	}
	f := r.curves("Distribution of stretch", "stretch: delay of the tables' way over that of the shortest", func(f *Figures) *estimate.Distribution { return &f.Stretch }, plot.Axis{Min: 1, Max: high})
	if f != nil {
		f.Caption = "Weighted by time, while a pair was reachable."
	}
	return f
}

// shownPairs is for how many pairs round trips are drawn.
const shownPairs = 2

// roundTripPairs are up to two pairs of the first variant: the one with the longest way
// in the sky, and one whose way is of middle length.
func (r *Report) roundTripPairs() [][2]string {
	mean := map[[2]string]float64{}
	for i, v := range r.counting() {
		for key, p := range v.Runs[0].RoundTrips {
			if _, known := mean[key]; i > 0 && !known {
				continue
			}
			var d estimate.Distribution
			for _, o := range p.Oracle {
				d.Add(o, 1)
			}
			mean[key] = d.Mean()
		}
	}
	var keys [][2]string
	for key, m := range mean {
		if !math.IsNaN(m) {
			keys = append(keys, key)
		}
	}
	sort.Slice(keys, func(i, j int) bool {
		if mean[keys[i]] != mean[keys[j]] {
			return mean[keys[i]] > mean[keys[j]]
		}
		return strings.Join(keys[i][:], " ") < strings.Join(keys[j][:], " ")
	})
	if len(keys) > shownPairs { // the longest, and one of middle length
		keys = [][2]string{keys[0], keys[len(keys)/2]}
	}
	return keys
}

// roundTrips draws those of a pair against the geometric bound.
func (r *Report) roundTrips(pair [2]string) *figure {
	fig := &figure{
		Legend: []legendEntry{{template.HTML(plot.Key(boundSeries, false)), "shortest way in the sky"}}, //nolint:gosec // our own SVG
		Caption: fmt.Sprintf("Round trips between %s and %s as measured (dots) over those of light along the shortest way that exists (line). Strokes along the bottom: echo requests that were not answered. Of each variant the first repetition that counts.",
			pair[0], pair[1]),
	}
	var high, low float64 = 0, math.Inf(1)
	for _, v := range r.counting() {
		if p := v.Runs[0].RoundTrips[pair]; p != nil {
			for i := range p.At {
				for _, x := range []float64{p.Measured[i], p.Oracle[i]} {
					if !math.IsNaN(x) {
						high, low = math.Max(high, x), math.Min(low, x)
					}
				}
			}
		}
	}
	if high == 0 {
		return nil
	}
	variants := r.counting()
	for i, v := range variants {
		p := v.Runs[0].RoundTrips[pair]
		if p == nil {
			continue
		}
		last := i == len(variants)-1
		var lost []float64
		for k := range p.At {
			if math.IsNaN(p.Measured[k]) {
				lost = append(lost, p.At[k])
			}
		}
		c := plot.Chart{
			Label: fmt.Sprintf("Round trips %s to %s: %s", pair[0], pair[1], v.Title), Title: v.mark(), Height: 112, Bare: !last,
			X:     plot.Axis{Unit: plot.Clock, Min: 0, Max: v.Runs[0].Span, Fixed: true},
			Y:     plot.Axis{Unit: plot.Seconds, Min: low, Max: high},
			Lines: []plot.Line{{Series: boundSeries, X: p.At, Y: p.Oracle}, {Series: v.Index, X: p.At, Y: p.Measured, Dots: true}},
			Marks: lost,
		}
		if last {
			c.Height, c.X.Label = 148, "orbital time since the span's begin, min:s"
		}
		fig.Charts = append(fig.Charts, template.HTML(c.SVG())) //nolint:gosec // our own SVG
	}
	return fig
}

// boundSeries is black, whole.
const boundSeries = plot.Black

// protocols of control traffic in order of their colours.
var protocols = []string{"isis", "ospf", "bgp", "bfd", "ndp"}

var protocolNames = map[string]string{"isis": "IS-IS", "ospf": "OSPF", "bgp": "BGP", "bfd": "BFD", "ndp": "neighbour discovery"}

// control draws the load by protocol.
func (r *Report) control() *figure {
	c := plot.Bars{Label: "Control traffic by protocol", X: plot.Axis{Unit: plot.Bytes, Label: "bytes per second of host time, in all the network"}}
	used := map[string]bool{}
	for _, v := range r.counting() {
		e := v.Estimate(metric("control"))
		if math.IsNaN(e.Value) {
			continue
		}
		bar := plot.Bar{Name: v.mark(), Low: max(0, e.Low), High: e.High}
		for i, p := range protocols {
			values := make([]float64, len(v.Runs))
			for k, f := range v.Runs {
				values[k] = f.Control[p]
			}
			if x := estimate.Mean(values).Value; x > 0 {
				used[p] = true
				bar.Parts = append(bar.Parts, plot.Part{Series: i, Value: x, Hint: protocolNames[p] + ": " + plot.Bytes.Format(x) + "/s"})
			}
		}
		c.Rows = append(c.Rows, bar)
	}
	if c.Rows == nil {
		return nil
	}
	fig := &figure{Charts: []template.HTML{template.HTML(c.SVG())}, Caption: "Ethernet frames of control protocols that the fabric carried. Whiskers: 95 % interval of the mean over repetitions."} //nolint:gosec // our own SVG
	for i, p := range protocols {
		if used[p] {
			fig.Legend = append(fig.Legend, legendEntry{template.HTML(plot.Key(i, true)), protocolNames[p]}) //nolint:gosec // our own SVG
		}
	}
	return fig
}

// bars of a metric, a row for each variant.
func (r *Report) bars(key, axis, caption string) *figure {
	m := metric(key)
	c := plot.Bars{Label: axis, Width: 560, X: plot.Axis{Unit: m.Unit, Label: axis}}
	for _, v := range r.counting() {
		e := v.Estimate(m)
		if math.IsNaN(e.Value) {
			continue
		}
		c.Rows = append(c.Rows, plot.Bar{Name: v.mark(), Parts: []plot.Part{{Series: v.Index, Value: e.Value}}, Low: max(0, e.Low), High: e.High})
	}
	if c.Rows == nil {
		return nil
	}
	return &figure{Charts: []template.HTML{template.HTML(c.SVG())}, Caption: caption, Half: true} //nolint:gosec // our own SVG
}

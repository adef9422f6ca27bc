package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"orrery.dev/orrery/report/estimate"
)

// The summary in words. Each sentence follows from figures by a rule:
//
//   - how many runs count, and why others do not, comes first;
//   - with one repetition, figures are named, and that nothing is known of their
//     scatter;
//   - with more, "more" and "less" are said only of differences from the baseline
//     whose interval leaves zero out, and "not told apart" of all others;
//   - "of all the least" is said only if its differences from every other variant
//     leave zero out, all taken together;
//   - a mean that lies beyond all that was seen, since one of its repetitions does (most
//     of its repairs lasted at the run's end), is higher than any other and has no
//     interval.

// headlines are the metrics that the summary speaks of.
var headlines = []string{"cut_off", "repair_p50", "loop", "stretch", "control", "cpu"}

// Summary is what the figures say, a sentence or two each.
func (r *Report) Summary() []string {
	out := []string{r.countSentence()}
	with := slices.DeleteFunc(slices.Clone(r.Variants), func(v *Variant) bool { return len(v.Runs) == 0 })
	if len(with) == 0 {
		return append(out, "No run counts, so nothing is said of the network.")
	}
	least := math.MaxInt
	for _, v := range with {
		least = min(least, len(v.Runs))
	}
	switch {
	case len(with) == 1:
		out = append(out, "There is one variant, so nothing is compared.")
	case least < 2:
		out = append(out, "Some variants have one run that counts. It has no interval: where one is compared, figures say what happened, and not whether it would happen again.")
	}
	if n := r.early(); n > 0 {
		out = append(out, fmt.Sprintf("In %s not all stations had reached each other when the measured span began: unless the sky had no way for some until then, the figures have the coming up of daemons in them, and a longer warm-up would part the two.", plural(n, "run")))
	}
	for _, key := range headlines {
		if s := r.sentence(metric(key), with); s != "" {
			out = append(out, s)
		}
	}
	return append(out, r.unrepaired(with)...)
}

// early is how many runs that count were measured before they had converged.
func (r *Report) early() int {
	n := 0
	for _, v := range r.Variants {
		for _, f := range v.Runs {
			if c := f.Run.Outcome.Converged; c < 0 || c > f.Run.Span.From {
				n++
			}
		}
	}
	return n
}

// countSentence says what the rest stands on.
func (r *Report) countSentence() string {
	asked := r.Counted()
	if r.Manifest != nil {
		asked = len(r.Manifest.Variants) * r.Manifest.Repetitions
	} else {
		for _, v := range r.Variants {
			asked += len(v.Left)
		}
	}
	left, marked := 0, 0
	for _, v := range r.Variants {
		left += len(v.Left)
		for _, f := range v.Runs {
			if !f.Run.Trusted() {
				marked++
			}
		}
	}
	s := fmt.Sprintf("%d of %s count.", r.Counted(), plural(asked, "run"))
	if r.Counted() == asked && marked == 0 {
		s = fmt.Sprintf("All %s that were asked for are complete and were faithful.", plural(asked, "run"))
		if asked == 1 {
			s = "The run is complete and was faithful."
		}
	}
	if left > 0 {
		s += fmt.Sprintf(" %s not faithful and left out.", were(left))
	}
	if marked > 0 {
		s += fmt.Sprintf(" Of these %s not faithful, and %s here since that was asked for: what they say may be the host's doing.", strings.ToLower(were(marked)), isAre(marked))
	}
	return s
}

func were(n int) string {
	if n == 1 {
		return "1 run was"
	}
	return fmt.Sprintf("%d runs were", n)
}

func isAre(n int) string {
	if n == 1 {
		return "it is"
	}
	return "they are"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sentence says how variants differ by a metric.
func (r *Report) sentence(m *Metric, with []*Variant) string {
	with = slices.DeleteFunc(slices.Clone(with), func(v *Variant) bool { return math.IsNaN(v.Estimate(m).Value) })
	if len(with) == 0 {
		return ""
	}
	all := strings.ToUpper(m.Label[:1]) + m.Label[1:]
	value := func(v *Variant) string { return v.mark() + " (" + m.format(v.Estimate(m).Value) + ")" }
	if len(with) == 1 {
		return fmt.Sprintf("%s: %s.", all, value(with[0]))
	}
	slices.SortStableFunc(with, func(a, b *Variant) int {
		x, y := a.Estimate(m).Value, b.Estimate(m).Value
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	low, high := with[0], with[len(with)-1]
	highest := value(high)
	if infinite := func(v *Variant) bool { return math.IsInf(v.Estimate(m).Value, 1) }; infinite(high) {
		var names []string // which of them is the highest is not known
		for _, v := range with {
			if infinite(v) {
				names = append(names, v.mark())
			}
		}
		highest = fmt.Sprintf("%s (%s)", strings.Join(names, " and "), m.format(math.Inf(1)))
	}
	if m.format(low.Estimate(m).Value) == m.format(high.Estimate(m).Value) {
		return fmt.Sprintf("%s was %s in all variants.", all, m.format(low.Estimate(m).Value))
	}
	s := fmt.Sprintf("%s was lowest with %s and highest with %s.", all, value(low), highest)
	if !slices.Contains(with, r.Baseline) {
		return s
	}
	if r.separate(m, low, with) {
		s += fmt.Sprintf(" That %s had the least holds against each of the others.", low.Title)
	}
	return s + r.againstBaseline(m, with)
}

// mark is the title of a variant, with a dagger if runs count that were not
// faithful.
func (v *Variant) mark() string {
	if v.Marked() {
		return v.Title + " †"
	}
	return v.Title
}

// separate says whether a variant's mean lies below that of each other one.
func (r *Report) separate(m *Metric, low *Variant, with []*Variant) bool {
	for _, v := range with {
		if v == low {
			continue
		}
		d := estimate.Difference(low.Values(m), v.Values(m), len(with)-1)
		if !d.Differs() || d.Value >= 0 {
			return false
		}
	}
	return true
}

// againstBaseline compares each variant with the baseline.
func (r *Report) againstBaseline(m *Metric, with []*Variant) string {
	var less, more, same, single []string
	for _, v := range with {
		if v == r.Baseline {
			continue
		}
		d := estimate.Difference(v.Values(m), r.Baseline.Values(m), len(with)-1)
		text := func(low, high float64) string {
			return fmt.Sprintf("%s (by %s to %s)", v.mark(), m.format(low), m.format(high))
		}
		switch {
		case !d.OK:
			single = append(single, v.Title)
		case d.Differs() && d.Value < 0:
			less = append(less, text(-d.High, -d.Low))
		case d.Differs():
			more = append(more, text(d.Low, d.High))
		default:
			same = append(same, v.mark())
		}
	}
	var parts []string
	for _, p := range []struct {
		names []string
		words string
	}{{less, "less: %s"}, {more, "more: %s"}, {same, "not told apart from it: %s"}} {
		if p.names != nil {
			parts = append(parts, fmt.Sprintf(p.words, strings.Join(p.names, ", ")))
		}
	}
	if parts == nil {
		return ""
	}
	s := fmt.Sprintf(" Against %s: %s.", r.Baseline.mark(), strings.Join(parts, "; "))
	if single != nil {
		s += " No interval for " + strings.Join(single, ", ") + "."
	}
	return s
}

// unrepaired tells of events after which pairs never came back.
func (r *Report) unrepaired(with []*Variant) []string {
	var out []string
	for _, v := range with {
		hit, open := 0, 0
		for _, f := range v.Runs {
			hit += f.Hit
			open += f.Unrepaired
		}
		if open > 0 {
			out = append(out, fmt.Sprintf("%s: after %d of %s that cut pairs off, not all of these pairs were seen to forward again, before the run ended or the way was gone for another reason; such events have no repair time, and count as longer than they were looked at.",
				v.mark(), open, plural(hit, "event")))
		}
	}
	return out
}

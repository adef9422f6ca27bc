package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/report/plot"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	*Report
	Style       template.CSS
	Heading     string
	Verdict     verdict
	Environment []fact
	Summary     []string
	Runs        []runRow
	Tables      []metricTable
	Varied      []varied
	Common      []string
	Sections    []section
	Probes      [][]string
	Flows       [][]string
	Generated   string
}

type verdict struct {
	Level, Text string
}

type fact struct{ Name, Value string }

// metricTable has a row for each variant.
type metricTable struct {
	Title string
	Head  []headCell
	Rows  []variantRow
}

type headCell struct{ Short, Label string }

type runRow struct {
	Variant, Repetition, Level, Why, Converged, Events, Counts string
}

type variantRow struct {
	Key      template.HTML
	Title    string
	Runs     int
	Baseline bool
	Cells    []valueCell
}

type valueCell struct{ Value, Bounds string }

type varied struct {
	Title   string
	Changes []string
}

type section struct {
	Title, Text string
	Figures     []*figure
}

// WriteHTML writes the report as one page that needs no other file. The instant
// is told at its end.
func (r *Report) WriteHTML(w io.Writer, now time.Time) error {
	p := &page{
		Report: r, Style: template.CSS(pageStyle + plot.Style()), //nolint:gosec // our own
		Heading: r.Title, Verdict: r.verdict(), Environment: r.environment(), Summary: r.Summary(),
		Generated: now.UTC().Format("2 January 2006, 15:04 UTC"),
	}
	if p.Heading == "" {
		p.Heading = r.Name
	}
	if r.Manifest != nil {
		p.Common = r.Manifest.Common
	}
	split := slices.IndexFunc(Metrics, func(m Metric) bool { return m.Key == firstCost })
	p.Tables = []metricTable{r.table("Forwarding", Metrics[:split]), r.table("Paths and cost", Metrics[split:])}
	for _, v := range r.Variants {
		if len(v.Changes) > 0 {
			p.Varied = append(p.Varied, varied{v.Title, v.Changes})
		}
		p.traffic(v)
	}
	p.Runs = r.runs()
	p.Sections = r.sections()
	return pageTemplate.Execute(w, p)
}

// table of some metrics, a row for each variant.
func (r *Report) table(title string, metrics []Metric) metricTable {
	t := metricTable{Title: title}
	for i := range metrics {
		t.Head = append(t.Head, headCell{metrics[i].Short, metrics[i].Label})
	}
	for _, v := range r.Variants {
		row := variantRow{Key: template.HTML(plot.Key(v.Index, false)), Title: v.mark(), Runs: len(v.Runs), Baseline: v == r.Baseline && len(r.Variants) > 1} //nolint:gosec // our own SVG
		for i := range metrics {
			value, bounds := metrics[i].interval(v.Estimate(&metrics[i]))
			row.Cells = append(row.Cells, valueCell{value, bounds})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// verdict of all runs that count.
func (r *Report) verdict() verdict {
	counted, asked := r.Counted(), r.Counted()
	unfaithful := 0
	for _, v := range r.Variants {
		asked += len(v.Left)
		unfaithful += len(v.Left)
		for _, f := range v.Runs {
			if !f.Run.Trusted() {
				unfaithful++
			}
		}
	}
	if r.Manifest != nil {
		asked = len(r.Manifest.Variants) * r.Manifest.Repetitions
	}
	switch {
	case counted == 0:
		return verdict{"bad", "No run counts"}
	case unfaithful == 0 && counted == asked:
		return verdict{"good", "Faithful: " + plural(counted, "run")}
	case unfaithful == 0:
		return verdict{"warn", fmt.Sprintf("Faithful, but %d of %s are there", counted, plural(asked, "run"))}
	case r.Unfaithful:
		return verdict{"bad", fmt.Sprintf("%d of %s not faithful, and included", unfaithful, plural(asked, "run"))}
	}
	return verdict{"warn", fmt.Sprintf("%d of %s not faithful, and left out", unfaithful, plural(asked, "run"))}
}

// environment is what the runs have in common; where they differ, all values.
func (r *Report) environment() []fact {
	var facts []fact
	about := func(name string, of func(*record.Run) string) {
		seen := map[string]bool{}
		_ = r.each(func(_ *Variant, f *Figures, _ bool) error {
			if s := of(f.Run); s != "" {
				seen[s] = true
			}
			return nil
		})
		values := slices.Sorted(maps.Keys(seen))
		if len(values) > 0 {
			facts = append(facts, fact{name, strings.Join(values, " | ")})
		}
	}
	about("Scenario", func(x *record.Run) string {
		s := &x.Scenario
		name := s.Name + ": "
		if x.Labels[experiment.LabelExperiment] != "" { // it is named after the variant
			name = ""
		}
		return fmt.Sprintf("%s%s, %s, %d ports", name, plural(s.Satellites, "satellite"), plural(len(s.Stations), "station"), s.Ports)
	})
	about("Sky", func(x *record.Run) string {
		at := func(us int64) string {
			return x.Scenario.Epoch.Add(time.Duration(us) * time.Microsecond).UTC().Format("2006-01-02 15:04:05")
		}
		return at(x.Span.From) + " to " + at(x.Span.To) + " UTC"
	})
	about("Span", func(x *record.Run) string {
		return fmt.Sprintf("%s measured after %s of warm-up, at %g × the speed of life", span(x.Span.To-x.Span.From), span(x.Span.WarmUp), x.Scenario.Speed)
	})
	about("Machine", func(x *record.Run) string {
		m := &x.Machine
		s := fmt.Sprintf("%s, %s, %s", m.CPU, plural(m.Cores, "core"), plot.Bytes.Format(float64(m.Memory)))
		if m.RealTime {
			return s + ", frames at real-time priority"
		}
		return s + ", frames at ordinary priority"
	})
	about("System", func(x *record.Run) string {
		return fmt.Sprintf("%s, kernel %s, %s", x.Machine.System, x.Machine.Kernel, x.Machine.Architecture)
	})
	about("Orrery", func(x *record.Run) string { return x.Orrery })
	daemons := map[string]bool{}
	_ = r.each(func(_ *Variant, f *Figures, _ bool) error {
		for name, version := range f.Run.Daemons {
			daemons[name+" "+version] = true
		}
		return nil
	})
	if len(daemons) > 0 {
		facts = append(facts, fact{"Daemons", strings.Join(slices.Sorted(maps.Keys(daemons)), ", ")})
	}
	return facts
}

// span is a length of time: "30m", "3m20s", "11.319s".
func span(us int64) string {
	text := (time.Duration(us) * time.Microsecond).Round(time.Millisecond).String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		return short + "m"
	}
	return text
}

// runs lists all that have a record.
func (r *Report) runs() []runRow {
	var rows []runRow
	_ = r.each(func(v *Variant, f *Figures, counts bool) error {
		row := runRow{
			Variant: v.Title, Repetition: "–", Level: f.Run.Fidelity.Level, Why: strings.Join(f.Run.Fidelity.Reasons, "; "), Converged: "never",
			Events: fmt.Sprint(f.EventCount), Counts: "yes",
		}
		if n := repetition(f.Run); n > 0 {
			row.Repetition = fmt.Sprint(n)
		}
		if c := f.Run.Outcome.Converged; c >= 0 {
			row.Converged = span(c)
		}
		switch {
		case !counts:
			row.Counts = "no"
		case !f.Run.Trusted():
			row.Counts = "yes †"
		}
		if share, ok := f.Run.Fidelity.Shares[record.Faithful]; ok && share < 1 {
			row.Level += fmt.Sprintf(" (faithful for %s)", plot.Percent.Format(share))
		}
		rows = append(rows, row)
		return nil
	})
	return rows
}

// traffic adds what probes and workloads of a variant came to: the first
// repetition that counts.
func (p *page) traffic(v *Variant) {
	if len(v.Runs) == 0 {
		return
	}
	seconds := func(x float64) string {
		if math.IsNaN(x) {
			return "–"
		}
		return plot.Seconds.Format(x)
	}
	f := v.Runs[0]
	for i := range f.Probes {
		x := &f.Probes[i]
		p.Probes = append(p.Probes, []string{
			v.mark(), x.Source + " → " + x.Destination, fmt.Sprint(x.Sent), plot.Percent.Format(ratio(float64(x.Lost), float64(x.Sent))), fmt.Sprint(x.Reordered),
			seconds(x.DelayP50), seconds(x.DelayP99), seconds(x.Jitter),
		})
	}
	for i := range f.Flows {
		x := &f.Flows[i]
		lost := fmt.Sprint(x.Retransmits) + " segments sent again"
		switch {
		case x.Datagrams > 0:
			lost = plot.Percent.Format(ratio(float64(x.Lost), float64(x.Datagrams))) + " lost"
		case x.Protocol == "udp": // no receiver has said what came
			lost = "–"
		}
		p.Flows = append(p.Flows, []string{v.mark(), x.Name, x.Source + " → " + x.Destination, x.Protocol, plot.Plain.Format(x.Rate) + "bit/s", lost, x.Problem})
	}
}

// sections are the charts with their titles; what nothing is known of is left out.
func (r *Report) sections() []section {
	var out []section
	add := func(title, text string, figures ...*figure) {
		figures = slices.DeleteFunc(figures, func(f *figure) bool { return f == nil })
		if len(figures) > 0 {
			out = append(out, section{title, text, figures})
		}
	}
	add("Reachability", "", r.reachability())
	add("Outages and convergence", "Pooled over the repetitions that count. Time runs logarithmically.", r.outages(), r.repairs(), r.settling())
	var trips []*figure
	for _, pair := range r.roundTripPairs() {
		trips = append(trips, r.roundTrips(pair))
	}
	add("Round trips and the geometric bound", "", trips...)
	add("Stretch", "", r.stretch())
	add("Control traffic", "", r.control())
	add("Resources", "Host time and memory of the routing daemons, all nodes together.",
		r.bars("cpu", "CPUs in use", "Whiskers: 95 % interval of the mean over repetitions."),
		r.bars("memory", "memory", "Proportional set size where it was read, else resident set size."))
	return out
}

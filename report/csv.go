package report

import (
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"orrery.dev/orrery/record"
	"orrery.dev/orrery/report/estimate"
)

// WriteCSV writes the tables for further work into a directory, and gives their
// paths: variants.csv (means with intervals), runs.csv (each run), outages.csv,
// convergence.csv (each event) and reachability.csv (over time). Units are in the
// heads; times are orbital, in s from the begin of the measured span.
func (r *Report) WriteCSV(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var paths []string
	for _, t := range []struct {
		name string
		rows func(func(...string)) error
	}{
		{"variants.csv", r.variantRows}, {"runs.csv", r.runRows}, {"outages.csv", r.outageRows},
		{"convergence.csv", r.convergenceRows}, {"reachability.csv", r.reachabilityRows},
	} {
		path := filepath.Join(dir, t.name)
		if err := writeCSV(path, t.rows); err != nil {
			return paths, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func writeCSV(path string, rows func(func(...string)) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := csv.NewWriter(f)
	err = rows(func(cells ...string) { _ = w.Write(cells) }) // told by Error
	w.Flush()
	return errors.Join(err, w.Error())
}

// cell writes a number; what is not known is empty, and what lies beyond all that was
// seen is inf, or whoever takes means would take them of the others.
func cell(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case math.IsInf(v, 1):
		return "inf"
	}
	return strconv.FormatFloat(v, 'g', 9, 64)
}

func (r *Report) variantRows(row func(...string)) error {
	row("variant", "title", "metric", "meaning", "mean", "low_95", "high_95", "runs")
	for _, v := range r.Variants {
		for i := range Metrics {
			m := &Metrics[i]
			e := v.Estimate(m)
			if e.N == 0 {
				e = estimate.Interval{Value: math.NaN()}
			}
			low, high := "", ""
			if e.OK {
				low, high = cell(e.Low), cell(e.High)
			}
			row(v.Name, v.Title, m.Key, m.Label, cell(e.Value), low, high, strconv.Itoa(e.N))
		}
	}
	return nil
}

// each run that counts, and those that do not.
func (r *Report) each(do func(v *Variant, f *Figures, counts bool) error) error {
	for _, v := range r.Variants {
		for _, f := range v.Runs {
			if err := do(v, f, true); err != nil {
				return err
			}
		}
		for _, f := range v.Left {
			if err := do(v, f, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Report) runRows(row func(...string)) error {
	head := []string{"variant", "repetition", "counts", "fidelity", "seed", "span_s", "events", "events_that_cut_pairs_off", "not_repaired"}
	for i := range Metrics {
		head = append(head, Metrics[i].Key)
	}
	row(head...)
	return r.each(func(v *Variant, f *Figures, counts bool) error {
		cells := []string{
			v.Name, strconv.Itoa(repetition(f.Run)), strconv.FormatBool(counts), f.Run.Fidelity.Level, strconv.FormatUint(f.Run.Scenario.Seed, 10),
			cell(f.Span), strconv.Itoa(f.EventCount), strconv.Itoa(f.Hit), strconv.Itoa(f.Unrepaired),
		}
		for i := range Metrics {
			cells = append(cells, cell(Metrics[i].Of(f)))
		}
		row(cells...)
		return nil
	})
}

// records passes on all rows of a stream of each run, also those outside of its span.
func records[T any](r *Report, s record.Stream[T], do func(v *Variant, f *Figures, row *T)) error {
	return r.each(func(v *Variant, f *Figures, _ bool) error {
		d, err := record.Open(f.Dir)
		if err != nil {
			return err
		}
		return s.Each(d, func(row *T) error {
			do(v, f, row)
			return nil
		})
	})
}

func (r *Report) outageRows(row func(...string)) error {
	row("variant", "repetition", "source", "destination", "by", "begin_s", "length_s", "lost_s", "cause", "open")
	return records(r, record.Outages, func(v *Variant, f *Figures, o *record.Outage) {
		if f.within(o.From) {
			lost := ""
			if o.Lost != nil {
				lost = cell(float64(*o.Lost) * micro)
			}
			row(v.Name, strconv.Itoa(repetition(f.Run)), o.Source, o.Destination, o.By, cell(f.since(o.From)), cell(float64(o.To-o.From)*micro), lost, o.Cause, strconv.FormatBool(o.Open))
		}
	})
}

func (r *Report) convergenceRows(row func(...string)) error {
	row("variant", "repetition", "at_s", "kind", "links", "a", "b", "class", "changes_ahead", "table_changes", "nodes", "settle_s", "pairs", "repair_s", "lost_pair_s", "loop_pair_s", "overlapped")
	after := func(at int64, then *int64) string {
		if then == nil {
			return ""
		}
		return cell(float64(*then-at) * micro)
	}
	return records(r, record.Convergences, func(v *Variant, f *Figures, c *record.Convergence) {
		if !f.within(c.At) {
			return
		}
		row(v.Name, strconv.Itoa(repetition(f.Run)), cell(f.since(c.At)), c.Kind, strconv.Itoa(int(c.Links)), c.A, c.B, c.Class, strconv.Itoa(int(c.Ahead)), strconv.Itoa(int(c.Changes)), strconv.Itoa(int(c.Nodes)),
			after(c.At, c.LastChange), strconv.Itoa(int(c.Pairs)), after(c.At, c.Restored), cell(float64(c.Lost)*micro), cell(float64(c.Loop)*micro), strconv.FormatBool(c.Overlapped))
	})
}

func (r *Report) reachabilityRows(row func(...string)) error {
	row("variant", "repetition", "at_s", "reachable_mean", "reachable_least", "way_exists")
	return r.each(func(v *Variant, f *Figures, _ bool) error {
		for i, at := range f.Reach.At {
			row(v.Name, strconv.Itoa(repetition(f.Run)), cell(at), cell(f.Reach.Mean[i]), cell(f.Reach.Low[i]), cell(f.Reach.Exists[i]))
		}
		return nil
	})
}

package report

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/record"
)

// Report is what a directory's runs come to.
type Report struct {
	Name     string
	Title    string
	Dir      string
	Manifest *experiment.Manifest // nil for runs that belong to no experiment
	Variants []*Variant           // in order of the experiment
	Baseline *Variant             // one of them, that the others are compared with
	// Unfaithful says that runs count whose emulation was not faithful.
	Unfaithful bool
	// Absent are runs that were asked for, or once were, and do not count: one sentence each.
	Absent []Absence
}

// Absence is a run that is not part of the comparison.
type Absence struct {
	Variant, Run, Why string
}

// Variant is one of the networks that are compared.
type Variant struct {
	Name, Title string
	Changes     []string
	Index       int        // in the order of the report, which gives its colour
	Runs        []*Figures // that count
	Left        []*Figures // complete ones that do not count, since they were not faithful
}

// Marked says whether figures of runs that were not faithful count.
func (v *Variant) Marked() bool {
	return slices.ContainsFunc(v.Runs, func(f *Figures) bool { return !f.Run.Trusted() })
}

// ErrNothing is wrapped by the error for a directory without runs.
var ErrNothing = errors.New("no runs")

// Collect reads all runs below a directory: that of an experiment, of a single
// run, or of any runs. Runs that were not faithful count only if unfaithful is
// set. A run that cannot be read is told of in the report, and the others are
// there; a record of a newer version is an error, since what it says is not known.
func Collect(dir string, unfaithful bool) (*Report, error) {
	r := &Report{Dir: dir, Unfaithful: unfaithful, Name: filepath.Base(filepath.Clean(dir))}
	m, err := experiment.ReadManifest(dir)
	switch {
	case err == nil:
		r.Manifest, r.Name, r.Title = m, m.Name, m.Title
		for _, v := range m.Variants {
			r.variant(v.Name, v.Title).Changes = v.Changes
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	dirs, err := Find(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if err := r.add(d); err != nil {
			return nil, err
		}
	}
	if len(dirs) == 0 && (m == nil || len(m.Failures) == 0) {
		return nil, fmt.Errorf("%s holds %w; name a directory that \"orrery experiment run\" or \"orrery up --record\" has written", dir, ErrNothing)
	}
	r.missing()
	for _, v := range r.Variants {
		byRepetition := func(a, b *Figures) int {
			return cmp.Or(repetition(a.Run)-repetition(b.Run), strings.Compare(a.Dir, b.Dir))
		}
		slices.SortFunc(v.Runs, byRepetition)
		slices.SortFunc(v.Left, byRepetition)
	}
	if len(r.Variants) == 0 { // without a manifest there is none but those of runs
		return nil, fmt.Errorf("%s holds %w that can be read: %s", dir, ErrNothing, r.Absent[0].Why)
	}
	r.Baseline = r.Variants[0]
	for _, v := range r.Variants {
		if m != nil && v.Name == m.Baseline {
			r.Baseline = v
		}
	}
	return r, nil
}

// Find lists the directories of runs at or below a directory.
func Find(dir string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.IsDir() {
			return nil
		}
		if _, err := os.Stat(filepath.Join(path, "run.json")); err == nil {
			dirs = append(dirs, path)
			return fs.SkipDir
		}
		return nil
	})
	slices.SortFunc(dirs, func(a, b string) int { // …/9 before …/10
		x, errX := strconv.Atoi(filepath.Base(a))
		y, errY := strconv.Atoi(filepath.Base(b))
		if errX != nil || errY != nil || filepath.Dir(a) != filepath.Dir(b) {
			return strings.Compare(a, b)
		}
		return x - y
	})
	return dirs, err
}

// variant finds or adds a variant.
func (r *Report) variant(name, title string) *Variant {
	for _, v := range r.Variants {
		if v.Name == name {
			return v
		}
	}
	v := &Variant{Name: name, Title: cmp.Or(title, name), Index: len(r.Variants)}
	r.Variants = append(r.Variants, v)
	return v
}

// repetition of a run, 0 if it is none of an experiment.
func repetition(run *record.Run) int {
	n, err := strconv.Atoi(run.Labels[experiment.LabelRepetition])
	if err != nil {
		return 0
	}
	return n
}

// add puts a run where it belongs.
func (r *Report) add(dir string) error {
	d, err := record.Open(dir)
	if errors.Is(err, record.ErrNewer) {
		return err
	}
	name := filepath.Base(dir)
	if r.Manifest != nil {
		name = filepath.Base(filepath.Dir(dir)) + " " + name
	}
	if err != nil {
		r.Absent = append(r.Absent, Absence{Run: name, Why: err.Error()})
		return nil
	}
	label := cmp.Or(d.Run.Labels[experiment.LabelVariant], filepath.Base(dir))
	if why := r.stale(&d.Run, label); why != "" {
		r.Absent = append(r.Absent, Absence{Variant: label, Run: name, Why: why})
		return nil
	}
	v := r.variant(label, "")
	absent := func(why string) {
		r.Absent = append(r.Absent, Absence{Variant: v.Title, Run: name, Why: why})
	}
	if d.Run.Outcome.State != record.Complete || d.Run.Span.To <= d.Run.Span.From {
		why := "it ended " + string(d.Run.Outcome.State)
		if d.Run.Outcome.State == record.Going {
			why = "it goes on, or its emulator died"
		}
		if d.Run.Outcome.Reason != "" {
			why += ": " + d.Run.Outcome.Reason
		}
		absent(why)
		return nil
	}
	f, err := measure(d)
	if err != nil {
		absent(err.Error())
		return nil
	}
	for _, note := range f.Run.Unobserved {
		r.Absent = append(r.Absent, Absence{Variant: v.Title, Run: name, Why: "not observed: " + note})
	}
	if a := f.Run.Adjacencies; a != nil && a.Up < a.Possible {
		absent(fmt.Sprintf("%d of %d adjacencies were up when the measured span began: some daemon took no part yet, or never did", a.Up, a.Possible))
	}
	if f.Run.Trusted() || r.Unfaithful {
		v.Runs = append(v.Runs, f)
		return nil
	}
	v.Left = append(v.Left, f)
	absent("its emulation was " + f.Run.Fidelity.Level + reasons(f.Run) + "; it is left out of comparisons")
	return nil
}

// stale says why a run is not of what the experiment asks for now, empty if it is.
func (r *Report) stale(run *record.Run, variant string) string {
	m := r.Manifest
	switch {
	case m == nil:
	case !slices.ContainsFunc(m.Variants, func(v experiment.ManifestVariant) bool { return v.Name == variant }):
		return "it is no longer part of the experiment, which has no such variant"
	case repetition(run) < 1 || repetition(run) > m.Repetitions:
		return fmt.Sprintf("it is no longer part of the experiment, which has %s", plural(m.Repetitions, "repetition"))
	}
	return ""
}

// reasons are those of a verdict, as the end of a sentence.
func reasons(run *record.Run) string {
	if len(run.Fidelity.Reasons) == 0 {
		return ""
	}
	return " (" + strings.Join(run.Fidelity.Reasons, "; ") + ")"
}

// missing tells of runs that the experiment asks for, and there is nothing of.
func (r *Report) missing() {
	if r.Manifest == nil {
		return
	}
	for _, mv := range r.Manifest.Variants {
		v := r.variant(mv.Name, mv.Title)
		seen := map[int]bool{}
		for _, f := range append(slices.Clone(v.Runs), v.Left...) {
			seen[repetition(f.Run)] = true
		}
		for k := 1; k <= r.Manifest.Repetitions; k++ {
			run := fmt.Sprintf("%s %d", mv.Name, k)
			told := slices.ContainsFunc(r.Absent, func(a Absence) bool { return a.Run == run })
			if seen[k] || told {
				continue
			}
			why := cmp.Or(r.Manifest.Failures[run], "it has not been run yet")
			r.Absent = append(r.Absent, Absence{Variant: v.Title, Run: run, Why: why})
		}
	}
}

// Counted is how many runs count.
func (r *Report) Counted() int {
	n := 0
	for _, v := range r.Variants {
		n += len(v.Runs)
	}
	return n
}

package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"orrery.dev/orrery/scenario"
)

// Run is one repetition of one variant.
type Run struct {
	Variant    *Variant
	Repetition int // from 1
	Seed       uint64
}

// Runs are all runs in the order in which they are done: first each variant once,
// then each a second time, so that what changes on the host meanwhile meets all
// variants alike.
func (e *Experiment) Runs() []Run {
	var runs []Run
	for k := range e.Spec.Repetitions {
		for _, v := range e.variants {
			runs = append(runs, Run{Variant: v, Repetition: k + 1, Seed: e.Spec.Seed + uint64(k)})
		}
	}
	return runs
}

// HostTime is how long the warm-up and the measured span of a run take.
func (e *Experiment) HostTime(r Run) time.Duration {
	return time.Duration(float64(e.Spec.WarmUp+e.Spec.Span) / r.Variant.Scenario.Spec.Speed)
}

// String is "variant 2".
func (r Run) String() string { return r.Variant.Name + " " + strconv.Itoa(r.Repetition) }

// runsFolder holds the records, below the experiment's directory.
const runsFolder = "runs"

// Dir of the run's record below the experiment's directory.
func (r Run) Dir(out string) string {
	return filepath.Join(out, runsFolder, r.Variant.Name, strconv.Itoa(r.Repetition))
}

// longestName keeps a run's control socket within what the kernel takes.
const longestName = 40

// name of the run on the host: the experiment's, the variant's and the
// repetition, shortened to a label of its own if need be.
func (e *Experiment) name(r Run) string {
	name := fmt.Sprintf("%s-%s-%d", e.Metadata.Name, r.Variant.Name, r.Repetition)
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:longestName-9] + "-" + hex.EncodeToString(sum[:4])
}

// The labels of a run's record.
const (
	LabelExperiment = "experiment"
	LabelVariant    = "variant"
	LabelRepetition = "repetition"
	// LabelDigest tells runs of different scenarios, files that these name, spans and
	// observations apart.
	LabelDigest = "digest"
)

// job is what a launcher is asked to run.
func (e *Experiment) job(r Run, out string) (*Job, []byte, error) {
	s, err := r.scenario()
	if err != nil {
		return nil, nil, err
	}
	observe, err := json.Marshal(&e.Spec.Observe)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%d %d\n%s", s, e.Spec.WarmUp, e.Spec.Span, observe)
	for _, path := range r.files() {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("a file of variant %s cannot be read: %w", r.Variant.Name, err)
		}
		fmt.Fprintf(sum, "\n%d %s", len(text), text)
	}
	dir := r.Dir(out)
	return &Job{
		Name: e.name(r), Scenario: dir + ".yaml", Record: dir, Log: dir + ".log",
		WarmUp: e.Spec.WarmUp.Std(), Span: e.Spec.Span.Std(), Observe: e.Spec.Observe,
		Labels: map[string]string{
			LabelExperiment: e.Metadata.Name, LabelVariant: r.Variant.Name, LabelRepetition: strconv.Itoa(r.Repetition),
			LabelDigest: hex.EncodeToString(sum.Sum(nil)[:8]),
		},
	}, s, nil
}

// files are those that the scenario names, elements of orbits and templates, in its order.
func (r Run) files() []string {
	s := r.Variant.Scenario
	var list []string
	for _, c := range s.Spec.Constellations {
		if c.File != nil {
			list = append(list, s.Path(c.File.Path))
		}
	}
	for _, entry := range s.Spec.Routing {
		if entry.Template != "" {
			list = append(list, s.Path(entry.Template))
		}
	}
	return list
}

// scenario is the file that the run is made of: resolved, with the repetition's
// seed, without an end of its own, and with absolute paths, since it stands
// elsewhere.
func (r Run) scenario() ([]byte, error) {
	s := *r.Variant.Scenario
	s.Spec.Seed = r.Seed
	s.Spec.Duration = 0
	absolute := func(path string) (string, error) { return filepath.Abs(r.Variant.Scenario.Path(path)) }
	var err error
	s.Spec.Constellations = slices.Clone(s.Spec.Constellations)
	for i := range s.Spec.Constellations {
		if c := &s.Spec.Constellations[i]; c.File != nil {
			file := *c.File
			if file.Path, err = absolute(file.Path); err != nil {
				return nil, err
			}
			c.File = &file
		}
	}
	s.Spec.Routing = slices.Clone(s.Spec.Routing)
	for i := range s.Spec.Routing {
		if entry := &s.Spec.Routing[i]; entry.Template != "" {
			if entry.Template, err = absolute(entry.Template); err != nil {
				return nil, err
			}
		}
	}
	return (&scenario.Scenario{APIVersion: s.APIVersion, Kind: s.Kind, Metadata: s.Metadata, Spec: s.Spec}).YAML()
}

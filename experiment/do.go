package experiment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/record"
)

// Job is one run, as a Launcher gets it.
type Job struct {
	// Name of the run on this host: a label.
	Name string
	// Scenario is the file to run, and Record the directory for its record, which
	// does not exist yet; Log is a file for what the emulator says.
	Scenario, Record, Log string
	// Labels of the record.
	Labels map[string]string
	// WarmUp and Span in orbital time.
	WarmUp, Span time.Duration
	Observe      Observe
}

// Launcher carries out a run and returns when it is over and nothing of it is
// left. The error is for what kept it from its end; the record says the rest.
type Launcher interface {
	Launch(context.Context, *Job) error
}

// State is what becomes of a run.
type State string

// The states of a run, in order.
const (
	Started State = "started"
	Kept    State = "kept"   // its complete record was there already
	Done    State = "done"   // its record is complete
	Failed  State = "failed" // it has no complete record
)

// Step is told whenever the state of a run changes.
type Step struct {
	Run    Run
	Number int // of this run, from 1
	Of     int
	State  State
	Job    *Job
	// Record of a run that is kept or done.
	Record *record.Run
	Err    error // why it failed
}

// Options of Do.
type Options struct {
	// Out is the experiment's directory.
	Out string
	// MaxRuns is how many runs are acceptable; 0 for any number.
	MaxRuns int
	// Again replaces complete runs that were made of something else.
	Again bool
	// AtOnce is how many runs go on at the same time, and the next so many begin when all of them have
	// ended; 0 is 1. More share the host, and the verdict of each says whether it was large enough.
	AtOnce int
	// Turn, if it is not nil, is called before each run, which begins when it returns. An error is the end of all.
	Turn     func(context.Context) error
	Launcher Launcher
	// Tell is called for each step, one at a time, if it is not nil.
	Tell func(Step)
}

// ErrTooMany is wrapped by the error for an experiment of more runs than allowed.
var ErrTooMany = errors.New("too many runs")

// ErrOther is wrapped by the error for a record that was made of something else.
var ErrOther = errors.New("made of something else")

// ErrFailed is wrapped by the error for runs that could not be done.
var ErrFailed = errors.New("could not be done")

// Do does all runs that have no complete record yet. A run that fails does not
// keep others from being done; the manifest says which did.
func (e *Experiment) Do(ctx context.Context, o Options) error {
	runs := e.Runs()
	if o.MaxRuns > 0 && len(runs) > o.MaxRuns {
		return fmt.Errorf("%s asks for %w: %d variants × %d repetitions are %d, and --max-runs allows %d; raise it, or narrow the matrix",
			e.Metadata.Name, ErrTooMany, len(e.variants), e.Spec.Repetitions, len(runs), o.MaxRuns)
	}
	// What is there is looked at first: hours of work are not begun if it cannot be kept,
	// and what it says of itself stays as it is.
	type task struct {
		step Step
		text []byte // of its scenario
	}
	var kept, missing []task
	for i, r := range runs {
		j, text, err := e.job(r, o.Out)
		if err != nil {
			return err
		}
		t := task{Step{Run: r, Number: i + 1, Of: len(runs), Job: j}, text}
		if t.step.Record, err = keep(j, o.Again); err != nil {
			return err
		}
		if t.step.Record == nil {
			missing = append(missing, t)
		} else {
			kept = append(kept, t)
		}
	}
	m := e.manifest()
	if err := errors.Join(m.write(o.Out), replace(filepath.Join(o.Out, textFile), e.text)); err != nil {
		return err
	}
	var (
		mu     sync.Mutex // guards the manifest, and calls of Tell
		failed int
	)
	tell := func(s Step, state State) {
		s.State = state
		if o.Tell != nil {
			o.Tell(s)
		}
	}
	for _, t := range kept {
		tell(t.step, Kept)
	}
	// In rounds: making a network and removing it holds up the kernel's one lock of network devices, and
	// with it carriers and routes of runs that are being measured.
	for round := range slices.Chunk(missing, max(1, o.AtOnce)) {
		all, running := errgroup.WithContext(ctx)
		for _, t := range round {
			var err error
			if o.Turn != nil {
				err = o.Turn(running)
			}
			if err := errors.Join(err, running.Err()); err != nil {
				all.Go(func() error { return err }) // it ends those that have begun
				break
			}
			mu.Lock()
			tell(t.step, Started)
			mu.Unlock()
			all.Go(func() error {
				t.step.Record, t.step.Err = launch(running, o.Launcher, t.step.Job, t.text)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case running.Err() != nil:
					return running.Err()
				case t.step.Err != nil:
					failed++
					m.Failures[t.step.Run.String()] = t.step.Err.Error()
					tell(t.step, Failed)
				default:
					tell(t.step, Done)
				}
				return m.write(o.Out)
			})
		}
		if err := errors.Join(all.Wait(), ctx.Err()); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d runs %w; the same command tries them again and keeps the others", failed, len(runs), ErrFailed)
	}
	return nil
}

// keep gives the run of a complete record of this very job. Without one it is nil,
// and what stands in its place may be removed.
func keep(j *Job, again bool) (*record.Run, error) {
	d, err := record.Open(j.Record)
	switch {
	case errors.Is(err, record.ErrNewer):
		return nil, err
	case err != nil, d.Run.Outcome.State != record.Complete:
		return nil, nil
	case d.Run.Labels[LabelDigest] == j.Labels[LabelDigest]:
		return &d.Run, nil
	case again:
		return nil, nil
	}
	return nil, fmt.Errorf("%s holds a complete run that was %w than what the file says now; give another --out, or --again to replace such runs", j.Record, ErrOther)
}

// launch removes what an incomplete run left, and does it.
func launch(ctx context.Context, l Launcher, j *Job, text []byte) (*record.Run, error) {
	if err := os.RemoveAll(j.Record); err != nil {
		return nil, err
	}
	if err := replace(j.Scenario, text); err != nil {
		return nil, err
	}
	launched := l.Launch(ctx, j)
	d, err := record.Open(j.Record)
	switch {
	case launched != nil:
		return nil, launched
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, record.ErrNone):
		return nil, fmt.Errorf("it left no record; see %s", j.Log)
	case err != nil:
		return nil, err
	case d.Run.Outcome.State != record.Complete:
		return nil, fmt.Errorf("it ended %s: %s; see %s", d.Run.Outcome.State, d.Run.Outcome.Reason, j.Log)
	}
	return &d.Run, nil
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/api"
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/kube/failures"
	"orrery.dev/orrery/plan"
)

// run is the worker's part of one scenario.
type run struct {
	agent    *Agent
	seen     Scenario // as the cluster told last
	dir      string
	plan     *plan.Plan
	scheme   address.Scheme
	guests   Guests
	timeline *clock.Timeline
	part     *emulation.Run
	log      *slog.Logger
	serving  sync.WaitGroup
	answers  http.Handler // the control API
	endServe context.CancelFunc

	// sandboxes by node, and other workers with nodes of the scenario. Guarded by the
	// agent's lock of the scenario.
	sandboxes map[string]*sandbox
	others    map[string]*other
}

const (
	// window of the plan, in host time.
	window = time.Minute
	// snapshotInterval is host time between two snapshots of a plan.
	snapshotInterval = time.Minute
)

// dir of a scenario's files.
func (a *Agent) dir(uid string) string { return filepath.Join(a.config.StateDir, "scenarios", uid) }

// open begins the worker's part of a scenario as the cluster tells it now, or as it was
// last heard of.
func (a *Agent) open(ctx context.Context, s Scenario, packed []byte) (*run, error) {
	started := time.Now()
	r, err := a.compile(s, packed)
	if err != nil {
		return nil, err
	}
	compiled := time.Now()
	r.guests = a.config.Guests()
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	r.log.Info("the scenario begins", "nodes", len(r.plan.Nodes), "compilation", compiled.Sub(started), "beginning", time.Since(compiled))
	return r, nil
}

// compile makes a run of which there is a plan, and nothing else yet.
func (a *Agent) compile(s Scenario, packed []byte) (*run, error) {
	r := &run{
		agent: a, seen: s, dir: a.dir(s.UID),
		log: a.log.With("scenario", s.String()), sandboxes: make(map[string]*sandbox), others: make(map[string]*other),
	}
	files := filepath.Join(r.dir, "files")
	if err := errors.Join(os.RemoveAll(files), os.MkdirAll(files, 0o700)); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s, err)
	}
	parsed, err := bundle.Unpack(packed, files)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s, err)
	}
	if r.plan, err = plan.Compile(parsed); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s, err)
	}
	if r.scheme, err = assignment.Scheme(r.plan); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s, err)
	}
	if err := r.memory().keep(&s, packed); err != nil { // one of which there is a plan
		return nil, fmt.Errorf("scenario %s: %w", s, err)
	}
	return r, nil
}

// begin sets a run going that has its guests. On an error they are closed.
func (r *run) begin(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			r.guests.Close()
		}
	}()
	a, s := r.agent, r.seen
	r.timeline = clock.New(a.config.Clock, 0, 1)
	r.timeline.Follow(s.Time.state(r.timeline.Monotonic(), time.Now()))
	r.part, err = emulation.New(emulation.Config{
		Plan: r.plan, Nodes: lodging{r.guests}, Timeline: r.timeline, Logger: r.log,
		Fabric: func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			return a.config.Fabric(s, tl, ports, r.plan.Scenario.Spec.Seed)
		},
	})
	if err != nil {
		return err
	}
	past := &history{dir: r.dir, revision: s.Revision, interval: snapshotInterval}
	length := time.Duration(float64(window) * max(1, s.Time.Speed))
	cursor, err := past.cursor(r.plan, length, r.timeline.Now())
	if err != nil {
		r.log.Warn("a snapshot of the plan is of no use", "error", err)
	}
	err = r.part.StartPart(ctx, cursor, func(c *plan.Cursor) {
		if err := past.note(c, r.timeline.Now()); err != nil {
			r.log.Warn("the plan is not kept: a restart would take longer", "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("scenario %s: %w", s, err)
	}
	if err := r.settle(); err != nil {
		r.log.Error("other workers", "error", err)
	}
	if err := r.fail(ctx); err != nil {
		r.log.Error("failures", "error", err)
	}
	r.serve()
	return nil
}

// serve answers the control API of the scenario.
func (r *run) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	r.endServe = cancel
	path := r.agent.ControlSocket(r.seen.ID)
	_ = os.Remove(path) // of an agent that was killed
	server := api.NewServer(r.part)
	r.answers = server.Handler()
	r.agent.answer(r.seen.ID, r.answers, nil)
	r.serving.Go(func() {
		if err := server.Serve(ctx, path); err != nil && ctx.Err() == nil {
			r.log.Error("the control API is not served", "error", err)
		}
	})
}

// close lets go of everything; ports stay.
func (r *run) close() error {
	err := r.stop()
	r.guests.Close()
	return err
}

// stop ends all but the guests.
func (r *run) stop() error {
	r.agent.answer(r.seen.ID, nil, r.answers)
	r.endServe()
	r.serving.Wait()
	return r.part.Stop(context.Background())
}

// follow takes over what the cluster says now of the same revision.
func (r *run) follow(ctx context.Context, s Scenario) error {
	if s.Time != r.seen.Time {
		r.timeline.Follow(s.Time.state(r.timeline.Monotonic(), time.Now()))
	}
	fresh := s.Failures != r.seen.Failures
	r.seen = s
	errs := []error{r.memory().keep(&s, nil), r.settle()}
	if fresh {
		errs = append(errs, r.fail(ctx))
	}
	return errors.Join(errs...)
}

// fail has the part suffer the failures that the cluster keeps. Of a text that cannot be read nothing is done.
func (r *run) fail(ctx context.Context) error {
	list, err := failures.Decode(r.seen.Failures)
	if err != nil {
		return err
	}
	var errs []error
	var known []emulation.Failure
	for _, m := range list {
		f, err := api.FailureOf(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		known = append(known, f)
	}
	return errors.Join(append(errs, r.part.SetFailures(ctx, known))...)
}

func (r *run) memory() memory { return memory{r.dir} }

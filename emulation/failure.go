package emulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"orrery.dev/orrery/node"
)

// FailureKind says what a failure does.
type FailureKind string

// The kinds of failure.
const (
	// Cut: port A has no link; or, with B, the link between ports A and B is not there.
	Cut FailureKind = "cut"
	// KillProcess: the process dies, and is not started again.
	KillProcess FailureKind = "kill"
	// KillNode: all processes of node A die, and none of its ports has a link.
	KillNode FailureKind = "down"
	// Impair: port A's links, or the link between A and B, lose more and take longer.
	Impair FailureKind = "impair"
)

// Failure is something that somebody has broken on purpose. It holds until it is
// undone, whatever the sky does meanwhile: a port that is cut has no link with its
// next peer either.
type Failure struct {
	Kind FailureKind
	// A and B are ports as NODE:PORT for Cut and Impair; else A is a node.
	A, B string
	// Process of KillProcess.
	Process string
	// Loss of Impair is the probability that a frame is lost which else would not be,
	// and Delay is added to the link's, each way.
	Loss  float64
	Delay time.Duration
	// Since is the scenario time from which it holds.
	Since time.Duration
}

// ID tells failures apart: kind and target, whose ends may be in either order. One of the same ID replaces another.
func (f *Failure) ID() string {
	a, b := f.A, f.B
	if b != "" && b < a {
		a, b = b, a
	}
	id := string(f.Kind) + "/" + a
	if b != "" {
		id += "," + b
	}
	if f.Process != "" {
		id += "/" + f.Process
	}
	return id
}

// same tells whether two failures of one ID do the same.
func (f *Failure) same(g *Failure) bool { return f.Loss == g.Loss && f.Delay == g.Delay }

// text says what an event of the failure is about, beside its ports.
func (f *Failure) text() string {
	switch f.Kind {
	case Cut:
		return "cut"
	case KillProcess:
		return "kill " + f.Process
	case KillNode:
		return "node down"
	case Impair:
	}
	var parts []string
	if f.Loss > 0 {
		parts = append(parts, fmt.Sprintf("loss %g %%", 100*f.Loss))
	}
	if f.Delay > 0 {
		parts = append(parts, "delay +"+f.Delay.String())
	}
	return strings.Join(parts, ", ")
}

// Touches tells whether a failure is about a node, or a port of it.
func (f *Failure) Touches(name string) bool {
	return f.A == name || strings.HasPrefix(f.A, name+":") || strings.HasPrefix(f.B, name+":")
}

// maxImpairDelay keeps the frames that are under way within memory.
const maxImpairDelay = 10 * time.Second

// ErrFailure is wrapped by errors about failures that make no sense.
var ErrFailure = errors.New("this failure cannot be injected")

// failures are those of a run, and the processes that they have killed.
type failures struct {
	// starting is held for reading while a process is started, and for writing while
	// the failures change, so that none is started that is to be dead.
	starting sync.RWMutex
	list     map[string]Failure      // by ID
	killed   map[[2]string]killedOne // by node and process

	mu   sync.RWMutex // guards list for those who only look, and past; written with starting held, too
	past []pastFailure
}

// pastFailure held until an instant of the scenario.
type pastFailure struct {
	Failure
	until time.Duration
}

// failuresKept is how many failures are remembered that hold no more.
const failuresKept = 1000

// killedOne is a process that is to be started again when nothing holds it down.
type killedOne struct {
	node int
	spec node.Process
}

// Failures that are injected now, in order of their IDs.
func (r *Run) Failures() []Failure {
	r.failures.mu.RLock()
	defer r.failures.mu.RUnlock()
	var out []Failure
	for _, id := range slices.Sorted(maps.Keys(r.failures.list)) {
		out = append(out, r.failures.list[id])
	}
	return out
}

// CheckFailure gives a failure as it would be injected now. The error wraps ErrFailure if it cannot be.
func (r *Run) CheckFailure(f Failure) (Failure, error) {
	err := r.checkFailure(&f)
	f.Since = r.timeline.Now()
	return f, err
}

// Inject makes a failure. When it returns, links are cut and processes dead. To
// inject what is there already does nothing; with another loss or delay it
// replaces them.
func (r *Run) Inject(ctx context.Context, f Failure) (Failure, error) {
	if r.part != nil {
		return f, errSteer
	}
	if err := r.checkFailure(&f); err != nil {
		return f, err
	}
	fs := &r.failures
	fs.starting.Lock()
	defer fs.starting.Unlock()
	id := f.ID()
	old, there := fs.list[id]
	if there && old.same(&f) {
		return old, nil
	}
	f.Since = r.timeline.Now()
	fs.set(id, &f, f.Since)
	r.events.add(Event{Kind: Injected, At: f.Since, A: f.A, B: f.B, Text: f.text()})
	if err := r.settleFailures(ctx); err != nil {
		return f, fmt.Errorf("%s is injected, but not all of it is done: %w", id, err)
	}
	return f, nil
}

// Undo takes a failure back: links that the plan has are there again, and processes
// are started. ok is false if there is none of this ID.
func (r *Run) Undo(ctx context.Context, id string) (f Failure, ok bool, err error) {
	if r.part != nil {
		return f, false, errSteer
	}
	fs := &r.failures
	fs.starting.Lock()
	defer fs.starting.Unlock()
	f, ok = fs.list[id]
	if !ok {
		return f, false, nil
	}
	fs.set(id, nil, r.timeline.Now())
	r.events.add(Event{Kind: Undone, A: f.A, B: f.B, Text: f.text()})
	if err := r.settleFailures(ctx); err != nil {
		return f, true, fmt.Errorf("%s is undone, but not all of it is as before: %w", id, err)
	}
	return f, true, nil
}

// SetFailures makes these the failures of a part of a run, in place of those that it had: who carries the other parts tells
// them the same. Processes are not the part's. A failure that makes no sense is left out, and an error.
func (r *Run) SetFailures(ctx context.Context, list []Failure) error {
	if r.part == nil {
		return errWhole
	}
	var errs []error
	wanted := make(map[string]*Failure, len(list))
	for _, f := range list {
		if err := r.checkFailure(&f); err != nil {
			errs = append(errs, err)
			continue
		}
		f.Since = cmp.Or(f.Since, r.timeline.Now())
		wanted[f.ID()] = &f
	}
	fs := &r.failures
	fs.starting.Lock()
	defer fs.starting.Unlock()
	changed := false
	now := r.timeline.Now()
	for _, id := range slices.Sorted(maps.Keys(fs.list)) {
		if old := fs.list[id]; wanted[id] == nil {
			fs.set(id, nil, now)
			r.events.add(Event{Kind: Undone, A: old.A, B: old.B, Text: old.text()})
			changed = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		f := wanted[id]
		if old, there := fs.list[id]; there && old.same(f) {
			continue
		}
		fs.set(id, f, now)
		r.events.add(Event{Kind: Injected, At: f.Since, A: f.A, B: f.B, Text: f.text()})
		changed = true
	}
	if changed {
		errs = append(errs, r.settleFailures(ctx))
	}
	return errors.Join(errs...)
}

// FailuresAt are those that held at an instant of the past, in order of their IDs. The last
// ones that were undone are remembered.
func (r *Run) FailuresAt(t time.Duration) []Failure {
	fs := &r.failures
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	var out []Failure
	for _, f := range fs.list {
		if f.Since <= t {
			out = append(out, f)
		}
	}
	for _, f := range fs.past {
		if f.Since <= t && t < f.until {
			out = append(out, f.Failure)
		}
	}
	slices.SortFunc(out, func(a, b Failure) int { return strings.Compare(a.ID(), b.ID()) })
	return out
}

// set or, with nil, remove a failure at an instant. It is called with fs.starting held.
func (fs *failures) set(id string, f *Failure, at time.Duration) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if old, ok := fs.list[id]; ok {
		if len(fs.past) == failuresKept {
			fs.past = slices.Delete(fs.past, 0, 1)
		}
		fs.past = append(fs.past, pastFailure{old, at})
	}
	if f == nil {
		delete(fs.list, id)
		return
	}
	if fs.list == nil {
		fs.list, fs.killed = make(map[string]Failure), make(map[[2]string]killedOne)
	}
	fs.list[id] = *f
}

// holds tells whether a failure keeps a process dead.
func (fs *failures) holds(name, process string) bool {
	_, down := fs.list[(&Failure{Kind: KillNode, A: name}).ID()]
	_, killed := fs.list[(&Failure{Kind: KillProcess, A: name, Process: process}).ID()]
	return down || killed
}

// settleFailures makes links and processes be as the failures want them.
func (r *Run) settleFailures(ctx context.Context) error {
	fs := &r.failures
	r.director.fail(r.faults())
	var errs []error
	for _, p := range r.nodes.Processes() {
		if !fs.holds(p.Node, p.Name) {
			continue
		}
		n, _ := r.plan.Node(p.Node)
		spec, known := r.process(n.Index, p.Name)
		if over := p.State == node.Exited || p.State == node.Failed; over && spec.Restart == node.Never {
			continue // dead already, and would stay so
		}
		if err := r.nodes.Kill(ctx, p.Node, p.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		r.problem(p.Node+"/"+p.Name, "")
		if known {
			fs.killed[[2]string{p.Node, p.Name}] = killedOne{n.Index, spec}
		}
	}
	// In order of their names; those that need another one wait for it themselves.
	keys := slices.SortedFunc(maps.Keys(fs.killed), func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	for _, key := range keys {
		if fs.holds(key[0], key[1]) {
			continue
		}
		// Processes live as long as the run, not as long as the request.
		if err := r.nodes.Start(context.WithoutCancel(ctx), key[0], fs.killed[key].spec); err != nil {
			errs = append(errs, err)
		}
		delete(fs.killed, key)
	}
	return errors.Join(errs...)
}

// launch starts a process for the first time; one that a failure holds down is
// started when it no longer does.
func (r *Run) launch(ctx context.Context, n int, p node.Process) error {
	fs := &r.failures
	fs.starting.RLock()
	held := fs.holds(r.name(n), p.Name)
	if !held {
		defer fs.starting.RUnlock()
		return r.nodes.Start(ctx, r.name(n), p)
	}
	fs.starting.RUnlock()
	fs.starting.Lock()
	defer fs.starting.Unlock()
	if !fs.holds(r.name(n), p.Name) {
		return r.nodes.Start(ctx, r.name(n), p)
	}
	fs.killed[[2]string{r.name(n), p.Name}] = killedOne{n, p}
	return nil
}

// process of a node as this run starts it: a routing daemon, or a command of the
// scenario.
func (r *Run) process(n int, name string) (node.Process, bool) {
	if sw := r.softwareOf(n); sw != nil {
		for _, p := range sw.output.Processes {
			if p.Name == name {
				return r.daemon(p), true
			}
		}
	}
	for i := range r.plan.Scenario.Spec.Commands {
		c := &r.plan.Scenario.Spec.Commands[i]
		if c.Name == name && r.runs(c, n) {
			return r.command(c, n), true
		}
	}
	return node.Process{}, false
}

// processNames of a node, started or not yet.
func (r *Run) processNames(n int) (names []string) {
	if sw := r.softwareOf(n); sw != nil {
		for _, p := range sw.output.Processes {
			names = append(names, p.Name)
		}
	}
	for i := range r.plan.Scenario.Spec.Commands {
		if c := &r.plan.Scenario.Spec.Commands[i]; r.runs(c, n) {
			names = append(names, c.Name)
		}
	}
	return names
}

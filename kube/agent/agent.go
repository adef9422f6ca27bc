package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/kube/cni"
	"orrery.dev/orrery/node"
)

// Config of an Agent.
type Config struct {
	// Worker is the name of this one in the cluster.
	Worker string
	// StateDir is the agent's own directory, such as /run/orrery/agent.
	StateDir string
	Cluster  Cluster
	// Guests makes an engine of nodes for one scenario.
	Guests func() Guests
	// Fabric makes the link engine for one scenario.
	Fabric func(s Scenario, tl *clock.Timeline, ports []fabric.Port, seed uint64) (fabric.Fabric, error)
	// Underlay says that fabrics know other workers.
	Underlay bool
	// Settled, if not nil, is called when all sandboxes of an earlier agent are back.
	Settled func()
	// Clock of this host.
	Clock  clock.Source
	Logger *slog.Logger
}

// Agent answers plugins and carries the worker's part of scenarios. It implements
// cni.Handler.
type Agent struct {
	config  Config
	log     *slog.Logger
	journal journal
	lock    *os.File
	remover Guests // has no nodes, and deletes ports of sandboxes whose run is over, too

	mu        sync.Mutex // guards what follows
	scenarios map[ID]*entry
	sandboxes map[cni.Attachment]*sandbox
	starting  error               // why not all sandboxes are back
	answers   map[ID]http.Handler // the control APIs of scenarios
	attached  struct {
		number uint64
		took   time.Duration
	}
}

// entry holds a scenario's run. Its lock is held while the run, or a sandbox of it, changes.
type entry struct {
	mu  sync.Mutex
	run *run // nil if there is none
}

var _ cni.Handler = (*Agent)(nil)

var errStarting = errors.New("the node agent has just started, and takes its sandboxes over")

// New opens the state directory, which no other agent may use at the same time. Nothing is
// taken over before Run.
func New(c Config) (*Agent, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{
		config: c, log: c.Logger, journal: journal{filepath.Join(c.StateDir, "sandboxes")},
		scenarios: make(map[ID]*entry), sandboxes: make(map[cni.Attachment]*sandbox), starting: errStarting,
		answers: make(map[ID]http.Handler),
	}
	for _, dir := range []string{a.journal.dir, filepath.Join(c.StateDir, "scenarios"), filepath.Join(c.StateDir, "control")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("agent: %w", err)
		}
	}
	var err error
	if a.lock, err = os.OpenFile(filepath.Join(c.StateDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	if err := unix.Flock(int(a.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = a.lock.Close()
		return nil, fmt.Errorf("agent: another agent uses %s; end it first: %w", c.StateDir, err)
	}
	a.remover = c.Guests()
	list, err := a.journal.all()
	if err != nil {
		a.log.Error("sandboxes", "error", err)
	}
	for _, s := range list {
		if !s.there() {
			_ = a.journal.remove(s.Attachment)
			continue
		}
		a.sandboxes[s.Attachment] = s
	}
	return a, nil
}

// ControlSocket is where the control API of a scenario is served on this worker.
func (a *Agent) ControlSocket(id ID) string { return ControlSocket(a.config.StateDir, id) }

// ControlSocket is where an agent with a state directory serves the control API of a
// scenario.
func ControlSocket(stateDir string, id ID) string {
	return filepath.Join(stateDir, "control", id.Namespace+"_"+id.Name+".sock")
}

// Run takes sandboxes over that an agent before has left, and follows the cluster until ctx
// ends. Ports stay when it returns.
func (a *Agent) Run(ctx context.Context) error {
	defer a.close()
	a.recover(ctx)
	tick, ear := time.NewTicker(10*time.Second), time.NewTicker(listening)
	defer tick.Stop()
	defer ear.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-a.config.Cluster.Changes():
			a.refresh(ctx, id)
		case now := <-ear.C:
			a.listen(now)
		case <-tick.C:
			a.sweep()
			if a.isStarting() != nil {
				a.recover(ctx)
			}
		}
	}
}

// entries are those of all scenarios that there ever were.
func (a *Agent) entries() []*entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.scenarios))
}

// listen looks for all scenarios which of the other workers answer.
func (a *Agent) listen(now time.Time) {
	if !a.config.Underlay {
		return
	}
	for _, e := range a.entries() {
		e.mu.Lock()
		if e.run != nil {
			if err := e.run.listen(now); err != nil {
				e.run.log.Error("other workers", "error", err)
			}
		}
		e.mu.Unlock()
	}
}

func (a *Agent) close() {
	for _, e := range a.entries() {
		e.mu.Lock()
		if e.run != nil {
			if err := e.run.close(); err != nil {
				a.log.Error("end of a scenario", "error", err)
			}
			e.run = nil
		}
		e.mu.Unlock()
	}
	_ = a.lock.Close()
}

func (a *Agent) isStarting() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.starting
}

// recover makes the sandboxes that were written down, and are not back yet, nodes of their
// runs again: those of a scenario all at once, so that links between them keep their
// carriers.
func (a *Agent) recover(ctx context.Context) {
	began := time.Now()
	lists := make(map[ID][]*sandbox)
	a.mu.Lock()
	number := len(a.sandboxes)
	for _, s := range a.sandboxes {
		lists[s.Scenario] = append(lists[s.Scenario], s)
	}
	a.mu.Unlock()
	var errs []error
	for id, list := range lists {
		if err := a.takeOver(ctx, id, list); err != nil {
			a.log.Error("sandboxes are not back", "scenario", id.String(), "error", err)
			if !errors.Is(err, ErrNoScenario) {
				errs = append(errs, err)
			}
		}
	}
	starting := errors.Join(errs...)
	a.mu.Lock()
	a.starting = starting
	a.mu.Unlock()
	if starting != nil {
		return
	}
	if number > 0 {
		a.log.Info("took sandboxes over", "number", number, "took", time.Since(began))
	}
	if a.config.Settled != nil {
		a.config.Settled()
	}
}

// takeOver makes sandboxes of a scenario nodes of its run. The scenario is learned if it is
// not running yet.
func (a *Agent) takeOver(ctx context.Context, id ID, list []*sandbox) error {
	e := a.entry(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run == nil {
		r, err := a.begin(ctx, list[0], []learner{a.recall, a.hear})
		if err != nil {
			return err
		}
		e.run = r
	}
	byNode := make(map[string]*sandbox)
	for _, s := range list {
		if e.run.sandboxes[s.Node] != nil {
			continue // it is back, or another pod has become the node since
		}
		if s.UID != e.run.seen.UID { // a scenario of the same name
			s.UID = e.run.seen.UID
			if err := a.journal.put(s); err != nil {
				return fmt.Errorf("agent: write the sandbox down: %w", err)
			}
		}
		byNode[s.Node] = s
	}
	return e.run.adopt(ctx, byNode)
}

// sweep forgets sandboxes whose namespaces are gone without a word.
func (a *Agent) sweep() {
	a.mu.Lock()
	var gone []*sandbox
	for _, s := range a.sandboxes {
		gone = append(gone, s)
	}
	a.mu.Unlock()
	for _, s := range gone {
		if !s.there() {
			if err := a.detach(s); err != nil {
				a.log.Error("a sandbox that is gone", "pod", s.Pod.Name, "error", err)
			}
		}
	}
}

func (a *Agent) entry(id ID) *entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.scenarios[id]
	if e == nil {
		e = new(entry)
		a.scenarios[id] = e
	}
	return e
}

// refresh takes over what has changed of a scenario.
func (a *Agent) refresh(ctx context.Context, id ID) {
	e := a.entry(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := a.config.Cluster.Scenario(ctx, id)
	awaited := err == nil && s.Awaited[a.config.Worker] > 0
	switch {
	case e.run == nil:
		if awaited { // before its first pod asks, and all that come meanwhile with it
			a.expect(ctx, e, s)
		}
		return
	case !awaited && !a.hasSandboxes(id): // pods that were awaited went elsewhere
		if err := e.end(); err != nil {
			a.log.Error("end of a scenario", "scenario", id.String(), "error", err)
		}
		return
	case err != nil:
		return // it goes on as it is; its pods end with it
	case s.UID == e.run.seen.UID && s.Revision == e.run.seen.Revision && s.Port == e.run.seen.Port:
		err = e.run.follow(ctx, s)
	default:
		err = a.renew(ctx, e, s)
	}
	if err != nil {
		a.log.Error("a change of a scenario", "scenario", id.String(), "error", err)
	}
	if e.run == nil { // its sandboxes are taken over again, as after a start
		a.mu.Lock()
		a.starting = errors.Join(a.starting, err)
		a.mu.Unlock()
	}
}

// expect begins a scenario of which a pod is about to start here. What goes wrong is said
// again to that pod. e.mu is held.
func (a *Agent) expect(ctx context.Context, e *entry, s Scenario) {
	packed, err := a.config.Cluster.Packed(ctx, s)
	if err == nil {
		e.run, err = a.open(ctx, s, packed)
	}
	if err != nil {
		a.log.Warn("a scenario cannot begin before its pods", "scenario", s.String(), "reason", err)
	}
}

// end ends the run, of which nothing is kept. e.mu is held.
func (e *entry) end() error {
	r := e.run
	e.run = nil
	return errors.Join(r.close(), os.RemoveAll(r.dir))
}

// attach makes a sandbox's ports. The scenario is asked for if it is not running yet.
func (a *Agent) attach(ctx context.Context, s *sandbox) (cni.Result, error) {
	e := a.entry(s.Scenario)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run == nil {
		r, err := a.begin(ctx, s, []learner{a.hear})
		if err != nil {
			return cni.Result{}, err
		}
		e.run = r
	}
	s.UID = e.run.seen.UID
	if err := a.journal.put(s); err != nil {
		return cni.Result{}, fmt.Errorf("agent: write the sandbox down: %w", err)
	}
	a.mu.Lock()
	a.sandboxes[s.Attachment] = s
	a.mu.Unlock()
	return e.run.join(ctx, s)
}

// join makes a sandbox's node one of the run. The scenario's lock is held.
func (r *run) join(ctx context.Context, s *sandbox) (cni.Result, error) {
	n, ok := r.plan.Node(s.Node)
	if !ok {
		return cni.Result{}, &cni.Error{
			Code: cni.CodeTryAgainLater, Message: fmt.Sprintf("scenario %s has no node %s; its pod is one of an earlier or a later revision", r.seen.ID, s.Node),
		}
	}
	if old := r.sandboxes[s.Node]; old != nil && (old.Namespace != s.Namespace || old.Identity != s.Identity) {
		if err := r.leave(old); err != nil {
			return cni.Result{}, err
		}
	}
	spec := emulation.NodeSpec(r.plan, r.scheme, n.Index)
	if err := r.guests.Add(ctx, s.Namespace, spec); err != nil {
		return cni.Result{}, err
	}
	r.sandboxes[s.Node] = s
	if err := r.part.Join(n.Index); err != nil {
		return cni.Result{}, err
	}
	return resultOf(&spec), nil
}

// leave gives a sandbox up, if it is its node's present one.
func (r *run) leave(s *sandbox) error {
	if present := r.sandboxes[s.Node]; present == nil || present.Attachment != s.Attachment {
		return nil
	}
	delete(r.sandboxes, s.Node)
	var err error
	if n, ok := r.plan.Node(s.Node); ok {
		err = r.part.Leave(n.Index)
	}
	r.guests.Remove(s.Node)
	return err
}

// detach gives a sandbox up and forgets it. The last one of a scenario ends its run here.
func (a *Agent) detach(s *sandbox) error {
	e := a.entry(s.Scenario)
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	if e.run != nil {
		errs = append(errs, e.run.leave(s))
	}
	if s.there() {
		errs = append(errs, a.remover.DeletePorts(s.Namespace))
	}
	if err := errors.Join(append(errs, a.journal.remove(s.Attachment))...); err != nil {
		return err
	}
	a.mu.Lock()
	delete(a.sandboxes, s.Attachment)
	a.mu.Unlock()
	if e.run != nil && len(e.run.sandboxes) == 0 {
		return e.end()
	}
	return nil
}

// hasSandboxes tells whether there is one of a scenario, be it a node of its run or not.
func (a *Agent) hasSandboxes(id ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sandboxes {
		if s.Scenario == id {
			return true
		}
	}
	return false
}

func (a *Agent) known(at cni.Attachment) *sandbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sandboxes[at]
}

// Add implements cni.Handler.
func (a *Agent) Add(ctx context.Context, q *cni.Request) (cni.Result, error) {
	began := time.Now()
	result, err := a.add(ctx, q)
	if err == nil && len(result.Interfaces) > 0 {
		a.mu.Lock()
		a.attached.number++
		a.attached.took += time.Since(began)
		a.mu.Unlock()
	}
	return result, err
}

func (a *Agent) add(ctx context.Context, q *cni.Request) (cni.Result, error) {
	m, err := a.config.Cluster.Member(ctx, q.Pod.Namespace, q.Pod.Name)
	if errors.Is(err, ErrNoMember) {
		return cni.Result{}, nil
	}
	if err != nil {
		return cni.Result{}, again(err)
	}
	id, err := node.IdentifyNamespace(q.Namespace)
	if err != nil {
		return cni.Result{}, &cni.Error{Code: cni.CodeEnvironment, Message: err.Error()}
	}
	s := &sandbox{
		Attachment: q.Attachment, Network: q.Network, Namespace: q.Namespace, Identity: id,
		Pod: q.Pod, Scenario: m.Scenario, Node: m.Node,
	}
	if old := a.known(q.Attachment); old != nil && (old.Scenario != s.Scenario || old.Node != s.Node || old.Identity != s.Identity) {
		if err := a.detach(old); err != nil {
			return cni.Result{}, err
		}
	}
	result, err := a.attach(ctx, s)
	if errors.Is(err, ErrNoScenario) {
		return cni.Result{}, again(err)
	}
	return result, err
}

// again is an error that may be over in a moment.
func again(err error) error {
	if e, ok := errors.AsType[*cni.Error](err); ok {
		return e
	}
	return &cni.Error{Code: cni.CodeTryAgainLater, Message: err.Error()}
}

// Delete implements cni.Handler.
func (a *Agent) Delete(_ context.Context, q *cni.Request) error {
	s := a.known(q.Attachment)
	if s == nil {
		return nil
	}
	return a.detach(s)
}

// Check implements cni.Handler.
func (a *Agent) Check(_ context.Context, q *cni.Request) error {
	s := a.known(q.Attachment)
	if s == nil {
		if q.Expected == nil || !slices.ContainsFunc(q.Expected.Interfaces, func(i cni.Interface) bool { return i.MAC != "" }) {
			return nil
		}
		return a.checkUnknown(q)
	}
	e := a.entry(s.Scenario)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run == nil || e.run.sandboxes[s.Node] == nil {
		return &cni.Error{Code: cni.CodeTryAgainLater, Message: fmt.Sprintf("the node agent has not taken node %s over yet", s.Node)}
	}
	err := e.run.guests.Check(s.Node)
	if err == nil {
		err = e.run.compare(s, q.Expected)
	}
	if err != nil {
		return &cni.Error{Code: cni.CodeMismatch, Message: err.Error()}
	}
	return nil
}

// checkUnknown: a pod that is no node has nothing to compare; one that is ought to be known.
func (a *Agent) checkUnknown(q *cni.Request) error {
	_, err := a.config.Cluster.Member(context.Background(), q.Pod.Namespace, q.Pod.Name)
	if errors.Is(err, ErrNoMember) {
		return nil
	}
	return &cni.Error{Code: cni.CodeUnknownContainer, Message: fmt.Sprintf("container %s has no ports of a scenario", q.Container)}
}

// compare looks whether all that ADD has answered is what it would answer now.
func (r *run) compare(s *sandbox, expected *cni.Result) error {
	if expected == nil {
		return nil
	}
	n, ok := r.plan.Node(s.Node)
	if !ok {
		return fmt.Errorf("scenario %s has no node %s any more", r.seen.ID, s.Node)
	}
	spec := emulation.NodeSpec(r.plan, r.scheme, n.Index)
	for _, i := range resultOf(&spec).Interfaces {
		same := func(o cni.Interface) bool { return o.Name == i.Name && (i.MAC == "" || o.MAC == i.MAC) }
		if !slices.ContainsFunc(expected.Interfaces, same) {
			return fmt.Errorf("node %s has the port %s, which is not in the result of ADD", s.Node, i.Name)
		}
	}
	return nil
}

// Collect implements cni.Handler.
func (a *Agent) Collect(_ context.Context, q *cni.Request) error {
	a.mu.Lock()
	var stale []*sandbox
	for at, s := range a.sandboxes {
		if s.Network == q.Network && !slices.Contains(q.Valid, at) {
			stale = append(stale, s)
		}
	}
	a.mu.Unlock()
	var errs []error
	for _, s := range stale {
		errs = append(errs, a.detach(s))
	}
	return errors.Join(errs...)
}

// Status implements cni.Handler.
func (a *Agent) Status(context.Context) error {
	if err := a.isStarting(); err != nil {
		return &cni.Error{Code: cni.CodeLimited, Message: err.Error()}
	}
	if err := a.config.Cluster.Ready(); err != nil {
		return &cni.Error{Code: cni.CodeNotAvailable, Message: err.Error()}
	}
	return nil
}

// resultOf is what a plugin hears of a node.
func resultOf(spec *node.Spec) (r cni.Result) {
	r.Interfaces = append(r.Interfaces, cni.Interface{Name: "lo", Addresses: spec.Loopback})
	for _, p := range spec.Ports {
		r.Interfaces = append(r.Interfaces, cni.Interface{Name: p.Name, MAC: net.HardwareAddr(p.MAC[:]).String(), MTU: p.MTU, Addresses: p.Addresses})
	}
	return r
}

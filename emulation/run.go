package emulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/record"
)

// Nodes is the node engine with the abilities that a run needs beyond the
// mandatory ones.
type Nodes interface {
	node.Engine
	node.Lookuper
	node.DropCounter
	node.Silencer
	node.Killer
	node.RouteWatcher
}

// Config of a run.
type Config struct {
	Plan     *plan.Plan
	Nodes    Nodes
	Timeline *clock.Timeline
	// Fabric makes the link engine for devices in order of the plan's ports.
	Fabric func(*clock.Timeline, []fabric.Port) (fabric.Fabric, error)
	// Echo makes the means by which a node sends echo requests; nil for a socket
	// in its namespace.
	Echo func(node string) (Echo, error)
	// Datagrams opens a node's socket for probe streams; nil for one in its namespace.
	Datagrams func(node string) (Datagrams, error)
	// Record keeps what happens; nil for none.
	Record *Recording
	// Progress hears what bring-up is doing: what, how much of how much. Optional.
	Progress func(what string, done, total int)
	Logger   *slog.Logger
}

// Phase of a run's life.
type Phase int32

// The phases, in order.
const (
	PhaseStarting Phase = iota
	PhaseConverging
	PhaseRunning
	PhaseStopping
	PhaseFailed
)

// Run is one emulation from its nodes' creation to their end.
type Run struct {
	plan      *plan.Plan
	nodes     Nodes
	timeline  *clock.Timeline
	addresses address.Scheme
	log       *slog.Logger
	progress  func(string, int, int)
	newFabric func(*clock.Timeline, []fabric.Port) (fabric.Fabric, error)
	newEcho   func(string) (Echo, error)

	newDatagrams func(string) (Datagrams, error)

	fabric   fabric.Fabric
	director *director
	prober   *prober
	oracle   *oracle
	metrics  *metrics
	events   *eventLog
	examiner *examiner
	failures failures
	recorder *recorder // nil if nothing is recorded, and so is observer
	observer *observer
	software []software
	part     *part // nil if the run carries all nodes

	pastTraffic *pastTraffic // nil if it does not

	phase     atomic.Int32
	gate      gate
	started   time.Time
	converged chan struct{} // closed when every pair has been reachable
	ended     chan struct{} // closed when the scenario's duration is over
	cancel    context.CancelFunc
	group     *errgroup.Group

	mu             sync.Mutex // guards the rest
	convergedAfter time.Duration
	problems       map[string]string // by process or part
	adjacencies    adjacencies
	rate           frameRate
	fidelity       Fidelity
}

// New prepares a run; nothing is made yet.
func New(cfg Config) (*Run, error) {
	scheme, err := assignment.Scheme(cfg.Plan)
	if err != nil {
		return nil, err
	}
	r := &Run{
		plan: cfg.Plan, nodes: cfg.Nodes, timeline: cfg.Timeline, addresses: scheme,
		log: cfg.Logger, progress: cfg.Progress, newFabric: cfg.Fabric, newEcho: cfg.Echo,
		converged: make(chan struct{}), ended: make(chan struct{}),
		problems: make(map[string]string),
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.newEcho == nil {
		r.newEcho = func(name string) (Echo, error) { return newEcho(r.nodes, name) }
	}
	if r.newDatagrams = cfg.Datagrams; r.newDatagrams == nil {
		r.newDatagrams = func(name string) (Datagrams, error) { return newDatagrams(r.nodes, name) }
	}
	if r.progress == nil {
		r.progress = func(string, int, int) {}
	}
	r.events = newEventLog(r.timeline.Now)
	if cfg.Record != nil {
		if err := r.checkRecording(cfg.Record); err != nil {
			return nil, err
		}
		if r.recorder, err = newRecorder(r, *cfg.Record); err != nil {
			return nil, err
		}
		r.events.record = r.recorder.event
		r.observer = newObserver(r, *cfg.Record, r.recorder.out)
	}
	return r, nil
}

// Start makes nodes and links, lets time run, and begins to start the software.
// When it returns an error nothing is left of the run.
func (r *Run) Start(ctx context.Context) (err error) {
	r.started = time.Now()
	defer func() {
		if err != nil {
			r.Conclude(record.Failed, err.Error())
			err = errors.Join(err, r.Stop(context.WithoutCancel(ctx)))
		}
	}()
	r.progress("nodes", 0, len(r.plan.Nodes))
	if err := r.nodes.Create(ctx, specs(r.plan, r.addresses)); err != nil {
		return err
	}
	r.progress("nodes", len(r.plan.Nodes), len(r.plan.Nodes))

	var ports []fabric.Port
	for i := range r.plan.Nodes {
		n := &r.plan.Nodes[i]
		for _, p := range n.Ports {
			dev, err := r.nodes.Device(n.Name, p.Name)
			if err != nil {
				return err
			}
			ports = append(ports, fabric.Port{
				Name: n.Name + ":" + p.Name, Device: dev, Node: i + 1, Origin: origin(r.plan, r.addresses, i, p.Index),
			})
		}
	}
	if r.fabric, err = r.newFabric(r.timeline, ports); err != nil {
		return err
	}
	r.prepare()
	r.pastTraffic = newPastTraffic(r)

	// The sky as it stands at time 0, before anything runs in it.
	cursor := r.plan.Windows(windowLength(r.timeline.Speed()))
	first, err := cursor.Next(ctx)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if r.plan.Scenario.Spec.Boot == bootRouters {
		r.gate.close()
	}
	r.director.load(first)
	r.director.apply()
	if err := r.assign(); err != nil {
		return err
	}
	r.progress("links", len(r.director.up()), len(r.director.up()))
	if n := len(r.oracle.members); n > 0 {
		r.progress("routes", 0, n)
		if _, err := r.oracle.update(ctx, false); err != nil {
			return err
		}
		r.progress("routes", n, n)
	}

	if r.prober, err = newProber(r, r.probed()); err != nil {
		return err
	}
	r.timeline.Resume()
	r.live(ctx, PhaseConverging, map[string]func(context.Context) error{
		"planner":    func(ctx context.Context) error { return r.director.planAhead(ctx, cursor, nil) },
		"director":   r.director.direct,
		"oracle":     r.oracle.follow,
		"metrics":    r.metrics.follow,
		"traffic":    r.pastTraffic.follow,
		"prober":     r.prober.probe,
		"watch":      r.watch,
		"neighbours": r.watchAdjacencies,
		"routers":    r.startSoftware,
		"commands":   r.startCommands,
		"end":        r.waitEnd,
		"record":     r.recorder.follow,
		"routes":     r.observer.watch,
		"pairs":      r.observer.follow,
		"streams":    r.recorder.stream,
		"workloads":  r.recorder.work,
	})
	if len(r.prober.pairs) == 0 {
		r.converge()
	}
	return nil
}

// prepare makes the parts that work on the fabric.
func (r *Run) prepare() {
	r.director = newDirector(r.plan, r.fabric, r.timeline)
	r.director.carriers = r.setCarriers
	r.director.changed = r.topologyChanged
	r.oracle = newOracle(r)
	r.metrics = newMetrics(r)
	r.examiner = newExaminer(r, os.DirFS("/proc"))
}

// probed are the nodes that send each other echo requests.
func (r *Run) probed() []int {
	if r.plan.Scenario.Spec.Probes == "none" {
		return nil
	}
	return r.stations()
}

func (r *Run) stations() []int {
	var out []int
	for i := range r.plan.Nodes {
		if r.plan.Nodes[i].Kind == plan.Station {
			out = append(out, i)
		}
	}
	return out
}

// setCarriers tells nodes whether their ports have links.
func (r *Run) setCarriers(carriers ...fabric.Carrier) {
	switch {
	case r.part != nil:
		r.part.carriers(carriers)
	case !r.gate.keep(carriers):
		r.applyCarriers(carriers...)
	}
}

func (r *Run) applyCarriers(carriers ...fabric.Carrier) {
	if err := r.fabric.SetCarriers(carriers...); err != nil {
		r.problem("carrier", err.Error())
	}
}

// topologyChanged passes changes on to the log and to the oracle.
func (r *Run) topologyChanged(changes []applied) {
	events := make([]Event, len(changes))
	for i, c := range changes {
		events[i] = r.topologyEvent(c)
	}
	r.events.add(events...)
	r.oracle.wake()
	r.metrics.note(changes)
	r.observer.note(observation{links: changes})
}

func (r *Run) topologyEvent(c applied) Event {
	kind := LinkDown
	if c.up {
		kind = LinkUp
	}
	return Event{At: c.at, Kind: kind, A: r.portName(c.contact.A), B: r.portName(c.contact.B), Text: c.contact.Class.String()}
}

func (r *Run) name(n int) string { return r.plan.Nodes[n].Name }

func (r *Run) portName(id plan.PortID) string {
	p := r.plan.Port(id)
	return r.name(p.Node) + ":" + p.Name
}

// converge notes that every pair of stations has reached each other.
func (r *Run) converge() {
	r.mu.Lock()
	first := r.convergedAfter == 0
	if first {
		r.convergedAfter = time.Since(r.started)
	}
	after := r.convergedAfter
	r.mu.Unlock()
	if !first {
		return
	}
	r.phase.CompareAndSwap(int32(PhaseConverging), int32(PhaseRunning))
	r.events.add(Event{Kind: Converged, Text: "every pair of stations has reached each other, " + after.Round(time.Millisecond).String() + " after the start"})
	r.examiner.settle()
	close(r.converged)
}

// problem notes what is wrong with a part of the run; an empty text clears it.
func (r *Run) problem(part, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == "" {
		delete(r.problems, part)
	} else {
		r.problems[part] = text
	}
}

// waitEnd closes ended when the scenario's duration is over, or what is to be measured.
func (r *Run) waitEnd(ctx context.Context) error {
	d := time.Duration(r.plan.Scenario.Spec.Duration)
	if end := r.recorder.end(); end > 0 && (d == 0 || end < d) {
		d = end
	}
	if d == 0 {
		return nil
	}
	if err := r.timeline.WaitUntil(ctx, d); err != nil {
		return nil
	}
	close(r.ended)
	return nil
}

// Converged is closed when every pair of stations has reached each other once.
func (r *Run) Converged() <-chan struct{} { return r.converged }

// Ended is closed when the scenario's duration is over, or the span that is recorded.
// The run goes on until Stop.
func (r *Run) Ended() <-chan struct{} { return r.ended }

// Events gives the events kept and then each new one, until cancel is called.
func (r *Run) Events() (history []Event, events <-chan Event, cancel func()) {
	return r.events.subscribe()
}

// EventsSince gives at most so many of the events that are kept, from a sequence
// number on, and the number to go on with. changed is closed when there are more.
// A reader that is slow needs no queue so: it finds what is still kept, and sees in
// the sequence numbers what it has missed.
func (r *Run) EventsSince(next uint64, limit int) (events []Event, then uint64, changed <-chan struct{}) {
	return r.events.since(next, limit)
}

// EventCount is the number of events so far, and so the next one's sequence number.
func (r *Run) EventCount() uint64 {
	count, _, _ := r.events.totals()
	return count
}

// Timeline is the run's clock.
func (r *Run) Timeline() *clock.Timeline { return r.timeline }

// Plan of the run.
func (r *Run) Plan() *plan.Plan { return r.plan }

// Nodes of the run.
func (r *Run) Nodes() Nodes { return r.nodes }

// Fabric of the run.
func (r *Run) Fabric() fabric.Fabric { return r.fabric }

// Pause stops scenario time.
func (r *Run) Pause() error {
	if r.part != nil {
		return errSteer
	}
	r.timeline.Pause()
	r.events.add(Event{Kind: Paused})
	return nil
}

// Resume lets scenario time run again.
func (r *Run) Resume() error {
	if r.part != nil {
		return errSteer
	}
	r.timeline.Resume()
	r.events.add(Event{Kind: Resumed})
	return nil
}

// SetSpeed changes how many seconds of orbit pass per second.
func (r *Run) SetSpeed(speed float64) error {
	if !(speed > 0 && speed <= maxSpeed) {
		return fmt.Errorf("speed %g: want a number above 0 and up to %d", speed, maxSpeed)
	}
	if r.part != nil {
		return errSteer
	}
	r.timeline.SetSpeed(speed)
	r.events.add(Event{Kind: SpeedChanged, Text: fmt.Sprintf("%g seconds of orbit per second", speed)})
	return nil
}

const maxSpeed = 100_000

// Stop ends all processes and nodes; nothing of the run is left in the kernel. A part of a
// run only lets go of its nodes' devices.
func (r *Run) Stop(ctx context.Context) error {
	r.phase.Store(int32(PhaseStopping))
	ended := r.timeline.Now()
	r.timeline.Pause()
	if r.cancel != nil {
		r.cancel()
		_ = r.group.Wait()
	}
	if r.prober != nil {
		r.prober.close()
	}
	var errs []error
	if r.fabric != nil {
		errs = append(errs, r.fabric.Close())
	}
	if r.part == nil {
		errs = append(errs, r.nodes.Destroy(ctx))
	}
	r.observer.finish(ended)
	errs = append(errs, r.recorder.finish(ended))
	return errors.Join(errs...)
}

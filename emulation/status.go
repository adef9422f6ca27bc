package emulation

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
)

// Status is a run at one moment.
type Status struct {
	Name         string
	Phase        Phase
	Problems     []string
	Epoch        time.Time
	ScenarioTime time.Duration
	Duration     time.Duration // 0: no end
	Speed        float64
	Paused       bool
	Uptime       time.Duration

	Satellites, Stations, Ports int
	ISLs, GroundLinks           int // up now

	Routing   []string // such as "isis/frr"
	Processes []node.ProcessStatus
	// Wanted is how many processes the routing software consists of, started or
	// not yet.
	Wanted int
	// Adjacencies as the daemons report them, each seen from both of its ends,
	// and how many there would be if every link between routers had one.
	Adjacencies, AdjacenciesPossible int
	HasAdjacencies                   bool

	Events, TopologyEvents uint64
	Last, Next             *Event

	Pairs          []Pair
	ConvergedAfter time.Duration // 0: not yet
	Counters       fabric.Counters
	Carrying       fabric.Fidelity
	Fidelity       Fidelity
	FrameRate      float64          // frames per second over the last seconds
	EventLateness  fabric.Histogram // host time from a topology event's instant until it stood
	PlanAhead      time.Duration
	Failures       []Failure // injected
}

// watchInterval is how often slowly gathered figures are renewed.
const watchInterval = time.Second

// adjacencies as of the last round of questions.
type adjacencies struct {
	byNode map[int]int
	total  int
}

// frameRate derives frames per second from two readings of a counter.
type frameRate struct {
	at     time.Time
	frames uint64
	perSec float64
}

func (f *frameRate) update(frames uint64, now time.Time) {
	if dt := now.Sub(f.at).Seconds(); !f.at.IsZero() && dt > 0 {
		f.perSec = float64(frames-f.frames) / dt
	}
	f.at, f.frames = now, frames
}

// watch gathers what costs more than a look: processes' fates, the frame rate.
func (r *Run) watch(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	seen := make(map[string]processSeen)
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			r.watchProcesses(seen)
			frames := r.examiner.examine(ctx).SentFrames
			r.mu.Lock()
			r.rate.update(frames, now)
			r.mu.Unlock()
			if _, err := r.director.ahead(); err != nil {
				r.problem("planner", err.Error())
			}
		}
	}
}

// longestPause between two rounds of questions.
const longestPause = 30 * time.Second

// watchAdjacencies asks the daemons again and again. A thousand of them have
// more to do than to answer: the longer a round takes, the longer is the pause
// after it.
func (r *Run) watchAdjacencies(ctx context.Context) error {
	for pause := watchInterval; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		begin := time.Now()
		adj := r.askAdjacencies(ctx)
		pause = min(max(watchInterval, 9*time.Since(begin)), longestPause)
		r.mu.Lock()
		r.adjacencies = adj
		r.mu.Unlock()
	}
}

// processSeen is how a process was at the last look.
type processSeen struct {
	state    node.ProcessState
	restarts int
}

// watchProcesses logs what became of processes since the last look, also of
// those that ended and are up again.
func (r *Run) watchProcesses(seen map[string]processSeen) {
	listed := make(map[string]bool)
	defer maps.DeleteFunc(seen, func(key string, _ processSeen) bool { return !listed[key] })
	for _, p := range r.nodes.Processes() {
		key := p.Node + "/" + p.Name
		listed[key] = true
		now, last := processSeen{p.State, p.Restarts}, seen[key]
		if now == last {
			continue
		}
		seen[key] = now
		if now.restarts > last.restarts {
			r.events.add(Event{Kind: ProcessDown, A: p.Node, Text: p.Name + ": " + p.Reason})
		}
		switch p.State {
		case node.Running:
			r.events.add(Event{Kind: ProcessUp, A: p.Node, Text: p.Name})
			r.problem(key, "")
		case node.Failed:
			r.events.add(Event{Kind: ProcessFailed, A: p.Node, Text: p.Name + ": " + p.Reason})
			r.problem(key, p.Name+" of "+p.Node+" failed: "+p.Reason)
		case node.Exited, node.Starting:
		}
	}
}

// counters are the sums over all ports.
func (r *Run) counters() (sum fabric.Counters) {
	for i := range r.plan.NumPorts() {
		sum.Add(r.fabric.Counters(fabric.PortID(i)))
	}
	return sum
}

// Status of the run. It may be called at any time after Start returned.
func (r *Run) Status() Status {
	s := Status{
		Name:         r.plan.Scenario.Metadata.Name,
		Phase:        Phase(r.phase.Load()),
		Epoch:        r.plan.Epoch,
		ScenarioTime: r.timeline.Now(),
		Duration:     time.Duration(r.plan.Scenario.Spec.Duration),
		Speed:        r.timeline.Speed(),
		Paused:       r.timeline.Paused(),
		Uptime:       time.Since(r.started),
		Ports:        r.plan.NumPorts(),
		Processes:    r.nodes.Processes(),
		Wanted:       r.wanted(),
		Pairs:        r.prober.snapshot(),
		Counters:     r.counters(),
		Carrying:     r.fabric.Fidelity(),
		Failures:     r.Failures(),
	}
	for i := range r.plan.Nodes {
		if r.plan.Nodes[i].Kind == plan.Station {
			s.Stations++
		} else {
			s.Satellites++
		}
	}
	if r.part != nil {
		s.Routing = slices.Clone(r.part.routing)
	}
	routers := make(map[int]bool)
	for _, sw := range r.software {
		if !slices.Contains(s.Routing, sw.label) {
			s.Routing = append(s.Routing, sw.label)
		}
		if sw.neighbour {
			routers[sw.node] = true
		}
	}
	s.HasAdjacencies = len(routers) > 0
	for _, c := range r.director.up() {
		if c.Class == plan.Ground {
			s.GroundLinks++
		} else {
			s.ISLs++
		}
		if routers[r.plan.Port(c.A).Node] && routers[r.plan.Port(c.B).Node] {
			s.AdjacenciesPossible += 2
		}
	}
	var err error
	s.PlanAhead, err = r.director.ahead()
	if err != nil {
		r.problem("planner", err.Error())
	}
	s.EventLateness = r.director.lateness()
	s.Events, s.TopologyEvents, s.Last = r.events.totals()
	if f, ok := r.fabric.(troubled); ok && f.Trouble() != "" {
		r.problem("fabric", f.Trouble())
	}
	if f, ok := r.fabric.(fabric.UnderlayStatuser); ok {
		for _, p := range f.Underlay().Peers {
			r.problem("underlay "+p.Host, strings.Join(p.Warnings, "; "))
		}
	}
	if next, ok := r.director.next(); ok {
		e := r.topologyEvent(next)
		s.Next = &e
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Adjacencies = r.adjacencies.total
	s.ConvergedAfter = r.convergedAfter
	s.FrameRate = r.rate.perSec
	s.Fidelity = r.fidelity
	for _, p := range r.problems {
		s.Problems = append(s.Problems, p)
	}
	slices.Sort(s.Problems)
	return s
}

// troubled is the further ability of a fabric to say what has happened to it that
// frames may have suffered from.
type troubled interface{ Trouble() string }

var _ troubled = (*fabric.Process)(nil)

// AdjacenciesOf a node at the last round of questions.
func (r *Run) AdjacenciesOf(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.adjacencies.byNode[n]
}

// Links are the contacts of this moment.
func (r *Run) Links() []*plan.Contact { return r.director.up() }

// ContactOf a port at this moment, or nil, and the port at its other end.
func (r *Run) ContactOf(p plan.PortID) (*plan.Contact, plan.PortID) {
	c := r.director.contact(p)
	if c == nil {
		return nil, 0
	}
	return c, peer(c, p)
}

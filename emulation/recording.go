package emulation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fidelity"
	"orrery.dev/orrery/observe/usage"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/record"
)

// Recording says what of a run is kept, and where.
type Recording struct {
	// Dir must hold no record yet.
	Dir string
	// Orrery is the version of this program.
	Orrery string
	Labels map[string]string
	// WarmUp and Span in scenario time from its beginning on: what is before WarmUp is
	// recorded and does not count. The run ends after both. Span 0: all that comes.
	WarmUp, Span time.Duration
	// AllPairs follows the pairs of all nodes instead of those of stations. Memory grows
	// with the square of the number of nodes: some 100 bytes for each pair.
	AllPairs bool
	// Streams are one-way probes, and Workloads traffic of users.
	Streams   []Stream
	Workloads []Workload
}

const (
	flushInterval    = time.Second
	resourceInterval = 10 * time.Second // host time
	controlInterval  = 10 * time.Second // host time
	// Shares of memory are read of so many processes at most, since the kernel walks
	// through all pages of each.
	proportionalMost = 300
)

// recorder writes what happens to the record. All methods do nothing on a nil recorder.
type recorder struct {
	run    *Run
	config Recording
	out    *record.Writer
	proc   fs.FS

	mu      sync.Mutex // guards the rest
	about   record.Run
	settled bool // the warm-up is over, and the judge was told
	levels  [3]time.Duration
	worst   fidelity.Verdict
	judged  time.Time
	last    fabric.Fidelity
	events  fabric.Histogram
	lost    fidelity.Lost
	cpu     fidelity.CPU
}

// newRecorder begins a record.
func newRecorder(r *Run, c Recording) (*recorder, error) {
	p := r.plan
	text, err := p.Scenario.YAML()
	if err != nil {
		return nil, err
	}
	about := record.Run{
		Orrery: c.Orrery, Started: time.Now().UTC(), Labels: c.Labels,
		Machine: describeMachine(os.DirFS("/")), Daemons: daemonVersions(context.Background(), p),
		Scenario: record.Scenario{
			Name: p.Scenario.Metadata.Name, Epoch: p.Epoch, Speed: r.timeline.Speed(), Seed: p.Scenario.Spec.Seed, Ports: p.NumPorts(),
			Stations: []string{}, Routing: []string{},
		},
		Span:     record.Span{WarmUp: c.WarmUp.Microseconds(), From: c.WarmUp.Microseconds()},
		Outcome:  record.Outcome{Converged: -1},
		Fidelity: record.Verdict{Level: record.Unknown},
	}
	seen := make(map[string]bool)
	for i := range p.Nodes {
		if p.Nodes[i].Kind == plan.Station {
			about.Scenario.Stations = append(about.Scenario.Stations, p.Nodes[i].Name)
		} else {
			about.Scenario.Satellites++
		}
		if entry := assignment.Routing(p, i); entry != nil && !seen[assignment.Label(entry)] {
			seen[assignment.Label(entry)] = true
			about.Scenario.Routing = append(about.Scenario.Routing, assignment.Label(entry))
		}
	}
	out, err := record.Create(c.Dir, text, about)
	if err != nil {
		return nil, err
	}
	return &recorder{run: r, config: c, out: out, about: about, proc: os.DirFS("/proc")}, nil
}

// unobserved notes once that something asked for cannot be observed.
func (c *recorder) unobserved(text string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.about.Unobserved {
		if known == text {
			return
		}
	}
	c.about.Unobserved = append(c.about.Unobserved, text)
}

// event records an event of the run's log.
func (c *recorder) event(e *Event) {
	if c == nil {
		return
	}
	record.Events.Write(c.out, record.Event{
		At: e.At.Microseconds(), Host: e.Host.UnixMicro(), Kind: string(e.Kind), A: e.A, B: e.B, Text: e.Text,
	})
	if e.Kind == Converged {
		c.mu.Lock()
		c.about.Outcome.Converged = e.At.Microseconds()
		c.mu.Unlock()
	}
}

// roundTrip records what an echo request met that was sent at an instant.
func (c *recorder) roundTrip(at time.Duration, a, b int, rtt RTT, oracle time.Duration) {
	if c == nil {
		return
	}
	row := record.RoundTrip{
		At: at.Microseconds(), A: c.run.name(a), B: c.run.name(b), Lost: rtt.Lost,
		Geometric: microseconds(rtt.Geometric), Oracle: microseconds(oracle),
	}
	if !rtt.Lost {
		row.Measured, row.Hops = microseconds(rtt.Measured), int32(rtt.Hops)
	}
	record.RoundTrips.Write(c.out, row)
}

// microseconds of a duration, nil for none.
func microseconds(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	return exactly(d)
}

// exactly is a duration in microseconds, also if it is 0.
func exactly(d time.Duration) *float64 {
	us := float64(d) / 1e3
	return &us
}

// judge records a verdict and what it stands on. It tells whether the judge has to
// begin anew, since the measured span does.
func (c *recorder) judge(reading fidelity.Reading, v fidelity.Verdict, carrying fabric.Fidelity) (settle bool) {
	if c == nil {
		return false
	}
	now := c.run.timeline.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	frames, events := reading.Frames.Sub(c.last.Lateness), reading.Events.Sub(c.events)
	cpu := reading.CPU.Sub(c.cpu)
	row := record.Fidelity{
		At: now.Microseconds(), Level: v.Level.String(), Frames: frames.Count(),
		FrameP50: frames.Quantile(0.5).Microseconds(), FrameP99: frames.Quantile(0.99).Microseconds(), FrameMax: frames.Max().Microseconds(),
		EventMax: events.Max().Microseconds(),
		Lost:     reading.Lost.Overload + reading.Lost.Queue - c.lost.Overload - c.lost.Queue,
		Busy:     cpu.Share(cpu.Busy), Steal: cpu.Share(cpu.Steal),
		Ahead: time.Duration(min(float64(reading.PlanAhead)*c.run.timeline.Speed(), 1<<62)).Microseconds(),
	}
	if v.Level != fidelity.Faithful {
		row.Reason = v.String()
	}
	record.Fidelities.Write(c.out, row)
	c.last, c.events, c.lost, c.cpu = carrying, reading.Events, reading.Lost, reading.CPU
	c.about.Machine.RealTime = carrying.RealTime

	switch {
	case now < c.config.WarmUp || c.over(now):
	case !c.settled:
		c.settled, settle = true, true
	default:
		c.levels[v.Level] += reading.At.Sub(c.judged)
		if v.Level > c.worst.Level {
			c.worst = v
		}
	}
	c.judged = reading.At
	return settle
}

// begin notes how far routing has come when the measured span begins.
func (c *recorder) begin(s *Status) {
	if c == nil || !s.HasAdjacencies {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.about.Adjacencies = &record.Adjacencies{Up: s.Adjacencies, Possible: s.AdjacenciesPossible}
}

// over tells whether the span was measured as a whole.
func (c *recorder) over(now time.Duration) bool {
	return c.config.Span > 0 && now >= c.config.WarmUp+c.config.Span
}

// end is when the run is to end in scenario time, 0 for never.
func (c *recorder) end() time.Duration {
	if c == nil || c.config.Span == 0 {
		return 0
	}
	return c.config.WarmUp + c.config.Span
}

// verdict on the measured span. It is called with c.mu held.
func (c *recorder) verdict() record.Verdict {
	var sum time.Duration
	for _, d := range c.levels {
		sum += d
	}
	if sum == 0 {
		return record.Verdict{Level: record.Unknown}
	}
	v := record.Verdict{
		Level: c.worst.Level.String(), Shares: make(map[string]float64),
		Reasons: c.worst.Reasons, Causes: c.worst.Causes,
	}
	for l, d := range c.levels {
		v.Shares[fidelity.Level(l).String()] = d.Seconds() / sum.Seconds()
	}
	return v
}

// follow writes what is looked at from time to time, until ctx ends.
func (c *recorder) follow(ctx context.Context) error {
	if c == nil {
		return nil
	}
	flush := time.NewTicker(flushInterval)
	defer flush.Stop()
	resources := time.NewTicker(resourceInterval)
	defer resources.Stop()
	control := time.NewTicker(controlInterval)
	defer control.Stop()
	used := newConsumption(c)
	sent := newControlLoad(c)
	for {
		select {
		case <-ctx.Done():
			used.look()
			sent.look()
			return nil
		case <-flush.C:
			if err := c.out.Flush(); err != nil {
				c.run.problem("record", err.Error())
			}
		case <-resources.C:
			used.look()
		case <-control.C:
			sent.look()
		}
	}
}

// Conclude says how a run that is recorded ends, before Stop. Without it, it was
// complete if its span was measured or its duration was over.
func (r *Run) Conclude(state record.State, reason string) {
	if c := r.recorder; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.about.Outcome.State, c.about.Outcome.Reason = state, reason
	}
}

// finish ends the record. Nothing is written to it afterwards.
func (c *recorder) finish(now time.Duration) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	about := c.about
	about.Fidelity = c.verdict()
	complete := c.over(now)
	select {
	case <-c.run.ended:
		complete = complete || c.config.Span == 0
	default:
	}
	c.mu.Unlock()
	about.Ended = time.Now().UTC()
	about.Span.To = now.Microseconds()
	if end := c.end(); end > 0 {
		about.Span.To = min(about.Span.To, end.Microseconds())
	}
	about.Span.From = min(about.Span.From, about.Span.To)
	switch o := &about.Outcome; {
	case complete && o.State != record.Failed:
		o.State, o.Reason = record.Complete, "the span was measured"
	case o.State == record.Complete && c.config.Span > 0:
		o.State = record.Interrupted // whatever ended it, the span was not over
	case o.State == "":
		o.State, o.Reason = record.Interrupted, "it was stopped"
	}
	if err := c.out.Finish(about); err != nil {
		return errors.Join(fmt.Errorf("the record in %s is not whole", c.config.Dir), err)
	}
	return nil
}

// consumption is what processes use.
type consumption struct {
	*recorder
	at   time.Time
	seen map[int]time.Duration // CPU time by process id
}

func newConsumption(c *recorder) *consumption {
	u := &consumption{recorder: c, at: time.Now(), seen: make(map[int]time.Duration)}
	return u
}

// look records each process that has been there for some time.
func (u *consumption) look() {
	now, at := time.Now(), u.run.timeline.Now()
	interval := now.Sub(u.at)
	processes := u.run.nodes.Processes()
	seen := make(map[int]time.Duration)
	var rows []record.Resource
	add := func(node, process string, pid int, share bool) {
		have, err := usage.Read(u.proc, pid)
		if err != nil {
			return // it has just ended
		}
		seen[pid] = have.CPU
		row := record.Resource{
			At: (at - time.Duration(float64(interval)*u.run.timeline.Speed())).Microseconds(), Interval: interval.Microseconds(),
			Node: node, Process: process, PID: int32(pid), CPU: (have.CPU - u.seen[pid]).Microseconds(), Resident: have.Resident,
		}
		if share {
			if n, err := usage.Proportional(u.proc, pid); err == nil {
				row.Proportional = &n
			}
		}
		rows = append(rows, row)
	}
	for _, p := range processes {
		if p.PID > 0 {
			add(p.Node, p.Name, p.PID, len(processes) <= proportionalMost)
		}
	}
	add("", "orrery", os.Getpid(), true)
	if f, ok := u.run.fabric.(interface{ PID() int }); ok {
		add("", "fabric", f.PID(), true)
	}
	record.Resources.Write(u.out, rows...)
	u.at, u.seen = now, seen
}

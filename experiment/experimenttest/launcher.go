// Package experimenttest is a launcher without a network: it writes records of
// runs as they might have been, from numbers that the test chooses.
package experimenttest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/record"
)

// Behaviour is how a variant's made-up network behaves.
type Behaviour struct {
	// Repair is the median time from a topology event to the instant when the
	// pairs that it cut off forward again.
	Repair time.Duration
	// Loops is the share of repairs in which packets loop meanwhile.
	Loops float64
	// Stretch is the mean stretch of paths.
	Stretch float64
	// Control is the control traffic in bytes per second, by protocol.
	Control map[string]float64
	// CPU is the share of one CPU that each of the daemons takes.
	CPU float64
	// Level of fidelity; empty for faithful.
	Level string
	// Missing adjacencies when the measured span begins.
	Missing int
}

// Launcher writes records. The zero value knows no variant.
type Launcher struct {
	Behaviours map[string]Behaviour // by variant
	// Fail names variants that give an error.
	Fail map[string]error
	// Crash, if not 0, is the number of the launch at which the emulator dies: rows
	// are left as lines, the last of them cut, and the context is cancelled by
	// Kill.
	Crash int
	Kill  context.CancelFunc
	// Meanwhile, if not nil, is called while a run goes on.
	Meanwhile func()
	// Launched are the names of jobs in order.
	Launched []string

	mu sync.Mutex // guards Launched
}

// stations of the made-up network.
var stations = []string{"north", "south", "west", "east"}

const events = 20 * time.Second // between two topology events

// Launch implements experiment.Launcher.
func (l *Launcher) Launch(ctx context.Context, j *experiment.Job) error {
	l.mu.Lock()
	l.Launched = append(l.Launched, j.Name)
	crashes := l.Crash == len(l.Launched)
	l.mu.Unlock()
	if l.Meanwhile != nil {
		l.Meanwhile()
	}
	variant := j.Labels[experiment.LabelVariant]
	if err := l.Fail[variant]; err != nil {
		return err
	}
	b, ok := l.Behaviours[variant]
	if !ok {
		return fmt.Errorf("the test knows no variant %s", variant)
	}
	scenario, err := os.ReadFile(j.Scenario)
	if err != nil {
		return err
	}
	run := describe(j, b)
	w, err := record.Create(j.Record, scenario, run)
	if err != nil {
		return err
	}
	n := newNetwork(j, b, w)
	n.live(run.Span.From, run.Span.To)
	if crashes {
		err := w.Flush()
		if f, e := os.OpenFile(j.Record+"/pairs.jsonl", os.O_APPEND|os.O_WRONLY, 0); e == nil {
			_, e = f.WriteString(`{"t_us":1,"sou`)
			err = errors.Join(err, e, f.Close())
		}
		l.Kill()
		return errors.Join(ctx.Err(), err)
	}
	return w.Finish(run)
}

// describe is run.json of a run that ended well.
func describe(j *experiment.Job, b Behaviour) record.Run {
	level := b.Level
	if level == "" {
		level = record.Faithful
	}
	run := record.Run{
		Orrery: "test", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Ended: time.Date(2026, 1, 2, 3, 14, 5, 0, time.UTC),
		Scenario: record.Scenario{
			Name: "made-up", Epoch: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Speed: 1, Seed: 1, Satellites: 66, Stations: stations, Ports: 540,
			Routing: []string{j.Labels[experiment.LabelVariant]},
		},
		Labels:      j.Labels,
		Machine:     record.Machine{System: "Debian GNU/Linux 12", Kernel: "6.1.0", Architecture: "amd64", CPU: "a made-up CPU", Cores: 2, Memory: 24 << 30, RealTime: true},
		Daemons:     map[string]string{"frr": "8.4.4"},
		Span:        record.Span{WarmUp: j.WarmUp.Microseconds(), From: j.WarmUp.Microseconds(), To: (j.WarmUp + j.Span).Microseconds()},
		Outcome:     record.Outcome{State: record.Complete, Converged: 7e6},
		Adjacencies: &record.Adjacencies{Up: 226 - b.Missing, Possible: 226},
		Fidelity:    record.Verdict{Level: level, Shares: map[string]float64{level: 1}},
	}
	if level != record.Faithful {
		run.Fidelity.Reasons = []string{"p99 lateness of frames 3.2 ms exceeds 1 ms"}
		run.Fidelity.Causes = []string{"the CPUs are busy"}
	}
	return run
}

// network is a run that is made up.
type network struct {
	behaviour Behaviour
	out       *record.Writer
	random    *rand.Rand
}

func newNetwork(j *experiment.Job, b Behaviour, w *record.Writer) *network {
	var seed uint64
	for _, c := range j.Name {
		seed = seed*31 + uint64(c)
	}
	return &network{behaviour: b, out: w, random: rand.New(rand.NewPCG(seed, 1))}
}

func ref(v float64) *float64 { return &v }

// live writes what happens from one instant to another, in µs.
func (n *network) live(from, to int64) {
	w := n.out
	oracle := func(at int64, i, j int) float64 {
		return 40e3 + 9e3*float64(i+2*j) + 6e3*math.Sin(float64(at)/90e6+float64(i))
	}
	stretch := func() float64 { return 1 + (n.behaviour.Stretch-1)*2*n.random.Float64() }
	type pair struct{ i, j int }
	var pairs []pair
	for i := range stations {
		for j := range stations {
			if i != j {
				pairs = append(pairs, pair{i, j})
			}
		}
	}
	state := func(at int64, p pair, s string) {
		row := record.PairState{At: at, Source: stations[p.i], Destination: stations[p.j], State: s}
		if s != record.PairNoPath {
			row.Oracle = ref(oracle(at, p.i, p.j))
		}
		if s == record.PairReachable {
			x := stretch()
			row.Delay, row.Stretch, row.Path = ref(*row.Oracle*x), ref(x), []string{row.Source, "sat", row.Destination}
		}
		record.Pairs.Write(w, row)
	}
	for _, p := range pairs {
		state(0, p, record.PairReachable)
	}
	next := from
	for at := from; at < to; at += 1e6 {
		if at >= next {
			next = at + events.Microseconds()/2 + n.random.Int64N(events.Microseconds())
			n.event(at+n.random.Int64N(9e5), to, func(t int64, k int, s string) { state(t, pairs[k], s) }, len(pairs))
		}
		for i := range stations {
			for j := i + 1; j < len(stations); j++ {
				o := 2 * oracle(at, i, j)
				g := o * stretch()
				row := record.RoundTrip{At: at, A: stations[i], B: stations[j], Lost: n.random.Float64() < 0.004, Geometric: ref(g), Oracle: ref(o), Hops: 7}
				if !row.Lost {
					row.Measured = ref(g + 90 + 60*n.random.ExpFloat64())
				}
				record.RoundTrips.Write(w, row)
			}
		}
		for protocol, rate := range n.behaviour.Control {
			bytes := uint64(rate * (0.9 + 0.2*n.random.Float64()))
			record.Controls.Write(w, record.Control{At: at, Interval: 1e6, Protocol: protocol, Frames: bytes / 90, Bytes: bytes})
		}
		for k := range 3 {
			pss := int64(9 << 20)
			record.Resources.Write(w, record.Resource{At: at, Interval: 1e6, Node: fmt.Sprintf("sat%d", k), Process: "daemon", PID: int32(k + 100),
				CPU: int64(n.behaviour.CPU * 1e6 * (0.8 + 0.4*n.random.Float64())), Resident: pss * 2, Proportional: &pss})
		}
		record.Resources.Write(w, record.Resource{At: at, Interval: 1e6, Process: "orrery", PID: 99, CPU: 2e5, Resident: 200 << 20})
		record.Fidelities.Write(w, record.Fidelity{At: at, Level: record.Faithful, Frames: 900, FrameP50: 1, FrameP99: 200, FrameMax: 900, EventMax: 3000, Busy: 0.4, Ahead: 3e8})
		record.Probes.Write(w, record.Probe{At: at, Interval: 1e6, Source: "north", Destination: "south", Sent: 50, Received: 49, Lost: 1,
			DelayMin: ref(50e3), DelayP50: ref(50.1e3), DelayP90: ref(50.4e3), DelayP99: ref(51e3), DelayMax: ref(52e3), Jitter: ref(40)})
	}
}

// event is a change of topology with what follows from it.
func (n *network) event(at, end int64, state func(int64, int, string), pairs int) {
	w := n.out
	kind := record.Event{At: at, Host: at, Kind: "link-down", A: "sat1:fore", B: "sat2:aft", Text: "intra-plane"}
	record.Events.Write(w, kind)
	row := record.Convergence{At: at, Kind: "link-down", Links: 1, A: kind.A, B: kind.B, Class: kind.Text, Changes: 40, Nodes: 12}
	repair := int64(float64(n.behaviour.Repair.Microseconds()) * math.Exp(0.5*n.random.NormFloat64()))
	settled := at + repair*3/2
	row.LastChange = &settled
	if n.behaviour.Repair > 0 {
		hit := 1 + n.random.IntN(3)
		row.Pairs = int32(hit)
		cause := record.PairBlackHole
		if n.random.Float64() < n.behaviour.Loops {
			cause = record.PairLoop
			row.Loop, row.LoopPairs = repair*int64(hit), int32(hit)
		}
		first := n.random.IntN(pairs)
		for k := range hit {
			p := (first + k) % pairs
			state(at, p, cause)
			if at+repair < end {
				state(at+repair, p, record.PairReachable)
			}
			record.Outages.Write(w, record.Outage{From: at, To: min(at+repair, end), Source: fmt.Sprint("s", p), Destination: "d", By: "tables", Cause: cause, Open: at+repair >= end})
		}
		row.Lost = repair * int64(hit)
		if back := at + repair; back < end {
			row.Restored = &back
		} else {
			row.Open = true
		}
	}
	record.Convergences.Write(w, row)
}

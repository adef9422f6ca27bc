package emulation

import (
	"context"
	"io/fs"
	"math"
	"sync/atomic"
	"time"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fidelity"
	"orrery.dev/orrery/plan"
)

// examiner reads every second how truthful the emulation is, and keeps the
// verdict. Its state belongs to watch; what others may see is copied to Run.
type examiner struct {
	run   *Run
	proc  fs.FS
	judge *fidelity.Judge
	nodes []examined
	turn  int // the node whose queues are looked at next, busy or not
	lost  fidelity.Lost

	settled atomic.Bool // since the last reading
}

// Fidelity is how far the emulation can be trusted.
type Fidelity struct {
	Verdict fidelity.Verdict // over the last seconds
	Report  fidelity.Report  // since the network converged, or as long as it has not
	Lost    fidelity.Lost    // frames that the scenario did not ask to lose, since the start
}

// examined is what the last look at a node's queues has shown.
type examined struct {
	sent  uint64 // frames that its ports had sent at the last reading
	looks []look // by port
}

type look struct {
	contact plan.ContactID
	linked  bool // there was a contact
	dropped uint64
}

const (
	// busySent is how many frames a node sends in a second that may have had a
	// full queue: a TAP's holds 500 at least (drivers/net/tun.c, TUN_READQ_SIZE),
	// and those are read afterwards.
	busySent = 400
	// Every node is looked at once in so many readings, so that there is a count
	// to compare with when it becomes busy.
	lookRound = 120
)

func newExaminer(r *Run, proc fs.FS) *examiner {
	spec := r.plan.Scenario.Spec.Fidelity
	budget := fidelity.Budget{Frames: time.Duration(spec.Frames), Events: time.Duration(spec.Events)}
	return &examiner{
		run: r, proc: proc, judge: fidelity.NewJudge(budget, time.Now()),
		nodes: make([]examined, len(r.plan.Nodes)),
	}
}

// examine takes one reading and gives the sum of all ports' counters.
func (x *examiner) examine(ctx context.Context) fabric.Counters {
	r := x.run
	total := x.readQueues(ctx)
	f := r.fabric.Fidelity()
	ahead, _ := r.director.ahead() // its error is a problem of the run already
	cpu, _ := fidelity.ReadCPU(x.proc)
	x.lost.Overload, x.lost.Underlay = total.DropOverload, total.DropUnderlay
	if x.settled.Swap(false) {
		x.judge.Settle(time.Now())
	}
	speed := r.timeline.Speed()
	if r.timeline.Paused() {
		speed = 0
	}
	reading := fidelity.Reading{
		At: time.Now(), Frames: f.Lateness, Events: r.director.lateness(), Lost: x.lost,
		PlanAhead: inHostTime(ahead, speed), RealTime: f.RealTime, CPU: cpu,
		Interruptions: f.Interruptions, Silence: f.Silence,
	}
	verdict, changed := x.judge.Note(reading)
	if r.recorder.judge(reading, verdict, f) {
		x.settle()
		status := r.Status()
		r.recorder.begin(&status)
	}
	if changed {
		r.events.add(Event{Kind: FidelityChanged, Text: verdict.String()})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fidelity = Fidelity{Verdict: verdict, Report: x.judge.Report(), Lost: x.lost}
	return total
}

// settle begins the report anew: bringing a network up is not what is measured.
func (x *examiner) settle() { x.settled.Store(true) }

// inHostTime is how long d of orbit takes.
func inHostTime(d time.Duration, speed float64) time.Duration {
	if host := float64(d) / speed; host < float64(math.MaxInt64) && host > math.MinInt64 {
		return time.Duration(host)
	}
	return math.MaxInt64
}

// readQueues counts frames that nodes handed to ports whose queues the fabric
// had let run full. What is dropped for want of a carrier is counted by the
// kernel in the same place, so only the growth within one contact tells. It
// gives the fabric's counters over all ports.
func (x *examiner) readQueues(ctx context.Context) (total fabric.Counters) {
	r := x.run
	regular := (len(x.nodes) + lookRound - 1) / lookRound
	for i := range x.nodes {
		seen := &x.nodes[i]
		var sent uint64
		for _, p := range r.plan.Nodes[i].Ports {
			c := r.fabric.Counters(fabric.PortID(p.ID))
			sent += c.SentFrames
			total.Add(c)
		}
		if !r.carries(i) {
			*seen = examined{sent: sent}
			continue
		}
		busy := sent-seen.sent > busySent
		seen.sent = sent
		if due := (i-x.turn+len(x.nodes))%len(x.nodes) < regular; busy || due {
			x.readQueuesOf(ctx, i)
		}
	}
	if len(x.nodes) > 0 {
		x.turn = (x.turn + regular) % len(x.nodes)
	}
	return total
}

func (x *examiner) readQueuesOf(ctx context.Context, n int) {
	r, seen := x.run, &x.nodes[n]
	ports := r.plan.Nodes[n].Ports
	at := func(p plan.PortID) (l look) {
		if c := r.director.contact(p); c != nil {
			l.contact, l.linked = c.ID, true
		}
		return l
	}
	before := make([]look, len(ports))
	for i := range ports {
		before[i] = at(ports[i].ID)
	}
	dropped, err := r.nodes.DroppedFrames(ctx, r.name(n))
	if err != nil {
		if ctx.Err() == nil {
			r.problem("queues", err.Error())
		}
		return
	}
	if seen.looks == nil {
		seen.looks = make([]look, len(ports))
	}
	for i := range ports {
		last, now := seen.looks[i], before[i]
		now.dropped = dropped[ports[i].Name]
		if now.linked && last.linked && now.contact == last.contact && at(ports[i].ID).contact == now.contact {
			x.lost.Queue += now.dropped - last.dropped
		}
		seen.looks[i] = now
	}
}

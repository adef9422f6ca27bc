package fidelity

import (
	"fmt"
	"strings"
	"time"

	"orrery.dev/orrery/fabric"
)

// Level of a verdict, from the best to the worst.
type Level int

// The levels.
const (
	Faithful Level = iota
	Degraded
	Overloaded
)

var levels = [...]string{"faithful", "degraded", "overloaded"}

func (l Level) String() string { return levels[l] }

// Budget says how late things may be.
type Budget struct {
	Frames time.Duration // what 99 of 100 deliveries may be late by
	Events time.Duration // what every topology event may be late by
}

// DefaultBudget is a tenth of the shortest delay of a low orbit's links and less
// than the time in which a routing daemon answers to an event.
var DefaultBudget = Budget{Frames: time.Millisecond, Events: 10 * time.Millisecond}

// Window is the time that a verdict looks back.
const Window = 10 * time.Second

// Reading is what is known at one moment. All counts and histograms are those
// since the start of the run.
type Reading struct {
	At     time.Time // host time, with its monotonic part
	Frames fabric.Histogram
	Events fabric.Histogram
	Lost   Lost
	// Interruptions is how often frames were not carried at all for a while.
	Interruptions uint64
	// Silence is how long what carries frames has shown no sign of life, which it
	// does every second.
	Silence time.Duration
	// PlanAhead is how much host time remains until the known plan ends.
	PlanAhead time.Duration
	RealTime  bool // the workers of the fabric have real-time priority
	CPU       CPU
}

// Lost counts frames that were lost without the scenario's asking.
type Lost struct {
	Overload uint64 // no buffer was left in the fabric
	Queue    uint64 // the queue of the sending device was full: the fabric did not read in time
	Underlay uint64 // what joins hosts did not take the frame, or brought it too late to keep order
}

func (l Lost) sub(o Lost) Lost {
	return Lost{l.Overload - o.Overload, l.Queue - o.Queue, l.Underlay - o.Underlay}
}

func (l Lost) sum() uint64 { return l.Overload + l.Queue + l.Underlay }

// Verdict at one moment.
type Verdict struct {
	Level Level
	Since time.Time
	// Reasons for the level, the gravest first, in words; empty if faithful.
	Reasons []string
	// Causes that the emulator knows of, in words.
	Causes []string
}

func (v Verdict) String() string {
	if v.Level == Faithful {
		return v.Level.String()
	}
	s := v.Level.String() + ": " + strings.Join(v.Reasons, "; ")
	if len(v.Causes) > 0 {
		s += " (" + strings.Join(v.Causes, "; ") + ")"
	}
	return s
}

// Report is the verdict on a whole run.
type Report struct {
	// Level is the worst that held, once the run had settled.
	Level Level
	// Time in each level.
	Time [len(levels)]time.Duration
	// Worst is the first verdict of the worst level.
	Worst Verdict
}

// Judge gives verdicts. It is not safe for concurrent use.
type Judge struct {
	budget   Budget
	readings []Reading // of the last Window, oldest first
	verdict  Verdict
	stalled  time.Time // when the emulator last was found to have stood still
	stall    time.Duration
	silent   time.Time // when nothing was last found to carry frames
	silence  time.Duration
	report   Report
}

// NewJudge gives a judge that finds a run faithful from at on.
func NewJudge(b Budget, at time.Time) *Judge {
	return &Judge{budget: b, verdict: Verdict{Since: at}}
}

// Note takes a reading and gives the verdict from then on, and whether its level
// is another one than before.
func (j *Judge) Note(r Reading) (v Verdict, changed bool) {
	if n := len(j.readings); n > 0 {
		since := r.At.Sub(j.readings[n-1].At)
		j.report.Time[j.verdict.Level] += since
		if since > stallLimit {
			j.stalled, j.stall = r.At, since
		}
	}
	if r.Silence > stallLimit {
		j.silent, j.silence = r.At, r.Silence
	}
	j.readings = append(j.readings, r)
	for len(j.readings) > 2 && r.At.Sub(j.readings[1].At) >= Window {
		j.readings = j.readings[1:]
	}
	v = j.judge(&j.readings[0], &r)
	v.Since = j.verdict.Since
	if changed = v.Level != j.verdict.Level; changed {
		v.Since = r.At
	}
	j.verdict = v
	if v.Level > j.report.Level {
		j.report.Level, j.report.Worst = v.Level, v
	}
	return v, changed
}

// Settle forgets what was before: a run's bring-up is not what is measured.
func (j *Judge) Settle(at time.Time) {
	if n := len(j.readings); n > 0 {
		j.readings = j.readings[n-1:]
	}
	j.verdict = Verdict{Since: at}
	j.stalled, j.silent = time.Time{}, time.Time{}
	j.report = Report{}
}

// Verdict is the last one given.
func (j *Judge) Verdict() Verdict { return j.verdict }

// Report on the run so far.
func (j *Judge) Report() Report { return j.report }

// Readings come every second, and signs of life of what carries frames. One that
// is later than stallLimit means that it did not run.
const stallLimit = 3 * time.Second

// What is said of the CPUs: above so much.
const (
	busyLimit  = 0.95
	stealLimit = 0.02
)

func (j *Judge) judge(from, to *Reading) Verdict {
	var v Verdict
	find := func(l Level, format string, args ...any) {
		reason := fmt.Sprintf(format, args...)
		if l > v.Level {
			v.Level = l
			v.Reasons = append([]string{reason}, v.Reasons...)
			return
		}
		v.Reasons = append(v.Reasons, reason)
	}

	if !j.stalled.IsZero() && to.At.Sub(j.stalled) < Window {
		find(Overloaded, "the emulator stood still for %s", brief(j.stall))
	}
	if !j.silent.IsZero() && to.At.Sub(j.silent) < Window {
		find(Overloaded, "what carries frames stood still for %s", brief(j.silence))
	}
	if to.Interruptions > from.Interruptions {
		find(Overloaded, "what carries frames ended and had to be started again")
	}
	if to.PlanAhead <= 0 {
		find(Overloaded, "the plan is behind by %s", brief(-to.PlanAhead))
	}
	if lost := to.Lost.sub(from.Lost); lost.sum() > 0 {
		if lost.Overload > 0 {
			find(Overloaded, "%s lost for want of buffers", frames(lost.Overload))
		}
		if lost.Queue > 0 {
			find(Overloaded, "%s lost since the fabric did not read in time", frames(lost.Queue))
		}
		if lost.Underlay > 0 {
			find(Overloaded, "%s lost between hosts", frames(lost.Underlay))
		}
	}
	lateness := to.Frames.Sub(from.Frames)
	if p90 := lateness.Quantile(0.90); p90 > j.budget.Frames {
		find(Overloaded, "1 frame in 10 is later than %s", brief(p90))
	} else if p99 := lateness.Quantile(0.99); p99 > j.budget.Frames {
		find(Degraded, "1 frame in 100 is later than %s", brief(p99))
	}
	events := to.Events.Sub(from.Events)
	if late := events.Max(); events.Count() > 0 && late > j.budget.Events {
		find(Degraded, "a topology event was late by %s", brief(late))
	}
	if v.Level == Faithful {
		return v
	}

	if cpu := to.CPU.Sub(from.CPU); cpu.Total > 0 {
		if busy := cpu.Share(cpu.Busy); busy > busyLimit {
			v.Causes = append(v.Causes, fmt.Sprintf("the CPUs are busy for %.0f %% of the time", 100*busy))
		}
		if steal := cpu.Share(cpu.Steal); steal > stealLimit {
			v.Causes = append(v.Causes, fmt.Sprintf("the hypervisor withholds %.0f %% of the CPU time", 100*steal))
		}
	}
	if !to.RealTime {
		v.Causes = append(v.Causes, "the fabric has no real-time priority")
	}
	return v
}

func frames(n uint64) string {
	if n == 1 {
		return "1 frame was"
	}
	return fmt.Sprintf("%d frames were", n)
}

// brief is a duration with three digits at most.
func brief(d time.Duration) string {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
}

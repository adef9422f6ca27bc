package record

import (
	"time"
)

// Format is the number of the format that this package writes. It reads all from
// 1 to this one.
const Format = 1

// Run is what run.json says: the circumstances of a run.
type Run struct {
	Format int    `json:"format"`
	Orrery string `json:"orrery"` // version of the emulator

	// Started and Ended in host time; Ended is zero while the run goes on, and
	// stays so if the emulator died.
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`

	Scenario Scenario `json:"scenario"`
	// Labels are the user's: which variant this is, which repetition.
	Labels  map[string]string `json:"labels,omitempty"`
	Machine Machine           `json:"machine"`
	// Daemons holds the versions of the routing software in use, by its name.
	Daemons map[string]string `json:"daemons,omitempty"`

	Span    Span    `json:"span"`
	Outcome Outcome `json:"outcome"`
	// Adjacencies when the measured span began, as daemons had said when they were last asked;
	// nil if none tells of any.
	Adjacencies *Adjacencies `json:"adjacencies,omitempty"`
	// Fidelity is the verdict on the measured span.
	Fidelity Verdict `json:"fidelity"`
	// Unobserved says in one sentence each what was asked for and could not be
	// observed, and why.
	Unobserved []string `json:"unobserved,omitempty"`
	// Rows of each stream once the run has ended.
	Rows map[string]int64 `json:"rows,omitempty"`
}

// Scenario names what was run; scenario.yaml holds all of it.
type Scenario struct {
	Name       string    `json:"name"`
	Epoch      time.Time `json:"epoch"` // scenario time 0
	Speed      float64   `json:"speed"` // seconds of orbit per second
	Seed       uint64    `json:"seed"`
	Satellites int       `json:"satellites"`
	Stations   []string  `json:"stations"`
	Ports      int       `json:"ports"`
	Routing    []string  `json:"routing"` // such as "isis/frr"
}

// Machine is the host.
type Machine struct {
	System       string `json:"system"` // the distribution
	Kernel       string `json:"kernel"`
	Architecture string `json:"architecture"`
	CPU          string `json:"cpu"` // model
	Cores        int    `json:"cores"`
	Memory       int64  `json:"memory"` // bytes
	// RealTime tells whether frames were carried at real-time priority.
	RealTime bool `json:"real_time"`
}

// Span says what part of the run counts, in µs of scenario time. What is recorded
// before From belongs to the warm-up.
type Span struct {
	WarmUp int64 `json:"warm_up_us"`
	From   int64 `json:"from_us"`
	To     int64 `json:"to_us"` // 0 while the run goes on
}

// State says how far a run came.
type State string

// The states of a run.
const (
	// Going: the run goes on, or the emulator died without a word.
	Going State = "going"
	// Complete: all of the span that was asked for was measured.
	Complete State = "complete"
	// Interrupted: somebody ended it before.
	Interrupted State = "interrupted"
	// Failed: something ended it before.
	Failed State = "failed"
)

// Outcome is how a run ended.
type Outcome struct {
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"` // one sentence
	// Converged is when every pair of stations had reached each other, in µs of
	// scenario time; -1 if that never was.
	Converged int64 `json:"converged_us"`
}

// Adjacencies as daemons report them, each seen from both of its ends.
type Adjacencies struct {
	Up int `json:"up"`
	// Possible are those between routers whose links were up.
	Possible int `json:"possible"`
}

// The levels of fidelity, from the best to the worst.
const (
	Faithful   = "faithful"
	Degraded   = "degraded"
	Overloaded = "overloaded"
	// Unknown: no verdict was given.
	Unknown = "unknown"
)

// Verdict says how far the measured span can be trusted.
type Verdict struct {
	// Level is the worst that held.
	Level string `json:"level"`
	// Shares of the measured span, by level; they add up to 1.
	Shares map[string]float64 `json:"shares,omitempty"`
	// Reasons and Causes of the first verdict of the worst level.
	Reasons []string `json:"reasons,omitempty"`
	Causes  []string `json:"causes,omitempty"`
}

// Trusted tells whether a run may be compared with others: it measured all that
// it was asked to, and its emulation was faithful.
func (r *Run) Trusted() bool {
	return r.Outcome.State == Complete && r.Fidelity.Level == Faithful
}

package agent

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"orrery.dev/orrery/clock"
)

// ID of a scenario in a cluster.
type ID struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (id ID) String() string { return id.Namespace + "/" + id.Name }

// Member is which node of which scenario a pod is.
type Member struct {
	Scenario ID
	Node     string
}

// Errors of a Cluster.
var (
	// ErrNoMember: the pod is there, and is no node of a scenario.
	ErrNoMember = errors.New("the pod is no node of a scenario")
	// ErrNoScenario: there is no such scenario, or it is not accepted yet.
	ErrNoScenario = errors.New("there is no such scenario, or the operator has not accepted it yet")
)

// Scenario is what a cluster says of one at a moment.
type Scenario struct {
	ID
	// UID tells it from one that had the same name before.
	UID string
	// Port by which the agents of all workers carry its frames to each other (UDP).
	Port uint16
	// Revision changes with the plan: it is that of the file, and of those that it names.
	Revision string
	// Time of the scenario, told by the clocks of the cluster.
	Time Time
	// Failures that somebody has made, as package kube/failures writes them.
	Failures string
	// Workers say which worker each node is on. A node whose pod is not there is not in it.
	Workers map[string]string
	// Awaited says how many pods each worker is about to start.
	Awaited map[string]int
	// Addresses of the workers, at which their agents reach each other.
	Addresses map[string]netip.Addr
}

// Time is a timeline as a cluster tells it: at the instant At it was Scenario.
type Time struct {
	At       time.Time
	Scenario time.Duration
	Speed    float64
	Paused   bool
}

// state is the timeline by this host's clocks, of which one reading each is given.
func (t *Time) state(monotonic int64, now time.Time) clock.State {
	return clock.State{Monotonic: monotonic - int64(now.Sub(t.At)), Scenario: t.Scenario, Speed: t.Speed, Paused: t.Paused}
}

// Cluster is what the agent wants of Kubernetes. All methods are safe for concurrent use.
type Cluster interface {
	// Member says what a pod is. The error wraps ErrNoMember if it is none.
	Member(ctx context.Context, namespace, pod string) (Member, error)
	// Scenario says how one is now. The error wraps ErrNoScenario if it is not there.
	Scenario(ctx context.Context, id ID) (Scenario, error)
	// Packed is a scenario with its files, as package bundle packs them.
	Packed(ctx context.Context, s Scenario) ([]byte, error)
	// Ready says why nothing is known of the cluster yet, or any more.
	Ready() error
	// Changes tells of scenarios that may have changed since they were asked for.
	Changes() <-chan ID
}

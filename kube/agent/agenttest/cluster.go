// Package agenttest is a stand-in for a cluster: what the agent wants to know is said by
// the test.
package agenttest

import (
	"context"
	"fmt"
	"sync"

	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/bundle"
)

// Cluster implements agent.Cluster.
type Cluster struct {
	mu        sync.Mutex // guards:
	scenarios map[agent.ID]entry
	members   map[[2]string]agent.Member // by namespace and name of the pod
	requests  int
	away      error
	changes   chan agent.ID
}

type entry struct {
	agent.Scenario
	file string
}

var _ agent.Cluster = (*Cluster)(nil)

// New is a cluster without scenarios.
func New() *Cluster {
	return &Cluster{
		scenarios: make(map[agent.ID]entry), members: make(map[[2]string]agent.Member), changes: make(chan agent.ID, 1024),
	}
}

// Put makes a scenario be as said, with the text of its file. Its agents are told.
func (c *Cluster) Put(s agent.Scenario, file string) {
	c.mu.Lock()
	c.scenarios[s.ID] = entry{s, file}
	c.mu.Unlock()
	c.changes <- s.ID
}

// SetMember says what a pod is.
func (c *Cluster) SetMember(namespace, pod string, m agent.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[[2]string{namespace, pod}] = m
}

// SetAway makes all requests fail, until it is called with nil.
func (c *Cluster) SetAway(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

// Requests is how many have been made.
func (c *Cluster) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Member implements agent.Cluster.
func (c *Cluster) Member(_ context.Context, namespace, pod string) (agent.Member, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if c.away != nil {
		return agent.Member{}, c.away
	}
	m, ok := c.members[[2]string{namespace, pod}]
	if !ok {
		return agent.Member{}, fmt.Errorf("pod %s/%s: %w", namespace, pod, agent.ErrNoMember)
	}
	return m, nil
}

func (c *Cluster) find(id agent.ID) (entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if c.away != nil {
		return entry{}, c.away
	}
	s, ok := c.scenarios[id]
	if !ok {
		return entry{}, fmt.Errorf("scenario %s: %w", id, agent.ErrNoScenario)
	}
	return s, nil
}

// Scenario implements agent.Cluster.
func (c *Cluster) Scenario(_ context.Context, id agent.ID) (agent.Scenario, error) {
	s, err := c.find(id)
	return s.Scenario, err
}

// Packed implements agent.Cluster.
func (c *Cluster) Packed(_ context.Context, s agent.Scenario) ([]byte, error) {
	e, err := c.find(s.ID)
	if err != nil {
		return nil, err
	}
	return bundle.Pack([]byte(e.file), nil)
}

// Ready implements agent.Cluster.
func (c *Cluster) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away
}

// Changes implements agent.Cluster.
func (c *Cluster) Changes() <-chan agent.ID { return c.changes }

package agent

import (
	"context"
	"errors"
	"fmt"

	"orrery.dev/orrery/emulation"
)

// renew replaces a run by one of another plan. Sandboxes stay as they are, if they are nodes
// of it, and links that both plans have keep their carrier. A scenario of which there is no
// plan replaces nothing. e.mu is held.
func (a *Agent) renew(ctx context.Context, e *entry, s Scenario) error {
	packed, err := a.config.Cluster.Packed(ctx, s)
	if err != nil {
		return err
	}
	next, err := a.compile(s, packed)
	if err != nil {
		return err
	}
	old := e.run
	e.run = nil
	next.guests = old.guests
	var lost []string
	for name := range old.sandboxes {
		if err := next.guests.Retain(name); err != nil {
			a.log.Warn("links of a node have no carrier for a moment", "node", name, "error", err)
			lost = append(lost, name)
		}
	}
	err = old.stop()
	for _, name := range lost {
		next.guests.Remove(name)
	}
	if beginErr := next.begin(ctx); beginErr != nil {
		return errors.Join(err, beginErr)
	}
	e.run = next
	return errors.Join(err, next.adopt(ctx, old.sandboxes))
}

// adopt makes the sandboxes of an earlier run nodes of this one, all at once. The scenario's
// lock is held.
func (r *run) adopt(ctx context.Context, sandboxes map[string]*sandbox) error {
	var errs []error
	var nodes []int
	for name, s := range sandboxes {
		n, ok := r.plan.Node(name)
		if !ok { // its pod is about to go
			r.guests.Remove(name)
			continue
		}
		if err := r.guests.Add(ctx, s.Namespace, emulation.NodeSpec(r.plan, r.scheme, n.Index)); err != nil {
			errs = append(errs, err)
			continue
		}
		r.sandboxes[name] = s
		nodes = append(nodes, n.Index)
	}
	return errors.Join(append(errs, r.part.Join(nodes...))...)
}

// hear asks the cluster for a sandbox's scenario.
func (a *Agent) hear(ctx context.Context, s *sandbox) (Scenario, []byte, error) {
	seen, err := a.config.Cluster.Scenario(ctx, s.Scenario)
	if err != nil {
		return Scenario{}, nil, fmt.Errorf("scenario %s: %w", s.Scenario, err)
	}
	packed, err := a.config.Cluster.Packed(ctx, seen)
	if err != nil {
		return Scenario{}, nil, fmt.Errorf("scenario %s: %w", s.Scenario, err)
	}
	return seen, packed, nil
}

// recall takes a sandbox's scenario for what it was last heard to be. What has changed
// since then comes as a change.
func (a *Agent) recall(ctx context.Context, s *sandbox) (Scenario, []byte, error) {
	seen, packed, err := memory{a.dir(s.UID)}.recall()
	if err == nil && seen.ID != s.Scenario {
		err = fmt.Errorf("agent: what is kept is of %s", seen.ID)
	}
	return seen, packed, err
}

// learner says what a sandbox's scenario is.
type learner func(context.Context, *sandbox) (Scenario, []byte, error)

// begin opens a sandbox's scenario as the first learner says by whom that works.
func (a *Agent) begin(ctx context.Context, s *sandbox, learners []learner) (r *run, err error) {
	for _, learn := range learners {
		if err != nil {
			a.log.Warn("a scenario is asked for again", "scenario", s.Scenario.String(), "reason", err)
		}
		var seen Scenario
		var packed []byte
		if seen, packed, err = learn(ctx, s); err != nil {
			continue
		}
		if r, err = a.open(ctx, seen, packed); err == nil {
			return r, nil
		}
	}
	return nil, err
}

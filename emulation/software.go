package emulation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// software is what one node runs to route.
type software struct {
	node      int
	routing   *scenario.Routing
	label     string       // "isis/frr", "oracle"
	input     router.Input // its ports' costs change: guarded by metrics.mu
	output    router.Output
	neighbour bool // its daemon reports adjacencies
}

// assign renders every node's configuration. It is called when the first window
// of the plan is known, since a metric after delay is that of a port's first
// contact.
func (r *Run) assign() error {
	assigner, err := assignment.New(r.plan)
	if err != nil {
		return err
	}
	first := r.director.firstDelays()
	for i := range r.plan.Nodes {
		entry := assignment.Routing(r.plan, i)
		if entry == nil {
			continue
		}
		sw := software{node: i, routing: entry, label: assignment.Label(entry)}
		if sw.input, err = assigner.Input(i, entry, r.nodes.Dir(r.name(i))); err != nil {
			return err
		}
		for k := range r.plan.Nodes[i].Ports {
			if d := first[r.plan.Nodes[i].Ports[k].ID]; entry.Metric == "delay" && d > 0 {
				sw.input.Ports[k].Cost = metricOf(d)
			}
		}
		if sw.output, err = router.Render(sw.input); err != nil {
			return fmt.Errorf("node %s: %w", r.name(i), err)
		}
		sw.neighbour = len(sw.output.Processes) > 0 && router.HasAdjacencies(*entry)
		r.software = append(r.software, sw)
	}
	return nil
}

// softwareOf a node, or nil.
func (r *Run) softwareOf(n int) *software {
	i, ok := slices.BinarySearchFunc(r.software, n, func(s software, n int) int { return s.node - n })
	if !ok {
		return nil
	}
	return &r.software[i]
}

// startSoftware writes configurations and starts daemons, a few nodes at a time
// so that the first to come up are not starved by the last. Processes live as
// long as ctx.
func (r *Run) startSoftware(ctx context.Context) error {
	var done atomic.Int64
	total := r.wanted()
	var g errgroup.Group
	g.SetLimit(startAtOnce)
	for i := range r.software {
		sw := &r.software[i]
		if len(sw.output.Processes) == 0 {
			continue
		}
		g.Go(func() error {
			name := r.name(sw.node)
			if err := router.Write(r.nodes.Dir(name), sw.output); err != nil {
				r.problem(name, "node "+name+": "+err.Error())
				return nil
			}
			for _, p := range sw.output.Processes {
				if ctx.Err() != nil {
					return nil
				}
				// What cannot be started is listed as failed, and goes on being so:
				// the others are worth having.
				if err := r.launch(ctx, sw.node, r.daemon(p)); err != nil && ctx.Err() == nil {
					r.problem(name+"/"+p.Name, err.Error())
				}
				r.progress("processes", int(done.Add(1)), total)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.openGate(ctx)
	return nil
}

// daemon is a process of routing software, as this run starts it.
func (r *Run) daemon(p node.Process) node.Process {
	p.Private = r.plan.Scenario.Spec.Isolation == isolateAll
	return p
}

// wanted is how many processes the routing software consists of.
func (r *Run) wanted() (n int) {
	for _, sw := range r.software {
		n += len(sw.output.Processes)
	}
	return n
}

// startAtOnce is how many nodes' daemons are started at a time.
const startAtOnce = 8

// startCommands starts the scenario's own processes at their times.
func (r *Run) startCommands(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range r.plan.Scenario.Spec.Commands {
		c := &r.plan.Scenario.Spec.Commands[i]
		wg.Go(func() {
			if r.timeline.WaitUntil(ctx, time.Duration(c.Start)) != nil {
				return
			}
			for n := range r.plan.Nodes {
				if name := r.name(n); scenario.Match(c.Nodes, name) {
					if err := r.launch(ctx, n, r.command(c, n)); err != nil {
						r.problem(name+"/"+c.Name, err.Error())
					}
				}
			}
		})
	}
	return nil
}

// command is a scenario's command on a node, with names and addresses filled in.
func (r *Run) command(c *scenario.Command, n int) node.Process {
	p := node.Process{Name: c.Name, Restart: restarts[c.Restart], Private: r.plan.Scenario.Spec.Isolation != isolateNone}
	p.Argv, p.Env = assignment.Command(r.plan, r.addresses, c, n)
	return p
}

var restarts = map[string]node.RestartPolicy{"": node.Never, "never": node.Never, "on-failure": node.OnFailure, "always": node.Always}

// askAdjacencies asks every daemon that has any, a few at a time.
func (r *Run) askAdjacencies(ctx context.Context) adjacencies {
	out := adjacencies{byNode: make(map[int]int)}
	var mu sync.Mutex // guards out
	var g errgroup.Group
	g.SetLimit(startAtOnce)
	for i := range r.software {
		sw := &r.software[i]
		if !sw.neighbour {
			continue
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			list, err := router.Adjacencies(ctx, r.nodes.Dir(r.name(sw.node)), *sw.routing)
			if err != nil {
				return nil // not up yet, or dead: its process says so
			}
			n := 0
			for _, a := range list {
				if a.Up {
					n++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			out.byNode[sw.node] = n
			out.total += n
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	return out
}

// Loopback is the IPv6 address of a node.
func (r *Run) Loopback(n int) netip.Addr { return r.loopback(n) }

// RoutingOf is what a node routes with, such as "isis/frr".
func (r *Run) RoutingOf(n int) string {
	if entry := assignment.Routing(r.plan, n); entry != nil {
		return assignment.Label(entry)
	}
	return router.None
}

// Preflight says whether this host can run a plan, before anything is made.
func Preflight(p *plan.Plan, cfg node.Config) error {
	scheme, err := assignment.Scheme(p)
	if err != nil {
		return err
	}
	return errors.Join(router.Preflight(usedRouting(p)), node.Preflight(cfg, specs(p, scheme)))
}

// specs are a plan's nodes as the node engine wants them.
func specs(p *plan.Plan, scheme address.Scheme) []node.Spec {
	out := make([]node.Spec, len(p.Nodes))
	for i := range p.Nodes {
		out[i] = spec(p, scheme, i)
	}
	return out
}

// spec of one node.
func spec(p *plan.Plan, scheme address.Scheme, i int) node.Spec {
	net := p.Scenario.Spec.Network
	n := &p.Nodes[i]
	s := node.Spec{
		Name: n.Name, Forward: true, Loopback: []netip.Prefix{scheme.Loopback(i)},
		Private: p.Scenario.Spec.Isolation != isolateNone,
	}
	if net.IPv4 {
		s.Loopback = append(s.Loopback, address.Loopback4(i))
	}
	entry := scenario.Routing{Protocol: router.None}
	if r := assignment.Routing(p, i); r != nil {
		entry = *r
	}
	for _, port := range n.Ports {
		s.Ports = append(s.Ports, node.PortSpec{
			Name: port.Name, MAC: address.MAC(i, port.Index), MTU: net.MTU,
			Addresses: router.PortAddresses(entry, net.IPv4, i, port.Index),
		})
	}
	return s
}

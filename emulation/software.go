package emulation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/address"
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

// routingOf is the entry that holds for a node, or nil.
func routingOf(p *plan.Plan, n int) *scenario.Routing {
	for i := range p.Scenario.Spec.Routing {
		r := &p.Scenario.Spec.Routing[i]
		if scenario.Match(r.Nodes, p.Nodes[n].Name) {
			return r
		}
	}
	return nil
}

// areaOf is the node's area by its entry; empty for the backbone.
func areaOf(r *scenario.Routing, name string) string {
	if r != nil {
		for _, a := range r.Areas {
			if scenario.Match(a.Nodes, name) {
				return a.ID
			}
		}
	}
	return ""
}

func label(r *scenario.Routing) string {
	daemon, err := router.Daemon(*r)
	if err != nil || daemon == "" {
		return r.Protocol
	}
	return r.Protocol + "/" + daemon
}

// assign renders every node's configuration. It is called when the first window
// of the plan is known, since a metric after delay is that of a port's first
// contact.
func (r *Run) assign() error {
	areas := make([]string, len(r.plan.Nodes))
	for i := range r.plan.Nodes {
		areas[i] = areaOf(routingOf(r.plan, i), r.plan.Nodes[i].Name)
	}
	first := r.director.firstDelays()
	templates := make(map[string]string)
	for i := range r.plan.Nodes {
		entry := routingOf(r.plan, i)
		if entry == nil {
			continue
		}
		sw := software{node: i, routing: entry, label: label(entry)}
		in := router.Input{
			Name: r.name(i), Index: i, Routing: *entry, Scheme: r.addresses,
			IPv4: r.plan.Scenario.Spec.Network.IPv4, MTU: r.plan.Scenario.Spec.Network.MTU,
			Dir: r.nodes.Dir(r.name(i)), FRR: router.Release(), Area: areas[i], Resolve: r.resolve,
		}
		if entry.Template != "" {
			text, err := template(templates, r.plan.Scenario.Path(entry.Template))
			if err != nil {
				return err
			}
			in.Template = text
		}
		for k := range r.plan.Nodes[i].Ports {
			p := &r.plan.Nodes[i].Ports[k]
			l := router.Link{Name: p.Name, Role: p.Role.String()}
			if peer, ok := r.plan.FixedPeer(p.ID); ok {
				q := r.plan.Port(peer)
				l.Peer = address.LinkLocal(q.Node, q.Index).Addr()
			}
			if len(entry.Areas) > 0 {
				l.Areas = r.areasBehind(i, p, areas)
			}
			if d := first[p.ID]; entry.Metric == "delay" && d > 0 {
				l.Cost = metricOf(d)
			}
			in.Ports = append(in.Ports, l)
		}
		var err error
		sw.input = in
		if sw.output, err = router.Render(in); err != nil {
			return fmt.Errorf("node %s: %w", r.name(i), err)
		}
		sw.neighbour = len(sw.output.Processes) > 0 && entry.Protocol != router.Static
		r.software = append(r.software, sw)
	}
	return nil
}

func template(known map[string]string, file string) (string, error) {
	if text, ok := known[file]; ok {
		return text, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("routing template: %w", err)
	}
	known[file] = string(b)
	return known[file], nil
}

func (r *Run) resolve(name string) (netip.Prefix, bool) {
	n, ok := r.plan.Node(name)
	if !ok {
		return netip.Prefix{}, false
	}
	return r.addresses.Loopback(n.Index), true
}

// areasBehind are the areas of the nodes that a port may ever meet. The ports of
// a grid meet their own plane or the neighbouring ones, all others anybody.
func (r *Run) areasBehind(n int, p *plan.Port, areas []string) []string {
	own := &r.plan.Nodes[n]
	seen := make(map[string]bool)
	var out []string
	for i := range r.plan.Nodes {
		other := &r.plan.Nodes[i]
		switch p.Name {
		case "fore", "aft":
			if other.Group != own.Group || other.Plane != own.Plane {
				continue
			}
		case "left", "right":
			if other.Group != own.Group || !neighbouringPlanes(own.Plane, other.Plane) {
				continue
			}
		}
		if i != n && !seen[areas[i]] {
			seen[areas[i]] = true
			out = append(out, areas[i])
		}
	}
	return out
}

// neighbouringPlanes is true also across the seam, whose planes are the first
// and the last: a port that never crosses it is so in one area too many at most.
func neighbouringPlanes(a, b int) bool {
	return a-b == 1 || b-a == 1 || a == 0 || b == 0
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
				p.Private = r.plan.Scenario.Spec.Isolation == isolateAll
				// What cannot be started is listed as failed, and goes on being so:
				// the others are worth having.
				if err := r.nodes.Start(ctx, name, p); err != nil && ctx.Err() == nil {
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
					if err := r.nodes.Start(ctx, name, r.command(c, n)); err != nil {
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
	for _, a := range c.Argv {
		p.Argv = append(p.Argv, r.expand(a, n))
	}
	for k, v := range c.Env {
		p.Env = append(p.Env, k+"="+r.expand(v, n))
	}
	return p
}

var restarts = map[string]node.RestartPolicy{"": node.Never, "never": node.Never, "on-failure": node.OnFailure, "always": node.Always}

// expand fills in ${node}, ${loopback} and ${loopback:NODE}; what else looks
// like a variable stays as it is.
func (r *Run) expand(s string, n int) string {
	return os.Expand(s, func(v string) string {
		switch {
		case v == "node":
			return r.name(n)
		case v == "loopback":
			return r.loopback(n).String()
		case strings.HasPrefix(v, "loopback:"):
			if other, ok := r.plan.Node(strings.TrimPrefix(v, "loopback:")); ok {
				return r.loopback(other.Index).String()
			}
		}
		return "${" + v + "}"
	})
}

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
	if entry := routingOf(r.plan, n); entry != nil {
		return label(entry)
	}
	return router.None
}

// Preflight says whether this host can run a plan, before anything is made.
func Preflight(p *plan.Plan, cfg node.Config) error {
	scheme, err := addressScheme(p)
	if err != nil {
		return err
	}
	return errors.Join(router.Preflight(usedRouting(p)), node.Preflight(cfg, specs(p, scheme)))
}

// specs are a plan's nodes as the node engine wants them.
func specs(p *plan.Plan, scheme address.Scheme) []node.Spec {
	net := p.Scenario.Spec.Network
	out := make([]node.Spec, len(p.Nodes))
	for i := range p.Nodes {
		n := &p.Nodes[i]
		s := node.Spec{
			Name: n.Name, Forward: true, Loopback: []netip.Prefix{scheme.Loopback(i)},
			Private: p.Scenario.Spec.Isolation != isolateNone,
		}
		if net.IPv4 {
			s.Loopback = append(s.Loopback, address.Loopback4(i))
		}
		entry := scenario.Routing{Protocol: router.None}
		if r := routingOf(p, i); r != nil {
			entry = *r
		}
		for _, port := range n.Ports {
			s.Ports = append(s.Ports, node.PortSpec{
				Name: port.Name, MAC: address.MAC(i, port.Index), MTU: net.MTU,
				Addresses: router.PortAddresses(entry, net.IPv4, i, port.Index),
			})
		}
		out[i] = s
	}
	return out
}

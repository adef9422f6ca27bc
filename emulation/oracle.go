package emulation

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/route"
	"orrery.dev/orrery/router"
)

// OracleProtocol marks the oracle's routes in the kernels' tables. rtnetlink
// leaves the numbers from 5 on to user space; no known daemon has this one.
const OracleProtocol = 201

// oracle knows the shortest paths over the plan. It is what daemons' paths are
// compared with, and for nodes whose protocol it is, it installs them as kernel
// routes: at each change of topology, and ahead of each planned end of a link
// so that nothing is on its way over a link that goes.
type oracle struct {
	run          *Run
	members      map[int]bool // nodes that route by it
	destinations []int
	lead         time.Duration // host time
	woken        chan struct{}

	// Of follow alone:
	graph *route.Graph
	last  *route.Solution

	mu    sync.Mutex   // guards the rest
	fresh map[int]bool // nodes that have no routes yet
	// The paths that others ask for:
	paths *route.Graph
	asked time.Duration
	trees map[int]*route.Tree
}

// oracleRefresh is how often, in host time, paths are computed anew while the
// topology stands: delays drift, and with them which path is the shortest.
const oracleRefresh = 10 * time.Second

// pathsAge is how old answers about paths may be while the topology stands:
// delays change by some microseconds in this time.
const pathsAge = time.Second

func newOracle(r *Run) *oracle {
	n := len(r.plan.Nodes)
	o := &oracle{
		run: r, members: make(map[int]bool), fresh: make(map[int]bool), woken: make(chan struct{}, 1),
		graph: route.New(n), paths: route.New(n),
	}
	all := false
	for i := range r.plan.Nodes {
		entry := assignment.Routing(r.plan, i)
		if entry == nil || entry.Protocol != router.Oracle {
			continue
		}
		o.members[i] = true
		o.lead = max(o.lead, time.Duration(entry.Lead))
		all = all || entry.Destinations == "all"
	}
	o.destinations = r.stations()
	if all {
		o.destinations = o.destinations[:0]
		for i := range r.plan.Nodes {
			o.destinations = append(o.destinations, i)
		}
	}
	return o
}

// wake tells that the topology has changed.
func (o *oracle) wake() {
	o.mu.Lock()
	o.trees = nil
	o.mu.Unlock()
	select {
	case o.woken <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

// welcome has a node get all of its routes, whatever it was given before.
func (o *oracle) welcome(n int) {
	o.mu.Lock()
	o.fresh[n] = true
	o.mu.Unlock()
	o.wake()
}

// follow keeps the members' kernel routes right until ctx ends.
func (o *oracle) follow(ctx context.Context) error {
	if len(o.members) == 0 {
		return nil
	}
	for ahead := false; ; {
		tl := o.run.timeline
		at, err := o.update(ctx, ahead)
		if err != nil {
			o.run.problem("oracle", err.Error())
		}
		wait, cancel := context.WithCancel(ctx)
		slept := make(chan struct{})
		go func() {
			_ = tl.WaitUntil(wait, at)
			close(slept)
		}()
		select {
		case <-slept:
			ahead = true
		case <-o.woken:
			ahead = false
		case <-tl.Changed(): // another speed: another lead in scenario time
			ahead = true
		case <-ctx.Done():
		}
		cancel()
		<-slept
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-o.woken: // as well
			ahead = false
		default:
		}
	}
}

// update installs what is best at this moment; ahead tells that no change of topology is
// why. It returns the scenario time of
// the next update if nothing wakes the oracle before.
func (o *oracle) update(ctx context.Context, ahead bool) (at time.Duration, err error) {
	tl := o.run.timeline
	now := tl.Now()
	lead := time.Duration(float64(o.lead) * tl.Speed())
	contacts := o.run.part.among(o.run.director.standing())
	next := route.Solve(o.run.plan, o.graph, contacts, o.destinations, now, lead)
	err = o.install(ctx, next, ahead)
	o.last = next
	// The next link to be left early, or the next look at delays; all else wakes.
	at = now + time.Duration(float64(oracleRefresh)*tl.Speed())
	for i := range contacts {
		if c := &contacts[i]; c.Ends && c.End-lead > now {
			at = min(at, c.End-lead)
		}
	}
	return at, err
}

// install gives the kernels what differs from the last solution.
func (o *oracle) install(ctx context.Context, s *route.Solution, ahead bool) error {
	changed := make(map[int]bool)
	o.mu.Lock()
	for n := range o.fresh {
		changed[n] = o.members[n]
	}
	clear(o.fresh)
	o.mu.Unlock()
	for _, h := range s.Diff(o.last) {
		changed[h.Node] = o.members[h.Node]
	}
	maps.DeleteFunc(changed, func(n int, member bool) bool { return !member || !o.run.carries(n) })
	if ahead && len(changed) > 0 {
		o.run.observer.note(observation{ahead: true, at: o.run.timeline.Now()})
	}
	var g errgroup.Group
	g.SetLimit(installAtOnce)
	for n := range changed {
		g.Go(func() error {
			if err := o.run.nodes.SetRoutes(ctx, o.run.name(n), OracleProtocol, o.routes(s, n)); err != nil && ctx.Err() == nil && o.run.carries(n) {
				return fmt.Errorf("oracle routes of node %s: %w", o.run.name(n), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// installAtOnce is how many nodes' tables are changed at a time.
const installAtOnce = 4

// routes of one node by a solution.
func (o *oracle) routes(s *route.Solution, n int) []node.Route {
	var out []node.Route
	ipv4 := o.run.plan.Scenario.Spec.Network.IPv4
	for i := range s.Trees {
		t := &s.Trees[i]
		if t.Next[n] == route.None {
			continue
		}
		out = append(out, o.entry(o.run.addresses.Loopback(t.Destination), n, t.Next[n], int(t.Via[n])))
		if ipv4 {
			out = append(out, o.entry(address.Loopback4(t.Destination), n, t.Next[n], int(t.Via[n])))
		}
	}
	return out
}

func (o *oracle) entry(to netip.Prefix, n int, port plan.PortID, via int) node.Route {
	p := o.run.plan.Port(port)
	r := node.Route{Prefix: to, Port: p.Name, Metric: oracleMetric, Protocol: OracleProtocol}
	if c := o.run.director.contact(port); c != nil {
		if far := o.run.plan.Port(peer(c, port)); far.Node == via {
			r.Via = address.LinkLocal(far.Node, far.Index).Addr()
		}
	}
	return r
}

// oracleMetric of the kernel routes; daemons on the same node would have 20.
const oracleMetric = 20

// OraclePath is the shortest path between two nodes over the links of this
// moment, by delay. ok is false if there is none.
func (r *Run) OraclePath(from, to int) (p Path, ok bool) {
	o := r.oracle
	o.mu.Lock()
	defer o.mu.Unlock()
	now := r.timeline.Now()
	if o.trees == nil || now-o.asked > pathsAge {
		o.paths.SetContacts(r.plan, r.part.among(r.director.standing()), now, 0)
		o.asked, o.trees = now, make(map[int]*route.Tree)
	}
	t := o.trees[to]
	if t == nil {
		t = new(route.Tree)
		o.paths.Tree(to, t)
		o.trees[to] = t
	}
	nodes, ports := t.Path(from)
	if nodes == nil {
		return Path{}, false
	}
	for i, n := range nodes {
		h := Hop{Node: n, Port: -1}
		if i < len(ports) {
			h.Port = ports[i]
			c := r.director.contact(ports[i])
			if c == nil {
				return Path{}, false // it ended just now
			}
			h.Delay = time.Duration(c.Delay.At(now) * float64(time.Second))
			p.Delay += h.Delay
		}
		p.Hops = append(p.Hops, h)
	}
	return p, true
}

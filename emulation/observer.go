package emulation

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/observe"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/router"
)

// foreign is a next hop's address that no node has.
const foreign int32 = -2

// Every pair is recorded again after a while, since delays change along paths that
// stay: some pairs every second, many less often.
const (
	sampleInterval   = time.Second
	samplesPerSecond = 100
)

// observer feeds a verifier and a tracker with the run's tables and links, and records
// what follows.
type observer struct {
	run      *Run
	out      *record.Writer
	verifier *observe.Verifier
	tracker  *observe.Tracker
	sources  []int // nodes
	targets  []int
	nodes    map[string]int32
	ports    []map[string]int32 // by node
	contacts []*plan.Contact    // by port, as of the last change that was looked at
	carrier  []bool             // by port, if the gate is open
	gateOpen bool
	last     time.Duration   // no instant is earlier
	changes  map[int]applied // of topology, by the numbers that the tracker has for them
	numbers  int
	over     bool

	woken chan struct{}
	mu    sync.Mutex // guards:
	queue []observation
}

// observation is something to look at: one of these.
type observation struct {
	links  []applied
	routes []node.RouteUpdate
	gate   bool // it was opened
	ahead  bool // routers begin to act ahead of what the plan has next, at:
	at     time.Duration
}

func newObserver(r *Run, c Recording, out *record.Writer) *observer {
	p := r.plan
	o := &observer{
		run: r, out: out, sources: r.stations(), nodes: make(map[string]int32), woken: make(chan struct{}, 1),
		contacts: make([]*plan.Contact, p.NumPorts()), carrier: make([]bool, p.NumPorts()),
		gateOpen: p.Scenario.Spec.Boot != bootRouters, changes: make(map[int]applied),
	}
	cfg := observe.Config{Nodes: len(p.Nodes)}
	four := false
	for i := range p.Nodes {
		n := &p.Nodes[i]
		o.nodes[n.Name] = int32(i)
		ports := make(map[string]int32)
		for _, port := range n.Ports {
			ports[port.Name] = int32(port.ID)
			cfg.Ports = append(cfg.Ports, int32(i))
		}
		o.ports = append(o.ports, ports)
		if entry := assignment.Routing(p, i); entry != nil && entry.Protocol == router.OSPF2 {
			four = true // it knows no IPv6
		}
		if c.AllPairs && n.Kind != plan.Station {
			o.sources = append(o.sources, i)
		}
	}
	o.targets = o.sources
	for _, n := range o.sources {
		to := r.loopback(n)
		if four {
			to = address.Loopback4(n).Addr()
		}
		cfg.Sources = append(cfg.Sources, int32(n))
		cfg.Destinations = append(cfg.Destinations, observe.Destination{Node: int32(n), Address: to})
	}
	o.verifier = observe.New(cfg)
	o.tracker = observe.NewTracker(len(o.sources) * len(o.targets))
	return o
}

// note takes something up. It may be called from any goroutine, and is quick.
func (o *observer) note(n observation) {
	if o == nil {
		return
	}
	o.mu.Lock()
	o.queue = append(o.queue, n)
	o.mu.Unlock()
	select {
	case o.woken <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

// watch hears of all tables until ctx ends.
func (o *observer) watch(ctx context.Context) error {
	if o == nil {
		return nil
	}
	names := make([]string, len(o.run.plan.Nodes))
	for i := range names {
		names[i] = o.run.name(i)
	}
	err := o.run.nodes.WatchRoutes(ctx, names, func(u []node.RouteUpdate) { o.note(observation{routes: u}) })
	if err != nil {
		o.run.recorder.unobserved("routes, pairs and convergence: " + err.Error())
	}
	return err
}

// follow looks at all that is noted, until ctx ends.
func (o *observer) follow(ctx context.Context) error {
	if o == nil {
		return nil
	}
	o.begin()
	pairs := len(o.sources) * len(o.targets)
	sample := time.NewTicker(max(sampleInterval, time.Duration(pairs)*time.Second/samplesPerSecond))
	defer sample.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.woken:
			o.lookAll(ctx)
		case <-sample.C:
			o.sample()
		}
	}
}

// finish looks at what is left when the run has ended at an instant, and closes what is
// open. Where daemons change tables faster than can be looked at that takes its time, so
// it is for when they have ended.
func (o *observer) finish(ended time.Duration) {
	if o == nil || o.over {
		return
	}
	o.over = true
	o.lookAll(context.Background())
	o.tracker.Close(max(o.last, ended))
	o.report()
}

// lookAll looks at all that is noted. When ctx ends it leaves the rest.
func (o *observer) lookAll(ctx context.Context) {
	o.mu.Lock()
	queue := o.queue
	o.queue = nil
	o.mu.Unlock()
	for i := range queue {
		if ctx.Err() != nil {
			o.mu.Lock()
			o.queue = append(queue[i:], o.queue...)
			o.mu.Unlock()
			break
		}
		switch n := &queue[i]; {
		case n.gate:
			o.openGate()
		case n.ahead:
			o.tracker.Foresee(o.advance(n.at))
		case n.links != nil:
			o.lookAtLinks(n.links)
		default:
			o.lookAtRoutes(n.routes)
		}
	}
	o.report()
}

// advance gives an instant that is not before the last one.
func (o *observer) advance(at time.Duration) time.Duration {
	o.last = max(o.last, at)
	return o.last
}

// lookAtLinks takes changes of topology in, those of one instant together.
func (o *observer) lookAtLinks(changes []applied) {
	for len(changes) > 0 {
		at, n := changes[0].at, 1
		for n < len(changes) && changes[n].at == at {
			n++
		}
		for _, c := range changes[:n] {
			o.turn(c)
		}
		now := o.advance(at)
		if at > 0 { // what is there from the beginning is no change
			for _, c := range changes[:n] {
				up, down := 0, 1
				if c.up {
					up, down = 1, 0
				}
				o.changes[o.numbers] = c
				o.tracker.Topology(now, up, down, o.numbers)
				o.numbers++
			}
		}
		o.update(now)
		changes = changes[n:]
	}
}

// turn takes one change of topology into the links.
func (o *observer) turn(c applied) {
	for _, p := range [2]plan.PortID{c.contact.A, c.contact.B} {
		switch held := o.contacts[p]; {
		case c.up:
			o.contacts[p], o.carrier[p] = c.contact, true
		case held != nil && held.ID == c.contact.ID:
			o.contacts[p] = nil
			o.carrier[p] = c.contact.Properties != nil && c.contact.Properties.Silent
		}
		o.setLink(p)
	}
}

func (o *observer) setLink(p plan.PortID) {
	far := observe.None
	if c := o.contacts[p]; c != nil {
		far = int32(peer(c, p))
	}
	o.verifier.SetLink(int32(p), far, o.carrier[p] && o.gateOpen)
}

func (o *observer) openGate() {
	o.gateOpen = true
	for p := range o.contacts {
		o.setLink(plan.PortID(p))
	}
	o.update(o.advance(o.run.timeline.Now()))
}

// lookAtRoutes takes changes of tables in, one by one; a table that was read, as a whole.
func (o *observer) lookAtRoutes(updates []node.RouteUpdate) {
	rows := make([]record.RouteChange, 0, len(updates))
	read := false
	for i := range updates {
		u := &updates[i]
		at := o.run.timeline.Now()
		if u.Stamp != 0 {
			at = o.run.timeline.At(u.Stamp)
		}
		at = o.advance(at)
		rows = append(rows, routeRow(u, at))
		n := o.nodes[u.Node]
		r := observe.Route{Prefix: u.Prefix, Metric: u.Metric}
		for _, h := range u.Hops {
			r.Hops = append(r.Hops, o.hop(n, h))
		}
		switch u.Op {
		case node.RoutesLost:
			o.verifier.RemoveRoutes(n)
			read = true
		case node.RouteSet:
			o.verifier.SetRoute(n, r)
		case node.RouteGone:
			o.verifier.RemoveRoute(n, r)
		}
		if !read {
			o.tracker.Table(at, n)
			o.update(at)
		}
	}
	if read {
		o.update(o.last)
	}
	record.Routes.Write(o.out, rows...)
}

var routeOps = map[node.RouteOp]string{node.RouteSet: "set", node.RouteGone: "gone", node.RoutesLost: "lost"}

func routeRow(u *node.RouteUpdate, at time.Duration) record.RouteChange {
	row := record.RouteChange{At: at.Microseconds(), Node: u.Node, Op: routeOps[u.Op], Metric: int32(u.Metric), Protocol: int32(u.Protocol)}
	if u.Op != node.RoutesLost {
		row.Prefix = u.Prefix.String()
	}
	for _, h := range u.Hops {
		hop := record.Hop{Port: h.Port}
		if h.Via.IsValid() {
			hop.Via = h.Via.String()
		}
		row.Hops = append(row.Hops, hop)
	}
	return row
}

// hop is a next hop as the verifier knows it: by numbers.
func (o *observer) hop(n int32, h node.NextHop) observe.Hop {
	out := observe.Hop{Port: observe.None, Node: observe.None, Peer: observe.None}
	if p, ok := o.ports[n][h.Port]; ok {
		out.Port = p
	}
	if h.Via.IsValid() {
		out.Node, out.Peer = o.owner(h.Via)
	}
	return out
}

// owner of a next hop's address: the node, and the port if it is a port's.
func (o *observer) owner(a netip.Addr) (n, port int32) {
	nodes := o.run.plan.Nodes
	if i, k, ok := address.OfLinkLocal(a); ok && i < len(nodes) && k < len(nodes[i].Ports) {
		return int32(i), int32(nodes[i].Ports[k].ID)
	}
	if i, ok := o.run.addresses.Node(a); ok && i < len(nodes) {
		return int32(i), observe.None
	}
	return foreign, observe.None
}

// begin records that no pair has a path yet, so that those that never have one are told
// of, too.
func (o *observer) begin() {
	for s := range o.sources {
		for d := range o.targets {
			if s != d {
				p := o.verifier.Pair(s, d)
				record.Pairs.Write(o.out, o.pairRow(0, s, d, &p))
			}
		}
	}
}

// update records the pairs that fare otherwise than before.
func (o *observer) update(at time.Duration) {
	for _, c := range o.verifier.Update() {
		o.tracker.Pair(at, c.Source*len(o.targets)+c.Destination, c.Now.State)
		record.Pairs.Write(o.out, o.pairRow(at, c.Source, c.Destination, &c.Now))
	}
}

// sample records again what pairs that are reachable fare like.
func (o *observer) sample() {
	now := o.advance(o.run.timeline.Now())
	for s := range o.sources {
		for d := range o.targets {
			if p := o.verifier.Pair(s, d); s != d && p.State == observe.Reachable {
				row := o.pairRow(now, s, d, &p)
				row.Sample = true
				record.Pairs.Write(o.out, row)
			}
		}
	}
}

func (o *observer) pairRow(at time.Duration, source, target int, p *observe.Pair) record.PairState {
	from, to := o.sources[source], o.targets[target]
	row := record.PairState{
		At: at.Microseconds(), Source: o.run.name(from), Destination: o.run.name(to),
		State: p.State.String(), Reason: p.Cause.String(), Partly: p.Partly,
	}
	for _, n := range p.Nodes {
		row.Path = append(row.Path, o.run.name(int(n)))
	}
	if p.State == observe.NoPath {
		return row
	}
	if path, ok := o.run.OraclePath(from, to); ok {
		row.Oracle = microseconds(path.Delay)
	}
	if p.State == observe.Reachable {
		var delay time.Duration
		for _, port := range p.Ports {
			c := o.run.director.contact(plan.PortID(port))
			if c == nil || c.ID != o.contacts[port].ID {
				c = o.contacts[port] // it ended, or another began, since
			}
			delay += time.Duration(c.Delay.At(at) * float64(time.Second))
		}
		if row.Delay = microseconds(delay); row.Delay != nil && row.Oracle != nil {
			stretch := *row.Delay / *row.Oracle
			row.Stretch = &stretch
		}
	}
	return row
}

// report records what is over.
func (o *observer) report() {
	events, outages := o.tracker.Take()
	for _, c := range events {
		first := o.changes[c.First]
		row := record.Convergence{
			At: c.At.Microseconds(), Kind: string(LinkDown), Links: int32(c.Up + c.Down),
			A: o.run.portName(first.contact.A), B: o.run.portName(first.contact.B), Class: first.contact.Class.String(),
			Changes: int32(c.Changes), Nodes: int32(c.Nodes), Ahead: int32(c.Ahead), Pairs: int32(c.Pairs),
			Lost: c.Lost.Microseconds(), Loop: c.Loop.Microseconds(), LoopPairs: int32(c.LoopPairs),
			Overlapped: c.Overlapped, Open: c.Open,
		}
		switch {
		case c.Up > 0 && c.Down > 0:
			row.Kind = "mixed"
		case c.Up > 0:
			row.Kind = string(LinkUp)
		}
		if c.Changes > 0 {
			us := c.LastChange.Microseconds()
			row.LastChange = &us
		}
		if c.Pairs > 0 {
			us := c.Until.Microseconds()
			row.Until = &us
		}
		if c.Restored {
			row.Restored = row.Until
		}
		record.Convergences.Write(o.out, row)
		for i := range c.Up + c.Down {
			delete(o.changes, c.First+i)
		}
	}
	for _, g := range outages {
		lost := g.Lost.Microseconds()
		record.Outages.Write(o.out, record.Outage{
			From: g.From.Microseconds(), To: g.To.Microseconds(), By: "tables", Cause: g.Cause.String(), Open: g.Open, Lost: &lost,
			Source: o.run.name(o.sources[g.Pair/len(o.targets)]), Destination: o.run.name(o.targets[g.Pair%len(o.targets)]),
		})
	}
}

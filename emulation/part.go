package emulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
)

// part is what a run knows of nodes if it carries only some of them: those that others
// make, and that come and go. The plan is the whole one; so are the wires. What is
// different is who is there: a link has carrier while it is up and both of its nodes are
// present, here or on another host.
type part struct {
	run     *Run
	routing []string // what the scenario's nodes route with; the pods run it

	changing sync.Mutex // one change of a node at a time

	mu    sync.Mutex // guards what follows, and carriers that are on their way
	where []where    // by node
}

type where uint8

const (
	absent where = iota
	elsewhere
	here
)

var (
	errWhole  = errors.New("the run carries all nodes of its plan, and none of them comes or goes")
	errSteer  = errors.New("this host carries a part of the run, whose time is the same on all hosts; change it where the run was begun")
	errPlaces = errors.New("the link engine knows no other hosts")
)

// StartPart is Start for a run that carries a part of the plan's nodes: none at first, see
// Join. Somebody else makes them, runs their software, and says what time it is: the
// timeline is followed as it is. The engine of nodes has those that have joined.
//
// The cursor is of the plan; it is at its beginning or was resumed, not later than now.
// planned, if given, is called with it after each window, before the next is computed.
// When StartPart returns an error nothing is left of the run.
func (r *Run) StartPart(ctx context.Context, cursor *plan.Cursor, planned func(*plan.Cursor)) (err error) {
	r.started = time.Now()
	r.part = &part{run: r, where: make([]where, len(r.plan.Nodes))}
	for i := range r.plan.Nodes {
		if label := r.RoutingOf(i); label != router.None && !slices.Contains(r.part.routing, label) {
			r.part.routing = append(r.part.routing, label)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Stop(context.WithoutCancel(ctx)))
		}
	}()
	var ports []fabric.Port
	for i := range r.plan.Nodes {
		n := &r.plan.Nodes[i]
		for _, p := range n.Ports {
			ports = append(ports, fabric.Port{Name: n.Name + ":" + p.Name, Node: i + 1, Origin: origin(r.plan, r.addresses, i, p.Index)})
		}
	}
	if r.fabric, err = r.newFabric(r.timeline, ports); err != nil {
		return err
	}
	if _, ok := r.fabric.(fabric.Attacher); !ok {
		return fmt.Errorf("the link engine %T has fixed devices, and cannot carry a part of a run", r.fabric)
	}
	r.prepare()
	first, err := r.present(ctx, cursor)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	r.director.load(first)
	r.director.apply()
	if r.prober, err = newProber(r, nil); err != nil {
		return err
	}
	r.pastTraffic = newPastTraffic(r)
	r.live(ctx, PhaseRunning, map[string]func(context.Context) error{
		"planner":  func(ctx context.Context) error { return r.director.planAhead(ctx, cursor, planned) },
		"director": r.director.direct,
		"oracle":   r.oracle.follow,
		"watch":    r.watch,
		"traffic":  r.pastTraffic.follow,
		"end":      r.waitEnd,
	})
	return nil
}

// present is the window that it is now, without what is over. Earlier ones are passed by:
// nobody has to be told of links that came and went.
func (r *Run) present(ctx context.Context, cursor *plan.Cursor) (plan.Window, error) {
	for {
		w, err := cursor.Next(ctx)
		if err != nil {
			return plan.Window{}, err
		}
		now := r.timeline.Now()
		if w.To <= now {
			continue
		}
		r.director.began = now
		w.Contacts = slices.DeleteFunc(w.Contacts, func(c plan.Contact) bool { return c.Ends && c.End <= now })
		return w, nil
	}
}

// NodeSpec is what a node of a plan is to be made as.
func NodeSpec(p *plan.Plan, scheme address.Scheme, n int) node.Spec { return spec(p, scheme, n) }

// Join takes up nodes that the engine of nodes has by now: their ports carry frames, and
// their kernels get the oracle's routes, if they are members. The run owns the devices' files
// until they leave. Links between nodes that join together have carrier at once: devices
// that had it before keep it. Joining twice does nothing twice.
func (r *Run) Join(nodes ...int) error {
	if r.part == nil {
		return errWhole
	}
	return r.part.join(nodes)
}

// Leave gives a node up, whose files are closed; the engine of nodes lets go of it
// afterwards. Leaving twice does
// nothing twice.
func (r *Run) Leave(n int) error {
	if r.part == nil {
		return errWhole
	}
	return r.part.leave(n)
}

// Place says which host carries each of these nodes; "" for none. Nodes that have
// joined are here, whatever is said.
func (r *Run) Place(hosts map[int]string) error {
	if r.part == nil {
		return errWhole
	}
	return r.part.place(hosts)
}

// Present tells whether a node is there, on this host or on another.
func (r *Run) Present(n int) bool { return r.part.at(n) != absent }

// carries tells whether a node is on this host.
func (r *Run) carries(n int) bool { return r.part.at(n) == here }

// at is where a node is: here, if the run carries all of them.
func (p *part) at(n int) where {
	if p == nil {
		return here
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.where[n]
}

func (p *part) join(nodes []int) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n int) bool { return p.at(n) == here })
	// Devices get the carriers that were asked for before they came.
	for _, n := range nodes {
		p.set(n, here)
	}
	var errs []error
	for _, n := range nodes {
		if err := p.attach(n); err != nil {
			p.set(n, absent)
			errs = append(errs, err)
			continue
		}
		p.run.oracle.welcome(n)
	}
	return errors.Join(errs...)
}

// attach gives a node's devices to the link engine.
func (p *part) attach(n int) error {
	r := p.run
	attacher := r.fabric.(fabric.Attacher) // as StartPart has seen to
	name := r.name(n)
	for i, q := range r.plan.Nodes[n].Ports {
		device, err := r.nodes.Device(name, q.Name)
		if err == nil {
			err = attacher.Attach(fabric.PortID(q.ID), device)
		}
		if err != nil {
			for _, q := range r.plan.Nodes[n].Ports[:i] {
				err = errors.Join(err, attacher.Detach(fabric.PortID(q.ID)))
			}
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	return nil
}

func (p *part) leave(n int) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.at(n) != here {
		return nil
	}
	p.set(n, absent)
	p.run.oracle.wake()
	var errs []error
	for _, q := range p.run.plan.Nodes[n].Ports {
		errs = append(errs, p.run.fabric.(fabric.Attacher).Detach(fabric.PortID(q.ID)))
	}
	return errors.Join(errs...)
}

func (p *part) place(hosts map[int]string) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	r := p.run
	var placements []fabric.Placement
	for n, host := range hosts {
		for _, q := range r.plan.Nodes[n].Ports {
			placements = append(placements, fabric.Placement{Port: fabric.PortID(q.ID), Host: host})
		}
	}
	placer, ok := r.fabric.(fabric.Placer)
	if !ok {
		return errPlaces
	}
	if err := placer.Place(placements...); err != nil {
		return err
	}
	for n, host := range hosts {
		switch {
		case p.at(n) == here:
		case host == "":
			p.set(n, absent)
		default:
			p.set(n, elsewhere)
		}
	}
	r.oracle.wake()
	return nil
}

// set says where a node is from now on, and tells it and its neighbours whether their links
// have carrier.
func (p *part) set(n int, at where) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.where[n] = at
	var carriers []fabric.Carrier
	for _, q := range p.run.plan.Nodes[n].Ports {
		if c := p.run.director.contact(q.ID); c != nil {
			carriers = append(carriers, fabric.Carrier{Port: fabric.PortID(c.A), Up: true}, fabric.Carrier{Port: fabric.PortID(c.B), Up: true})
		}
	}
	p.tell(carriers)
}

// carriers are told as far as nodes are present.
func (p *part) carriers(list []fabric.Carrier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(list)
}

// tell is called with p.mu held. The order is kept.
func (p *part) tell(list []fabric.Carrier) {
	r := p.run
	for i := range list {
		c := &list[i]
		if contact := r.director.contact(plan.PortID(c.Port)); c.Up && contact != nil {
			c.Up = p.where[r.plan.Port(contact.A).Node] != absent && p.where[r.plan.Port(contact.B).Node] != absent
		}
	}
	r.applyCarriers(list...)
}

// among keeps the contacts between nodes that are present.
func (p *part) among(contacts []plan.Contact) []plan.Contact {
	if p == nil {
		return contacts
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(contacts, func(c plan.Contact) bool {
		return p.where[p.run.plan.Port(c.A).Node] == absent || p.where[p.run.plan.Port(c.B).Node] == absent
	})
}

// live sets the parts of a run going that go on until it is stopped.
func (r *Run) live(ctx context.Context, phase Phase, parts map[string]func(context.Context) error) {
	// Ready before anybody looks: parts that fail from here on are problems of a
	// run that lives.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	r.group, life = errgroup.WithContext(life)
	r.phase.Store(int32(phase))
	for name, part := range parts {
		r.group.Go(func() error {
			err := part(life)
			if err != nil && life.Err() == nil {
				r.problem(name, err.Error())
				r.log.Error("part of the run failed", "part", name, "error", err)
			}
			return nil // the others go on: a run in trouble can still be looked at
		})
	}
}

package emulation

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/thread"
)

// never is the end of a contact whose end has not been planned yet.
const never = time.Duration(math.MaxInt64)

// change is one change of topology at an exact instant of the plan.
type change struct {
	at time.Duration
	up bool
	id plan.ContactID
}

// before orders changes by time; at the same instant what ends comes before
// what begins, so that a port is free when its next contact takes it.
func (a change) before(b change) bool {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c < 0
	}
	if a.up != b.up {
		return !a.up
	}
	return a.id < b.id
}

// applied is a change that was made, and the contact that it was about.
type applied struct {
	change
	contact *plan.Contact
}

// link is a contact as far as it is known at this moment. The contact itself is
// replaced and never changed, since others read it without a lock.
type link struct {
	contact *plan.Contact
	up      bool // by the plan
	joined  bool // in the fabric: up, and not cut
	worse   impairment
}

// agenda is a heap of the changes that are planned and not made yet.
type agenda []change

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].before(a[j]) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(change)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// director applies the plan to the fabric.
type director struct {
	plan     *plan.Plan
	fabric   fabric.Fabric
	timeline *clock.Timeline

	// carriers tells nodes of their ports' carriers, in the order given.
	carriers func(...fabric.Carrier)
	// changed is called after each batch of changes, not concurrently.
	changed func([]applied)

	// began is the scenario time from which on changes are applied as they happen.
	began time.Duration

	// ports holds the contact of each port while it lasts, for reading without
	// a lock: as it is in the fabric, with what failures add to it.
	ports []atomic.Pointer[plan.Contact]

	changing sync.Mutex // one batch of changes at a time; before mu

	mu      sync.Mutex // guards the rest
	faults  *faults
	links   map[plan.ContactID]*link
	agenda  agenda
	horizon time.Duration // the plan is known up to here
	loaded  chan struct{} // closed and renewed when a window was loaded
	planErr error
	late    fabric.Histogram // host time from a change's instant until its carriers were told
}

func newDirector(p *plan.Plan, f fabric.Fabric, tl *clock.Timeline) *director {
	return &director{
		plan: p, fabric: f, timeline: tl,
		ports:  make([]atomic.Pointer[plan.Contact], p.NumPorts()),
		links:  make(map[plan.ContactID]*link),
		loaded: make(chan struct{}),
	}
}

// windowLength of the plan in scenario time. Longer windows at higher speeds
// keep the host's work per window the same.
func windowLength(speed float64) time.Duration {
	return time.Duration(float64(60*time.Second) * max(1, speed))
}

// planAhead computes windows until ctx ends, keeping two whole windows and more
// between now and the horizon. planned, if given, is called before each of them.
func (d *director) planAhead(ctx context.Context, cursor *plan.Cursor, planned func(*plan.Cursor)) error {
	for {
		if planned != nil {
			planned(cursor)
		}
		w, err := cursor.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			err = fmt.Errorf("plan: %w", err)
			d.mu.Lock()
			d.planErr = err
			d.mu.Unlock()
			return err
		}
		d.load(w)
		if err := d.timeline.WaitUntil(ctx, w.From-2*windowLength(d.timeline.Speed())); err != nil {
			return nil
		}
	}
}

// load takes a window's contacts onto the agenda. What is known already goes on.
func (d *director) load(w plan.Window) {
	now := d.timeline.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range w.Contacts {
		c := &w.Contacts[i]
		l, known := d.links[c.ID]
		if !known {
			l = new(link)
			d.links[c.ID] = l
			heap.Push(&d.agenda, change{c.Start, true, c.ID})
		} else {
			c.Delay = l.contact.Delay.After(now).Append(c.Delay)
			c.Rate = l.contact.Rate.After(now).Append(c.Rate)
			c.Loss = l.contact.Loss.After(now).Append(c.Loss)
		}
		l.contact = c
		if c.Ends {
			heap.Push(&d.agenda, change{c.End, false, c.ID})
		}
		if l.joined {
			d.join(l)
		}
	}
	d.horizon = w.To
	close(d.loaded)
	d.loaded = make(chan struct{})
}

// join sets both directions, unless a failure cuts them. It is called with d.mu held.
func (d *director) join(l *link) {
	i, cut := d.faults.of(l.contact)
	l.joined, l.worse = !cut, i
	if cut {
		return
	}
	c := i.contact(l.contact)
	d.ports[c.A].Store(c)
	d.ports[c.B].Store(c)
	d.fabric.Set(fabric.PortID(c.A), i.wire(wire(c, c.B)))
	d.fabric.Set(fabric.PortID(c.B), i.wire(wire(c, c.A)))
}

// wire is one direction of a contact, as the fabric wants it.
func wire(c *plan.Contact, peer plan.PortID) *fabric.Wire {
	w := &fabric.Wire{
		Peer: fabric.PortID(peer), Contact: uint64(c.ID),
		Start: c.Start, End: never,
		Delay: c.Delay, Rate: c.Rate,
		Loss: fabric.Loss{Bernoulli: c.Loss},
	}
	if c.Ends {
		w.End = c.End
	}
	if p := c.Properties; p != nil {
		w.Queue = int(p.Queue)
		w.Loss.GilbertElliott = gilbertElliott(p.Loss)
	}
	return w
}

func gilbertElliott(l *scenario.Loss) *fabric.GilbertElliott {
	if l == nil || l.GilbertElliott == nil {
		return nil
	}
	g := l.GilbertElliott
	bad := 1.0
	if g.LossBad != nil {
		bad = float64(*g.LossBad)
	}
	return &fabric.GilbertElliott{
		GoodToBad: float64(g.GoodToBad), BadToGood: float64(g.BadToGood),
		LossGood: float64(g.LossGood), LossBad: bad,
	}
}

// direct applies each change at its instant until ctx ends. It does so on a thread at
// real-time priority, so that busy processes of nodes do not hold up their links.
func (d *director) direct(ctx context.Context) error {
	return thread.Do(func() error {
		thread.RealTime()
		return d.follow(ctx)
	})
}

func (d *director) follow(ctx context.Context) error {
	for {
		d.mu.Lock()
		next, loaded := never, d.loaded
		if len(d.agenda) > 0 {
			next = d.agenda[0].at
		}
		d.mu.Unlock()

		// Sleep until the next change, or until a window brings an earlier one.
		wait, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-loaded:
				cancel()
			case <-wait.Done():
			}
		}()
		err := d.timeline.Meet(wait, next)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			continue // a window was loaded
		}
		d.apply()
	}
}

// apply does what is due now.
func (d *director) apply() {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.Lock()
	var done []applied
	now := d.timeline.Now()
	for len(d.agenda) > 0 && d.agenda[0].at <= now {
		ch := heap.Pop(&d.agenda).(change)
		l := d.links[ch.id]
		was := l.joined
		l.up = ch.up
		if ch.up {
			d.join(l)
		} else {
			d.part(l)
			delete(d.links, ch.id)
		}
		if l.joined != was {
			done = append(done, applied{ch, l.contact})
		}
	}
	d.mu.Unlock()
	if len(done) == 0 {
		return
	}
	d.tell(done)
	now = d.timeline.Now()
	d.mu.Lock()
	for _, a := range done {
		if a.at > d.began { // the first sky is made before anybody looks
			d.late.Record(time.Duration(float64(now-a.at) / d.timeline.Speed()))
		}
	}
	d.mu.Unlock()
	d.changed(done)
}

// tell nodes of changes. Carriers cost system calls, so they follow when all wires
// stand. A port that changes its peer at one instant has its carrier go down and up:
// its daemon must see that the neighbour is another one.
func (d *director) tell(done []applied) {
	carriers := make([]fabric.Carrier, 0, 2*len(done))
	for _, a := range done {
		if silent := a.contact.Properties != nil && a.contact.Properties.Silent; a.up || !silent {
			carriers = append(carriers,
				fabric.Carrier{Port: fabric.PortID(a.contact.A), Up: a.up},
				fabric.Carrier{Port: fabric.PortID(a.contact.B), Up: a.up})
		}
	}
	d.carriers(carriers...)
}

// fail makes these the failures of links from now on, in place of earlier ones.
func (d *director) fail(f *faults) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.Lock()
	d.faults = f
	now := d.timeline.Now()
	var done []applied
	for _, id := range slices.Sorted(maps.Keys(d.links)) {
		l := d.links[id]
		if !l.up {
			continue
		}
		was := l.joined
		switch i, cut := f.of(l.contact); {
		case cut && l.joined:
			d.part(l)
		case !cut && (!l.joined || l.worse != i):
			d.join(l)
		}
		if l.joined != was {
			done = append(done, applied{change{now, l.joined, id}, l.contact})
		}
	}
	d.mu.Unlock()
	if len(done) > 0 {
		d.tell(done)
	}
	d.changed(done)
}

// part disconnects both ports, unless another contact holds them already. It is
// called with d.mu held.
func (d *director) part(l *link) {
	for _, p := range [2]plan.PortID{l.contact.A, l.contact.B} {
		if cur := d.ports[p].Load(); cur != nil && cur.ID == l.contact.ID {
			d.ports[p].Store(nil)
			d.fabric.Set(fabric.PortID(p), nil)
		}
	}
	l.joined = false
}

// contact of a port at this moment, or nil.
func (d *director) contact(p plan.PortID) *plan.Contact { return d.ports[p].Load() }

// peer is the other end of a contact.
func peer(c *plan.Contact, p plan.PortID) plan.PortID {
	if c.A == p {
		return c.B
	}
	return c.A
}

// up lists the contacts of this moment in order of their ports.
func (d *director) up() []*plan.Contact {
	var out []*plan.Contact
	for i := range d.ports {
		if c := d.ports[i].Load(); c != nil && c.A == plan.PortID(i) {
			out = append(out, c)
		}
	}
	return out
}

// standing copies the contacts of this moment, in order of their ports.
func (d *director) standing() []plan.Contact {
	var out []plan.Contact
	for _, c := range d.up() {
		out = append(out, *c)
	}
	return out
}

// next is the next planned change, if one is known, and its contact.
func (d *director) next() (applied, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.agenda) == 0 {
		return applied{}, false
	}
	ch := d.agenda[0]
	return applied{ch, d.links[ch.id].contact}, true
}

// ahead is how far beyond now the plan is known, and the planner's error.
func (d *director) ahead() (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.horizon - d.timeline.Now(), d.planErr
}

// lateness is how much host time passed from changes' instants until they stood.
func (d *director) lateness() fabric.Histogram {
	d.mu.Lock()
	defer d.mu.Unlock()
	var h fabric.Histogram
	h.Merge(d.late)
	return h
}

// firstDelays is, by port, the one-way delay at the start of the port's first
// contact that is known; 0 where none is.
func (d *director) firstDelays() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]time.Duration, len(d.ports))
	start := make([]time.Duration, len(d.ports))
	for _, l := range d.links {
		c := l.contact
		for _, p := range [2]plan.PortID{c.A, c.B} {
			if out[p] == 0 || c.Start < start[p] {
				out[p], start[p] = time.Duration(c.Delay.At(c.Start)*float64(time.Second)), c.Start
			}
		}
	}
	return out
}

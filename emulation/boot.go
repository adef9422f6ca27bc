package emulation

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
)

// bootRouters is the order of boot in which daemons come before links.
const bootRouters = "routers"

// gate keeps carriers back while it is closed. The zero gate is open.
type gate struct {
	mu     sync.Mutex // guards the rest
	closed bool
	kept   map[fabric.PortID]bool // the last carrier of each port
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.kept = true, make(map[fabric.PortID]bool)
}

// keep says whether the gate is closed; if so it has kept the carriers.
func (g *gate) keep(carriers []fabric.Carrier) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		for _, c := range carriers {
			g.kept[c.Port] = c.Up
		}
	}
	return g.closed
}

// open hands the carriers that were kept to set, in order of their ports. Others
// wait meanwhile, so that a later change does not come first.
func (g *gate) open(set func(...fabric.Carrier)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		return
	}
	g.closed = false
	carriers := make([]fabric.Carrier, 0, len(g.kept))
	for _, p := range slices.Sorted(maps.Keys(g.kept)) {
		carriers = append(carriers, fabric.Carrier{Port: p, Up: g.kept[p]})
	}
	g.kept = nil
	set(carriers...)
}

// openGate lets links come up once no routing process is on its way up any more.
func (r *Run) openGate(ctx context.Context) {
	if !r.gate.shut() {
		return
	}
	names := make(map[string]bool)
	for i := range r.software {
		for _, p := range r.software[i].output.Processes {
			names[r.name(r.software[i].node)+"/"+p.Name] = true
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for r.starting(names) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	r.gate.open(r.applyCarriers)
	r.observer.note(observation{gate: true})
	restore := r.silence() // only now: of these links they are told
	r.group.Go(func() error { r.restoreNotifications(ctx, restore); return nil })
}

// silenced is a process that the kernel tells nothing until an instant.
type silenced struct {
	node    string
	after   time.Duration // from when the links came up
	restore func() error
}

// silence keeps the kernel from telling the daemons of entries with notifyAfter
// about changes. What it does not succeed with is a problem of the run: the
// daemons do what they should, only more slowly.
func (r *Run) silence() (list []silenced) {
	for i := range r.software {
		sw := &r.software[i]
		after := time.Duration(sw.routing.NotifyAfter)
		if after == 0 {
			continue
		}
		for _, p := range sw.output.Processes {
			restore, err := r.nodes.Silence(r.name(sw.node), p.Name)
			if err != nil {
				r.problem("notifications", err.Error())
				continue
			}
			list = append(list, silenced{r.name(sw.node), after, restore})
		}
	}
	return list
}

// restoreNotifications takes that back, each at its time.
func (r *Run) restoreNotifications(ctx context.Context, list []silenced) {
	slices.SortStableFunc(list, func(a, b silenced) int { return cmp.Compare(a.after, b.after) })
	began := time.Now()
	for _, s := range list {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(s.after))):
		}
		if err := s.restore(); err != nil {
			r.problem("notifications", err.Error())
		}
	}
}

func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// starting says whether one of the processes has neither been up nor failed yet.
func (r *Run) starting(names map[string]bool) bool {
	for _, p := range r.nodes.Processes() {
		if p.State == node.Starting && p.Restarts == 0 && names[p.Node+"/"+p.Name] {
			return true
		}
	}
	return false
}

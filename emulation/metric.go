package emulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
)

// metricUnit is the delay that one unit of a metric after delay stands for.
const metricUnit = 100 * time.Microsecond

// metricOf a link by its one-way delay.
func metricOf(d time.Duration) int { return max(1, int(d/metricUnit)) }

// metrics keeps the link metrics of daemons as their scenario asks for: after
// delay, taken by both ends of a link each time that it comes up; and with
// foresight, by which a link is the last choice for some time before its planned
// end. It does so through the daemons' own interfaces.
type metrics struct {
	run     *Run
	foresee bool // some daemon has foresight
	woken   chan struct{}

	mu     sync.Mutex // guards:
	raised map[plan.PortID]plan.ContactID
	dirty  map[int][]Event // nodes whose costs changed, and what to tell of that
}

func newMetrics(r *Run) *metrics {
	m := &metrics{run: r, woken: make(chan struct{}, 1), raised: make(map[plan.PortID]plan.ContactID), dirty: make(map[int][]Event)}
	for i := range r.plan.Scenario.Spec.Routing {
		m.foresee = m.foresee || r.plan.Scenario.Spec.Routing[i].Foresight > 0
	}
	return m
}

// note takes up the links that came up: their ports have the usual costs.
func (m *metrics) note(changes []applied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if !c.up {
			continue
		}
		for _, id := range [2]plan.PortID{c.contact.A, c.contact.B} {
			sw := m.run.softwareOf(m.run.plan.Port(id).Node)
			if sw == nil {
				continue
			}
			cost := 0
			if sw.routing.Metric == "delay" {
				cost = metricOf(time.Duration(c.contact.Delay.At(c.at) * float64(time.Second)))
			}
			var events []Event
			if was, ok := m.raised[id]; ok && was != c.contact.ID {
				delete(m.raised, id)
				events = []Event{{Kind: MetricRestored, A: m.run.portName(id), B: m.run.portName(peer(c.contact, id))}}
			}
			m.set(sw, id, cost, events...)
		}
	}
	if len(m.dirty) > 0 || m.foresee {
		m.wake()
	}
}

// set a port's cost. It is called with m.mu held.
func (m *metrics) set(sw *software, id plan.PortID, cost int, events ...Event) {
	link := &sw.input.Ports[m.run.plan.Port(id).Index]
	if link.Cost == cost {
		return
	}
	link.Cost = cost
	m.dirty[sw.node] = append(m.dirty[sw.node], events...)
}

func (m *metrics) wake() {
	select {
	case m.woken <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

// raise makes links the last choice that end within the foresight of their ends'
// daemons. It returns the scenario time at which it has to look again: ends are
// known two windows ahead, so half a window is often enough if nothing wakes it.
func (m *metrics) raise() (next time.Duration) {
	if !m.foresee {
		return never
	}
	tl := m.run.timeline
	now, speed := tl.Now(), tl.Speed()
	next = now + windowLength(speed)/2
	m.mu.Lock()
	defer m.mu.Unlock()
	raised := false
	for _, c := range m.run.director.up() {
		if !c.Ends {
			continue
		}
		for _, id := range [2]plan.PortID{c.A, c.B} {
			sw := m.run.softwareOf(m.run.plan.Port(id).Node)
			if sw == nil || sw.routing.Foresight == 0 || m.raised[id] == c.ID {
				continue
			}
			if at := c.End - time.Duration(float64(sw.routing.Foresight)*speed); at > now {
				next = min(next, at)
				continue
			}
			m.raised[id], raised = c.ID, true
			m.set(sw, id, router.LastChoice, Event{
				Kind: MetricRaised, A: m.run.portName(id), B: m.run.portName(peer(c, id)),
				Text: fmt.Sprintf("its link ends in %v", (c.End - now).Round(time.Millisecond)),
			})
		}
	}
	if raised {
		m.run.observer.note(observation{ahead: true, at: now})
	}
	return next
}

// follow tells the daemons until ctx ends.
func (m *metrics) follow(ctx context.Context) error {
	for {
		next := m.raise()
		m.tell(ctx)
		tl := m.run.timeline
		wait, cancel := context.WithCancel(ctx)
		slept := make(chan struct{})
		go func() {
			_ = tl.WaitUntil(wait, next)
			close(slept)
		}()
		select {
		case <-slept:
		case <-m.woken:
		case <-tl.Changed(): // another speed: another lead in scenario time
		case <-ctx.Done():
		}
		cancel()
		<-slept
		if ctx.Err() != nil {
			return nil
		}
	}
}

// tellAtOnce is how many nodes' daemons are told at a time.
const tellAtOnce = 8

// tell gives daemons the costs that changed.
func (m *metrics) tell(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(tellAtOnce)
	for _, u := range m.take() {
		g.Go(func() error {
			if err := router.SetCosts(ctx, u.input); err != nil {
				if ctx.Err() == nil {
					// It is not up yet, or has died: it reads its file when it starts.
					m.run.log.Debug("metric not set", "node", u.input.Name, "error", err)
				}
				return nil
			}
			m.run.events.add(u.events...)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
}

// update is a node's configuration with costs that changed.
type update struct {
	input  router.Input
	events []Event
}

// take hands out the configurations that changed.
func (m *metrics) take() []update {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []update
	for n, events := range m.dirty {
		in := m.run.softwareOf(n).input
		in.Ports = append([]router.Link(nil), in.Ports...)
		out = append(out, update{in, events})
	}
	clear(m.dirty)
	return out
}

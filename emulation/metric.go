package emulation

import (
	"context"
	"sync"
	"time"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
)

// metricUnit is the delay that one unit of a metric after delay stands for.
const metricUnit = 100 * time.Microsecond

// metricOf a link by its one-way delay.
func metricOf(d time.Duration) int { return max(1, int(d/metricUnit)) }

// metrics keeps the link metrics of those daemons right whose scenario asks for
// metrics after delay: each time a link comes up, both its ends take the delay
// of that moment.
type metrics struct {
	run   *Run
	woken chan struct{}

	mu    sync.Mutex // guards:
	dirty map[int]bool
}

func newMetrics(r *Run) *metrics {
	return &metrics{run: r, woken: make(chan struct{}, 1), dirty: make(map[int]bool)}
}

// note takes up the links that came up.
func (m *metrics) note(changes []applied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if !c.up {
			continue
		}
		d := time.Duration(c.contact.Delay.At(c.at) * float64(time.Second))
		for _, id := range [2]plan.PortID{c.contact.A, c.contact.B} {
			p := m.run.plan.Port(id)
			sw := m.run.softwareOf(p.Node)
			if sw == nil || sw.routing.Metric != "delay" || sw.input.Ports[p.Index].Cost == metricOf(d) {
				continue
			}
			sw.input.Ports[p.Index].Cost = metricOf(d)
			m.dirty[p.Node] = true
		}
	}
	if len(m.dirty) > 0 {
		select {
		case m.woken <- struct{}{}:
		default: // it has been told and not looked yet
		}
	}
}

// follow tells the daemons until ctx ends.
func (m *metrics) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.woken:
		}
		for _, in := range m.take() {
			if err := router.SetCosts(ctx, in); err != nil && ctx.Err() == nil {
				// It is not up yet, or has died: it reads its file when it starts.
				m.run.log.Debug("metric not set", "node", in.Name, "error", err)
			}
		}
	}
}

// take hands out the configurations that changed.
func (m *metrics) take() []router.Input {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []router.Input
	for n := range m.dirty {
		in := m.run.softwareOf(n).input
		in.Ports = append([]router.Link(nil), in.Ports...)
		out = append(out, in)
	}
	clear(m.dirty)
	return out
}

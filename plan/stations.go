package plan

import (
	"time"

	"orrery.dev/orrery/sky"
)

// groundPlanner goes from event to event. At one instant first everything
// that happens by itself happens (satellites rise and set, overlaps end), then
// the terminals concerned decide, in order of the stations.
type groundPlanner struct {
	*groundGroup
	book      *book
	terminals []*terminal
	cullings  []culling
	events    queue
	used      [][]bool // by node and ground port
	freed     bool     // a satellite's port became free at this instant
	spans     []sky.Span
}

func (p *groundPlanner) advance(b *block) {
	for _, t := range p.terminals {
		p.look(b, t)
	}
	for !p.events.empty() && p.events.first() < b.to {
		now := p.events.first()
		for !p.events.empty() && p.events.first() == now {
			p.happen(p.events.pop(), now)
		}
		p.settle(b, now)
	}
}

// look finds when satellites rise and set for a terminal within the block.
func (p *groundPlanner) look(b *block, t *terminal) {
	t.culling.prepare(b)
	station := &b.paths[t.node]
	middle := station.Position((b.from + b.to) / 2)
	middle = middle.Scale(1 / middle.Norm())
	known := t.views // by node, as the rows are; not changed before the events
	rise := func(node int, at time.Duration) {
		p.events.push(event{at: at, kind: rises, index: t.index, node: node})
	}
	set := func(node int, at time.Duration) {
		p.events.push(event{at: at, kind: sets, index: t.index, node: node})
	}
	for i := range t.culling.rows {
		row := &t.culling.rows[i]
		if middle.Dot(row.along) < row.leastCos {
			continue
		}
		node := int(row.node)
		pair := p.plan.pair(t.link.rule, t.node, node)
		p.spans = pair.Spans(p.spans[:0], station, &b.paths[node])
		if len(p.spans) == 0 {
			continue
		}
		for len(known) > 0 && known[0].node < node {
			set(known[0].node, b.from)
			known = known[1:]
		}
		was := len(known) > 0 && known[0].node == node
		if was {
			known = known[1:]
		}
		for k, s := range p.spans {
			switch {
			case k == 0 && was && s.Start > b.from:
				set(node, b.from)
				rise(node, s.Start)
			case k > 0 || !was:
				rise(node, s.Start)
			}
			if s.End < b.to {
				set(node, s.End)
			}
		}
	}
	for _, v := range known {
		set(v.node, b.from)
	}
}

// happen does what an event does by itself.
func (p *groundPlanner) happen(e event, now time.Duration) {
	if e.kind == tick {
		l := p.links[e.index]
		for _, t := range p.terminals {
			if t.link == l {
				t.dirty = true
			}
		}
		p.events.push(event{at: now + l.interval, kind: tick, index: e.index})
		return
	}
	t := p.terminals[e.index]
	t.dirty = true
	switch e.kind {
	case rises:
		t.rise(e.node)
	case sets:
		t.set(e.node)
		for i := range t.antennas {
			if a := &t.antennas[i]; a.contact != nil && a.node == e.node {
				p.release(t, i, now)
			}
		}
	case released:
		for i := range t.antennas {
			if a := &t.antennas[i]; a.contact != nil && a.node == e.node && a.leaving && a.release == now {
				p.release(t, i, now)
			}
		}
	}
}

// settle lets terminals decide until nothing changes any more.
func (p *groundPlanner) settle(b *block, now time.Duration) {
	// A change frees a port, which another terminal may have waited for. Each
	// round serves at least one terminal better than before; the bound is there
	// for two that would trade places for ever.
	for range 8 {
		if p.freed {
			p.freed = false
			for _, t := range p.terminals {
				if t.staying() < t.wanted() && len(t.views) > 0 {
					t.dirty = true
				}
			}
		}
		for _, t := range p.terminals {
			if t.dirty {
				t.dirty = false
				p.decide(b, t, now)
			}
		}
		if !p.freed {
			return
		}
	}
	p.freed = false
}

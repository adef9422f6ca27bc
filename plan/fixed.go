package plan

import (
	"time"

	"orrery.dev/orrery/sky"
)

// fixedLink is two ports that are joined whenever their nodes see each other:
// ring, grid and explicit links.
type fixedLink struct {
	class        Class
	rule         *sky.Rule
	nodeA, portA int
	nodeB, portB int
}

// fixedGroup is the links of one constellation.
type fixedGroup struct {
	plan        *Plan
	links       []fixedLink
	acquisition time.Duration
	medium      *medium
}

// fixedPeers are the ends of all fixed links, each by the other.
func (p *Plan) fixedPeers() map[PortID]PortID {
	peers := make(map[PortID]PortID)
	for _, g := range p.groups {
		if g, ok := g.(*fixedGroup); ok {
			for i := range g.links {
				l := &g.links[i]
				a, b := p.id(l.nodeA, l.portA), p.id(l.nodeB, l.portB)
				peers[a], peers[b] = b, a
			}
		}
	}
	return peers
}

func (g *fixedGroup) begin(b *book) planner {
	return &fixedPlanner{fixedGroup: g, book: b, open: make([]*joined, len(g.links))}
}

type fixedPlanner struct {
	*fixedGroup
	book  *book
	open  []*joined // by link
	spans []sky.Span
}

func (p *fixedPlanner) advance(b *block) {
	for i := range p.links {
		l := &p.links[i]
		p.spans = p.spans[:0]
		if b.alive(l.nodeA, b.from) && b.alive(l.nodeB, b.from) {
			pair := p.plan.pair(l.rule, l.nodeA, l.nodeB)
			p.spans = pair.Spans(p.spans, &b.paths[l.nodeA], &b.paths[l.nodeB])
		}
		if j := p.open[i]; j != nil && (len(p.spans) == 0 || p.spans[0].Start > b.from) {
			p.book.close(j, b.from) // it was out of view at the very end of the last block
			p.open[i] = nil
		}
		for _, s := range p.spans {
			if p.open[i] == nil {
				p.open[i] = p.book.open(l.class, p.medium, l.nodeA, l.portA, l.nodeB, l.portB, acquired(s.Start, p.acquisition))
			}
			if s.End < b.to {
				p.book.close(p.open[i], s.End)
				p.open[i] = nil
			}
		}
	}
}

// acquired is when a link carries frames whose ends begin to point at each
// other at t. What is in view when the scenario begins has long been acquired.
func acquired(t, acquisition time.Duration) time.Duration {
	if t == 0 {
		return 0
	}
	return t + acquisition
}

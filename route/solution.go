package route

import (
	"slices"
	"time"

	"orrery.dev/orrery/plan"
)

// Solution is the next hops of all nodes to some destinations at one instant.
type Solution struct {
	At    time.Duration
	Trees []Tree // one for each destination, in their order
}

// Solve computes the next hops to the destinations over the contacts that are
// usable at t. Nodes that have no way over them take the way over contacts which
// end within lead: what is sent there arrives up to the end.
func Solve(p *plan.Plan, g *Graph, contacts []plan.Contact, destinations []int, t, lead time.Duration) *Solution {
	g.SetContacts(p, contacts, t, lead)
	s := &Solution{At: t, Trees: make([]Tree, len(destinations))}
	for i, d := range destinations {
		g.Tree(d, &s.Trees[i])
	}
	ending := func(c plan.Contact) bool { return Usable(&c, t, 0) && !Usable(&c, t, lead) }
	if !slices.ContainsFunc(contacts, ending) {
		return s
	}
	g.SetContacts(p, contacts, t, 0)
	var all Tree
	for i := range s.Trees {
		if isolated(&s.Trees[i]) {
			g.Tree(s.Trees[i].Destination, &all)
			s.Trees[i].complete(&all)
		}
	}
	return s
}

// isolated tells whether some node cannot reach the destination.
func isolated(t *Tree) bool { return slices.Contains(t.Distance, Unreachable) }

// complete gives nodes without a path the next hop of another tree to the same
// destination. Whoever follows it comes to the destination: along the other tree
// up to the first node that had a path, and then along this one, so that its
// distance may be more than what is noted.
func (t *Tree) complete(other *Tree) {
	for n, d := range t.Distance {
		if d == Unreachable {
			t.Distance[n], t.Next[n], t.Via[n] = other.Distance[n], other.Next[n], other.Via[n]
		}
	}
}

// Hop is one node's next hop to a destination. Port is None if there is none.
type Hop struct {
	Node, Destination int
	Port              plan.PortID
	Via               int // the node behind the port, -1 if there is none
}

// Diff lists the hops of s that differ from those of old, in order of nodes,
// then destinations. A nil old is one without any hop. Both must be for the
// same destinations.
func (s *Solution) Diff(old *Solution) []Hop {
	var hops []Hop
	if len(s.Trees) == 0 {
		return nil
	}
	for node := range s.Trees[0].Next {
		for i := range s.Trees {
			t := &s.Trees[i]
			port, via := None, int32(-1)
			if old != nil {
				port, via = old.Trees[i].Next[node], old.Trees[i].Via[node]
			}
			// The same port may lead to another node than before.
			if t.Next[node] != port || t.Via[node] != via {
				hops = append(hops, Hop{node, t.Destination, t.Next[node], int(t.Via[node])})
			}
		}
	}
	return hops
}

// Changes are the instants in [from, to) at which the set of usable contacts
// changes, ascending and each once.
func Changes(contacts []plan.Contact, lead, from, to time.Duration) []time.Duration {
	var at []time.Duration
	add := func(t time.Duration) {
		if t >= from && t < to {
			at = append(at, t)
		}
	}
	for i := range contacts {
		c := &contacts[i]
		if c.Ends && c.End-lead <= c.Start {
			continue // too short to be used
		}
		add(c.Start)
		if c.Ends {
			add(c.End - lead)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

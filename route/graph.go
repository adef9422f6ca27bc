package route

import (
	"math"
	"time"

	"orrery.dev/orrery/plan"
)

// Edge joins two ports in both directions.
type Edge struct {
	NodeA, NodeB int
	PortA, PortB plan.PortID
	Weight       int64 // at least 1
}

// Unreachable is the distance of a node without a path.
const Unreachable = math.MaxInt64

// None is the port of a node that has no next hop.
const None plan.PortID = -1

// Graph is nodes and the edges between them at one instant, as adjacency in
// compressed rows. It is built once and may be set anew; nothing but growth
// allocates. It is not safe for concurrent use.
type Graph struct {
	first []int32 // by node: its first arc; one more at the end
	arcs  []arc
	heap  heap
	edges []Edge // scratch of SetContacts
}

// arc leads from a row's node.
type arc struct {
	to     int32
	port   plan.PortID // of the row's node
	remote plan.PortID // of the node that it leads to
	weight int64
}

// New makes a graph of so many nodes without edges.
func New(nodes int) *Graph {
	return &Graph{first: make([]int32, nodes+1), heap: heap{place: make([]int32, nodes)}}
}

// Nodes is the number of nodes.
func (g *Graph) Nodes() int { return len(g.first) - 1 }

// Set replaces all edges.
func (g *Graph) Set(edges []Edge) {
	clear(g.first)
	for i := range edges {
		g.first[edges[i].NodeA+1]++
		g.first[edges[i].NodeB+1]++
	}
	for n := 1; n < len(g.first); n++ {
		g.first[n] += g.first[n-1]
	}
	if n := 2 * len(edges); cap(g.arcs) < n {
		g.arcs = make([]arc, n)
	} else {
		g.arcs = g.arcs[:n]
	}
	// Fill each row from its begin; first[n] is then the row's end, and is moved
	// back afterwards.
	put := func(from, to int, port, remote plan.PortID, weight int64) {
		g.arcs[g.first[from]] = arc{int32(to), port, remote, weight}
		g.first[from]++
	}
	for i := range edges {
		e := &edges[i]
		w := max(1, e.Weight)
		put(e.NodeA, e.NodeB, e.PortA, e.PortB, w)
		put(e.NodeB, e.NodeA, e.PortB, e.PortA, w)
	}
	copy(g.first[1:], g.first[:len(g.first)-1])
	g.first[0] = 0
}

// Usable tells whether traffic may be sent over a contact at t: it has begun,
// and does not end within lead.
func Usable(c *plan.Contact, t, lead time.Duration) bool {
	if t < c.Start {
		return false
	}
	return !c.Ends || c.End > t+lead
}

// SetContacts replaces all edges by the contacts of a plan that are usable at
// t, weighted by their delays at t.
func (g *Graph) SetContacts(p *plan.Plan, contacts []plan.Contact, t, lead time.Duration) {
	g.edges = g.edges[:0]
	for i := range contacts {
		c := &contacts[i]
		if !Usable(c, t, lead) {
			continue
		}
		g.edges = append(g.edges, Edge{
			NodeA: p.Port(c.A).Node, NodeB: p.Port(c.B).Node, PortA: c.A, PortB: c.B,
			Weight: int64(math.Round(c.Delay.At(t) * 1e9)),
		})
	}
	g.Set(g.edges)
}

// Tree is the shortest paths of all nodes to one destination.
type Tree struct {
	Destination int
	// Distance of each node, the sum of weights, or Unreachable.
	Distance []int64
	// Next is the port through which each node sends, or None.
	Next []plan.PortID
	// Via is the node at the other side of Next, or -1.
	Via []int32
}

// Tree computes the shortest paths to a destination into t, whose slices are
// reused.
func (g *Graph) Tree(destination int, t *Tree) {
	n := g.Nodes()
	t.Destination = destination
	t.Distance = resized(t.Distance, n)
	t.Next = resized(t.Next, n)
	t.Via = resized(t.Via, n)
	for i := range n {
		t.Distance[i], t.Next[i], t.Via[i] = Unreachable, None, -1
	}
	t.Distance[destination] = 0
	h := &g.heap
	h.reset()
	h.push(int32(destination), 0)
	for h.len() > 0 {
		u := h.pop()
		d := t.Distance[u]
		for _, a := range g.arcs[g.first[u]:g.first[u+1]] {
			// The arc is looked at against the traffic: a.to would send to u through
			// a.remote.
			switch via := d + a.weight; {
			case via < t.Distance[a.to]:
				t.Distance[a.to], t.Next[a.to], t.Via[a.to] = via, a.remote, u
				h.push(a.to, via)
			case via == t.Distance[a.to] && a.remote < t.Next[a.to]:
				// Weights are positive, so a.to is not settled before each of its
				// equally good next hops was.
				t.Next[a.to], t.Via[a.to] = a.remote, u
			}
		}
	}
}

// Path lists the nodes from a source to the tree's destination, both
// included, and the ports that lead out of all but the last. It is nil if there
// is no path.
func (t *Tree) Path(source int) (nodes []int, ports []plan.PortID) {
	if t.Distance[source] == Unreachable {
		return nil, nil
	}
	for n := source; n != t.Destination; n = int(t.Via[n]) {
		nodes, ports = append(nodes, n), append(ports, t.Next[n])
	}
	return append(nodes, t.Destination), ports
}

// Path is the shortest path between two nodes: the nodes, the ports that lead
// on, and the sum of weights.
func (g *Graph) Path(source, destination int) (nodes []int, ports []plan.PortID, distance int64) {
	var t Tree
	g.Tree(destination, &t)
	nodes, ports = t.Path(source)
	return nodes, ports, t.Distance[source]
}

func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

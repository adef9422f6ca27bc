package route

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/graph/path"
	"gonum.org/v1/gonum/graph/simple"
	"pgregory.net/rapid"

	"orrery.dev/orrery/plan"
)

// drawEdges is a random graph with few different weights, so that ties are
// many. Each edge has two ports of its own.
func drawEdges(t *rapid.T, nodes int) []Edge {
	n := rapid.IntRange(0, 3*nodes).Draw(t, "edges")
	var edges []Edge
	for i := range n {
		a := rapid.IntRange(0, nodes-1).Draw(t, "a")
		b := rapid.IntRange(0, nodes-1).Draw(t, "b")
		if a == b {
			continue
		}
		edges = append(edges, Edge{a, b, plan.PortID(2 * i), plan.PortID(2*i + 1), int64(rapid.IntRange(1, 6).Draw(t, "weight"))})
	}
	return edges
}

func TestTreeAgainstGonum(t *testing.T) {
	g := map[int]*Graph{} // kept and set anew, as the emulator does
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 40).Draw(t, "nodes")
		edges := drawEdges(t, nodes)
		destination := rapid.IntRange(0, nodes-1).Draw(t, "destination")
		if g[nodes] == nil {
			g[nodes] = New(nodes)
		}
		g[nodes].Set(edges)
		var tree Tree
		g[nodes].Tree(destination, &tree)

		reference := simple.NewWeightedUndirectedGraph(0, 0)
		for n := range nodes {
			reference.AddNode(simple.Node(n))
		}
		for _, e := range edges {
			// gonum knows no parallel edges: the lightest counts.
			if w, ok := reference.Weight(int64(e.NodeA), int64(e.NodeB)); !ok || float64(e.Weight) < w {
				reference.SetWeightedEdge(simple.WeightedEdge{F: simple.Node(e.NodeA), T: simple.Node(e.NodeB), W: float64(e.Weight)})
			}
		}
		want := path.DijkstraFrom(simple.Node(destination), reference)
		for n := range nodes {
			_, w := want.To(int64(n))
			got := tree.Distance[n]
			if w > 1e15 {
				if got != Unreachable || tree.Next[n] != None || tree.Via[n] != -1 {
					t.Fatalf("node %d: distance %d, next %d, where gonum finds no path", n, got, tree.Next[n])
				}
				continue
			}
			if float64(got) != w {
				t.Fatalf("node %d: distance %d, gonum %v", n, got, w)
			}
			if n == destination {
				continue
			}
			// The rule for ties, by its words: the lowest port on any shortest path.
			lowest := plan.PortID(1 << 30)
			for _, e := range edges {
				if e.NodeA == n && tree.Distance[e.NodeB] != Unreachable && tree.Distance[e.NodeB]+e.Weight == got {
					lowest = min(lowest, e.PortA)
				}
				if e.NodeB == n && tree.Distance[e.NodeA] != Unreachable && tree.Distance[e.NodeA]+e.Weight == got {
					lowest = min(lowest, e.PortB)
				}
			}
			if tree.Next[n] != lowest {
				t.Fatalf("node %d: next port %d, want %d", n, tree.Next[n], lowest)
			}
			nodes, ports := tree.Path(n)
			if nodes[0] != n || nodes[len(nodes)-1] != destination || len(ports) != len(nodes)-1 {
				t.Fatalf("path from %d: nodes %v, ports %v", n, nodes, ports)
			}
		}
	})
}

// A change of the order of edges changes nothing.
func TestTreeIsIndependentOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(2, 30).Draw(t, "nodes")
		edges := drawEdges(t, nodes)
		g := New(nodes)
		var a, b Tree
		g.Set(edges)
		g.Tree(0, &a)
		g.Set(rapid.Permutation(edges).Draw(t, "order"))
		g.Tree(0, &b)
		if !slices.Equal(a.Next, b.Next) || !slices.Equal(a.Distance, b.Distance) || !slices.Equal(a.Via, b.Via) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestUsableAndChanges(t *testing.T) {
	const lead = 100 * time.Millisecond
	contacts := []plan.Contact{
		{ID: 1, Start: time.Second, End: 5 * time.Second, Ends: true},
		{ID: 2, Start: 2 * time.Second, End: 10 * time.Second},
		{ID: 3, Start: 3 * time.Second, End: 3*time.Second + lead, Ends: true}, // never usable
	}
	want := []time.Duration{time.Second, 2 * time.Second, 5*time.Second - lead}
	if got := Changes(contacts, lead, 0, 10*time.Second); !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	usable := func(at time.Duration) (n int) {
		for i := range contacts {
			if Usable(&contacts[i], at, lead) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, 0}, {time.Second, 1}, {3 * time.Second, 2}, {5*time.Second - lead - 1, 2}, {5*time.Second - lead, 1}, {9999 * time.Millisecond, 1}} {
		if got := usable(c.at); got != c.want {
			t.Errorf("at %v %d contacts are usable, want %d", c.at, got, c.want)
		}
	}
}

// Of two trees, one over edges that stay and one over all, the completed one
// leads every node that is connected at all to the destination, and those that
// need not use an edge that goes do not.
func TestCompletedTreeArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(2, 30).Draw(t, "nodes")
		all := drawEdges(t, nodes)
		staying := all[:rapid.IntRange(0, len(all)).Draw(t, "staying")]
		g := New(nodes)
		var tree, before, other Tree
		g.Set(staying)
		g.Tree(0, &tree)
		g.Tree(0, &before)
		g.Set(all)
		g.Tree(0, &other)
		tree.complete(&other)
		goes := func(p plan.PortID) bool {
			return !slices.ContainsFunc(staying, func(e Edge) bool { return e.PortA == p || e.PortB == p })
		}
		for n := range nodes {
			connected, stays := other.Distance[n] != Unreachable, before.Distance[n] != Unreachable
			at := n
			for hops := 0; connected && at != 0; hops++ {
				if hops == nodes {
					t.Fatalf("from node %d the hops go round in a loop", n)
				}
				if stays && goes(tree.Next[at]) {
					t.Fatalf("node %d has a path that stays, and is sent over port %d, which goes", n, tree.Next[at])
				}
				at = int(tree.Via[at])
			}
			if !connected && tree.Next[n] != None {
				t.Fatalf("node %d has no path and is sent to port %d", n, tree.Next[n])
			}
		}
	})
}

func TestDiff(t *testing.T) {
	g := New(4)
	solve := func(edges ...Edge) *Solution {
		g.Set(edges)
		s := &Solution{Trees: make([]Tree, 2)}
		g.Tree(0, &s.Trees[0])
		g.Tree(3, &s.Trees[1])
		return s
	}
	a := solve(Edge{0, 1, 0, 1, 10}, Edge{1, 2, 2, 3, 10}, Edge{2, 3, 4, 5, 10})
	b := solve(Edge{0, 1, 0, 1, 10}, Edge{1, 3, 2, 6, 10}, Edge{2, 3, 4, 5, 10})
	if d := a.Diff(a); d != nil {
		t.Errorf("a solution differs from itself: %v", d)
	}
	if n := len(a.Diff(nil)); n != 6 {
		t.Errorf("%d hops are new, want 6", n)
	}
	want := []Hop{
		{Node: 1, Destination: 3, Port: 2, Via: 3}, // the same port, another peer
		{Node: 2, Destination: 0, Port: 4, Via: 3},
		{Node: 3, Destination: 0, Port: 6, Via: 1},
	}
	if d := b.Diff(a); !slices.Equal(d, want) {
		t.Errorf("difference %v, want %v", d, want)
	}
}

// torus is a +grid of 100 planes with 100 satellites and random delays.
func torus() []Edge {
	const n = 100
	r := rand.New(rand.NewPCG(1, 2))
	var edges []Edge
	for p := range n {
		for s := range n {
			at := p*n + s
			ahead, east := p*n+(s+1)%n, (p+1)%n*n+s
			edges = append(edges,
				Edge{at, ahead, plan.PortID(4 * at), plan.PortID(4*ahead + 1), 2e6 + r.Int64N(8e6)},
				Edge{at, east, plan.PortID(4*at + 3), plan.PortID(4*east + 2), 2e6 + r.Int64N(8e6)})
		}
	}
	return edges
}

func TestTreeAllocatesNothing(t *testing.T) {
	g := New(10000)
	edges := torus()
	var tree Tree
	g.Set(edges)
	g.Tree(0, &tree)
	if n := testing.AllocsPerRun(5, func() { g.Set(edges); g.Tree(77, &tree) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTree10000(b *testing.B) {
	g := New(10000)
	g.Set(torus())
	var tree Tree
	for b.Loop() {
		g.Tree(0, &tree)
	}
}

func BenchmarkSet10000(b *testing.B) {
	g := New(10000)
	edges := torus()
	for b.Loop() {
		g.Set(edges)
	}
}

func BenchmarkGonumTree10000(b *testing.B) {
	reference := simple.NewWeightedUndirectedGraph(0, 0)
	for _, e := range torus() {
		reference.SetWeightedEdge(simple.WeightedEdge{F: simple.Node(e.NodeA), T: simple.Node(e.NodeB), W: float64(e.Weight)})
	}
	for b.Loop() {
		path.DijkstraFrom(simple.Node(0), reference)
	}
}

package observe

import (
	"cmp"
	"net/netip"
	"slices"
)

// None stands for no port, no node.
const None int32 = -1

// Hop is a next hop of a route.
type Hop struct {
	// Port leads to it; None for what is not a port of the network.
	Port int32
	// Node is who has the next hop's address, None for a route without one: then
	// whoever is behind the port must be the destination itself.
	Node int32
	// Peer is the port that has the address, None where any of Node's will do.
	Peer int32
}

// Route of one node. Without hops it discards.
type Route struct {
	Prefix netip.Prefix
	Metric int
	Hops   []Hop
}

// Destination is an address, and the node that has it.
type Destination struct {
	Node    int32
	Address netip.Addr
}

// State of a pair.
type State uint8

// The states of a pair, from the best to the worst; NoPath means that there is no
// way in the sky, whatever the tables say.
const (
	Reachable State = iota
	NoPath
	BlackHole
	Loop
)

func (s State) String() string {
	return [...]string{"reachable", "no-path", "black-hole", "loop"}[s]
}

// Cause says why packets end at the last node of a path.
type Cause uint8

// The causes.
const (
	Arrived     Cause = iota
	NoRoute           // the node has no route, or none whose port has carrier
	Discarded         // the node's route discards
	NoLink            // the port has carrier and no link: the end was silent
	Elsewhere         // the next hop's address is not behind the port any more
	TooLong           // more hops than the hop limit
	GoesInCycle       // the node was passed before
)

func (c Cause) String() string {
	return [...]string{
		"", "no route", "the route discards", "the link is gone and the node does not know",
		"the next hop is no longer behind its port", "the way has more than 64 hops", "the tables lead in a circle",
	}[c]
}

// Pair is how one source's packets to one destination fare.
type Pair struct {
	State State
	Cause Cause
	// Partly tells that of several ways, which a packet's flow label and ports choose
	// from, at least one arrives although State is that of another.
	Partly bool
	// Nodes from the source to where packets end, and the ports by which they leave
	// all of these but the last. Of several ways it is one that fares as State says.
	Nodes, Ports []int32
}

// Change says that a pair fares otherwise than before.
type Change struct {
	Source, Destination int // as numbered in Config
	Before, Now         Pair
}

// Config of a Verifier.
type Config struct {
	Nodes        int
	Ports        []int32 // the node of each port
	Sources      []int32 // nodes
	Destinations []Destination
}

// hopLimit is how many links a packet passes at most (net.ipv6.conf.*.hop_limit).
const hopLimit = 64

// Verifier is not safe for concurrent use.
type Verifier struct {
	cfg  Config
	link []link // by port
	// tables holds, by node and destination, the routes that hold the destination's
	// address, the one to be taken first.
	tables  [][]entry
	byAddr  map[netip.Addr][]int32 // destinations
	ports   [][]int32              // by node
	pairs   []Pair                 // by destination and source
	visited []bitset               // by destination: nodes that its pairs depend on
	dirty   []bool                 // by destination
	any     bool                   // some destination is dirty
	// component of each node in the graph of links; stale says that links changed.
	component []int32
	stale     bool

	// Of one destination's evaluation:
	marks                []mark
	epoch                uint32
	forks                bool   // some node has more than one way
	ways                 []step // all that packets may take
	depth                []int32
	queue                []int32
	pathNodes, pathPorts []int32
}

type link struct {
	peer    int32 // port, or None
	carrier bool
}

// entry is a route as far as one destination is concerned.
type entry struct {
	prefix netip.Prefix
	metric int
	hops   []Hop
}

// mark is what is known of a node while one destination is looked at.
type mark struct {
	epoch uint32
	open  bool // it is being looked at
	cause Cause
	first int32 // port of the way that fares as state says, None where packets end
	long  int32 // links of the longest way, if all arrive
	short int32 // and of the shortest
}

// step is that packets go from one node to another.
type step struct{ from, to int32 }

type bitset []uint64

func (b bitset) set(i int32)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int32) bool { return b[i/64]>>(i%64)&1 != 0 }

// New makes a verifier of a network without routes and links: no pair has a path.
func New(cfg Config) *Verifier {
	v := &Verifier{
		cfg: cfg, link: make([]link, len(cfg.Ports)),
		tables:  make([][]entry, cfg.Nodes*len(cfg.Destinations)),
		byAddr:  make(map[netip.Addr][]int32),
		ports:   make([][]int32, cfg.Nodes),
		pairs:   make([]Pair, len(cfg.Destinations)*len(cfg.Sources)),
		visited: make([]bitset, len(cfg.Destinations)), dirty: make([]bool, len(cfg.Destinations)),
		component: make([]int32, cfg.Nodes), marks: make([]mark, cfg.Nodes), depth: make([]int32, cfg.Nodes),
	}
	for i := range v.link {
		v.link[i].peer = None
		v.ports[cfg.Ports[i]] = append(v.ports[cfg.Ports[i]], int32(i))
	}
	for i := range v.component {
		v.component[i] = int32(i)
	}
	for d := range cfg.Destinations {
		a := cfg.Destinations[d].Address
		v.byAddr[a] = append(v.byAddr[a], int32(d))
		v.visited[d] = make(bitset, (cfg.Nodes+63)/64)
		for s := range cfg.Sources {
			p := v.pair(d, s)
			p.State, p.Cause, p.Nodes = NoPath, NoRoute, []int32{cfg.Sources[s]}
			if cfg.Sources[s] == cfg.Destinations[d].Node {
				p.State, p.Cause = Reachable, Arrived
			}
			v.visited[d].set(cfg.Sources[s])
		}
	}
	return v
}

func (v *Verifier) pair(d, s int) *Pair { return &v.pairs[d*len(v.cfg.Sources)+s] }

// Pair is how a pair fared at the last Update.
func (v *Verifier) Pair(source, destination int) Pair { return *v.pair(destination, source) }

// SetLink says what is behind a port: the port at the other end, or None, and whether
// the node sees carrier. Both ends are to be set.
func (v *Verifier) SetLink(port, peer int32, carrier bool) {
	l := &v.link[port]
	if l.peer == peer && l.carrier == carrier {
		return
	}
	v.stale = v.stale || l.peer != peer
	*l = link{peer, carrier}
	node := v.cfg.Ports[port]
	for d := range v.visited {
		if v.leads(node, d, port) {
			v.touchFor(d, node)
		}
	}
}

// leads tells whether a node has any route to a destination through a port.
func (v *Verifier) leads(node int32, d int, port int32) bool {
	for _, e := range v.tables[v.table(node, d)] {
		for _, h := range e.hops {
			if h.Port == port {
				return true
			}
		}
	}
	return false
}

// touchFor notes that a node decides otherwise than before about a destination.
func (v *Verifier) touchFor(d int, node int32) {
	if v.visited[d].has(node) {
		v.dirty[d], v.any = true, true
	}
}

// SetRoute gives a node a route, in place of one with the same prefix and metric.
func (v *Verifier) SetRoute(node int32, r Route) {
	v.change(node, r.Prefix, func(d int) {
		list, i, found := v.find(node, d, r)
		if found && slices.Equal((*list)[i].hops, r.Hops) {
			return
		}
		if !found {
			*list = slices.Insert(*list, i, entry{prefix: r.Prefix, metric: r.Metric})
		}
		(*list)[i].hops = slices.Clone(r.Hops)
		v.touchFor(d, node)
	})
}

// RemoveRoute takes a node's route with a prefix and a metric away: as far as it has
// these hops, or wholly if none are given.
func (v *Verifier) RemoveRoute(node int32, r Route) {
	v.change(node, r.Prefix, func(d int) {
		list, i, found := v.find(node, d, r)
		if !found {
			return
		}
		e := &(*list)[i]
		if len(r.Hops) > 0 {
			e.hops = slices.DeleteFunc(e.hops, func(h Hop) bool { return slices.Contains(r.Hops, h) })
		}
		if len(r.Hops) == 0 || len(e.hops) == 0 {
			*list = slices.Delete(*list, i, i+1)
		}
		v.touchFor(d, node)
	})
}

// RemoveRoutes takes all routes of a node away.
func (v *Verifier) RemoveRoutes(node int32) {
	for d := range v.cfg.Destinations {
		v.tables[v.table(node, d)] = nil
		v.touchFor(d, node)
	}
}

func (v *Verifier) table(node int32, d int) int { return int(node)*len(v.cfg.Destinations) + d }

// change calls f for each destination that a prefix holds.
func (v *Verifier) change(node int32, p netip.Prefix, f func(d int)) {
	if p.IsSingleIP() {
		for _, d := range v.byAddr[p.Addr()] {
			f(int(d))
		}
		return
	}
	for d := range v.cfg.Destinations {
		if p.Contains(v.cfg.Destinations[d].Address) {
			f(d)
		}
	}
}

// find gives a table and the place in it that a route has, or would have: longest
// prefixes first, lowest metrics first.
func (v *Verifier) find(node int32, d int, r Route) (list *[]entry, i int, found bool) {
	list = &v.tables[v.table(node, d)]
	i, found = slices.BinarySearchFunc(*list, r, func(e entry, r Route) int {
		return cmp.Or(cmp.Compare(r.Prefix.Bits(), e.prefix.Bits()), cmp.Compare(e.metric, r.Metric))
	})
	return list, i, found
}

// Update gives the pairs that fare otherwise than at the last Update, in order of
// destinations, then sources.
func (v *Verifier) Update() []Change {
	if v.stale {
		v.connect()
	}
	if !v.any && !v.stale {
		return nil
	}
	var changes []Change
	for d := range v.dirty {
		if v.dirty[d] {
			v.explore(d)
		}
		if !v.dirty[d] && !v.stale {
			continue
		}
		for s, source := range v.cfg.Sources {
			if source == v.cfg.Destinations[d].Node {
				continue
			}
			p := v.pair(d, s)
			now := *p
			if v.dirty[d] {
				v.follow(source, &now)
			}
			connected := v.component[source] == v.component[v.cfg.Destinations[d].Node]
			now.State = judge(now.Cause, connected)
			if now.State == p.State && now.Cause == p.Cause && now.Partly == p.Partly && (!v.dirty[d] || slices.Equal(now.Nodes, p.Nodes) && slices.Equal(now.Ports, p.Ports)) {
				continue
			}
			changes = append(changes, Change{Source: s, Destination: d, Before: *p, Now: now})
			*p = now
		}
		v.dirty[d] = false
	}
	v.any, v.stale = false, false
	return changes
}

func judge(c Cause, connected bool) State {
	switch {
	case c == Arrived:
		return Reachable
	case !connected:
		return NoPath
	case c == GoesInCycle:
		return Loop
	default:
		return BlackHole
	}
}

// connect finds the components of the graph of links.
func (v *Verifier) connect() {
	for i := range v.component {
		v.component[i] = None
	}
	for i := range v.component {
		if v.component[i] != None {
			continue
		}
		v.component[i] = int32(i)
		for v.queue = append(v.queue[:0], int32(i)); len(v.queue) > 0; {
			n := v.queue[len(v.queue)-1]
			v.queue = v.queue[:len(v.queue)-1]
			for _, p := range v.ports[n] {
				if q := v.link[p].peer; q != None && v.component[v.cfg.Ports[q]] == None {
					v.component[v.cfg.Ports[q]] = int32(i)
					v.queue = append(v.queue, v.cfg.Ports[q])
				}
			}
		}
	}
}

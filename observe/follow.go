package observe

import (
	"cmp"
	"slices"
)

// explore looks at how all sources fare with a destination.
func (v *Verifier) explore(d int) {
	v.epoch++
	clear(v.visited[d])
	v.forks, v.ways = false, v.ways[:0]
	all := true
	for _, source := range v.cfg.Sources {
		all = v.look(d, source).cause == Arrived && all
	}
	if v.forks && !all {
		v.retrace(v.cfg.Destinations[d].Node)
	}
}

// retrace finds, for each node that was looked at, the fewest links by which packets
// may arrive. It goes back from the destination: forward, what is known of a node while
// it is being looked at does not tell by which ways a loop is left.
func (v *Verifier) retrace(destination int32) {
	slices.SortFunc(v.ways, func(a, b step) int { return cmp.Compare(a.to, b.to) })
	for i := range v.depth {
		v.depth[i] = None
	}
	v.depth[destination] = 0
	v.queue = append(v.queue[:0], destination)
	for i := 0; i < len(v.queue); i++ {
		n := v.queue[i]
		k, _ := slices.BinarySearchFunc(v.ways, n, func(s step, n int32) int { return cmp.Compare(s.to, n) })
		for ; k < len(v.ways) && v.ways[k].to == n; k++ {
			if from := v.ways[k].from; v.depth[from] == None {
				v.depth[from] = v.depth[n] + 1
				v.queue = append(v.queue, from)
			}
		}
	}
}

// follow finds how packets from a node fare, into p. Its slices are replaced and never
// changed, since others may have them.
func (v *Verifier) follow(source int32, p *Pair) {
	m := &v.marks[source]
	p.Cause, p.Partly = m.cause, false
	if m.cause == Arrived && m.long > hopLimit {
		p.Cause, p.Partly = TooLong, m.short <= hopLimit
	}
	if m.cause != Arrived && v.forks {
		p.Partly = v.depth[source] != None && v.depth[source] <= hopLimit
	}
	nodes, ports := v.pathNodes[:0], v.pathPorts[:0]
	for n := source; ; {
		again := m.cause == GoesInCycle && slices.Contains(nodes, n)
		nodes = append(nodes, n)
		port := v.marks[n].first
		if again || port == None || len(ports) == hopLimit {
			break
		}
		ports = append(ports, port)
		n = v.cfg.Ports[v.link[port].peer]
	}
	v.pathNodes, v.pathPorts = nodes, ports
	if !slices.Equal(nodes, p.Nodes) || !slices.Equal(ports, p.Ports) {
		p.Nodes, p.Ports = slices.Clone(nodes), slices.Clone(ports)
	}
}

// worse orders what ways come to: a loop is worse than an end, and that than arriving.
func worse(c Cause) int {
	switch c {
	case Arrived:
		return 0
	case GoesInCycle:
		return 2
	default:
		return 1
	}
}

// look finds what becomes of packets at a node: the worst that may.
func (v *Verifier) look(d int, n int32) *mark {
	m := &v.marks[n]
	if m.epoch == v.epoch {
		return m
	}
	*m = mark{epoch: v.epoch, open: true, first: None}
	v.visited[d].set(n)
	if n == v.cfg.Destinations[d].Node {
		m.open = false
		return m
	}
	m.cause = NoRoute
	for i := range v.tables[v.table(n, d)] {
		e := &v.tables[v.table(n, d)][i]
		if len(e.hops) == 0 {
			m.cause = Discarded
			break
		}
		if v.take(d, n, m, e.hops) {
			break
		}
	}
	m.open = false
	return m
}

// take has a node's packets go by any of some hops that has carrier; false if none has.
func (v *Verifier) take(d int, n int32, m *mark, hops []Hop) (taken bool) {
	for _, h := range hops {
		if h.Port == None || !v.link[h.Port].carrier {
			continue
		}
		cause, first, long, short := v.pass(d, h), h.Port, int32(0), int32(0)
		if cause == Arrived { // at the next node
			node := v.cfg.Ports[v.link[h.Port].peer]
			v.ways = append(v.ways, step{n, node})
			next := v.look(d, node)
			cause, long, short = next.cause, next.long+1, next.short+1
			if next.open {
				cause = GoesInCycle
			}
		} else {
			first = None
		}
		if !taken || worse(cause) > worse(m.cause) {
			m.cause, m.first = cause, first
		}
		m.long = max(m.long, long)
		if !taken || short < m.short {
			m.short = short
		}
		v.forks = v.forks || taken
		taken = true
	}
	return taken
}

// pass tells whether a packet that is sent to a next hop arrives there.
func (v *Verifier) pass(d int, h Hop) Cause {
	peer := v.link[h.Port].peer
	if peer == None {
		return NoLink
	}
	behind := v.cfg.Ports[peer]
	wanted := h.Node
	if wanted == None {
		wanted = v.cfg.Destinations[d].Node
	}
	if behind != wanted || h.Peer != None && h.Peer != peer {
		return Elsewhere
	}
	return Arrived
}

package observe

import "slices"

// begin starts to look at a destination anew.
func (v *Verifier) begin(d int) {
	v.epoch++
	clear(v.visited[d])
}

// follow finds how packets from a node fare, into p. Its slices are replaced and never
// changed, since others may have them.
func (v *Verifier) follow(d int, source int32, p *Pair) {
	m := v.look(d, source)
	p.Cause = m.cause
	if m.cause == Arrived && m.long > hopLimit {
		p.Cause = TooLong
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
		if v.take(d, m, e.hops) {
			break
		}
	}
	m.open = false
	return m
}

// take has a node's packets go by any of some hops that has carrier; false if none has.
func (v *Verifier) take(d int, m *mark, hops []Hop) (taken bool) {
	for _, h := range hops {
		if h.Port == None || !v.link[h.Port].carrier {
			continue
		}
		cause, first, long := v.pass(d, h), h.Port, int32(0)
		if cause == Arrived { // at the next node
			next := v.look(d, v.cfg.Ports[v.link[h.Port].peer])
			cause, long = next.cause, next.long+1
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

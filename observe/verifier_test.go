package observe

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is a network as the verifier is told of it, and the rules of forwarding
// without any thought of speed.
type model struct {
	cfg     Config
	peer    []int32
	carrier []bool
	routes  []map[routeKey][]Hop // by node
}

type routeKey struct {
	prefix netip.Prefix
	metric int
}

func newModel(cfg Config) *model {
	m := &model{cfg: cfg, peer: make([]int32, len(cfg.Ports)), carrier: make([]bool, len(cfg.Ports))}
	for i := range m.peer {
		m.peer[i] = None
	}
	for range cfg.Nodes {
		m.routes = append(m.routes, map[routeKey][]Hop{})
	}
	return m
}

// hops are the next hops that a node's kernel chooses from for an address; none with
// ok if it discards.
func (m *model) hops(n int32, a netip.Addr) (usable []Hop, ok bool) {
	best := routeKey{metric: -1}
	for k, hops := range m.routes[n] {
		var with []Hop
		for _, h := range hops {
			if h.Port != None && m.carrier[h.Port] {
				with = append(with, h)
			}
		}
		if !k.prefix.Contains(a) || len(hops) > 0 && len(with) == 0 {
			continue
		}
		if !ok || k.prefix.Bits() > best.prefix.Bits() || k.prefix.Bits() == best.prefix.Bits() && k.metric < best.metric {
			best, usable, ok = k, with, true
		}
	}
	return usable, ok
}

// state follows all packets that a source may send, hop by hop, and tells whether any
// of them arrives.
func (m *model) state(source int32, d Destination) (worst State, arrives bool) {
	at := map[int32]bool{source: true}
	for range m.cfg.Nodes + 1 {
		next := map[int32]bool{}
		for n := range at {
			if n == d.Node {
				arrives = true
				continue
			}
			hops, _ := m.hops(n, d.Address)
			if len(hops) == 0 {
				worst = max(worst, BlackHole)
			}
			for _, h := range hops {
				peer := m.peer[h.Port]
				if peer == None {
					worst = max(worst, BlackHole)
					continue
				}
				behind := m.cfg.Ports[peer]
				if h.Node == None && behind != d.Node || h.Node != None && behind != h.Node || h.Peer != None && h.Peer != peer {
					worst = max(worst, BlackHole)
					continue
				}
				next[behind] = true
			}
		}
		at = next
	}
	if len(at) > 0 {
		worst = Loop // as many hops as there are nodes and more
	}
	if worst != Reachable && !m.connected(source, d.Node) {
		worst = NoPath
	}
	return worst, arrives
}

func (m *model) connected(a, b int32) bool {
	seen := map[int32]bool{a: true}
	for range m.cfg.Nodes {
		for p, q := range m.peer {
			if q != None && (seen[m.cfg.Ports[p]] || seen[m.cfg.Ports[q]]) {
				seen[m.cfg.Ports[p]], seen[m.cfg.Ports[q]] = true, true
			}
		}
	}
	return seen[b]
}

func address6(n int32) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd00::%d", n+1)) }
func address4(n int32) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)}) }

func TestVerifierAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Nodes: rapid.IntRange(2, 9).Draw(t, "nodes")}
		for n := range cfg.Nodes {
			for range 3 {
				cfg.Ports = append(cfg.Ports, int32(n))
			}
			if n == 0 || rapid.Bool().Draw(t, "source") {
				cfg.Sources = append(cfg.Sources, int32(n))
			}
			if n == 0 || rapid.Bool().Draw(t, "destination") {
				cfg.Destinations = append(cfg.Destinations, Destination{int32(n), address6(int32(n))}, Destination{int32(n), address4(int32(n))})
			}
		}
		v, m := New(cfg), newModel(cfg)
		port := rapid.Int32Range(0, int32(len(cfg.Ports)-1))
		node := rapid.Int32Range(0, int32(cfg.Nodes-1))
		prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
			d := rapid.SampledFrom(cfg.Destinations).Draw(t, "of")
			bits := rapid.SampledFrom([]int{0, d.Address.BitLen() - 2, d.Address.BitLen(), d.Address.BitLen()}).Draw(t, "bits")
			p, _ := d.Address.Prefix(bits)
			return p
		})
		hop := func(t *rapid.T, n int32) Hop {
			h := Hop{Port: 3*n + rapid.Int32Range(0, 2).Draw(t, "port"), Node: None, Peer: None}
			// As a rule, what stands behind the port at this moment.
			if q := m.peer[h.Port]; q != None && rapid.IntRange(0, 5).Draw(t, "stale") > 0 {
				h.Node, h.Peer = cfg.Ports[q], q
				if rapid.Bool().Draw(t, "any port") {
					h.Peer = None
				}
			} else if rapid.Bool().Draw(t, "foreign") {
				h.Node = node.Draw(t, "via")
			}
			return h
		}
		unlink := func(p int32, carrier bool) {
			for _, e := range [2]int32{p, m.peer[p]} {
				if e != None {
					m.peer[e], m.carrier[e] = None, carrier
					v.SetLink(e, None, carrier)
				}
			}
		}
		known := map[[2]int]Pair{}
		t.Repeat(map[string]func(*rapid.T){
			"link": func(t *rapid.T) {
				a, b := port.Draw(t, "a"), port.Draw(t, "b")
				if a == b {
					t.Skip("a port has no link to itself")
				}
				unlink(a, false)
				unlink(b, false)
				m.peer[a], m.peer[b], m.carrier[a], m.carrier[b] = b, a, true, true
				v.SetLink(a, b, true)
				v.SetLink(b, a, true)
			},
			"unlink": func(t *rapid.T) { unlink(port.Draw(t, "port"), rapid.Bool().Draw(t, "silent")) },
			"route": func(t *rapid.T) {
				n, k := node.Draw(t, "node"), routeKey{prefix.Draw(t, "prefix"), rapid.IntRange(1, 2).Draw(t, "metric")}
				var hops []Hop
				for range rapid.IntRange(0, 2).Draw(t, "hops") {
					if h := hop(t, n); !slices.Contains(hops, h) {
						hops = append(hops, h)
					}
				}
				m.routes[n][k] = hops
				v.SetRoute(n, Route{k.prefix, k.metric, hops})
			},
			"leading route": func(t *rapid.T) { // so that longer paths are not rare
				p := port.Draw(t, "port")
				if m.peer[p] == None {
					t.Skip("no link")
				}
				d := rapid.SampledFrom(cfg.Destinations).Draw(t, "to")
				k := routeKey{netip.PrefixFrom(d.Address, d.Address.BitLen()), 1}
				hops := []Hop{{p, cfg.Ports[m.peer[p]], m.peer[p]}}
				m.routes[cfg.Ports[p]][k] = hops
				v.SetRoute(cfg.Ports[p], Route{k.prefix, k.metric, hops})
			},
			"no route": func(t *rapid.T) {
				n, k := node.Draw(t, "node"), routeKey{prefix.Draw(t, "prefix"), rapid.IntRange(1, 2).Draw(t, "metric")}
				var hops []Hop
				if had := m.routes[n][k]; len(had) > 0 && rapid.Bool().Draw(t, "one hop") {
					hops = had[:1]
					left := slices.DeleteFunc(slices.Clone(had), func(h Hop) bool { return h == hops[0] })
					if m.routes[n][k] = left; len(left) == 0 {
						delete(m.routes[n], k)
					}
				} else {
					delete(m.routes[n], k)
				}
				v.RemoveRoute(n, Route{k.prefix, k.metric, hops})
			},
			"no routes": func(t *rapid.T) {
				n := node.Draw(t, "node")
				clear(m.routes[n])
				v.RemoveRoutes(n)
			},
			"": func(t *rapid.T) {
				for _, c := range v.Update() {
					key := [2]int{c.Source, c.Destination}
					if old, ok := known[key]; ok && (old.State != c.Before.State || !slices.Equal(old.Nodes, c.Before.Nodes)) {
						t.Fatalf("pair %v was %v and is said to have been %v", key, old, c.Before)
					}
					known[key] = c.Now
				}
				for s, source := range cfg.Sources {
					for d, to := range cfg.Destinations {
						got := v.Pair(s, d)
						want, arrives := m.state(source, to)
						partly := arrives && want != Reachable
						if source != to.Node && (got.State != want || got.Partly != partly) {
							t.Fatalf("from %d to %d it is %s (partly %t, %s, by %v), want %s (%t)", source, to.Node, got.State, got.Partly, got.Cause, got.Nodes, want, partly)
						}
						m.checkPath(t, source, to, got)
						if k, ok := known[[2]int{s, d}]; ok && (k.State != got.State || k.Partly != got.Partly || !slices.Equal(k.Ports, got.Ports)) {
							t.Fatalf("from %d to %d it is %v, and the last change said %v", source, to.Node, got, k)
						}
					}
				}
			},
		})
	})
}

// checkPath holds a path to the links and to what it is said to show.
func (m *model) checkPath(t *rapid.T, source int32, d Destination, p Pair) {
	if p.Nodes[0] != source || len(p.Ports) != len(p.Nodes)-1 {
		t.Fatalf("path from %d: nodes %v, ports %v", source, p.Nodes, p.Ports)
	}
	for i, port := range p.Ports {
		if m.cfg.Ports[port] != p.Nodes[i] || m.peer[port] == None || m.cfg.Ports[m.peer[port]] != p.Nodes[i+1] {
			t.Fatalf("hop %d of nodes %v, ports %v is no link", i, p.Nodes, p.Ports)
		}
	}
	last := p.Nodes[len(p.Nodes)-1]
	if again := slices.Contains(p.Nodes[:len(p.Nodes)-1], last); again != (p.Cause == GoesInCycle) || (p.Cause == Arrived) != (last == d.Node) {
		t.Fatalf("%s (%s) by nodes %v", p.State, p.Cause, p.Nodes)
	}
}

// chain is a row of nodes with routes to the last.
func chain(nodes int) *Verifier {
	cfg := Config{Nodes: nodes, Sources: []int32{0}, Destinations: []Destination{{int32(nodes - 1), address6(int32(nodes - 1))}}}
	for n := range nodes {
		cfg.Ports = append(cfg.Ports, int32(n), int32(n))
	}
	v := New(cfg)
	for n := range int32(nodes - 1) {
		v.SetLink(2*n+1, 2*n+2, true)
		v.SetLink(2*n+2, 2*n+1, true)
		v.SetRoute(n, Route{netip.PrefixFrom(cfg.Destinations[0].Address, 128), 20, []Hop{{2*n + 1, n + 1, 2*n + 2}}})
	}
	return v
}

func TestHopLimit(t *testing.T) {
	for nodes, want := range map[int]State{65: Reachable, 66: BlackHole} {
		v := chain(nodes)
		if c := v.Update(); len(c) != 1 || c[0].Now.State != want {
			t.Errorf("%d links: %v, want %s", nodes-1, c, want)
		}
	}
}

// A loop that only some flows enter, seen from a node within it: those of its packets
// arrive that leave the loop at the other node.
func TestPartlyArrives(t *testing.T) {
	v := chain(4)
	route := netip.PrefixFrom(v.cfg.Destinations[0].Address, 128)
	v.SetRoute(2, Route{route, 20, []Hop{{4, 1, 3}, {5, 3, 6}}}) // back, and on
	if c := v.Update(); len(c) != 1 || c[0].Now.State != Loop || !c[0].Now.Partly {
		t.Errorf("with a way back beside the way on: %+v, want a loop, partly arriving", c)
	}
	v.SetRoute(2, Route{route, 20, []Hop{{4, 1, 3}}})
	if c := v.Update(); len(c) != 1 || c[0].Now.State != Loop || c[0].Now.Partly {
		t.Errorf("with a way back alone: %+v, want a loop", c)
	}
}

// grid is a torus of satellites and some stations, with shortest-hop routes to them.
func grid(planes, slots, stations int) (*Verifier, Config, *rand.Rand) {
	sats := planes * slots
	cfg := Config{Nodes: sats + stations}
	for n := range sats {
		for range 5 {
			cfg.Ports = append(cfg.Ports, int32(n))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for s := range stations {
		n := int32(sats + s)
		cfg.Ports = append(cfg.Ports, n)
		cfg.Sources = append(cfg.Sources, n)
		cfg.Destinations = append(cfg.Destinations, Destination{n, address6(n)})
	}
	v := New(cfg)
	join := func(a, b int) {
		v.SetLink(int32(a), int32(b), true)
		v.SetLink(int32(b), int32(a), true)
	}
	for p := range planes {
		for s := range slots {
			n := p*slots + s
			join(5*n, 5*(p*slots+(s+1)%slots)+1)
			join(5*n+2, 5*((p+1)%planes*slots+s)+3)
		}
	}
	for s := range stations {
		join(5*random.IntN(sats/stations)+5*s*(sats/stations)+4, 5*sats+s)
	}
	for d := range cfg.Destinations {
		at := cfg.Destinations[d].Node
		done := map[int32]bool{at: true}
		for queue := []int32{at}; len(queue) > 0; queue = queue[1:] {
			for _, p := range v.ports[queue[0]] {
				q := v.link[p].peer
				if q == None || done[cfg.Ports[q]] {
					continue
				}
				done[cfg.Ports[q]] = true
				queue = append(queue, cfg.Ports[q])
				v.SetRoute(cfg.Ports[q], Route{netip.PrefixFrom(cfg.Destinations[d].Address, 128), 20, []Hop{{q, queue[0], p}}})
			}
		}
	}
	v.Update()
	return v, cfg, random
}

func TestGridIsReachable(t *testing.T) {
	v, cfg, _ := grid(10, 10, 8)
	for s := range cfg.Sources {
		for d := range cfg.Destinations {
			if p := v.Pair(s, d); p.State != Reachable {
				t.Errorf("from %d to %d: %s (%s)", s, d, p.State, p.Cause)
			}
		}
	}
}

// Of 2,000 nodes and 40 stations: one change of one table, and an update.
func BenchmarkRouteChange(b *testing.B) {
	v, cfg, random := grid(49, 40, 40)
	changes := 0
	for b.Loop() {
		n, d := int32(random.IntN(1960)), random.IntN(40)
		e := v.tables[v.table(n, d)][0]
		r := Route{e.prefix, e.metric, []Hop{{e.hops[0].Port, e.hops[0].Node, e.hops[0].Peer ^ 1}}}
		v.SetRoute(n, r) // stale, and right again
		changes += len(v.Update())
		r.Hops[0].Peer ^= 1
		v.SetRoute(n, r)
		changes += len(v.Update())
	}
	b.ReportMetric(float64(changes)/float64(b.N), "pairs/op")
	_ = cfg
}

// A link that goes and comes again.
func BenchmarkLinkChange(b *testing.B) {
	v, _, random := grid(49, 40, 40)
	for b.Loop() {
		p := int32(5 * random.IntN(1960))
		q := v.link[p].peer
		for _, up := range []bool{false, true} {
			if up {
				v.SetLink(p, q, true)
				v.SetLink(q, p, true)
			} else {
				v.SetLink(p, None, false)
				v.SetLink(q, None, false)
			}
			v.Update()
		}
	}
}

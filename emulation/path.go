package emulation

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/plan"
)

// Hop is a node on a path and the port through which it passes frames on.
type Hop struct {
	Node  int
	Port  plan.PortID   // -1 at the end of the path
	Delay time.Duration // one way, of the link behind Port
}

// Path is a way through the network at one moment.
type Path struct {
	Hops []Hop
	// Delay is the sum over the links, one way.
	Delay time.Duration
	// Problem says in one sentence why the path does not arrive; empty if it does.
	Problem string
}

// Complete tells whether the path arrives.
func (p *Path) Complete() bool { return p.Problem == "" }

// maxHops is the kernel's default hop limit: longer paths lose their packets.
const maxHops = 64

// KernelPath follows the kernels' own tables from one node to another's
// loopback, as a packet sent now would go. The tables are asked one after the
// other within a few hundred microseconds; a change in between shows as a
// problem or as a path that never was whole, exactly as for a packet.
func (r *Run) KernelPath(ctx context.Context, from, to int) Path {
	return r.follow(ctx, from, to, r.loopback(from), r.loopback(to))
}

func (r *Run) follow(ctx context.Context, from, to int, src, dst netip.Addr) (p Path) {
	seen := make(map[int]bool)
	nodes := r.plan.Nodes
	for at := from; ; {
		if at == to {
			p.Hops = append(p.Hops, Hop{Node: at, Port: -1})
			return p
		}
		if seen[at] {
			p.Hops = append(p.Hops, Hop{Node: at, Port: -1})
			p.Problem = fmt.Sprintf("the tables loop at %s", nodes[at].Name)
			return p
		}
		if len(p.Hops) == maxHops {
			p.Problem = fmt.Sprintf("more than %d hops", maxHops)
			return p
		}
		seen[at] = true
		stop := func(format string, args ...any) Path {
			p.Hops = append(p.Hops, Hop{Node: at, Port: -1})
			p.Problem = fmt.Sprintf(format, args...)
			return p
		}
		entry, err := r.nodes.LookupFrom(ctx, nodes[at].Name, src, dst)
		if err != nil {
			return stop("%s has no route to %s: %v", nodes[at].Name, nodes[to].Name, err)
		}
		port, ok := r.plan.PortByName(nodes[at].Name, entry.Port)
		if !ok {
			return stop("%s sends what is for %s to its interface %q", nodes[at].Name, nodes[to].Name, entry.Port)
		}
		c := r.director.contact(port.ID)
		if c == nil {
			return stop("%s sends through %s, which has no link", nodes[at].Name, port.Name)
		}
		other := r.plan.Port(peer(c, port.ID))
		if entry.Via.IsValid() && entry.Via.WithZone("") != r.portAddress(other, entry.Via) {
			return stop("%s sends through %s to %s, which is no longer there", nodes[at].Name, port.Name, entry.Via)
		}
		d := time.Duration(c.Delay.At(r.timeline.Now()) * float64(time.Second))
		p.Hops = append(p.Hops, Hop{Node: at, Port: port.ID, Delay: d})
		p.Delay += d
		at = other.Node
	}
}

// portAddress is the address by which a next hop names a port: its link-local
// address, or the node's IPv4 loopback where IPv4 runs unnumbered.
func (r *Run) portAddress(p *plan.Port, like netip.Addr) netip.Addr {
	if like.Is4() {
		return address.Loopback4(p.Node).Addr()
	}
	return address.LinkLocal(p.Node, p.Index).Addr()
}

func (r *Run) loopback(n int) netip.Addr { return r.addresses.Loopback(n).Addr() }

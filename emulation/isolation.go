package emulation

import (
	"net/netip"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/plan"
)

// What a scenario says of isolation, beside "commands".
const (
	isolateNone = "none"
	isolateAll  = "all"
)

// origin says which source addresses the frames of a node's port may bear; nil
// for any.
func origin(p *plan.Plan, scheme address.Scheme, node, port int) *fabric.Origin {
	network := p.Scenario.Spec.Network
	if network.SourceValidation == "none" {
		return nil
	}
	o := &fabric.Origin{
		MAC: address.MAC(node, port), LinkLocal: address.LinkLocal(node, port).Addr(),
		Own:     []netip.Addr{scheme.Loopback(node).Addr()},
		Network: []netip.Prefix{scheme.Prefix()},
		// A packet that comes in by the only port has no other way out.
		Stub: len(p.Nodes[node].Ports) == 1,
		Drop: network.SourceValidation == "drop",
	}
	if network.IPv4 {
		o.Own = append(o.Own, address.Loopback4(node).Addr())
		o.Network = append(o.Network, address.Network4)
	}
	return o
}

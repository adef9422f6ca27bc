package fabric

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// Origin says which source addresses the frames of a port may bear. What it
// forbids is forged: source address validation as SAVI has it (RFC 7039), with
// what is known of an emulated network beforehand. doc.go has the rules.
type Origin struct {
	// MAC is the only hardware address of the port.
	MAC [6]byte
	// LinkLocal is the only IPv6 link-local address of the port.
	LinkLocal netip.Addr
	// Own are the node's other addresses.
	Own []netip.Addr
	// Network holds the addresses of all nodes: those in it that are not Own
	// belong to other nodes. Addresses outside of it belong to nobody here and
	// are not judged.
	Network []netip.Prefix
	// Stub says that the node passes on nothing for others, as one with a single
	// port: all that leaves the port is then the node's own.
	Stub bool
	// Drop drops forged frames instead of only counting them.
	Drop bool
}

// guard judges the frames of one port: an Origin prepared for looking at bytes.
type guard struct {
	mac      uint64 // in the upper 48 bits
	local    word
	own6     []word
	own4     [][4]byte
	network6 []netip.Prefix
	network4 []netip.Prefix
	stub     bool
	drop     bool
}

// word is an IPv6 address as two numbers, which compare faster than bytes.
type word struct{ upper, lower uint64 }

func wordOf(b []byte) word {
	return word{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// newGuard prepares an Origin; nil is no guard.
func newGuard(o *Origin) (*guard, error) {
	if o == nil {
		return nil, nil
	}
	if !o.LinkLocal.Is6() || !o.LinkLocal.IsLinkLocalUnicast() {
		return nil, fmt.Errorf("Origin.LinkLocal is %v, want an IPv6 link-local address", o.LinkLocal)
	}
	g := &guard{mac: macOf(append(o.MAC[:], 0, 0)), local: wordOf(o.LinkLocal.AsSlice()), stub: o.Stub, drop: o.Drop}
	for _, a := range o.Own {
		if a.Is4() {
			g.own4 = append(g.own4, a.As4())
		} else {
			g.own6 = append(g.own6, wordOf(a.AsSlice()))
		}
	}
	for _, p := range o.Network {
		if p.Addr().Is4() {
			g.network4 = append(g.network4, p)
		} else {
			g.network6 = append(g.network6, p)
		}
	}
	return g, nil
}

// Numbers of Ethernet (IEEE 802 numbers), ARP (RFC 826), IPv6 (RFC 8200) and
// ICMPv6 (RFC 4443, RFC 4861).
const (
	etherHeader   = 14
	etherIPv4     = 0x0800
	etherARP      = 0x0806
	etherIPv6     = 0x86dd
	etherVLAN     = 0x8100
	etherQinQ     = 0x88a8
	headerIPv4    = 20
	headerIPv6    = 40
	protoHopByHop = 0
	protoRouting  = 43
	protoICMPv6   = 58
	protoDest     = 60

	icmpRouterSolicitation    = 133
	icmpRouterAdvertisement   = 134
	icmpNeighborSolicitation  = 135
	icmpNeighborAdvertisement = 136
	icmpRedirect              = 137

	// fullHops is the hop limit of a packet that no router has passed on
	// (RFC 4861, section 3; RFC 5082).
	fullHops = 255
)

// forged judges a frame that begins with its Ethernet header. What is too
// short for a rule is not judged by it: no receiver would take it for more.
func (g *guard) forged(frame []byte) bool {
	if len(frame) < etherHeader {
		return false
	}
	if macOf(frame[6:]) != g.mac {
		return true
	}
	kind, packet := binary.BigEndian.Uint16(frame[12:]), frame[etherHeader:]
	for range 2 { // tags of VLANs
		if kind != etherVLAN && kind != etherQinQ || len(packet) < 4 {
			break
		}
		kind, packet = binary.BigEndian.Uint16(packet[2:]), packet[4:]
	}
	switch kind {
	case etherIPv6:
		return len(packet) >= headerIPv6 && g.forged6(packet)
	case etherIPv4:
		return len(packet) >= headerIPv4 && g.forged4(packet)
	case etherARP:
		return g.forgedARP(packet)
	}
	return false
}

func (g *guard) forged6(p []byte) bool {
	source := wordOf(p[8:])
	switch {
	case source.upper>>54 == 0xfe80>>6: // link-local
		if source != g.local {
			return true
		}
	case g.stub, p[7] == fullHops, p[24] == 0xff && p[25]&0xf <= 2:
		// It cannot come from elsewhere: the node passes on nothing, or nobody
		// has passed this on, or nobody may (RFC 4291, section 2.7).
		if source != (word{}) && !slices.Contains(g.own6, source) && contains(g.network6, netip.AddrFrom16([16]byte(p[8:24]))) {
			return true
		}
	}
	return p[7] == fullHops && g.forgedDiscovery(p)
}

// macOf is the hardware address that eight bytes begin with.
func macOf(b []byte) uint64 { return binary.BigEndian.Uint64(b) &^ 0xffff }

// forgedDiscovery judges what a message of neighbour discovery says of whose
// addresses are whose. It has the full hop limit: others are ignored by all.
func (g *guard) forgedDiscovery(p []byte) bool {
	next, body := p[6], p[headerIPv6:]
	for next == protoHopByHop || next == protoDest || next == protoRouting {
		if len(body) < 8 || len(body) < 8*(1+int(body[1])) {
			return false
		}
		next, body = body[0], body[8*(1+int(body[1])):]
	}
	if next != protoICMPv6 || len(body) < 8 {
		return false
	}
	const source, target = 1, 2 // link-layer address options
	switch body[0] {
	case icmpRouterSolicitation:
		return g.forgedOption(body[8:], source)
	case icmpRouterAdvertisement:
		return len(body) >= 16 && g.forgedOption(body[16:], source)
	case icmpNeighborSolicitation:
		return len(body) >= 24 && g.forgedOption(body[24:], source)
	case icmpNeighborAdvertisement:
		if len(body) < 24 {
			return false
		}
		about := wordOf(body[8:])
		return about != g.local && !slices.Contains(g.own6, about) || g.forgedOption(body[24:], target)
	case icmpRedirect: // tells the address of another router, and must
		return false
	}
	return false
}

// forgedOption finds a link-layer address that is not the port's.
func (g *guard) forgedOption(options []byte, kind byte) bool {
	for len(options) >= 8 {
		length := 8 * int(options[1])
		if length == 0 || length > len(options) {
			return false
		}
		// The address fills the eight bytes.
		if options[0] == kind && binary.BigEndian.Uint64(options)<<16 != g.mac {
			return true
		}
		options = options[length:]
	}
	return false
}

func (g *guard) forged4(p []byte) bool {
	source := [4]byte(p[12:16])
	if source == [4]byte{} || slices.Contains(g.own4, source) {
		return false
	}
	local := p[16] == 224 && p[17] == 0 && p[18] == 0 // RFC 5771, section 4
	return (g.stub || p[8] == fullHops || local) && contains(g.network4, netip.AddrFrom4(source))
}

// forgedARP judges the sender of a request or an answer. The unspecified address
// asks whether one is free (RFC 5227).
func (g *guard) forgedARP(p []byte) bool {
	const sender = 8
	if len(p) < 28 || binary.BigEndian.Uint16(p[2:]) != etherIPv4 || p[4] != 6 || p[5] != 4 {
		return false
	}
	address := [4]byte(p[sender+6 : sender+10])
	return macOf(p[sender:]) != g.mac || address != [4]byte{} && !slices.Contains(g.own4, address)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

package fabric

import "encoding/binary"

// Protocol is a control protocol that frames are told apart by.
type Protocol uint8

// The protocols.
const (
	OSPF Protocol = iota // IP protocol 89 (RFC 2328, RFC 5340)
	ISIS                 // IEEE 802.2 with both access points 0xfe (ISO/IEC 10589)
	BGP                  // TCP port 179 (RFC 4271)
	BFD                  // UDP ports 3784, 3785 (RFC 5881) and 4784 (RFC 5883)
	NDP                  // ICMPv6 types 133 to 137 (RFC 4861), and ARP (RFC 826)

	Protocols // how many there are
	noProtocol
)

func (p Protocol) String() string {
	return [...]string{"ospf", "isis", "bgp", "bfd", "ndp"}[p]
}

// Load counts frames and their bytes.
type Load struct{ Frames, Bytes uint64 }

// ControlCounter is a Fabric that counts what control protocols send.
type ControlCounter interface {
	// Control gives what a port's node has sent so far, by protocol, whatever became of
	// it. Frames are counted as on the link, without their check sequence.
	Control(port PortID) [Protocols]Load
}

// Classify tells which control protocol an Ethernet frame is of; ok is false if it is
// of none.
func Classify(frame []byte) (p Protocol, ok bool) {
	p = protocolOf(frame)
	return p, p < Protocols
}

// protocolOf looks at a few bytes and no extension headers: none of these protocols
// has any, and other traffic is to be let through quickly.
func protocolOf(frame []byte) Protocol {
	const (
		ethernet = 14
		tcp      = 6
		udp      = 17
		icmp6    = 58
		ospf     = 89
		ipv6     = 40
	)
	if len(frame) < ethernet+20 {
		return noProtocol
	}
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == 0x86dd: // RFC 8200, section 3
		if len(frame) < ethernet+ipv6+8 {
			return noProtocol
		}
		payload := frame[ethernet+ipv6:]
		switch frame[ethernet+6] {
		case ospf:
			return OSPF
		case icmp6:
			if payload[0] >= 133 && payload[0] <= 137 {
				return NDP
			}
		case tcp, udp:
			return transport(frame[ethernet+6] == tcp, payload)
		}
	case kind == 0x0800: // RFC 791, section 3.1
		header := int(frame[ethernet]&0xf) * 4
		offset := binary.BigEndian.Uint16(frame[ethernet+6:]) & 0x1fff
		switch protocol := frame[ethernet+9]; {
		case protocol == ospf:
			return OSPF
		case (protocol == tcp || protocol == udp) && offset == 0 && len(frame) >= ethernet+header+4:
			return transport(protocol == tcp, frame[ethernet+header:])
		}
	case kind == 0x0806:
		return NDP
	case kind <= 1500 && frame[14] == 0xfe && frame[15] == 0xfe:
		return ISIS
	}
	return noProtocol
}

// transport tells protocols apart by the ports at the beginning of a TCP or UDP header.
func transport(tcp bool, header []byte) Protocol {
	from, to := binary.BigEndian.Uint16(header), binary.BigEndian.Uint16(header[2:])
	switch {
	case tcp && (from == 179 || to == 179):
		return BGP
	case !tcp && (to == 3784 || to == 3785 || to == 4784):
		return BFD
	default:
		return noProtocol
	}
}

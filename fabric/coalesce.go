//go:build linux

package fabric

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
)

// A coalescer joins frames into one super-frame from which segmentation would make
// exactly these frames again: the kernel of the node that they are for then takes
// them, looks up where they go, and passes them on once for all. The kernel's own
// receive offload does the same with what comes from a network card (GRO, net/core/gro.c).
//
// Frames can be joined that differ in nothing but what segmentation makes anew:
// datagrams of one UDP flow, or segments of one TCP connection that follow each other
// without a gap, of equal length but for the last one, which may be shorter. Whatever a
// receiver would look at twice stays alone: options of IPv4, extension headers,
// fragments, wrong or missing checksums, VLAN tags, group addresses, a hop limit that
// ends here, and all flags of TCP but ACK and PSH.
//
// Frames are joined in place: the coalescer has the headers, and tells where the
// payloads are.
type coalescer struct {
	// refused says by protocol that the kernel does not take such super-frames from a
	// TAP: those of UDP not before Linux 6.2.
	refused [2]bool

	first   packet
	frame   []byte // the first one, with its virtio_net_hdr
	count   int    // frames joined
	bytes   int    // of payload
	pushed  bool   // the last one has PSH
	closed  bool   // nothing can follow
	headers [tap.HeaderLen + maxHeaders]byte
	parts   [1 + burst]unix.Iovec // headers, payloads
}

const (
	headerUDP = 8
	headerTCP = 20 // without options
	protoTCP  = 6
	protoUDP  = 17
	// maxHeaders are those of Ethernet, IPv6, and TCP with all the options it has room
	// for.
	maxHeaders = etherHeader + headerIPv6 + 60
	// maxPiece is of a length that a kernel finds memory for without effort.
	maxPiece = 24 << 10
	// maxPacket is the longest packet of IPv4, and held to for IPv6 as well.
	maxPacket = 1<<16 - 1

	ipv4Plain        = 0x45   // version 4, no options
	ipv4DontFragment = 0x4000 // and no fragment

	udpLength   = 4 // fields of UDP (RFC 768)
	udpChecksum = 6
	tcpSequence = 4 // fields of TCP (RFC 9293)
	tcpAck      = 8
	tcpFlags    = 13
	tcpWindow   = 14
	tcpChecksum = 16
	tcpUrgent   = 18
	tcpFlagPSH  = 0x08
	tcpFlagACK  = 0x10
)

// packet says where the parts of a frame are that can be joined with others. Offsets
// count from its Ethernet header.
type packet struct {
	transport int // TCP or UDP header
	payload   int
	size      int // of the payload, above 0
	tcp, ipv6 bool
}

// protocol is the packet's place in coalescer.refused.
func (p *packet) protocol() int {
	if p.tcp {
		return 1
	}
	return 0
}

// checksum is the offset of the transport's checksum field in its header.
func (p *packet) checksum() int {
	if p.tcp {
		return tcpChecksum
	}
	return udpChecksum
}

// looksJoinable tells at a glance whether parsePacket is worth its while.
func looksJoinable(data []byte) bool {
	const ip = tap.HeaderLen + etherHeader
	if len(data) > smallSize || len(data) <= ip+headerIPv4+headerUDP || data[vnetGSOType] != 0 {
		return false
	}
	var protocol byte
	transport := ip + headerIPv4
	switch binary.BigEndian.Uint16(data[tap.HeaderLen+12:]) {
	case etherIPv6:
		protocol, transport = data[ip+6], ip+headerIPv6
	case etherIPv4:
		protocol = data[ip+9]
	}
	switch protocol {
	case protoUDP:
		return true
	case protoTCP: // and not a mere acknowledgement
		return len(data) > transport+headerTCP && len(data) > transport+int(data[transport+12]>>4)*4
	}
	return false
}

// parsePacket looks at a frame with its virtio_net_hdr. It is ok if all that joining
// needs of a frame by itself holds, checksums included.
func parsePacket(data []byte) (p packet, ok bool) {
	if len(data) <= tap.HeaderLen+etherHeader+headerIPv4+headerUDP ||
		data[vnetFlags]&^vnetNeedsCsum != 0 || data[vnetGSOType] != 0 {
		return p, false
	}
	frame := data[tap.HeaderLen:]
	// A group address; fields that only a super-frame has, and that a TAP may refuse.
	if frame[0]&1 != 0 || binary.LittleEndian.Uint32(data[vnetHeaderLen:]) != 0 {
		return p, false
	}
	ip := frame[etherHeader:]
	var protocol byte
	var pseudo uint64
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv6: // RFC 8200, section 3
		if len(ip) <= headerIPv6 || ip[0]>>4 != 6 || int(binary.BigEndian.Uint16(ip[4:])) != len(ip)-headerIPv6 || ip[7] <= 1 {
			return p, false
		}
		p.ipv6, p.transport = true, etherHeader+headerIPv6
		protocol, pseudo = ip[6], sum(ip[8:headerIPv6])
	case etherIPv4: // RFC 791, section 3.1
		if ip[0] != ipv4Plain || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) || ip[8] <= 1 ||
			binary.BigEndian.Uint16(ip[6:]) != ipv4DontFragment || !valid(sum(ip[:headerIPv4]), ip[10:]) {
			return p, false
		}
		p.transport = etherHeader + headerIPv4
		protocol, pseudo = ip[9], sum(ip[12:headerIPv4])
	default:
		return p, false
	}
	t := frame[p.transport:]
	switch protocol {
	case protoUDP:
		if len(t) <= headerUDP || int(binary.BigEndian.Uint16(t[udpLength:])) != len(t) || binary.BigEndian.Uint16(t[udpChecksum:]) == 0 {
			return p, false
		}
		p.payload = p.transport + headerUDP
	case protoTCP:
		if len(t) < headerTCP {
			return p, false
		}
		header := int(t[12]>>4) * 4
		if header < headerTCP || len(t) <= header || t[12]&0x0f != 0 || t[tcpFlags]&^tcpFlagPSH != tcpFlagACK {
			return p, false
		}
		p.tcp, p.payload = true, p.transport+header
	default:
		return p, false
	}
	p.size = len(frame) - p.payload
	pseudo = add(pseudo, uint64(protocol)+uint64(len(t)))
	if data[vnetFlags]&vnetNeedsCsum == 0 {
		whole := add(pseudo, sum(t))
		if p.tcp {
			return p, valid(whole, t[tcpChecksum:])
		}
		return p, fold(whole) == 0xffff
	}
	// What the node left to its device must be what its device would have done.
	return p, int(binary.LittleEndian.Uint16(data[vnetCsumStart:])) == p.transport &&
		int(binary.LittleEndian.Uint16(data[vnetCsumOffset:])) == p.checksum() &&
		binary.BigEndian.Uint16(t[p.checksum():]) == fold(pseudo)
}

// valid judges a checksum by the sum over all that it covers, itself included. It must
// be the number that computing it gives, not the other form of zero.
func valid(sum uint64, field []byte) bool {
	return fold(sum) == 0xffff && binary.BigEndian.Uint16(field) != 0xffff
}

// begin begins with a frame, which must stay as it is until the super-frame was
// written. False says that it stays alone.
func (c *coalescer) begin(data []byte) bool {
	p, ok := parsePacket(data)
	if !ok || c.refused[p.protocol()] {
		return false
	}
	c.first, c.frame, c.count, c.bytes, c.closed = p, data, 0, 0, false
	c.append(&p, data)
	return true
}

// add joins a frame with those before it. False says that it does not continue them.
func (c *coalescer) add(data []byte) bool {
	if c.closed || c.count == burst || len(data) > len(c.frame) {
		return false
	}
	p, ok := parsePacket(data)
	if !ok || p.payload-etherHeader+c.bytes+p.size > maxPacket || !c.continues(&p, data) {
		return false
	}
	c.append(&p, data)
	return true
}

func (c *coalescer) append(p *packet, data []byte) {
	c.count++
	c.bytes += p.size
	c.pushed = p.tcp && data[tap.HeaderLen+p.transport+tcpFlags]&tcpFlagPSH != 0
	c.closed = c.pushed || p.size < c.first.size
	c.parts[c.count] = unix.Iovec{Base: &data[tap.HeaderLen+p.payload], Len: uint64(p.size)}
}

// continues tells whether segmentation of a super-frame would give p's headers after
// those of the frames so far.
func (c *coalescer) continues(p *packet, data []byte) bool {
	f := &c.first
	if p.transport != f.transport || p.payload != f.payload || p.tcp != f.tcp || p.ipv6 != f.ipv6 || p.size > f.size {
		return false
	}
	a, b := c.frame[tap.HeaderLen:], data[tap.HeaderLen:]
	same := func(from, to int) bool { return bytes.Equal(a[from:to], b[from:to]) }
	const ip = etherHeader
	if p.ipv6 {
		// All but the length.
		if !same(0, ip+4) || !same(ip+6, ip+headerIPv6) {
			return false
		}
	} else {
		// All but the length, the checksum, and the identification, which counts up.
		if !same(0, ip+2) || !same(ip+6, ip+10) || !same(ip+12, ip+headerIPv4) ||
			binary.BigEndian.Uint16(b[ip+4:]) != binary.BigEndian.Uint16(a[ip+4:])+uint16(c.count) {
			return false
		}
	}
	t := p.transport
	if !p.tcp {
		return same(t, t+udpLength)
	}
	return same(t, t+tcpSequence) && same(t+tcpAck, t+tcpFlags) && same(t+tcpWindow, t+tcpChecksum) && same(t+tcpUrgent, p.payload) &&
		binary.BigEndian.Uint32(b[t+tcpSequence:]) == binary.BigEndian.Uint32(a[t+tcpSequence:])+uint32(c.bytes)
}

// finish gives the super-frame in its parts, and their bytes together. They are valid
// until the next begin.
func (c *coalescer) finish() (parts []unix.Iovec, size int) {
	p := &c.first
	h := c.headers[:tap.HeaderLen+p.payload]
	copy(h, c.frame)
	h[vnetFlags], h[vnetGSOType] = vnetNeedsCsum, vnetGSOUDPL4
	if p.tcp {
		h[vnetGSOType] = vnetGSOTCPv4
		if p.ipv6 {
			h[vnetGSOType] = vnetGSOTCPv6
		}
	}
	// Without a length of headers the kernel makes the packet in one piece, which is
	// cheaper to take apart, but hard to find memory for if it is long.
	headers := 0
	if p.payload+c.bytes > maxPiece {
		headers = p.payload
	}
	binary.LittleEndian.PutUint16(h[vnetHeaderLen:], uint16(headers))
	binary.LittleEndian.PutUint16(h[vnetGSOSize:], uint16(p.size))
	binary.LittleEndian.PutUint16(h[vnetCsumStart:], uint16(p.transport))
	binary.LittleEndian.PutUint16(h[vnetCsumOffset:], uint16(p.checksum()))

	frame := h[tap.HeaderLen:]
	ip, t := frame[etherHeader:], frame[p.transport:]
	length := p.payload - p.transport + c.bytes // of the transport's header and payload
	var pseudo uint64
	if p.ipv6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(length))
		pseudo = sum(ip[8:headerIPv6])
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(headerIPv4+length))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip[:headerIPv4]))
		pseudo = sum(ip[12:headerIPv4])
	}
	if p.tcp {
		if c.pushed {
			t[tcpFlags] |= tcpFlagPSH
		}
		pseudo = add(pseudo, uint64(protoTCP+length))
	} else {
		binary.BigEndian.PutUint16(t[udpLength:], uint16(length))
		pseudo = add(pseudo, uint64(protoUDP+length))
	}
	binary.BigEndian.PutUint16(t[p.checksum():], fold(pseudo))
	c.parts[0] = unix.Iovec{Base: &h[0], Len: uint64(len(h))}
	return c.parts[:1+c.count], len(h) + c.bytes
}

// refuse notes that the kernel does not take such a super-frame as the last one.
func (c *coalescer) refuse() { c.refused[c.first.protocol()] = true }

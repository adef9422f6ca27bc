package fabric_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

const (
	ethernet = 14
	ipv4     = 20
	ipv6     = 40
)

// traffic makes frames as a node's stack or a hostile program may send them: runs
// that can be joined, broken in all the ways there are.
type traffic struct {
	destinations [][2][]byte // an IPv4 and an IPv6 address each
	source       [2][]byte
	to           []byte // hardware address
}

// flow is what the frames of a run have in common.
type flow struct {
	tcp, ipv6 bool
	target    int
	port      uint16
	size      int // of payloads
	options   int // of TCP, in bytes
	class     byte
	hops      byte
	id        uint16
	sequence  uint32
	partial   bool
}

// frames draws up to 40 of them, with their virtio_net_hdr.
func (tr *traffic) frames(t *rapid.T) (frames [][]byte) {
	f := tr.flow(t)
	for range rapid.IntRange(1, 40).Draw(t, "frames") {
		if rapid.IntRange(0, 9).Draw(t, "other flow") == 0 {
			f = tr.flow(t)
		}
		size := f.size
		if rapid.IntRange(0, 9).Draw(t, "other size") == 0 {
			size = rapid.IntRange(0, 1200).Draw(t, "size")
		}
		odd := ""
		if rapid.IntRange(0, 5).Draw(t, "odd") == 0 {
			odd = rapid.SampledFrom([]string{"class", "hops", "last hop", "id", "may fragment", "fragment", "option", "checksum", "no checksum",
				"header checksum", "half checksum", "csum_start", "length", "udp length", "padding", "vlan", "group", "flags", "vnet flags", "gso", "push", "gap", "ack", "window", "cut", "noise"}).Draw(t, "how")
		}
		frames = append(frames, tr.frame(t, f, size, odd))
		f.id++
		f.sequence += uint32(size)
	}
	return frames
}

func (tr *traffic) flow(t *rapid.T) *flow {
	f := &flow{
		tcp:      rapid.Bool().Draw(t, "tcp"),
		ipv6:     rapid.Bool().Draw(t, "ipv6"),
		target:   rapid.IntRange(0, len(tr.destinations)-1).Draw(t, "target"),
		port:     uint16(rapid.IntRange(5000, 5001).Draw(t, "port")),
		size:     rapid.SampledFrom([]int{1, 2, 17, 64, 511, 1200, 1400}).Draw(t, "payload"),
		class:    rapid.SampledFrom([]byte{0, 1, 2, 3, 0xb8}).Draw(t, "class"),
		hops:     rapid.SampledFrom([]byte{2, 64, 255}).Draw(t, "hops"),
		id:       rapid.Uint16().Draw(t, "id"),
		sequence: rapid.Uint32().Draw(t, "sequence"),
		partial:  rapid.Bool().Draw(t, "partial"),
	}
	if f.tcp {
		f.options = rapid.SampledFrom([]int{0, 12, 40}).Draw(t, "options")
	}
	return f
}

// frame builds one of a flow by hand: Ethernet, IPv4 (RFC 791) or IPv6 (RFC 8200),
// UDP (RFC 768) or TCP (RFC 9293).
func (tr *traffic) frame(t *rapid.T, f *flow, size int, odd string) []byte {
	ip := ipv4
	if f.ipv6 {
		ip = ipv6
	}
	header := 8
	if f.tcp {
		header = 20 + f.options
	}
	b := make([]byte, tap.HeaderLen+ethernet+ip+header+size)
	e := b[tap.HeaderLen:]
	copy(e, tr.to)
	copy(e[6:], []byte{2, 0, 0, 0, 0, 77})
	n, u := e[ethernet:], e[ethernet+ip:]
	length, hops, class := len(u), f.hops, f.class
	switch odd {
	case "class":
		class ^= 3
	case "hops":
		hops--
	case "last hop":
		hops = 1
	case "length":
		length--
	}
	destination := tr.destinations[f.target]
	protocol, field := byte(unix.IPPROTO_UDP), 6
	if f.tcp {
		protocol, field = unix.IPPROTO_TCP, 16
	}

	binary.BigEndian.PutUint16(u, 4000)
	binary.BigEndian.PutUint16(u[2:], f.port)
	for i := range u[header:] {
		u[header+i] = byte(f.sequence) + byte(i*i>>4)
	}
	if f.tcp {
		binary.BigEndian.PutUint32(u[4:], f.sequence)
		binary.BigEndian.PutUint32(u[8:], 0x01020304)
		u[12] = byte(header/4) << 4
		u[13] = 0x10
		binary.BigEndian.PutUint16(u[14:], 0x2000)
		for i := range f.options {
			u[20+i] = 1 // no operation
		}
		switch odd {
		case "flags":
			u[13] = rapid.Byte().Draw(t, "flags")
		case "push":
			u[13] |= 0x08
		case "gap":
			u[7]++
		case "ack":
			u[11]++
		case "window":
			u[15]++
		case "option":
			if f.options > 0 {
				u[20] = 0
			}
		}
	} else {
		binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
		if odd == "udp length" {
			u[5]--
		}
	}

	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(u)))
	pseudo = append(pseudo, 0, 0, 0, protocol)
	if f.ipv6 {
		binary.BigEndian.PutUint16(e[12:], unix.ETH_P_IPV6)
		n[0], n[1] = 6<<4|class>>4, class<<4
		binary.BigEndian.PutUint16(n[4:], uint16(length))
		n[6], n[7] = protocol, hops
		copy(n[8:], tr.source[1])
		copy(n[24:], destination[1])
		pseudo = append(pseudo, n[8:40]...)
	} else {
		binary.BigEndian.PutUint16(e[12:], unix.ETH_P_IP)
		n[0], n[1] = 0x45, class
		binary.BigEndian.PutUint16(n[2:], uint16(ipv4+length))
		binary.BigEndian.PutUint16(n[4:], f.id)
		n[6] = 0x40
		switch odd {
		case "id":
			n[4]++
		case "may fragment":
			n[6] = 0
		case "fragment":
			n[6], n[7] = 0x20, 3
		}
		n[8], n[9] = hops, protocol
		copy(n[12:], tr.source[0])
		copy(n[16:], destination[0])
		binary.BigEndian.PutUint16(n[10:], internet(n[:ipv4]))
		if odd == "header checksum" {
			n[11]++
		}
		pseudo = append(pseudo, n[12:20]...)
	}
	if f.partial {
		b[0] = 1
		binary.LittleEndian.PutUint16(b[6:], uint16(ethernet+ip))
		binary.LittleEndian.PutUint16(b[8:], uint16(field))
		binary.BigEndian.PutUint16(u[field:], ^internet(pseudo))
	} else {
		sum := internet(append(pseudo, u...))
		if sum == 0 && !f.tcp {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(u[field:], sum)
	}

	switch odd {
	case "checksum":
		u[field]++
	case "no checksum":
		u[field], u[field+1], b[0] = 0, 0, 0
	case "half checksum":
		b[0] ^= 1
	case "csum_start":
		b[6]++
	case "padding":
		b = append(b, 0, 0)
	case "vlan":
		b = slices.Insert(b, tap.HeaderLen+12, 0x81, 0, 0, 5)
	case "group":
		e[0] |= 1
	case "vnet flags":
		b[0] |= 2
	case "gso":
		// Not 3: the kernel draws identifications for the fragments that it makes of these.
		b[1], b[4] = rapid.SampledFrom([]byte{1, 2, 4, 5}).Draw(t, "gso"), byte(rapid.IntRange(100, 255).Draw(t, "gso size"))
	case "cut":
		b = b[:rapid.IntRange(tap.HeaderLen+1, len(b)).Draw(t, "cut")]
	case "noise":
		// Not in the type of segmentation: see above.
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		if at != 1 {
			b[at] ^= byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
		}
	}
	return b
}

// internet is the Internet checksum (RFC 1071), the slow way.
func internet(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// segment is what a kernel makes of a super-frame: VIRTIO 1.2, section 5.1.6.2, and for
// what that leaves open what Linux does.
func segment(super []byte) (frames [][]byte) {
	size := int(binary.LittleEndian.Uint16(super[4:]))
	transport := int(binary.LittleEndian.Uint16(super[6:]))
	e := super[tap.HeaderLen:]
	tcp := super[1] != 5
	header := transport + 8
	if tcp {
		header = transport + int(e[transport+12]>>4)*4
	}
	for i, payload := 0, e[header:]; len(payload) > 0; i++ {
		n := min(size, len(payload))
		b := append(slices.Clone(super[:tap.HeaderLen+header]), payload[:n]...)
		payload = payload[n:]
		b[1], b[4], b[5] = 0, 0, 0
		s := b[tap.HeaderLen:]
		ip, u := s[ethernet:], s[transport:]
		var pseudo []byte
		if transport == ethernet+ipv6 {
			binary.BigEndian.PutUint16(ip[4:], uint16(len(u)))
			pseudo = slices.Clone(ip[8:40])
		} else {
			binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
			binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(i))
			ip[10], ip[11] = 0, 0
			binary.BigEndian.PutUint16(ip[10:], internet(ip[:ipv4]))
			pseudo = slices.Clone(ip[12:20])
		}
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(u)))
		if tcp {
			binary.BigEndian.PutUint32(u[4:], binary.BigEndian.Uint32(u[4:])+uint32(i*size))
			if len(payload) > 0 {
				u[13] &^= 0x08
			}
			binary.BigEndian.PutUint16(u[16:], ^internet(append(pseudo, 0, 0, 0, unix.IPPROTO_TCP)))
		} else {
			binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
			binary.BigEndian.PutUint16(u[6:], ^internet(append(pseudo, 0, 0, 0, unix.IPPROTO_UDP)))
		}
		frames = append(frames, b)
	}
	return frames
}

// completed is a frame with its checksum filled in, without the virtio_net_hdr.
func completed(b []byte) []byte {
	b = slices.Clone(b)
	fabric.CompleteChecksum(b)
	return b[tap.HeaderLen:]
}

// checkJoined joins frames and takes them apart again.
func checkJoined(t interface{ Fatalf(string, ...any) }, frames [][]byte) (most int) {
	for i := 0; i < len(frames); {
		super, n := fabric.Coalesce(frames[i:])
		if n < 2 {
			i++
			continue
		}
		most = max(most, n)
		again := segment(super)
		if len(again) != n {
			t.Fatalf("%d frames were joined, and segmentation makes %d of them", n, len(again))
		}
		for k, s := range again {
			if want, got := completed(frames[i+k]), completed(s); !bytes.Equal(want, got) {
				t.Fatalf("frame %d of %d was\n%x\nand became\n%x", k, n, want, got)
			}
		}
		if frames, size := fabric.OnWire(super); frames != n || size != len(bytes.Join(again, nil))-n*tap.HeaderLen {
			t.Fatalf("%d frames count as %d of %d bytes", n, frames, size)
		}
		i += n
	}
	return most
}

var anyTraffic = traffic{
	to:     []byte{2, 0, 0, 0, 0, 2},
	source: [2][]byte{{10, 0, 0, 1}, {0: 0xfd, 15: 1}},
	destinations: [][2][]byte{
		{{10, 0, 0, 2}, {0: 0xfd, 15: 2}},
		{{10, 255, 0, 1}, {0: 0xfd, 3: 0xff, 15: 1}},
	},
}

// Whatever frames are joined, segmentation gives the same again.
func TestJoinedFramesComeApartAgain(t *testing.T) {
	joined := 0
	for range 20 {
		rapid.Check(t, func(t *rapid.T) { joined = max(joined, checkJoined(t, anyTraffic.frames(t))) })
	}
	if joined < 10 {
		t.Errorf("at most %d frames were joined in all this", joined)
	}
}

func FuzzCoalesceTraffic(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { checkJoined(t, anyTraffic.frames(t)) }))
}

// Frames of any bytes: the second one is the first with a few of its bytes changed.
func FuzzCoalesce(f *testing.F) {
	for _, ipv6 := range []bool{false, true} {
		for _, tcp := range []bool{false, true} {
			b := anyTraffic.frame(nil, &flow{tcp: tcp, ipv6: ipv6, hops: 64, partial: tcp}, 33, "")
			f.Add(b, []byte{}, uint16(0))
			f.Add(b, []byte{1}, uint16(tap.HeaderLen+ethernet+5))
		}
	}
	f.Fuzz(func(t *testing.T, first, change []byte, at uint16) {
		if len(first) <= tap.HeaderLen {
			return
		}
		second := slices.Clone(first)
		if int(at) < len(second) {
			copy(second[at:], change)
		}
		checkJoined(t, [][]byte{first, second, first})
	})
}

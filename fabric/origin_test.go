package fabric

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The port under test is a port of node 1; node 2 is another one.
var (
	ownMAC, otherMAC     = [6]byte{2, 0, 0, 0, 1, 0}, [6]byte{2, 0, 0, 0, 2, 0}
	ownLocal, otherLocal = netip.MustParseAddr("fe80::1:0:1"), netip.MustParseAddr("fe80::2:0:1")
	own6, other6         = netip.MustParseAddr("fd00:0:0:1::1"), netip.MustParseAddr("fd00:0:0:2::1")
	own4, other4         = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	foreign6, foreign4   = netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("192.0.2.9")
	unspecified          = netip.IPv6Unspecified()
	allNodes             = netip.MustParseAddr("ff02::1")
)

func testGuard(tb testing.TB, stub bool) *guard {
	tb.Helper()
	g, err := newGuard(&Origin{
		MAC: ownMAC, LinkLocal: ownLocal, Own: []netip.Addr{own6, own4}, Stub: stub,
		Network: []netip.Prefix{netip.MustParsePrefix("fd00::/32"), netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func serialize(tb testing.TB, list ...gopacket.SerializableLayer) []byte {
	tb.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, list...); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func ethernet(source [6]byte, kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: source[:], DstMAC: otherMAC[:], EthernetType: kind}
}

func packet6(tb testing.TB, source, destination netip.Addr, hops uint8) []byte {
	return serialize(tb, ethernet(ownMAC, layers.EthernetTypeIPv6),
		&layers.IPv6{Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: hops, SrcIP: source.AsSlice(), DstIP: destination.AsSlice()},
		gopacket.Payload(make([]byte, 8)))
}

func packet4(tb testing.TB, source, destination netip.Addr, hops uint8) []byte {
	return serialize(tb, ethernet(ownMAC, layers.EthernetTypeIPv4),
		&layers.IPv4{Version: 4, IHL: 5, Protocol: layers.IPProtocolUDP, TTL: hops, SrcIP: source.AsSlice(), DstIP: destination.AsSlice()},
		gopacket.Payload(make([]byte, 8)))
}

func arp(tb testing.TB, mac [6]byte, address netip.Addr) []byte {
	return serialize(tb, ethernet(ownMAC, layers.EthernetTypeARP), &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
		SourceHwAddress: mac[:], SourceProtAddress: address.AsSlice(), DstHwAddress: make([]byte, 6), DstProtAddress: other4.AsSlice(),
	})
}

// discovery is a message of neighbour discovery with one link-layer option. With
// extension it follows a header of hop-by-hop options.
func discovery(tb testing.TB, kind uint8, source, about netip.Addr, option byte, mac [6]byte, extension bool) []byte {
	body := []byte{kind, 0, 0, 0, 0, 0, 0, 0}
	switch kind {
	case icmpRouterAdvertisement:
		body = append(body, make([]byte, 8)...)
	case icmpNeighborSolicitation, icmpNeighborAdvertisement:
		body = append(body, about.AsSlice()...)
	case icmpRedirect:
		body = append(append(body, about.AsSlice()...), about.AsSlice()...)
	}
	body = append(append(body, option, 1), mac[:]...)
	next := layers.IPProtocolICMPv6
	if extension {
		body = append([]byte{protoICMPv6, 0, 1, 4, 0, 0, 0, 0}, body...)
		next = layers.IPProtocolIPv6HopByHop
	}
	// The layer of hop-by-hop options would be serialised anew, so it is bytes.
	header := make([]byte, headerIPv6)
	header[0], header[6], header[7] = 0x60, byte(next), fullHops
	binary.BigEndian.PutUint16(header[4:], uint16(len(body)))
	copy(header[8:], source.AsSlice())
	copy(header[24:], allNodes.AsSlice())
	return serialize(tb, ethernet(ownMAC, layers.EthernetTypeIPv6), gopacket.Payload(slices.Concat(header, body)))
}

func TestForged(t *testing.T) {
	const both, never, asStub = "both", "never", "as a stub"
	tagged := func(frame []byte) []byte {
		return slices.Concat(frame[:12], []byte{0x81, 0, 0, 7}, frame[12:])
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  string // where it is forged
	}{
		{"own packet", packet6(t, own6, other6, 64), never},
		{"own packet without a hop", packet6(t, own6, other6, 255), never},
		{"own link-local", packet6(t, ownLocal, allNodes, 1), never},
		{"unspecified source", packet6(t, unspecified, allNodes, 255), never},
		{"source of no node", packet6(t, foreign6, other6, 64), never},
		{"source of no node without a hop", packet6(t, foreign6, other6, 255), never},
		{"transit", packet6(t, other6, own6, 63), asStub},
		{"another's packet without a hop", packet6(t, other6, own6, 255), both},
		{"another's packet to the link", packet6(t, other6, allNodes, 64), both},
		{"another's packet to a wider group", packet6(t, other6, netip.MustParseAddr("ff05::2"), 63), asStub},
		{"another's link-local", packet6(t, otherLocal, own6, 64), both},
		{"invented link-local", packet6(t, netip.MustParseAddr("fe80::dead"), own6, 64), both},

		{"own packet, IPv4", packet4(t, own4, other4, 64), never},
		{"unspecified source, IPv4", packet4(t, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255"), 64), never},
		{"source of no node, IPv4", packet4(t, foreign4, other4, 64), never},
		{"transit, IPv4", packet4(t, other4, own4, 63), asStub},
		{"another's packet without a hop, IPv4", packet4(t, other4, own4, 255), both},
		{"another's packet to the link, IPv4", packet4(t, other4, netip.MustParseAddr("224.0.0.5"), 1), both},

		{"foreign MAC", serialize(t, ethernet(otherMAC, 0x88b5), gopacket.Payload("anything")), both},
		{"broadcast MAC", serialize(t, ethernet([6]byte{255, 255, 255, 255, 255, 255}, 0x88b5), gopacket.Payload("anything")), both},
		{"any protocol", serialize(t, ethernet(ownMAC, 0x88b5), gopacket.Payload("anything")), never},
		{"length of LLC (IS-IS)", serialize(t, ethernet(ownMAC, 100), gopacket.Payload("anything")), never},
		{"within a VLAN", tagged(packet6(t, own6, other6, 64)), never},
		{"another's within a VLAN", tagged(packet6(t, otherLocal, other6, 64)), both},
		{"another's within two VLANs", tagged(tagged(packet6(t, otherLocal, other6, 64))), both},

		{"ARP", arp(t, ownMAC, own4), never},
		{"ARP probe", arp(t, ownMAC, netip.IPv4Unspecified()), never},
		{"ARP for another", arp(t, ownMAC, other4), both},
		{"ARP with another's MAC", arp(t, otherMAC, own4), both},

		{"solicitation", discovery(t, icmpNeighborSolicitation, ownLocal, otherLocal, 1, ownMAC, false), never},
		{"solicitation with another's MAC", discovery(t, icmpNeighborSolicitation, ownLocal, otherLocal, 1, otherMAC, false), both},
		{"the same behind options", discovery(t, icmpNeighborSolicitation, ownLocal, otherLocal, 1, otherMAC, true), both},
		{"solicitation by another", discovery(t, icmpNeighborSolicitation, otherLocal, ownLocal, 1, ownMAC, false), both},
		{"advertisement of the link-local", discovery(t, icmpNeighborAdvertisement, ownLocal, ownLocal, 2, ownMAC, false), never},
		{"advertisement of the loopback", discovery(t, icmpNeighborAdvertisement, ownLocal, own6, 2, ownMAC, false), never},
		{"advertisement of another", discovery(t, icmpNeighborAdvertisement, ownLocal, other6, 2, ownMAC, false), both},
		{"advertisement with another's MAC", discovery(t, icmpNeighborAdvertisement, ownLocal, ownLocal, 2, otherMAC, false), both},
		{"router solicitation", discovery(t, icmpRouterSolicitation, ownLocal, unspecified, 1, ownMAC, false), never},
		{"router solicitation with another's MAC", discovery(t, icmpRouterSolicitation, ownLocal, unspecified, 1, otherMAC, false), both},
		{"router advertisement", discovery(t, icmpRouterAdvertisement, ownLocal, unspecified, 1, ownMAC, false), never},
		{"router advertisement with another's MAC", discovery(t, icmpRouterAdvertisement, ownLocal, unspecified, 1, otherMAC, false), both},
		{"redirect to another", discovery(t, icmpRedirect, ownLocal, otherLocal, 2, otherMAC, false), never},
		{"redirect by another", discovery(t, icmpRedirect, otherLocal, otherLocal, 2, otherMAC, false), both},
	} {
		for _, stub := range []bool{false, true} {
			want := c.want == both || c.want == asStub && stub
			if got := testGuard(t, stub).forged(c.frame); got != want {
				t.Errorf("%s, stub %v: forged is %v, want %v", c.name, stub, got, want)
			}
		}
	}
}

func TestOriginMustHaveALinkLocal(t *testing.T) {
	for _, a := range []netip.Addr{{}, own6, own4} {
		if _, err := newGuard(&Origin{LinkLocal: a}); err == nil {
			t.Errorf("%v is taken for a link-local address", a)
		}
	}
	if g, err := newGuard(nil); g != nil || err != nil {
		t.Errorf("no origin gives %v, %v", g, err)
	}
}

// No frame, however short or crooked, is read beyond its end; and what begins
// with another MAC is forged whatever follows.
func FuzzForged(f *testing.F) {
	f.Add(packet6(f, own6, other6, 255))
	f.Add(packet4(f, other4, own4, 255))
	f.Add(arp(f, ownMAC, own4))
	f.Add(discovery(f, icmpNeighborAdvertisement, ownLocal, ownLocal, 2, otherMAC, true))
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, stub := range []bool{false, true} {
			got := testGuard(t, stub).forged(frame)
			if len(frame) >= etherHeader && [6]byte(frame[6:12]) != ownMAC && !got {
				t.Errorf("a foreign MAC is not forged")
			}
		}
	})
}

func BenchmarkForged(b *testing.B) {
	g, frame := testGuard(b, false), packet6(b, other6, own6, 63)
	b.ReportAllocs()
	for b.Loop() {
		if g.forged(frame) {
			b.Fatal("transit is forged")
		}
	}
}

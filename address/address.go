package address

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Limits of the numbering.
const (
	// MaxNodes is how many nodes can be numbered: the ordinals 1 … 2²⁴-2 that
	// an IPv4 loopback in 10.0.0.0/8 can hold.
	MaxNodes = 1<<24 - 2
	// MaxPorts is how many ports a node can have: the last octet of a MAC.
	MaxPorts = 256
)

// DefaultPrefix holds the IPv6 loopbacks unless the user chooses another one.
var DefaultPrefix = netip.MustParsePrefix("fd00::/32")

// Network4 holds the IPv4 loopbacks of all nodes.
var Network4 = netip.MustParsePrefix("10.0.0.0/8")

// firstASN is the start of the range of 32-bit AS numbers for private use
// (RFC 6996, section 5).
const firstASN = 4200000000

// Scheme derives addresses under one prefix. The zero Scheme uses DefaultPrefix.
type Scheme struct {
	prefix netip.Prefix
}

// New returns the scheme whose IPv6 loopbacks lie in prefix, an IPv6 /32.
// An invalid (zero) prefix means DefaultPrefix.
func New(prefix netip.Prefix) (Scheme, error) {
	if !prefix.IsValid() {
		return Scheme{}, nil
	}
	a := prefix.Addr()
	if !a.Is6() || a.Is4In6() || prefix.Bits() != 32 {
		return Scheme{}, fmt.Errorf("address: prefix %s is not an IPv6 /32; give one such as %s", prefix, DefaultPrefix)
	}
	if a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsLoopback() || prefix.Masked().Addr().IsUnspecified() {
		return Scheme{}, fmt.Errorf("address: prefix %s cannot hold the addresses of nodes; give one such as %s", prefix, DefaultPrefix)
	}
	return Scheme{prefix: prefix.Masked()}, nil
}

// Prefix is the /32 that holds all IPv6 loopbacks.
func (s Scheme) Prefix() netip.Prefix {
	if !s.prefix.IsValid() {
		return DefaultPrefix
	}
	return s.prefix
}

// Loopback is the node's global IPv6 address, a /128.
func (s Scheme) Loopback(node int) netip.Prefix {
	a := s.Prefix().Addr().As16()
	binary.BigEndian.PutUint32(a[4:], ordinal(node))
	a[15] = 1
	return netip.PrefixFrom(netip.AddrFrom16(a), 128)
}

// Node is the inverse of Loopback and Loopback4.
func (s Scheme) Node(a netip.Addr) (node int, ok bool) {
	if a.Is4() {
		b := a.As4()
		return nodeOf(binary.BigEndian.Uint32(b[:])&0xffffff, b[0] == 10)
	}
	if !a.Is6() || !s.Prefix().Contains(a) {
		return 0, false
	}
	b := a.As16()
	return nodeOf(binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint64(b[8:]) == 1)
}

// Loopback4 is the node's IPv4 address, a /32 of 10.0.0.0/8.
func Loopback4(node int) netip.Prefix {
	return netip.PrefixFrom(RouterID(node), 32)
}

// RouterID is the node's 32-bit identifier in OSPF and BGP.
func RouterID(node int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], ordinal(node))
	a[0] = 10
	return netip.AddrFrom4(a)
}

// MAC is the hardware address of a port.
func MAC(node, port int) [6]byte {
	checkPort(port)
	m := [6]byte{0: 0x02, 5: byte(port)}
	binary.BigEndian.PutUint32(m[1:], ordinal(node))
	return m
}

// OfMAC is the inverse of MAC.
func OfMAC(m [6]byte) (node, port int, ok bool) {
	node, ok = nodeOf(binary.BigEndian.Uint32(m[1:]), m[0] == 0x02)
	if !ok {
		return 0, 0, false
	}
	return node, int(m[5]), true
}

// LinkLocal is the only address of a port, in fe80::/64.
func LinkLocal(node, port int) netip.Prefix {
	checkPort(port)
	a := [16]byte{0: 0xfe, 1: 0x80}
	binary.BigEndian.PutUint32(a[8:], ordinal(node))
	binary.BigEndian.PutUint32(a[12:], uint32(port)+1)
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// OfLinkLocal is the inverse of LinkLocal; a zone is ignored.
func OfLinkLocal(a netip.Addr) (node, port int, ok bool) {
	if !a.Is6() {
		return 0, 0, false
	}
	b := a.As16()
	p := binary.BigEndian.Uint32(b[12:])
	fe80 := binary.BigEndian.Uint64(b[:]) == 0xfe80<<48
	node, ok = nodeOf(binary.BigEndian.Uint32(b[8:]), fe80 && p >= 1 && p <= MaxPorts)
	if !ok {
		return 0, 0, false
	}
	return node, int(p - 1), true
}

// ASN is the node's private AS number.
func ASN(node int) uint32 { return firstASN + ordinal(node) }

// OfASN is the inverse of ASN.
func OfASN(asn uint32) (node int, ok bool) { return nodeOf(asn-firstASN, asn > firstASN) }

// SystemID is the node's IS-IS system identifier: its router id, each octet as
// three decimal digits, in three groups.
func SystemID(node int) string {
	b := RouterID(node).As4()
	d := fmt.Sprintf("%03d%03d%03d%03d", b[0], b[1], b[2], b[3])
	return d[0:4] + "." + d[4:8] + "." + d[8:12]
}

// NET is the node's IS-IS network entity title in an area such as "49.0001"
// (ISO/IEC 10589; the selector of a router is 00).
func NET(area string, node int) string { return area + "." + SystemID(node) + ".00" }

// OfSystemID is the inverse of SystemID.
func OfSystemID(id string) (node int, ok bool) {
	d := strings.ReplaceAll(id, ".", "")
	if len(d) != 12 || len(id) != 14 || id[4] != '.' || id[9] != '.' {
		return 0, false
	}
	var b [4]byte
	for i := range b {
		v := 0
		for _, c := range []byte(d[3*i : 3*i+3]) {
			if c < '0' || c > '9' {
				return 0, false
			}
			v = 10*v + int(c-'0')
		}
		if v > 255 {
			return 0, false
		}
		b[i] = byte(v)
	}
	return nodeOf(binary.BigEndian.Uint32(b[:])&0xffffff, b[0] == 10)
}

// HostName turns a node's name into a host name: a DNS label (RFC 1123), lower
// case, with '-' in place of what a label cannot hold.
func HostName(name string) string {
	b := []byte(strings.ToLower(name))
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			b[i] = '-'
		}
	}
	h := strings.TrimLeft(string(b), "-")
	h = strings.TrimRight(h[:min(len(h), 63)], "-")
	if h == "" {
		return "node"
	}
	return h
}

// ordinal is the number that addresses hold. A number outside of [0, MaxNodes)
// is a mistake of the program, as an index out of range is.
func ordinal(node int) uint32 {
	if node < 0 || node >= MaxNodes {
		panic(fmt.Sprintf("address: node %d is outside of 0 … %d", node, MaxNodes-1))
	}
	return uint32(node) + 1
}

func nodeOf(o uint32, ok bool) (int, bool) {
	if !ok || o < 1 || o > MaxNodes {
		return 0, false
	}
	return int(o - 1), true
}

func checkPort(port int) {
	if port < 0 || port >= MaxPorts {
		panic(fmt.Sprintf("address: port %d is outside of 0 … %d", port, MaxPorts-1))
	}
}

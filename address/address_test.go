package address

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	nodes = rapid.IntRange(0, MaxNodes-1)
	ports = rapid.IntRange(0, MaxPorts-1)
)

func TestExamples(t *testing.T) {
	var s Scheme
	const n, p = 0x012344, 2 // ordinal 0x012345
	for _, c := range []struct{ got, want string }{
		{s.Loopback(0).String(), "fd00:0:0:1::1/128"},
		{s.Loopback(n).String(), "fd00:0:1:2345::1/128"},
		{Loopback4(0).String(), "10.0.0.1/32"},
		{Loopback4(n).String(), "10.1.35.69/32"},
		{LinkLocal(0, 0).String(), "fe80::1:0:1/64"},
		{LinkLocal(n, p).String(), "fe80::1:2345:0:3/64"},
		{SystemID(n), "0100.0103.5069"},
		{NET("49.0001", 0), "49.0001.0100.0000.0001.00"},
		{HostName("sat-p01s03"), "sat-p01s03"},
		{HostName("Cape Canaveral_1."), "cape-canaveral-1"},
		{HostName("…"), "node"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	if m := MAC(n, p); m != [6]byte{0x02, 0x00, 0x01, 0x23, 0x45, 0x02} {
		t.Errorf("MAC: % x", m)
	}
	if a := ASN(0); a != 4200000001 {
		t.Errorf("ASN: %d", a)
	}
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, p := nodes.Draw(t, "node"), ports.Draw(t, "port")
		s, err := New(netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, byte(n), byte(p)}), 32))
		if err != nil {
			t.Fatal(err)
		}
		lo := s.Loopback(n)
		if g, ok := s.Node(lo.Addr()); !ok || g != n || !s.Prefix().Contains(lo.Addr()) {
			t.Fatalf("loopback %s gives node %d, %v", lo, g, ok)
		}
		if g, ok := s.Node(RouterID(n)); !ok || g != n {
			t.Fatalf("router id %s gives node %d, %v", RouterID(n), g, ok)
		}
		m := MAC(n, p)
		if g, q, ok := OfMAC(m); !ok || g != n || q != p {
			t.Fatalf("MAC % x gives %d:%d, %v", m, g, q, ok)
		}
		if m[0]&1 != 0 || m[0]&2 == 0 {
			t.Fatalf("MAC % x is not locally administered unicast", m)
		}
		ll := LinkLocal(n, p).Addr()
		if g, q, ok := OfLinkLocal(ll.WithZone("fore")); !ok || g != n || q != p || !ll.IsLinkLocalUnicast() {
			t.Fatalf("link-local %s gives %d:%d, %v", ll, g, q, ok)
		}
		if g, ok := OfASN(ASN(n)); !ok || g != n || ASN(n) > 4294967294 {
			t.Fatalf("AS %d gives %d, %v", ASN(n), g, ok)
		}
		if g, ok := OfSystemID(SystemID(n)); !ok || g != n {
			t.Fatalf("system id %s gives %d, %v", SystemID(n), g, ok)
		}
	})
}

// Distinct ports have distinct addresses; nodes differ in all of theirs.
func TestInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Scheme
		a, b := nodes.Draw(t, "a"), nodes.Draw(t, "b")
		p, q := ports.Draw(t, "p"), ports.Draw(t, "q")
		samePort := a == b && p == q
		if (MAC(a, p) == MAC(b, q)) != samePort || (LinkLocal(a, p) == LinkLocal(b, q)) != samePort {
			t.Fatalf("%d:%d and %d:%d are not told apart", a, p, b, q)
		}
		same := a == b
		if (s.Loopback(a) == s.Loopback(b)) != same || (RouterID(a) == RouterID(b)) != same ||
			(ASN(a) == ASN(b)) != same || (SystemID(a) == SystemID(b)) != same {
			t.Fatalf("nodes %d and %d are not told apart", a, b)
		}
	})
}

// What is not one of the scheme's addresses is never taken for one: whatever
// an inverse accepts is what the forward function gives.
func TestInversesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Scheme
		var b [16]byte
		copy(b[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "near") {
			b = s.Loopback(nodes.Draw(t, "node")).Addr().As16()
			b[rapid.IntRange(0, 15).Draw(t, "at")] ^= rapid.Byte().Draw(t, "xor")
		}
		a := netip.AddrFrom16(b)
		if n, ok := s.Node(a); ok && s.Loopback(n).Addr() != a {
			t.Fatalf("%s taken for node %d", a, n)
		}
		if n, p, ok := OfLinkLocal(a); ok && LinkLocal(n, p).Addr() != a {
			t.Fatalf("%s taken for %d:%d", a, n, p)
		}
		if n, p, ok := OfMAC([6]byte(b[:6])); ok && MAC(n, p) != [6]byte(b[:6]) {
			t.Fatalf("% x taken for %d:%d", b[:6], n, p)
		}
		a4 := netip.AddrFrom4([4]byte(b[:4]))
		if n, ok := s.Node(a4); ok && RouterID(n) != a4 {
			t.Fatalf("%s taken for node %d", a4, n)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for _, p := range []string{"fd00::/48", "10.0.0.0/8", "ff00::/32", "fe80::/32", "::/32"} {
		if _, err := New(netip.MustParsePrefix(p)); err == nil {
			t.Errorf("%s accepted", p)
		}
	}
	if s, err := New(netip.Prefix{}); err != nil || s.Prefix() != DefaultPrefix {
		t.Errorf("zero prefix: %v %v", s, err)
	}
}

func FuzzHostName(f *testing.F) {
	f.Add("sat-1")
	f.Add("--Ä--")
	f.Fuzz(func(t *testing.T, name string) {
		h := HostName(name)
		if h == "" || len(h) > 63 || strings.Trim(h, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || h[0] == '-' || h[len(h)-1] == '-' {
			t.Fatalf("HostName(%q) = %q is not a DNS label", name, h)
		}
	})
}

func FuzzOfSystemID(f *testing.F) {
	f.Add("0100.0000.0001")
	f.Fuzz(func(t *testing.T, id string) {
		if n, ok := OfSystemID(id); ok && SystemID(n) != id {
			t.Fatalf("%q taken for node %d, whose system id is %s", id, n, SystemID(n))
		}
	})
}

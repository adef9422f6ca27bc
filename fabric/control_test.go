package fabric

import (
	"testing"
)

// frame is an Ethernet frame: kind, and what follows with zeros behind.
func controlFrame(kind uint16, head []byte, length int) []byte {
	f := make([]byte, max(length, 14+len(head)))
	f[12], f[13] = byte(kind>>8), byte(kind)
	copy(f[14:], head)
	return f
}

func ipv6Frame(next byte, payload ...byte) []byte {
	head := make([]byte, 40)
	head[0], head[6] = 0x60, next
	return controlFrame(0x86dd, append(head, payload...), 90)
}

func ipv4Frame(protocol byte, options int, payload ...byte) []byte {
	head := make([]byte, 20+options)
	head[0], head[9] = byte(0x40|len(head)/4), protocol
	return controlFrame(0x0800, append(head, payload...), 90)
}

func TestClassify(t *testing.T) {
	fragment := ipv4Frame(6, 0, 0, 179, 0, 0)
	fragment[14+7] = 1
	for name, c := range map[string]struct {
		frame []byte
		want  Protocol
	}{
		"OSPFv3":                  {ipv6Frame(89), OSPF},
		"OSPFv2":                  {ipv4Frame(89, 0), OSPF},
		"IS-IS":                   {controlFrame(1000, []byte{0xfe, 0xfe, 0x03, 0x83}, 1014), ISIS},
		"spanning tree":           {controlFrame(38, []byte{0x42, 0x42, 0x03}, 60), noProtocol},
		"BGP to 179":              {ipv6Frame(6, 0x80, 0, 0, 179), BGP},
		"BGP from 179":            {ipv6Frame(6, 0, 179, 0x80, 0), BGP},
		"BGP over IPv4":           {ipv4Frame(6, 8, 0x80, 0, 0, 179), BGP},
		"a fragment":              {fragment, noProtocol},
		"TCP":                     {ipv6Frame(6, 0x80, 0, 0x14, 0x51), noProtocol},
		"BFD":                     {ipv6Frame(17, 0xc0, 0, 0x0e, 0xc8), BFD},
		"BFD echo":                {ipv4Frame(17, 0, 0xc0, 0, 0x0e, 0xc9), BFD},
		"BFD over several hops":   {ipv6Frame(17, 0xc0, 0, 0x12, 0xb0), BFD},
		"UDP to 179":              {ipv6Frame(17, 0xc0, 0, 0, 179), noProtocol},
		"neighbour solicitation":  {ipv6Frame(58, 135), NDP},
		"echo request":            {ipv6Frame(58, 128), noProtocol},
		"multicast listener":      {ipv6Frame(0, 58), noProtocol},
		"ARP":                     {controlFrame(0x0806, nil, 60), NDP},
		"nothing":                 {nil, noProtocol},
		"cut IPv6":                {ipv6Frame(89)[:50], noProtocol},
		"IPv4 with a long header": {ipv4Frame(6, 40, 0, 179)[:60], noProtocol},
	} {
		if got := protocolOf(c.frame); got != c.want {
			t.Errorf("%s is %d, want %d", name, got, c.want)
		}
		if _, ok := Classify(c.frame); ok != (c.want != noProtocol) {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(ipv6Frame(6, 0, 179, 0, 0))
	f.Add(ipv4Frame(6, 40, 0, 179))
	f.Fuzz(func(_ *testing.T, b []byte) { Classify(b) })
}

func BenchmarkClassify(b *testing.B) {
	frame := ipv6Frame(6, 0x80, 0, 0x14, 0x51)
	for b.Loop() {
		Classify(frame)
	}
}

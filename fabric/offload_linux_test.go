package fabric_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

func TestAllowsSuperFrames(t *testing.T) {
	ramp := curve.New([]curve.Segment{{Start: 0, C: [4]float64{10e9, -1e9}}, {Start: 5 * time.Second, C: [4]float64{5e9, 1e9}}})
	for _, c := range []struct {
		name string
		wire fabric.Wire
		want bool
	}{
		{"unlimited", fabric.Wire{}, true},
		{"fast", fabric.Wire{Rate: curve.Constant(10e9)}, true},
		{"slow", fabric.Wire{Rate: curve.Constant(5e9)}, false},
		{"fast, short queue", fabric.Wire{Rate: curve.Constant(10e9), Queue: 100_000}, false},
		{"fast, long queue", fabric.Wire{Rate: curve.Constant(10e9), Queue: 10 << 20}, true},
		{"loss", fabric.Wire{Loss: fabric.Loss{Bernoulli: curve.Constant(1e-6)}}, false},
		{"bursts", fabric.Wire{Loss: fabric.Loss{GilbertElliott: &fabric.GilbertElliott{}}}, false},
		{"slows down later", fabric.Wire{Rate: ramp, End: 4 * time.Second}, true},
		{"slows down within", fabric.Wire{Rate: ramp, End: 10 * time.Second}, false},
		{"was slow before", fabric.Wire{Rate: ramp, Start: 6 * time.Second, End: 10 * time.Second}, true},
	} {
		if got := fabric.AllowsSuperFrames(&c.wire, 100*time.Microsecond); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// superFrame is a TCP or UDP packet as a Linux stack hands it over: the
// checksum field holds the pseudo-header's sum.
func superFrame(t *testing.T, payload, mss int, udp, v6 bool) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	stack := []gopacket.SerializableLayer{eth}
	var network gopacket.NetworkLayer
	protocol, start, gso := layers.IPProtocolTCP, 14+20, byte(1)
	if udp {
		protocol, gso = layers.IPProtocolUDP, 5
	}
	if v6 {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: net.ParseIP("fd00::1"), DstIP: net.ParseIP("fd00::2")}
		eth.EthernetType, network, start = layers.EthernetTypeIPv6, ip, 14+40
		stack = append(stack, ip)
		if !udp {
			gso = 4
		}
	} else {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: protocol, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}}
		eth.EthernetType, network = layers.EthernetTypeIPv4, ip
		stack = append(stack, ip)
	}
	field := 16
	if udp {
		u := &layers.UDP{SrcPort: 1, DstPort: 2}
		_ = u.SetNetworkLayerForChecksum(network)
		stack, field = append(stack, u), 6
	} else {
		tcp := &layers.TCP{SrcPort: 1, DstPort: 2, ACK: true, Window: 100, Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindNop}}}
		_ = tcp.SetNetworkLayerForChecksum(network)
		stack = append(stack, tcp)
	}
	data := make([]byte, payload)
	for i := range data {
		data[i] = byte(i)
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(stack, gopacket.Payload(data))...); err != nil {
		t.Fatal(err)
	}
	b := append(make([]byte, tap.HeaderLen), buf.Bytes()...)
	b[0], b[1] = 1, gso
	binary.LittleEndian.PutUint16(b[4:], uint16(mss))
	binary.LittleEndian.PutUint16(b[6:], uint16(start))
	binary.LittleEndian.PutUint16(b[8:], uint16(field))
	return b
}

func TestCompleteChecksum(t *testing.T) {
	for _, udp := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			for _, payload := range []int{0, 1, 1000, 1001, 40_000} {
				full := superFrame(t, payload, 1000, udp, v6)
				start := tap.HeaderLen + int(binary.LittleEndian.Uint16(full[6:]))
				field := start + int(binary.LittleEndian.Uint16(full[8:]))
				want := binary.BigEndian.Uint16(full[field:])
				// The pseudo-header's part is the whole sum less the segment's own.
				partial := append([]byte(nil), full...)
				binary.BigEndian.PutUint16(partial[field:], 0)
				var own uint32
				for i := start; i < len(partial); i++ {
					shift := 8 * (1 - (i-start)%2)
					own += uint32(partial[i]) << shift
					own = own>>16 + own&0xffff
				}
				pseudo := uint32(^want) + uint32(^uint16(own))
				pseudo = pseudo>>16 + pseudo&0xffff
				binary.BigEndian.PutUint16(partial[field:], uint16(pseudo))
				fabric.CompleteChecksum(partial)
				if got := binary.BigEndian.Uint16(partial[field:]); got != want {
					t.Errorf("udp %v, v6 %v, %d bytes: checksum %#x, want %#x", udp, v6, payload, got, want)
				}
			}
		}
	}
}

func TestSuperFramesCountAsWhatTheyStandFor(t *testing.T) {
	const mss = 1000
	for _, udp := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			for _, payload := range []int{1001, 2000, 40_000} {
				b := superFrame(t, payload, mss, udp, v6)
				headers := len(b) - tap.HeaderLen - payload
				segments := (payload + mss - 1) / mss
				want := payload + segments*headers
				if frames, got := fabric.OnWire(b); frames != segments || got != want {
					t.Errorf("udp %v, v6 %v, %d bytes: %d frames, %d bytes on the link, want %d, %d", udp, v6, payload, frames, got, segments, want)
				}
				b[1] = 0
				if frames, got := fabric.OnWire(b); frames != 1 || got != len(b)-tap.HeaderLen {
					t.Errorf("an ordinary frame of %d bytes: %d frames, %d bytes on the link", len(b)-tap.HeaderLen, frames, got)
				}
			}
		}
	}
}

// Whatever a node writes into its header, sizes stay sane and nothing panics.
func FuzzSuperFrame(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Add([]byte{1, 1, 0, 0, 232, 3, 34, 0, 16, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) <= tap.HeaderLen {
			return
		}
		size := len(b) - tap.HeaderLen
		if frames, got := fabric.OnWire(b); frames < 1 || got < size {
			t.Errorf("%d bytes count as %d in %d frames", size, got, frames)
		}
		fabric.CompleteChecksum(b)
	})
}

package radv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// The types of messages and options (RFC 4861, RFC 8106).
const (
	typeSolicitation  = 133
	typeAdvertisement = 134

	optionSource = 1
	optionPrefix = 3
	optionMTU    = 5
	optionDNS    = 25
)

// Advertisement is the content of a router advertisement.
type Advertisement struct {
	HopLimit       byte // for packets of the nodes
	Managed, Other bool // addresses, settings by DHCPv6
	RouterLifetime time.Duration
	Source         net.HardwareAddr // of the sender; may be nil
	MTU            int              // bytes; 0 for not told
	Prefix         netip.Prefix     // on link; the zero value for none
	Autonomous     bool             // nodes may make addresses of Prefix
	Valid          time.Duration    // of the prefix
	Preferred      time.Duration
	DNS            []netip.Addr
	DNSLifetime    time.Duration
}

// seconds bounds a duration to what a field of so many bits holds.
func seconds(d time.Duration, bits int) uint32 {
	return uint32(min(max(d/time.Second, 0), time.Duration(1)<<bits-1))
}

// Encode makes the ICMPv6 message, with a checksum of zero.
func (a *Advertisement) Encode() []byte {
	flags := byte(0)
	if a.Managed {
		flags |= 0x80
	}
	if a.Other {
		flags |= 0x40
	}
	b := []byte{typeAdvertisement, 0, 0, 0, a.HopLimit, flags}
	b = binary.BigEndian.AppendUint16(b, uint16(seconds(a.RouterLifetime, 16)))
	b = append(b, make([]byte, 8)...) // reachable time, retransmission timer: unspecified
	if len(a.Source) == 6 {
		b = append(append(b, optionSource, 1), a.Source...)
	}
	if a.MTU > 0 {
		b = binary.BigEndian.AppendUint32(append(b, optionMTU, 1, 0, 0), uint32(a.MTU))
	}
	if a.Prefix.IsValid() {
		on := byte(0x80)
		if a.Autonomous {
			on |= 0x40
		}
		b = append(b, optionPrefix, 4, byte(a.Prefix.Bits()), on)
		b = binary.BigEndian.AppendUint32(b, seconds(a.Valid, 32))
		b = binary.BigEndian.AppendUint32(b, seconds(a.Preferred, 32))
		address := a.Prefix.Masked().Addr().As16()
		b = append(append(b, 0, 0, 0, 0), address[:]...)
	}
	if n := min(len(a.DNS), 127); n > 0 {
		b = append(b, optionDNS, byte(1+2*n), 0, 0)
		b = binary.BigEndian.AppendUint32(b, seconds(a.DNSLifetime, 32))
		for _, d := range a.DNS[:n] {
			address := d.As16()
			b = append(b, address[:]...)
		}
	}
	return b
}

// options calls f with each option of a message.
func options(b []byte, f func(kind byte, body []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return errors.New("an option is cut off or has no length")
		}
		n := int(b[1]) * 8
		if err := f(b[0], b[2:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Decode reads an advertisement. Options that are not of Advertisement are passed over; of each
// other one the last counts.
func Decode(b []byte) (*Advertisement, error) {
	if len(b) < 16 || b[0] != typeAdvertisement || b[1] != 0 {
		return nil, errors.New("this is not a router advertisement")
	}
	a := &Advertisement{
		HopLimit: b[4], Managed: b[5]&0x80 != 0, Other: b[5]&0x40 != 0,
		RouterLifetime: time.Duration(binary.BigEndian.Uint16(b[6:])) * time.Second,
	}
	err := options(b[16:], func(kind byte, body []byte) error {
		switch {
		case kind == optionSource && len(body) == 6:
			a.Source = net.HardwareAddr(append([]byte(nil), body...))
		case kind == optionMTU && len(body) == 6:
			a.MTU = int(binary.BigEndian.Uint32(body[2:]))
		case kind == optionPrefix && len(body) == 30:
			if body[0] > 128 {
				return fmt.Errorf("a prefix of %d bits", body[0])
			}
			a.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(body[14:30])), int(body[0])).Masked()
			a.Autonomous = body[1]&0x40 != 0
			a.Valid = time.Duration(binary.BigEndian.Uint32(body[2:])) * time.Second
			a.Preferred = time.Duration(binary.BigEndian.Uint32(body[6:])) * time.Second
		case kind == optionDNS && len(body) >= 22 && (len(body)-6)%16 == 0:
			a.DNS = nil
			a.DNSLifetime = time.Duration(binary.BigEndian.Uint32(body[2:])) * time.Second
			for at := 6; at < len(body); at += 16 {
				a.DNS = append(a.DNS, netip.AddrFrom16([16]byte(body[at:at+16])))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// decodeSolicitation reads a router solicitation and gives the sender's hardware address, nil
// if it told none.
func decodeSolicitation(b []byte) (net.HardwareAddr, error) {
	if len(b) < 8 || b[0] != typeSolicitation || b[1] != 0 {
		return nil, errors.New("this is not a router solicitation")
	}
	var source net.HardwareAddr
	err := options(b[8:], func(kind byte, body []byte) error {
		if kind == optionSource && len(body) == 6 {
			source = net.HardwareAddr(append([]byte(nil), body...))
		}
		return nil
	})
	return source, err
}

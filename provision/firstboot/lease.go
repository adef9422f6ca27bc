package firstboot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"orrery.dev/orrery/provision/dhcp"
)

// lease is what DHCPv6 gave.
type lease struct {
	address netip.Addr
	config  string // URL
}

// clientID is the DUID of this machine: the one that its firmware has too, made of the UUID of
// the mainboard (RFC 6355), or one of the hardware address where there is none.
func clientID(mac net.HardwareAddr) dhcpv6.DUID {
	text, err := os.ReadFile("/sys/class/dmi/id/product_uuid")
	if err == nil {
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
		if err == nil && len(b) == 16 {
			return uuidOf([16]byte(b))
		}
	}
	return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: mac}
}

// uuidOf makes a DUID of a UUID as the kernel prints it: in the order of RFC 4122, while firmware
// takes the bytes of its table, where the first three fields are little-endian (SMBIOS, section 7.2.1).
func uuidOf(u [16]byte) *dhcpv6.DUIDUUID {
	u[0], u[1], u[2], u[3] = u[3], u[2], u[1], u[0]
	u[4], u[5] = u[5], u[4]
	u[6], u[7] = u[7], u[6]
	return &dhcpv6.DUIDUUID{UUID: u}
}

// solicitation asks for an address and for the configuration at once.
func solicitation(id dhcpv6.DUID, mac net.HardwareAddr) (*dhcpv6.Message, error) {
	var iaid [4]byte
	copy(iaid[:], mac[2:])
	return dhcpv6.NewMessage(dhcpv6.WithClientID(id), dhcpv6.WithIAID(iaid), dhcpv6.WithRapidCommit,
		dhcpv6.WithRequestedOptions(dhcpv6.OptionBootfileURL, dhcpv6.OptionDNSRecursiveNameServer),
		dhcpv6.WithUserClass([]byte(dhcp.NodeClass)), dhcpv6.WithOption(dhcpv6.OptElapsedTime(0)))
}

// acquire asks until it is answered. Linux makes link-local addresses of hardware addresses, by
// which the server knows the machine.
func acquire(ctx context.Context, ifi *net.Interface, local net.IP) (*lease, error) {
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: local, Port: 546, Zone: ifi.Name})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	ask, err := solicitation(clientID(ifi.HardwareAddr), ifi.HardwareAddr)
	if err != nil {
		return nil, err
	}
	servers := &net.UDPAddr{IP: net.ParseIP("ff02::1:2"), Port: 547, Zone: ifi.Name}
	wait := time.Second
	packet := make([]byte, 65536)
	for ctx.Err() == nil {
		// A failure to send passes as silence does.
		_, _ = conn.WriteTo(ask.ToBytes(), servers)
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return nil, err
		}
		wait = min(2*wait, 15*time.Second)
		for {
			n, _, err := conn.ReadFrom(packet)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, err
			}
			m, err := dhcpv6.MessageFromBytes(packet[:n])
			if err != nil || m.TransactionID != ask.TransactionID {
				continue
			}
			if m.MessageType == dhcpv6.MessageTypeAdvertise && ask.MessageType == dhcpv6.MessageTypeSolicit && m.Options.OneIANA() != nil && m.Options.BootFileURL() != "" {
				// A server without rapid commit.
				next, err := request(ask, m)
				if err != nil {
					return nil, err
				}
				ask, wait = next, time.Second
				break
			}
			if l, err := leaseOf(m); err == nil {
				return l, nil
			}
		}
	}
	return nil, fmt.Errorf("no DHCPv6 server answers on %s with an address and a configuration", ifi.Name)
}

// request takes what an advertisement offers.
func request(solicit, advertise *dhcpv6.Message) (*dhcpv6.Message, error) {
	m, err := dhcpv6.NewRequestFromAdvertise(advertise)
	if err != nil {
		return nil, err
	}
	m.UpdateOption(solicit.GetOneOption(dhcpv6.OptionUserClass))
	m.UpdateOption(solicit.GetOneOption(dhcpv6.OptionORO))
	return m, nil
}

// leaseOf reads a reply.
func leaseOf(m *dhcpv6.Message) (*lease, error) {
	ia := m.Options.OneIANA()
	if m.MessageType != dhcpv6.MessageTypeReply || ia == nil || ia.Options.OneAddress() == nil {
		return nil, errors.New("a reply without an address")
	}
	address, ok := netip.AddrFromSlice(ia.Options.OneAddress().IPv6Addr)
	url := m.Options.BootFileURL()
	if !ok || !address.Is6() || ia.Options.OneAddress().ValidLifetime == 0 {
		return nil, errors.New("a reply with a wrong address")
	}
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, errors.New("a reply without a configuration")
	}
	return &lease{address, url}, nil
}

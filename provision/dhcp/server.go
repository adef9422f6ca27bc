package dhcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// Offer is what a client gets.
type Offer struct {
	Address    netip.Addr // the zero value for none
	BootFile   string     // URL; empty for none
	Parameters []string   // of the boot file (option 60)

	NoOption16, NoOption60, NoRapidCommit bool
	// Delay before an advertisement.
	Delay time.Duration
}

// ErrIgnored is the error of a desk that wants a client not to be answered, with nothing
// to say about it.
var ErrIgnored = errors.New("not answered")

// Desk decides.
type Desk interface {
	// Meet is called for each message of a client that wants something. An error leaves the
	// message unanswered.
	Meet(Client) (Offer, error)
}

// Server is what answers. Its fields must not change once it is used.
type Server struct {
	Desk   Desk
	DUID   dhcpv6.DUID
	Prefix netip.Prefix
	DNS    []netip.Addr
	Lease  time.Duration // how long an address is valid; it is preferred for half of that
}

// maxHops bounds the relays that a message passes (RFC 8415, HOP_COUNT_LIMIT).
const maxHops = 8

// Answer makes the reply to a packet that came from an address; a nil reply is none. The error
// says why there is none, for a log.
func (s *Server) Answer(packet []byte, from net.IP) (reply []byte, delay time.Duration, err error) {
	p, err := dhcpv6.FromBytes(packet)
	if err != nil {
		return nil, 0, fmt.Errorf("a packet that is not DHCPv6: %w", err)
	}
	var mac net.HardwareAddr
	outer, _ := p.(*dhcpv6.RelayMessage)
	for hops := 0; p.IsRelay(); hops++ {
		relay := p.(*dhcpv6.RelayMessage)
		if relay.MessageType != dhcpv6.MessageTypeRelayForward || hops == maxHops {
			return nil, 0, fmt.Errorf("a relayed packet of type %s, after %d relays", relay.MessageType, hops)
		}
		if kind, a := relay.Options.ClientLinkLayerAddress(); kind == iana.HWTypeEthernet && len(a) == 6 {
			mac = a // RFC 6939; the innermost relay knows
		}
		from = relay.PeerAddr
		if p, err = dhcpv6.DecapsulateRelay(relay); err != nil {
			return nil, 0, err
		}
	}
	m := p.(*dhcpv6.Message)
	r, delay, err := s.reply(m, clientOf(m, from, mac))
	if err != nil || r == nil {
		return nil, 0, err
	}
	if outer == nil {
		return r.ToBytes(), delay, nil
	}
	back, err := dhcpv6.NewRelayReplFromRelayForw(outer, r)
	if err != nil {
		return nil, 0, err
	}
	return back.ToBytes(), delay, nil
}

// reply answers one message.
func (s *Server) reply(m *dhcpv6.Message, c Client) (*dhcpv6.Message, time.Duration, error) {
	own := m.Options.ServerID() != nil && m.Options.ServerID().Equal(s.DUID)
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRebind:
		if m.Options.ServerID() != nil || c.DUID == "" {
			return nil, 0, fmt.Errorf("a %s with a server's identifier or without the client's", m.MessageType)
		}
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		if !own || c.DUID == "" {
			return nil, 0, nil // for another server
		}
	case dhcpv6.MessageTypeInformationRequest:
		if m.Options.ServerID() != nil && !own || len(m.Options.IANA()) > 0 {
			return nil, 0, nil
		}
	default:
		return nil, 0, fmt.Errorf("a message of type %s", m.MessageType)
	}

	r := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: m.TransactionID}
	if id := m.GetOneOption(dhcpv6.OptionClientID); id != nil {
		r.AddOption(id)
	}
	r.AddOption(dhcpv6.OptServerID(s.DUID))

	switch m.MessageType {
	case dhcpv6.MessageTypeConfirm:
		return s.confirm(m, r)
	case dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		r.AddOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusSuccess, StatusMessage: "the address stays this machine's"})
		return r, 0, nil
	}

	rapid := m.MessageType == dhcpv6.MessageTypeSolicit && m.GetOneOption(dhcpv6.OptionRapidCommit) != nil
	c.Commit = rapid || m.MessageType != dhcpv6.MessageTypeSolicit
	offer, err := s.Desk.Meet(c)
	if err != nil {
		return nil, 0, err
	}
	var delay time.Duration
	if m.MessageType == dhcpv6.MessageTypeSolicit {
		if rapid && !offer.NoRapidCommit {
			r.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
		} else {
			r.MessageType = dhcpv6.MessageTypeAdvertise
			delay = offer.Delay
		}
	}
	for i, ia := range m.Options.IANA() {
		r.AddOption(s.association(ia, offer.Address, i == 0))
	}
	if len(s.DNS) > 0 && m.IsOptionRequested(dhcpv6.OptionDNSRecursiveNameServer) {
		var list []net.IP
		for _, a := range s.DNS {
			list = append(list, a.AsSlice())
		}
		r.AddOption(dhcpv6.OptDNS(list...))
	}
	s.boot(m, r, c, offer)
	return r, delay, nil
}

// boot adds the options for network boot.
func (s *Server) boot(m, r *dhcpv6.Message, c Client, offer Offer) {
	if offer.BootFile == "" {
		return
	}
	r.AddOption(dhcpv6.OptBootFileURL(offer.BootFile))
	if len(offer.Parameters) > 0 && !offer.NoOption60 && m.IsOptionRequested(dhcpv6.OptionBootfileParam) {
		r.AddOption(dhcpv6.OptBootFileParam(offer.Parameters...))
	}
	if c.Kind == HTTP && !offer.NoOption16 {
		r.AddOption(&dhcpv6.OptVendorClass{EnterpriseNumber: intel, Data: [][]byte{[]byte("HTTPClient")}})
	}
}

// association answers one IA_NA.
func (s *Server) association(ia *dhcpv6.OptIANA, address netip.Addr, first bool) *dhcpv6.OptIANA {
	out := &dhcpv6.OptIANA{IaId: ia.IaId}
	if !first || !address.IsValid() {
		out.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail, StatusMessage: "a machine has one address"})
		return out
	}
	out.T1, out.T2 = s.Lease/4, s.Lease*2/5
	out.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: address.AsSlice(), PreferredLifetime: s.Lease / 2, ValidLifetime: s.Lease})
	for _, a := range ia.Options.Addresses() {
		// What the client has from elsewhere it must give up (RFC 8415, section 18.3.4).
		if !a.IPv6Addr.Equal(address.AsSlice()) && !a.IPv6Addr.IsUnspecified() {
			out.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: a.IPv6Addr})
		}
	}
	return out
}

// confirm says whether a client's addresses are of this segment.
func (s *Server) confirm(m, r *dhcpv6.Message) (*dhcpv6.Message, time.Duration, error) {
	var all []netip.Addr
	for _, ia := range m.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			if address, ok := netip.AddrFromSlice(a.IPv6Addr); ok {
				all = append(all, address)
			}
		}
	}
	if len(all) == 0 {
		return nil, 0, errors.New("a confirm without addresses")
	}
	status := &dhcpv6.OptStatusCode{StatusCode: iana.StatusSuccess, StatusMessage: "on this segment"}
	if slices.ContainsFunc(all, func(a netip.Addr) bool { return !s.Prefix.Contains(a) }) {
		status = &dhcpv6.OptStatusCode{StatusCode: iana.StatusNotOnLink, StatusMessage: "not on this segment"}
	}
	r.AddOption(status)
	return r, 0, nil
}

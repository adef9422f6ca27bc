package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"pgregory.net/rapid"
)

// desk gives everybody the same and notes who came.
type desk struct {
	offer Offer
	err   error
	met   []Client
}

func (d *desk) Meet(c Client) (Offer, error) {
	d.met = append(d.met, c)
	return d.offer, d.err
}

var (
	serverID = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	uuid     = &dhcpv6.DUIDUUID{UUID: [16]byte{1, 2, 3}}
	// The link-local address of 52:54:00:77:00:01.
	client  = net.ParseIP("fe80::5054:ff:fe77:1")
	address = netip.MustParseAddr("fd00:77::101")
)

func server(d *desk) *Server {
	return &Server{Desk: d, DUID: serverID, Prefix: netip.MustParsePrefix("fd00:77::/64"), DNS: []netip.Addr{netip.MustParseAddr("fd00:77::53")}, Lease: 24 * time.Hour}
}

func message(kind dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: kind, TransactionID: dhcpv6.TransactionID{1, 2, 3}}
	m.AddOption(dhcpv6.OptClientID(uuid))
	for _, o := range options {
		m.AddOption(o)
	}
	return m
}

func ask(t *testing.T, s *Server, p dhcpv6.DHCPv6) *dhcpv6.Message {
	t.Helper()
	b, _, err := s.Answer(p.ToBytes(), client)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		return nil
	}
	m, err := dhcpv6.MessageFromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var (
	ia   = &dhcpv6.OptIANA{IaId: [4]byte{1}}
	want = dhcpv6.OptRequestedOption(dhcpv6.OptionBootfileURL, dhcpv6.OptionBootfileParam, dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionVendorClass)
)

func class(text string) dhcpv6.Option {
	return &dhcpv6.OptVendorClass{EnterpriseNumber: intel, Data: [][]byte{[]byte(text)}}
}

// The four messages of HTTP boot, as OVMF sends them.
func TestHTTPBoot(t *testing.T) {
	d := &desk{offer: Offer{Address: address, BootFile: "http://[fd00:77::1]/x.efi", Parameters: []string{"a"}}}
	s := server(d)
	options := []dhcpv6.Option{ia, want, class("HTTPClient:Arch:00016:UNDI:003000"), dhcpv6.OptClientArchType(16)}
	advertise := ask(t, s, message(dhcpv6.MessageTypeSolicit, options...))
	if advertise.MessageType != dhcpv6.MessageTypeAdvertise || d.met[0].Commit {
		t.Errorf("%v", advertise)
	}
	reply := ask(t, s, message(dhcpv6.MessageTypeRequest, append(options, dhcpv6.OptServerID(serverID))...))
	for _, m := range []*dhcpv6.Message{advertise, reply} {
		got := m.Options.OneIANA().Options.OneAddress()
		if !got.IPv6Addr.Equal(address.AsSlice()) || got.ValidLifetime != 24*time.Hour || m.Options.OneIANA().IaId != ia.IaId {
			t.Errorf("%v", m.Options)
		}
		if m.Options.BootFileURL() != d.offer.BootFile || string(m.Options.VendorClass(intel)[0]) != "HTTPClient" ||
			m.Options.BootFileParam()[0] != "a" || !m.Options.ServerID().Equal(serverID) || !m.Options.ClientID().Equal(uuid) ||
			!m.Options.DNS()[0].Equal(net.ParseIP("fd00:77::53")) || m.TransactionID != (dhcpv6.TransactionID{1, 2, 3}) {
			t.Errorf("%v", m.Options)
		}
	}
	met := d.met[1]
	if met != (Client{HTTP, "000401020300000000000000000000000000", "52:54:00:77:00:01", "HTTPClient:Arch:00016:UNDI:003000", "x86-64", true}) {
		t.Errorf("%+v", met)
	}
	d.offer.NoOption16, d.offer.NoOption60 = true, true
	if m := ask(t, s, message(dhcpv6.MessageTypeSolicit, options...)); m.Options.VendorClasses() != nil || m.Options.BootFileParam() != nil {
		t.Errorf("%v", m.Options)
	}
}

func TestKinds(t *testing.T) {
	user := func(text string) dhcpv6.Option { return &dhcpv6.OptUserClass{UserClasses: [][]byte{[]byte(text)}} }
	for _, c := range []struct {
		kind    Kind
		arch    string
		options []dhcpv6.Option
	}{
		{PXE, "x86-64", []dhcpv6.Option{class("PXEClient:Arch:00007:UNDI:003000"), dhcpv6.OptClientArchType(7)}},
		{PXE, "arm64", []dhcpv6.Option{class("PXEClient:Arch:00011:UNDI:003000"), dhcpv6.OptClientArchType(11)}},
		{HTTP, "arm64", []dhcpv6.Option{class("HTTPClient:Arch:00019:UNDI:003000"), dhcpv6.OptClientArchType(19)}},
		{IPXE, "x86-64", []dhcpv6.Option{class("PXEClient:Arch:00007:UNDI:003010"), user("iPXE"), dhcpv6.OptClientArchType(7)}},
		{Node, "", []dhcpv6.Option{user(NodeClass)}},
		{Other, "", nil},
	} {
		d := &desk{}
		ask(t, server(d), message(dhcpv6.MessageTypeSolicit, append(c.options, ia)...))
		if d.met[0].Kind != c.kind || d.met[0].Architecture != c.arch {
			t.Errorf("%+v, want %+v", d.met[0], c)
		}
	}
}

func TestRapidCommit(t *testing.T) {
	d := &desk{offer: Offer{Address: address, Delay: time.Second}}
	s := server(d)
	m := message(dhcpv6.MessageTypeSolicit, ia, &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	if r := ask(t, s, m); r.MessageType != dhcpv6.MessageTypeReply || r.GetOneOption(dhcpv6.OptionRapidCommit) == nil || !d.met[0].Commit {
		t.Errorf("%v", r)
	}
	d.offer.NoRapidCommit = true
	b, delay, err := s.Answer(m.ToBytes(), client)
	if err != nil || b[0] != byte(dhcpv6.MessageTypeAdvertise) || delay != time.Second {
		t.Errorf("%v after %v, %v", b, delay, err)
	}
}

// A relay's answer goes back along the relays, and the machine is known by what the relay says.
func TestRelay(t *testing.T) {
	d := &desk{offer: Offer{Address: address}}
	s := server(d)
	inner, err := dhcpv6.EncapsulateRelay(message(dhcpv6.MessageTypeSolicit, ia), dhcpv6.MessageTypeRelayForward, net.ParseIP("fd00:77::5"), net.ParseIP("fe80::1234"))
	if err != nil {
		t.Fatal(err)
	}
	inner.AddOption(dhcpv6.OptInterfaceID([]byte("port7")))
	inner.AddOption(dhcpv6.OptClientLinkLayerAddress(iana.HWTypeEthernet, net.HardwareAddr{2, 0, 0, 0, 0, 9}))
	outer, err := dhcpv6.EncapsulateRelay(inner, dhcpv6.MessageTypeRelayForward, net.ParseIP("fd00:78::5"), net.ParseIP("fd00:77::5"))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := s.Answer(outer.ToBytes(), net.ParseIP("fd00:78::5"))
	if err != nil {
		t.Fatal(err)
	}
	back, err := dhcpv6.RelayMessageFromBytes(b)
	if err != nil || back.MessageType != dhcpv6.MessageTypeRelayReply || !back.PeerAddr.Equal(outer.PeerAddr) {
		t.Fatalf("%v, %v", back, err)
	}
	within, ok := back.Options.RelayMessage().(*dhcpv6.RelayMessage)
	if !ok || string(within.Options.InterfaceID()) != "port7" || !within.PeerAddr.Equal(net.ParseIP("fe80::1234")) {
		t.Errorf("%v", within)
	}
	if d.met[0].MAC != "02:00:00:00:00:09" {
		t.Errorf("%+v", d.met[0])
	}
	// Nine relays are too many.
	p := dhcpv6.DHCPv6(message(dhcpv6.MessageTypeSolicit, ia))
	for range 9 {
		if p, err = dhcpv6.EncapsulateRelay(p, dhcpv6.MessageTypeRelayForward, client, client); err != nil {
			t.Fatal(err)
		}
	}
	if b, _, err := s.Answer(p.ToBytes(), client); b != nil || err == nil {
		t.Errorf("%v, %v", b, err)
	}
}

func TestOthers(t *testing.T) {
	d := &desk{offer: Offer{Address: address}}
	s := server(d)
	with := func(text string) *dhcpv6.OptIANA {
		o := &dhcpv6.OptIANA{IaId: ia.IaId}
		o.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(text)})
		return o
	}
	if r := ask(t, s, message(dhcpv6.MessageTypeConfirm, with("fd00:77::9"))); r.Options.Status().StatusCode != iana.StatusSuccess {
		t.Errorf("%v", r)
	}
	if r := ask(t, s, message(dhcpv6.MessageTypeConfirm, with("fd00:78::9"))); r.Options.Status().StatusCode != iana.StatusNotOnLink {
		t.Errorf("%v", r)
	}
	if r := ask(t, s, message(dhcpv6.MessageTypeRelease, with("fd00:77::101"), dhcpv6.OptServerID(serverID))); r.Options.Status().StatusCode != iana.StatusSuccess {
		t.Errorf("%v", r)
	}
	if r := ask(t, s, message(dhcpv6.MessageTypeRequest, ia, dhcpv6.OptServerID(uuid))); r != nil {
		t.Errorf("another server's request is answered: %v", r)
	}
	if r := ask(t, s, message(dhcpv6.MessageTypeInformationRequest, want)); r.Options.OneIANA() != nil || r.Options.DNS() == nil {
		t.Errorf("%v", r)
	}
	// An address from elsewhere gets a lifetime of 0 beside the right one, and a second association none.
	r := ask(t, s, message(dhcpv6.MessageTypeRenew, with("fd00:77::9"), &dhcpv6.OptIANA{IaId: [4]byte{2}}, dhcpv6.OptServerID(serverID)))
	got := r.Options.IANA()
	if a := got[0].Options.Addresses(); len(a) != 2 || !a[0].IPv6Addr.Equal(address.AsSlice()) || a[1].ValidLifetime != 0 || got[1].Options.Status().StatusCode != iana.StatusNoAddrsAvail {
		t.Errorf("%v", r)
	}
	d.err = ErrIgnored
	if b, _, err := s.Answer(message(dhcpv6.MessageTypeSolicit, ia).ToBytes(), client); b != nil || !errors.Is(err, ErrIgnored) {
		t.Errorf("%v, %v", b, err)
	}
}

func TestMACOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mac := net.HardwareAddr(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "mac"))
		ip := net.IP{0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}
		if got := macOf(ip); got.String() != mac.String() {
			t.Fatalf("%v", got)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(message(dhcpv6.MessageTypeSolicit, ia, want, class("PXEClient")).ToBytes())
	relay, err := dhcpv6.EncapsulateRelay(message(dhcpv6.MessageTypeSolicit, ia), dhcpv6.MessageTypeRelayForward, client, client)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(relay.ToBytes())
	f.Fuzz(func(t *testing.T, p []byte) {
		s := server(&desk{offer: Offer{Address: address, BootFile: "tftp://x/y"}})
		reply, _, err := s.Answer(p, client)
		if err != nil || reply == nil {
			return
		}
		if _, err := dhcpv6.FromBytes(reply); err != nil {
			t.Errorf("the reply cannot be read: %v", err)
		}
	})
}

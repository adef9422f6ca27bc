package dhcp

import (
	"encoding/hex"
	"net"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// Kind is what program of a machine asks.
type Kind string

// The kinds.
const (
	PXE   Kind = "pxe"   // firmware that loads a file by TFTP
	HTTP  Kind = "http"  // firmware that loads a file by HTTP
	IPXE  Kind = "ipxe"  // iPXE, which loads a script
	Node  Kind = "node"  // Orrery's first program, which fetches its configuration
	Other Kind = "other" // an operating system
)

// NodeClass is the user class of Orrery's first program.
const NodeClass = "orrery-boot"

// intel is the enterprise number under which UEFI firmware speaks of booting (UEFI
// specification, section 24.3.1).
const intel = 343

// Client is who asks.
type Client struct {
	Kind Kind
	DUID string // hexadecimal digits; empty for none
	MAC  string // lower case with colons; empty for unknown
	// VendorClass is the first data item of option 16, Architecture "x86-64", "arm64" or empty.
	VendorClass  string
	Architecture string
	// Commit says that the client takes what it is given: it does not ask what it could get.
	Commit bool
}

// architectures by the processor architecture types of IANA.
var architectures = map[iana.Arch]string{
	7: "x86-64", 9: "x86-64", 16: "x86-64", // x64 UEFI, EBC as some x64 firmware says, x64 UEFI HTTP
	11: "arm64", 19: "arm64", // ARM 64 UEFI, the same by HTTP
}

// clientOf says who sent a message that came from an address, which is the outermost one that
// speaks of the client; mac is what a relay has told, or nil.
func clientOf(m *dhcpv6.Message, from net.IP, mac net.HardwareAddr) Client {
	c := Client{Kind: Other}
	duid := m.Options.ClientID()
	if duid != nil {
		c.DUID = hex.EncodeToString(duid.ToBytes())
	}
	if mac == nil {
		mac = macOf(from)
	}
	if mac == nil {
		switch d := duid.(type) {
		case *dhcpv6.DUIDLL:
			mac = ethernet(d.HWType, d.LinkLayerAddr)
		case *dhcpv6.DUIDLLT:
			mac = ethernet(d.HWType, d.LinkLayerAddr)
		}
	}
	if mac != nil {
		c.MAC = mac.String()
	}
	for _, v := range m.Options.VendorClasses() {
		if len(v.Data) > 0 && c.VendorClass == "" {
			c.VendorClass = printable(v.Data[0])
		}
	}
	for _, a := range m.Options.ArchTypes() {
		if name := architectures[a]; name != "" {
			c.Architecture = name
			break
		}
	}
	switch {
	case strings.HasPrefix(c.VendorClass, "HTTPClient"):
		c.Kind = HTTP
	case strings.HasPrefix(c.VendorClass, "PXEClient"):
		c.Kind = PXE
	}
	// iPXE also has the vendor class of the firmware that it runs on.
	for _, u := range m.Options.UserClasses() {
		switch string(u) {
		case "iPXE":
			c.Kind = IPXE
		case NodeClass:
			c.Kind = Node
		}
	}
	return c
}

// macOf is the hardware address that a link-local address was made of (RFC 4291, appendix
// A), nil if it was made otherwise.
func macOf(ip net.IP) net.HardwareAddr {
	ip = ip.To16()
	if ip == nil || !ip.IsLinkLocalUnicast() || ip[11] != 0xff || ip[12] != 0xfe {
		return nil
	}
	return net.HardwareAddr{ip[8] ^ 2, ip[9], ip[10], ip[13], ip[14], ip[15]}
}

func ethernet(kind iana.HWType, a net.HardwareAddr) net.HardwareAddr {
	if kind != iana.HWTypeEthernet || len(a) != 6 {
		return nil
	}
	return a
}

// printable bounds a text of a packet and takes from it what a terminal would obey.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(b[:min(len(b), 128)]))
}

package site

import (
	"orrery.dev/orrery/scenario"
)

// Kind names the format.
const Kind = "Site"

// Site is one network segment, the services on it, and the machines that are expected
// there.
type Site struct {
	// APIVersion and Kind say what the document is.
	APIVersion string `json:"apiVersion" enum:"orrery.dev/v1alpha1"`
	// Kind is Site.
	Kind string `json:"kind" enum:"Site"`
	// Metadata names the site.
	Metadata Metadata `json:"metadata"`
	// Spec is the site itself.
	Spec Spec `json:"spec"`

	dir string // of the file, where relative paths start
}

// Metadata names the site.
type Metadata struct {
	// Name is a DNS label.
	Name string `json:"name" format:"label"`
}

// Spec is what is served to whom.
type Spec struct {
	// Interface is the network interface of the segment.
	Interface string `json:"interface"`
	// Prefix is the segment's /64.
	Prefix string `json:"prefix"`
	// Address of the server within Prefix, which the host must have on Interface.
	// Default: the first address after the prefix itself.
	Address string `json:"address,omitempty"`
	// State is the directory of the journal of identities. Default
	// /var/lib/orrery/provision.
	State string `json:"state,omitempty" default:"/var/lib/orrery/provision"`
	// Files is the directory that TFTP and HTTP serve, with a directory for each image.
	Files string `json:"files"`
	// Unknown is what is done with a machine that no entry of Machines names: ignore
	// it, quarantine it (it gets an address and the image of Quarantine), or accept it
	// as if it had an entry. Default ignore.
	Unknown string `json:"unknown,omitempty" default:"ignore" enum:"ignore,quarantine,accept"`
	// Quarantine is the image of machines in quarantine.
	Quarantine string `json:"quarantine,omitempty"`
	// DNS are the addresses of recursive name servers, told by router advertisements
	// and DHCPv6.
	DNS []string `json:"dns,omitempty"`
	// Lease is how long an address is valid; a machine has the same one for good.
	// Default 24h.
	Lease scenario.Duration `json:"lease,omitempty" default:"24h" min:"1m" max:"720h"`
	// Advertise is what router advertisements say.
	Advertise Advertise `json:"advertise,omitzero"`
	// HTTP is where files and configurations are served.
	HTTP HTTP `json:"http,omitzero"`
	// Key is a file with the public key (a line of base64) that signatures of images
	// are checked with before they are offered. Without it images may be unsigned.
	Key string `json:"key,omitempty"`
	// Boot are rules; a machine takes the first that matches it.
	Boot []Rule `json:"boot"`
	// SSHKeys may log in as root, in the form of authorized_keys.
	SSHKeys []string `json:"sshKeys,omitempty"`
	// Role is what machines become that have no Role of their own.
	Role Role `json:"role,omitzero"`
	// Machines are those that are expected.
	Machines []Machine `json:"machines,omitempty"`
}

// Advertise is the content of router advertisements (RFC 4861).
type Advertise struct {
	// Off switches router advertisements off, where a router of the segment sends its
	// own; that one should set the flag for managed addresses.
	Off bool `json:"off,omitempty"`
	// Flags are managed (addresses by DHCPv6), other (settings by DHCPv6) and
	// autonomous (addresses by SLAAC). Default managed, autonomous.
	Flags []string `json:"flags,omitempty"`
	// MTU of the segment in bytes. Default 1500.
	MTU int `json:"mtu,omitempty" default:"1500" min:"1280" max:"65535"`
	// Interval between unsolicited advertisements. Default 30s.
	Interval scenario.Duration `json:"interval,omitempty" default:"30s" min:"4s" max:"30m"`
	// RouterLifetime is for how long the server is a default router, at most
	// 9000s; 0 (the default) says that it is none.
	RouterLifetime scenario.Duration `json:"routerLifetime,omitempty" min:"0s" max:"9000s"`
	// PrefixLifetime is for how long the prefix is valid. Default 24h.
	PrefixLifetime scenario.Duration `json:"prefixLifetime,omitempty" default:"24h" min:"2m" max:"720h"`
}

// HTTP is the server of files.
type HTTP struct {
	// Port of plain HTTP. Default 80.
	Port int `json:"port,omitempty" default:"80" min:"1" max:"65535"`
	// TLS adds HTTPS, which the configuration of machines is then fetched by.
	TLS *TLS `json:"tls,omitempty"`
}

// TLS names files in PEM.
type TLS struct {
	// Port of HTTPS. Default 443.
	Port int `json:"port,omitempty" default:"443" min:"1" max:"65535"`
	// Certificate and Key of the server. The certificate names Address.
	Certificate string `json:"certificate"`
	// Key is the private key.
	Key string `json:"key"`
}

// Rule is how machines boot that it matches.
type Rule struct {
	// Match says which; without it all.
	Match Match `json:"match,omitzero"`
	// Path of booting:
	//   any   PXE clients get the boot file by TFTP, HTTP clients by HTTP;
	//   pxe   only PXE clients are answered;
	//   http  only HTTP clients are, so that firmware that tries PXE first moves on;
	//   ipxe  PXE clients get iPXE, and iPXE a script that loads the boot file by HTTP;
	//   none  nothing is offered, and the firmware goes on to the disk.
	// Default any.
	Path string `json:"path,omitempty" default:"any" enum:"any,pxe,http,ipxe,none"`
	// Image is a directory of Files that "orrery image build" has made.
	Image string `json:"image,omitempty"`
	// File is a boot file of Files, for machines that boot something else.
	File string `json:"file,omitempty"`
	// IPXE is the file of Files that path ipxe begins with. Default ipxe.efi.
	IPXE string `json:"ipxe,omitempty" default:"ipxe.efi"`
	// Parameters are given with the boot file (DHCPv6 option 60) to clients that ask for them.
	Parameters []string `json:"parameters,omitempty"`
	// Quirks are workarounds for firmware; see Quirks.
	Quirks []string `json:"quirks,omitempty"`
}

// Match holds patterns with the wildcards * ? [a-z]; what is empty matches all.
type Match struct {
	// MAC is a pattern of the hardware address, in lower case with colons.
	MAC string `json:"mac,omitempty"`
	// VendorClass is a pattern of DHCPv6 option 16, such as "HTTPClient:*".
	VendorClass string `json:"vendorClass,omitempty"`
	// Architecture is x86-64 or arm64.
	Architecture string `json:"architecture,omitempty" enum:"x86-64,arm64"`
	// Machine is a pattern of the machine's name.
	Machine string `json:"machine,omitempty"`
}

// Machine is one that is expected.
type Machine struct {
	// Name is the host name.
	Name string `json:"name" format:"label"`
	// MAC is the hardware address of the port that boots.
	MAC string `json:"mac,omitempty"`
	// DUID is the DHCP unique identifier in hexadecimal digits, where the MAC does not
	// say enough.
	DUID string `json:"duid,omitempty"`
	// Address within Prefix. Default: derived from MAC or DUID.
	Address string `json:"address,omitempty"`
	// Quirks in addition to those of the rule.
	Quirks []string `json:"quirks,omitempty"`
	// Role of this machine instead of that of all.
	Role *Role `json:"role,omitempty"`
}

// Role is what a machine does once it is up.
type Role struct {
	// Scenario is the URL of a scenario that a native worker runs: it fetches the file and
	// gives it to "orrery up".
	Scenario string `json:"scenario,omitempty"`
	// Join is the command, word by word, by which a Kubernetes worker joins its cluster.
	Join []string `json:"join,omitempty"`
	// Install is a disk, such as /dev/vda, that the image is written to; the machine boots from it
	// from then on. It asks for an image with a disk.
	Install string `json:"install,omitempty"`
	// Check is what must succeed before a machine is ready:
	//   three-nodes  the example of that name is run, and its stations must reach each other;
	//   none         nothing.
	// Default three-nodes.
	Check string `json:"check,omitempty" default:"three-nodes" enum:"three-nodes,none"`
}

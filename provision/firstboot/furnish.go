package firstboot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"orrery.dev/orrery/provision/protocol"
)

// furnish writes into a root what is of this machine alone. The configuration goes beside it into
// StateFile, which lies on a file system of its own that the root gets later.
func furnish(root string, c *protocol.Config, mac net.HardwareAddr) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(StateFile, b, 0o600); err != nil {
		return err
	}
	for name, file := range personal(c, mac) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.text), file.mode); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(root, "root/.ssh"), 0o700)
}

type file struct {
	mode os.FileMode
	text string
}

// personal are the files of one machine by their paths.
//
// The network is configured by systemd-networkd, which reads router advertisements itself: the kernel stops heeding them
// once it forwards packets, which routers of a run need. The address is the one that the
// server keeps for this machine, and the only one; a node that no server knows and that was told none takes what routers tell.
func personal(c *protocol.Config, mac net.HardwareAddr) map[string]file {
	id := sha256.Sum256([]byte("orrery machine id\n" + c.Machine + "\n" + c.Name))
	match := "Type=ether"
	if mac != nil {
		match = "MACAddress=" + mac.String()
	}
	network := fmt.Sprintf(`[Match]
%s

[Network]
LinkLocalAddressing=ipv6
IPv6AcceptRA=yes
IPv6PrivacyExtensions=no
DHCP=no
KeepConfiguration=static
`, match)
	accept := "" // addresses as routers tell
	hosts := "::1 localhost ip6-localhost\n"
	if c.Address.IsValid() {
		_, bits, _ := strings.Cut(c.Prefix, "/")
		network += fmt.Sprintf("Address=%s/%s\n", c.Address, bits)
		accept = "\n[IPv6AcceptRA]\nUseAutonomousPrefix=no\nDHCPv6Client=no\n"
		hosts += c.Address.String() + " " + c.Name + "\n"
	}
	if c.Router.IsValid() {
		network += fmt.Sprintf("Gateway=%s\n", c.Router)
	}
	for _, d := range c.DNS {
		network += "DNS=" + d + "\n"
	}
	resolv := ""
	for _, d := range c.DNS {
		resolv += "nameserver " + d + "\n"
	}
	return map[string]file{
		"etc/hostname":                          {0o644, c.Name + "\n"},
		"etc/hosts":                             {0o644, hosts},
		"etc/machine-id":                        {0o444, hex.EncodeToString(id[:16]) + "\n"},
		"etc/resolv.conf":                       {0o644, resolv},
		"etc/systemd/network/10-orrery.network": {0o644, network + accept},
		"root/.ssh/authorized_keys":             {0o600, strings.Join(c.SSHKeys, "\n") + "\n"},
	}
}

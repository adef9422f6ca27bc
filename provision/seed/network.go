package seed

import (
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// networkConfig reads version 2 of cloud-init's network configuration (that of netplan): the first Ethernet port by name counts.
func (s *Seed) networkConfig(files fs.FS, name string) error {
	type port struct {
		Match struct {
			MAC string `yaml:"macaddress"`
		} `yaml:"match"`
		Addresses []string `yaml:"addresses"`
		Gateway6  string   `yaml:"gateway6"`
		Routes    []struct {
			To  string `yaml:"to"`
			Via string `yaml:"via"`
		} `yaml:"routes"`
		NameServers struct {
			Addresses []string `yaml:"addresses"`
		} `yaml:"nameservers"`
	}
	type configuration struct {
		Version   int             `yaml:"version"`
		Ethernets map[string]port `yaml:"ethernets"`
	}
	var c configuration
	var whole struct {
		Network *configuration `yaml:"network"` // netplan's own form has one level more
	}
	if err := decode(files, name, &c); err != nil {
		return err
	}
	if err := decode(files, name, &whole); err != nil {
		return err
	}
	if whole.Network != nil {
		c = *whole.Network
	}
	switch {
	case c.Version == 0 && len(c.Ethernets) == 0:
		return nil
	case c.Version != 2:
		return fmt.Errorf("%s has version %d; version 2 is read", name, c.Version)
	}
	for i, key := range slices.Sorted(maps.Keys(c.Ethernets)) {
		if i > 0 {
			s.Ignored = append(s.Ignored, name+": port "+key)
			continue
		}
		p := c.Ethernets[key]
		if err := s.port(name, p.Match.MAC); err != nil {
			return err
		}
		for _, a := range p.Addresses {
			if err := s.address(name, a); err != nil {
				return err
			}
		}
		if p.Gateway6 != "" {
			if err := s.router(name, p.Gateway6); err != nil {
				return err
			}
		}
		for _, r := range p.Routes {
			if r.To != "default" && r.To != "::/0" {
				s.Ignored = append(s.Ignored, name+": route to "+r.To)
			} else if err := s.router(name, r.Via); err != nil {
				return err
			}
		}
		if err := s.nameServers(name, p.NameServers.Addresses); err != nil {
			return err
		}
	}
	return nil
}

// networkData reads OpenStack's form: the first network of IPv6 counts.
func (s *Seed) networkData(files fs.FS, name string) error {
	var data struct {
		Links []struct {
			ID  string `yaml:"id"`
			MAC string `yaml:"ethernet_mac_address"`
		} `yaml:"links"`
		Networks []struct {
			Link    string `yaml:"link"`
			Type    string `yaml:"type"` // ipv6, ipv6_slaac, ipv6_dhcpv6-stateful, ipv4 …
			Address string `yaml:"ip_address"`
			Netmask string `yaml:"netmask"`
			Routes  []struct {
				Network string `yaml:"network"`
				Gateway string `yaml:"gateway"`
			} `yaml:"routes"`
		} `yaml:"networks"`
		Services []struct {
			Type    string `yaml:"type"`
			Address string `yaml:"address"`
		} `yaml:"services"`
	}
	if err := decode(files, name, &data); err != nil {
		return err
	}
	taken := false
	for _, n := range data.Networks {
		if taken || !strings.HasPrefix(n.Type, "ipv6") {
			s.Ignored = append(s.Ignored, fmt.Sprintf("%s: network of type %s", name, n.Type))
			continue
		}
		taken = true
		for _, l := range data.Links {
			if l.ID == n.Link {
				if err := s.port(name, l.MAC); err != nil {
					return err
				}
			}
		}
		if n.Type != "ipv6" { // routers or a server tell the address
			continue
		}
		text := n.Address
		if !strings.Contains(text, "/") {
			bits, err := prefixLength(n.Netmask)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			text = fmt.Sprintf("%s/%d", n.Address, bits)
		}
		if err := s.address(name, text); err != nil {
			return err
		}
		for _, r := range n.Routes {
			if r.Network != "::" && r.Network != "::/0" {
				s.Ignored = append(s.Ignored, name+": route to "+r.Network)
			} else if err := s.router(name, r.Gateway); err != nil {
				return err
			}
		}
	}
	var servers []string
	for _, v := range data.Services {
		if v.Type == "dns" {
			servers = append(servers, v.Address)
		}
	}
	return s.nameServers(name, servers)
}

// prefixLength of a mask such as ffff:ffff:ffff:ffff::.
func prefixLength(mask string) (int, error) {
	a, err := netip.ParseAddr(mask)
	if err != nil || !a.Is6() {
		return 0, fmt.Errorf("%q is no mask; one is ffff:ffff:ffff:ffff:: or the like", mask)
	}
	ones, bits := net.IPMask(a.AsSlice()).Size()
	if bits == 0 {
		return 0, fmt.Errorf("the mask %s has holes", mask)
	}
	return ones, nil
}

// port takes the MAC of the port that is configured.
func (s *Seed) port(where, mac string) error {
	if mac == "" {
		return nil
	}
	m, err := net.ParseMAC(mac)
	if err != nil || len(m) != 6 {
		return fmt.Errorf("%s: %q is no MAC, such as 52:54:00:77:00:01", where, mac)
	}
	s.mac = m.String()
	return nil
}

func (s *Seed) nameServers(where string, addresses []string) error {
	for _, text := range addresses {
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %q is no address of a name server", where, text)
		case a.Is4():
			s.Ignored = append(s.Ignored, where+": IPv4 name server "+text)
		default:
			s.Config.DNS = append(s.Config.DNS, a.String())
		}
	}
	return nil
}

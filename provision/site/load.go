package site

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"orrery.dev/orrery/scenario"
)

// Load reads a site file. The error for a file that is not valid is
// scenario.Errors.
func Load(path string) (*Site, error) {
	s := &Site{dir: filepath.Dir(path)}
	return s.checked(scenario.LoadDocument(path, Kind, s))
}

// Parse is Load for a text; relative paths start from the directory of name.
func Parse(name string, data []byte) (*Site, error) {
	s := &Site{dir: filepath.Dir(name)}
	return s.checked(scenario.ParseDocument(name, data, Kind, s))
}

// checked judges what the site's document has been read from.
func (s *Site) checked(d *scenario.Document, err error) (*Site, error) {
	if err != nil {
		return nil, err
	}
	s.check(d.Add)
	if err := d.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// complaint tells a problem at a field, as scenario.Document.Add does.
type complaint = func(path, what, right string)

// Path makes a path of the file absolute or relative to the working directory.
func (s *Site) Path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir, path)
}

// advertiseFlags are the words of Advertise.Flags.
var advertiseFlags = []string{"managed", "other", "autonomous"}

// check judges what tags cannot say, and fills in the defaults that depend on more
// than one field.
func (s *Site) check(wrong complaint) {
	spec := &s.Spec
	if spec.Interface == "" || len(spec.Interface) > 15 || strings.ContainsAny(spec.Interface, "/ ") {
		wrong("spec.interface", fmt.Sprintf("%q is not the name of an interface", spec.Interface), "write a name that `ip link` shows, such as eth1")
	}
	prefix, err := netip.ParsePrefix(spec.Prefix)
	if err != nil || !prefix.Addr().Is6() || prefix.Addr().Is4In6() || prefix.Bits() != 64 || prefix.Masked() != prefix {
		wrong("spec.prefix", fmt.Sprintf("%q is not an IPv6 prefix of 64 bits", spec.Prefix), "write a prefix without host bits, such as fd00:77::/64")
		prefix = netip.Prefix{}
	} else if spec.Address == "" {
		spec.Address = prefix.Addr().Next().String()
	}
	addresses := map[netip.Addr]string{}
	s.within(wrong, prefix, "spec.address", spec.Address, addresses)
	for i, text := range spec.DNS {
		if a, err := netip.ParseAddr(text); err != nil || !a.Is6() || a.Is4In6() {
			wrong(fmt.Sprintf("spec.dns[%d]", i), fmt.Sprintf("%q is not an IPv6 address", text), "write the address of a name server, such as fd00:77::53")
		}
	}
	s.checkAdvertise(wrong)
	if spec.Unknown == "quarantine" && spec.Quarantine == "" {
		wrong("spec.unknown", "unknown machines are quarantined, and no image is named for them", "add \"quarantine: IMAGE\"")
	}
	checkLocal(wrong, "spec.quarantine", spec.Quarantine)
	if len(spec.Boot) == 0 {
		wrong("spec.boot", "boot has no rules, so no machine boots", "add one, such as {image: worker}")
	}
	for i := range spec.Boot {
		spec.Boot[i].check(wrong, fmt.Sprintf("spec.boot[%d]", i))
	}
	for i, key := range spec.SSHKeys {
		if fields := strings.Fields(key); len(fields) < 2 || strings.ContainsAny(key, "\n\r") || !isBase64(fields[1]) {
			wrong(fmt.Sprintf("spec.sshKeys[%d]", i), "this is not a public key", "write a line of a .pub file, such as \"ssh-ed25519 AAAA… me\"")
		}
	}
	spec.Role.check(wrong, "spec.role")
	s.checkMachines(wrong, prefix, addresses)
}

func isBase64(text string) bool {
	b, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(b) > 0
}

func (s *Site) checkAdvertise(wrong complaint) {
	a := &s.Spec.Advertise
	if a.Flags == nil {
		a.Flags = []string{"managed", "autonomous"}
	}
	for i, f := range a.Flags {
		if !slices.Contains(advertiseFlags, f) {
			wrong(fmt.Sprintf("spec.advertise.flags[%d]", i), fmt.Sprintf("%q is not a flag", f), "write managed, other or autonomous")
		}
	}
}

// within checks an address of the segment, each once.
func (s *Site) within(wrong complaint, prefix netip.Prefix, path, text string, seen map[netip.Addr]string) {
	if text == "" || !prefix.IsValid() {
		return
	}
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil || a.Zone() != "":
		wrong(path, fmt.Sprintf("%q is not an IPv6 address", text), "write one such as "+prefix.Addr().Next().String())
	case !prefix.Contains(a) || a == prefix.Addr():
		wrong(path, fmt.Sprintf("%s is not a host's address within %s", a, prefix), "write one such as "+prefix.Addr().Next().String())
	case seen[a] != "":
		wrong(path, fmt.Sprintf("%s is also the address at %s", a, seen[a]), "give each its own")
	default:
		seen[a] = path
	}
}

// checkLocal refuses paths that lead out of the served directory.
func checkLocal(wrong complaint, path, name string) {
	if name != "" && (!filepath.IsLocal(name) || strings.ContainsAny(name, "\\ \n?#%")) {
		wrong(path, fmt.Sprintf("%q is not a path below the directory of files", name), "write a relative path without '..' and blanks, such as worker")
	}
}

func (r *Rule) check(wrong complaint, at string) {
	checkLocal(wrong, at+".image", r.Image)
	checkLocal(wrong, at+".file", r.File)
	checkLocal(wrong, at+".ipxe", r.IPXE)
	if (r.Image == "") == (r.File == "") && r.Path != "none" {
		wrong(at, "a rule names either an image or a boot file", "write \"image: worker\" or \"file: boot.efi\"")
	}
	checkQuirks(wrong, at+".quirks", r.Quirks)
	for field, pattern := range map[string]string{"mac": r.Match.MAC, "vendorClass": r.Match.VendorClass, "machine": r.Match.Machine} {
		if _, err := path.Match(pattern, ""); err != nil {
			wrong(at+".match."+field, fmt.Sprintf("%q is not a pattern", pattern), "use the wildcards * ? [a-z]")
		}
	}
}

func checkQuirks(wrong complaint, at string, words []string) {
	for i, word := range words {
		if !known(word) {
			names, _ := Purposes()
			wrong(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%q is not a quirk", word), "the quirks are "+strings.Join(names, ", "))
		}
	}
}

func (r *Role) check(wrong complaint, at string) {
	if r.Check == "" {
		r.Check = "three-nodes"
	}
	if r.Scenario != "" && !strings.HasPrefix(r.Scenario, "http://") && !strings.HasPrefix(r.Scenario, "https://") {
		wrong(at+".scenario", fmt.Sprintf("%q is not a URL", r.Scenario), "begin with http:// or https://")
	}
	if r.Install != "" && (!strings.HasPrefix(r.Install, "/dev/") || path.Clean(r.Install) != r.Install) {
		wrong(at+".install", fmt.Sprintf("%q is not a disk", r.Install), "write its device, such as /dev/vda")
	}
	if r.Scenario != "" && len(r.Join) > 0 {
		wrong(at, "a machine is a native worker (scenario) or a Kubernetes worker (join), not both", "keep one of them")
	}
}

func (s *Site) checkMachines(wrong complaint, prefix netip.Prefix, addresses map[netip.Addr]string) {
	names, macs, duids := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range s.Spec.Machines {
		m := &s.Spec.Machines[i]
		at := fmt.Sprintf("spec.machines[%d]", i)
		if names[m.Name] {
			wrong(at+".name", fmt.Sprintf("another machine is called %q", m.Name), "give each its own name")
		}
		names[m.Name] = true
		if m.MAC == "" && m.DUID == "" {
			wrong(at, "a machine is known by its mac or its duid, and this one has neither", "add \"mac: 52:54:00:77:00:01\"")
		}
		if m.MAC != "" {
			mac, err := net.ParseMAC(m.MAC)
			switch {
			case err != nil || len(mac) != 6:
				wrong(at+".mac", fmt.Sprintf("%q is not a hardware address", m.MAC), "write six bytes, as 52:54:00:77:00:01")
			case macs[mac.String()]:
				wrong(at+".mac", fmt.Sprintf("another machine has the address %s", mac), "give each machine its own")
			default:
				m.MAC = mac.String()
				macs[m.MAC] = true
			}
		}
		if m.DUID != "" {
			m.DUID = strings.ToLower(strings.ReplaceAll(m.DUID, ":", ""))
			b, err := hex.DecodeString(m.DUID)
			switch {
			case err != nil || len(b) < 3 || len(b) > 130:
				wrong(at+".duid", "this is not a DUID", "write 3 to 130 bytes in hexadecimal digits, in quotes")
			case duids[m.DUID]:
				wrong(at+".duid", "another machine has this DUID", "give each machine its own, or name machines by mac")
			}
			duids[m.DUID] = true
		}
		s.within(wrong, prefix, at+".address", m.Address, addresses)
		checkQuirks(wrong, at+".quirks", m.Quirks)
		if m.Role != nil {
			m.Role.check(wrong, at+".role")
		}
	}
}

package site

import (
	"crypto/sha256"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Traits are what is known of a machine when it asks for a boot file.
type Traits struct {
	MAC          string // lower case with colons; empty for unknown
	DUID         string // hexadecimal digits
	Name         string // of its entry, or the one it was given
	VendorClass  string
	Architecture string // "x86-64", "arm64", or empty
}

// Machine is the entry of a machine: the one that names its MAC, else the one that names
// its DUID and no MAC, nil for none.
func (s *Site) Machine(mac, duid string) *Machine {
	for i := range s.Spec.Machines {
		if m := &s.Spec.Machines[i]; mac != "" && m.MAC == mac {
			return m
		}
	}
	for i := range s.Spec.Machines {
		m := &s.Spec.Machines[i]
		if duid != "" && m.DUID == duid && (m.MAC == "" || mac == "") {
			return m
		}
	}
	return nil
}

// Rule is the first rule that matches, nil for none.
func (s *Site) Rule(t Traits) *Rule {
	for i := range s.Spec.Boot {
		if r := &s.Spec.Boot[i]; r.Match.fits(t) {
			return r
		}
	}
	return nil
}

func (m *Match) fits(t Traits) bool {
	fits := func(pattern, text string) bool {
		// path.Match keeps '*' from crossing a '/', of which vendor classes may have some.
		ok, err := path.Match(strings.ReplaceAll(pattern, "/", "|"), strings.ReplaceAll(text, "/", "|"))
		return pattern == "" || err == nil && ok
	}
	return fits(m.MAC, t.MAC) && fits(m.VendorClass, t.VendorClass) && fits(m.Machine, t.Name) &&
		(m.Architecture == "" || m.Architecture == t.Architecture)
}

// Merge joins the quirks of the rule and of the machine's entry, which may be nil both.
func Merge(r *Rule, m *Machine) Quirks {
	var all Quirks
	if r != nil {
		all = append(all, r.Quirks...)
	}
	if m != nil {
		all = append(all, m.Quirks...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// RoleOf is the role of a machine whose entry may be nil.
func (s *Site) RoleOf(m *Machine) Role {
	if m != nil && m.Role != nil {
		return *m.Role
	}
	return s.Spec.Role
}

// Segment is the prefix.
func (s *Site) Segment() netip.Prefix { return netip.MustParsePrefix(s.Spec.Prefix) }

// Server is the server's address.
func (s *Site) Server() netip.Addr { return netip.MustParseAddr(s.Spec.Address) }

// Derive is the address that a machine has by its key (MAC or DUID) alone: the prefix and
// 62 bits of the key's SHA-256, with the bits for a universal and a group address (RFC 4291,
// appendix A) cleared. Salt is 0, and higher where the address is taken.
func (s *Site) Derive(key string, salt byte) netip.Addr {
	sum := sha256.Sum256(append([]byte(key), salt))
	b := s.Segment().Addr().As16()
	copy(b[8:], sum[:8])
	b[8] &^= 3
	return netip.AddrFrom16(b)
}

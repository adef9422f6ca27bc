package site

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"orrery.dev/orrery/scenario"
)

const good = `apiVersion: orrery.dev/v1alpha1
kind: Site
metadata: {name: lab}
spec:
  interface: eth1
  prefix: fd00:77::/64
  files: files
  boot:
    - {match: {vendorClass: "HTTPClient:*"}, path: http, image: worker, quirks: [no-head]}
    - {image: worker}
  machines:
    - {name: a, mac: "52:54:00:77:00:01", address: "fd00:77::101", role: {check: none}}
    - {name: b, duid: "00:04:01:02"}
`

func TestGood(t *testing.T) {
	s, err := Parse("dir/site.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if s.Spec.Address != "fd00:77::1" || s.Spec.Unknown != "ignore" || s.Spec.HTTP.Port != 80 || s.Spec.Advertise.MTU != 1500 || s.Path("files") != "dir/files" {
		t.Errorf("%+v", s.Spec)
	}
	if m := s.Machine("52:54:00:77:00:01", ""); m == nil || m.Name != "a" || s.RoleOf(m).Check != "none" {
		t.Errorf("%+v", m)
	}
	if m := s.Machine("", "00040102"); m == nil || m.Name != "b" || s.RoleOf(m).Check != "three-nodes" {
		t.Errorf("%+v", m)
	}
	if r := s.Rule(Traits{VendorClass: "HTTPClient:Arch:00016"}); r.Path != "http" {
		t.Errorf("%+v", r)
	}
	if r := s.Rule(Traits{VendorClass: "PXEClient"}); r.Path != "any" {
		t.Errorf("%+v", r)
	}
}

// Each mistake is told with its place and with what is right.
func TestBad(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"interface: eth1", "interfaces: eth1", `"interfaces" is not a field of spec; did you mean interface?`},
		{"prefix: fd00:77::/64", "prefix: 10.0.0.0/24", `"10.0.0.0/24" is not an IPv6 prefix of 64 bits`},
		{"prefix: fd00:77::/64", "prefix: fd00:77::1/64", "is not an IPv6 prefix of 64 bits"},
		{"address: \"fd00:77::101\"", "address: \"fd00:78::101\"", "is not a host's address within fd00:77::/64"},
		{"address: \"fd00:77::101\"", "address: \"fd00:77::1\"", "is also the address at spec.address"},
		{"quirks: [no-head]", "quirks: [no-heads]", `"no-heads" is not a quirk`},
		{"path: http", "path: htp", "path is \"htp\""},
		{"- {image: worker}", "- {path: any}", "a rule names either an image or a boot file"},
		{"- {image: worker}", "- {image: ../x}", "is not a path below the directory of files"},
		{"mac: \"52:54:00:77:00:01\"", "mac: \"52:54:00:77:00\"", "is not a hardware address"},
		{"duid: \"00:04:01:02\"", "duid: \"zz\"", "this is not a DUID"},
		{"name: b, ", "name: a, ", "another machine is called \"a\""},
		{", duid: \"00:04:01:02\"", "", "known by its mac or its duid"},
		{"kind: Site", "kind: Scenario", "the kind is \"Scenario\", not Site"},
		{"role: {check: none}", "role: {scenario: \"x\"}", `"x" is not a URL`},
		{"role: {check: none}", "role: {install: \"vda\"}", `"vda" is not a disk`},
		{"files: files", "unknown: quarantine\n  files: files", "no image is named for them"},
		{"files: files", "lease: 1s\n  files: files", "lease 1s is out of range"},
		{"files: files", "advertise: {flags: [x]}\n  files: files", `"x" is not a flag`},
		{"files: files", "dns: [1.1.1.1]\n  files: files", "is not an IPv6 address"},
		{"files: files", "sshKeys: [x]\n  files: files", "this is not a public key"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatalf("nothing is replaced by %q", c.new)
		}
		_, err := Parse("site.yaml", []byte(text))
		var problems scenario.Errors
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) || problems[0].Line == 0 {
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		}
	}
}

// A derived address is a host's within the prefix, and always the same.
func TestDerive(t *testing.T) {
	s, err := Parse("site.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		key, salt := rapid.String().Draw(t, "key"), rapid.Byte().Draw(t, "salt")
		a := s.Derive(key, salt)
		if !s.Segment().Contains(a) || a.As16()[8]&3 != 0 || a != s.Derive(key, salt) {
			t.Fatalf("%s", a)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("site.yaml", data)
		if err != nil {
			if !errors.As(err, new(scenario.Errors)) {
				t.Errorf("%v", err)
			}
			return
		}
		if !s.Segment().Contains(s.Server()) {
			t.Errorf("%s is not within %s", s.Server(), s.Segment())
		}
	})
}

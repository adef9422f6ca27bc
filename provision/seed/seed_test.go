package seed

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"orrery.dev/orrery/provision/protocol"
)

func files(pairs ...string) fstest.MapFS {
	all := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return all
}

const meta = "instance-id: i-7\nlocal-hostname: Node-7.example.org\n"

// What cloud-init's own documentation shows for both forms, with addresses of this segment.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   fstest.MapFS
		want    string // the configuration in JSON
		ignored []string
	}{
		{"meta data alone", files("meta-data", meta), `{"machine":"i-7","key":"","name":"node-7","role":{}}`, nil},
		{
			"user data", files("meta-data", meta, "user-data", `#cloud-config
fqdn: other.example.org
ssh_authorized_keys:
  - ssh-ed25519 AAAA me
users: [default]
orrery:
  role: {check: three-nodes, join: [kubeadm, join], install: /dev/sda}
`),
			`{"machine":"i-7","key":"","name":"other","sshKeys":["ssh-ed25519 AAAA me"],"role":{"join":["kubeadm","join"],"check":"three-nodes"}}`,
			[]string{"user-data: orrery.role.install", "user-data: users"},
		},
		{
			"network", files("meta-data", meta, "network-config", `version: 2
ethernets:
  eth1: {dhcp4: true}
  eth0:
    match: {macaddress: "52:54:00:77:00:01"}
    addresses: ["192.0.2.5/24", "fd00:77::5/64", "fd00:77::6/64"]
    routes: [{to: default, via: "fd00:77::1"}, {to: "fd00:78::/64", via: "fd00:77::2"}]
    nameservers: {addresses: ["fd00:77::53", 192.0.2.53]}
`),
			`{"machine":"52:54:00:77:00:01","key":"","name":"node-7","address":"fd00:77::5","prefix":"fd00:77::/64","router":"fd00:77::1","dns":["fd00:77::53"],"role":{}}`,
			[]string{
				"network-config: IPv4 address 192.0.2.5/24", "network-config: IPv4 name server 192.0.2.53", "network-config: further address fd00:77::6/64",
				"network-config: port eth1", "network-config: route to fd00:78::/64",
			},
		},
		{
			"netplan", files("meta-data", meta, "network-config", "network:\n  version: 2\n  ethernets:\n    e: {addresses: [\"fd00:77::5/64\"], gateway6: \"fe80::1\"}\n"),
			`{"machine":"i-7","key":"","name":"node-7","address":"fd00:77::5","prefix":"fd00:77::/64","router":"fe80::1","role":{}}`, nil,
		},
		{
			"config drive", files(
				"openstack/latest/meta_data.json", `{"uuid": "83679162", "hostname": "metal-1.novalocal", "public_keys": {"b": "ssh-rsa B\n", "a": "ssh-rsa A"}}`,
				"openstack/latest/user_data", "#cloud-config\norrery: {role: {scenario: \"https://[fd00:77::1]/x.yaml\"}}\n",
				"openstack/latest/network_data.json", `{"links": [{"id": "l1", "ethernet_mac_address": "52:54:00:77:00:02", "type": "phy"}],
  "networks": [{"id": "n0", "type": "ipv4_dhcp", "link": "l1"}, {"id": "n1", "type": "ipv6", "link": "l1", "ip_address": "fd00:77::9", "netmask": "ffff:ffff:ffff:ffff::",
  "routes": [{"network": "::", "netmask": "::", "gateway": "fd00:77::1"}]}], "services": [{"type": "dns", "address": "fd00:77::53"}]}`,
			),
			`{"machine":"52:54:00:77:00:02","key":"","name":"metal-1","address":"fd00:77::9","prefix":"fd00:77::/64","router":"fd00:77::1","dns":["fd00:77::53"],` +
				`"sshKeys":["ssh-rsa A","ssh-rsa B"],"role":{"scenario":"https://[fd00:77::1]/x.yaml"}}`,
			[]string{"openstack/latest/network_data.json: network of type ipv4_dhcp"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Read(c.files)
			if err != nil {
				t.Fatal(err)
			}
			want, err := protocol.DecodeConfig([]byte(c.want))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(*want, s.Config, cmp.Comparer(func(a, b interface{ String() string }) bool { return a.String() == b.String() })); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.ignored, s.Ignored); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		files fstest.MapFS
		want  string
	}{
		{files(), "names no host"},
		{files("meta-data", "local-hostname: \"a b\"\n"), "no host name"},
		{files("meta-data", meta, "user-data", "#!/bin/sh\nrm -rf /\n"), "only what begins with #cloud-config"},
		{files("meta-data", meta, "user-data", "#cloud-config\nhostname: [\n"), "user-data cannot be read"},
		{files("meta-data", meta, "user-data", "#cloud-config\nssh_authorized_keys: [\"a\\nb\"]\n"), "several lines"},
		{files("meta-data", meta, "user-data", "#cloud-config\norrery: {role: {check: three-node}}\n"), "write three-nodes or none"},
		{files("meta-data", meta, "user-data", "#cloud-config\norrery: {role: {scenario: iridium.yaml}}\n"), "is not a URL"},
		{files("meta-data", meta, "network-config", "version: 1\nconfig: []\n"), "version 2 is read"},
		{files("meta-data", meta, "network-config", "version: 2\nethernets: {e: {addresses: [\"fd00::1\"]}}\n"), "length of its prefix"},
		{files("meta-data", meta, "network-config", "version: 2\nethernets: {e: {match: {macaddress: x}}}\n"), "no MAC"},
		{files("meta-data", strings.Repeat("#", maxFile+1)), "more than"},
		{files("openstack/latest/meta_data.json", `{"hostname": "a"}`, "openstack/latest/network_data.json",
			`{"networks": [{"type": "ipv6", "ip_address": "fd00::1", "netmask": "ffff:0:ffff::"}]}`), "has holes"},
	} {
		if _, err := Read(c.files); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// Whatever is read, nothing but a configuration that a node may act on comes of it, and errors are one line.
func FuzzRead(f *testing.F) {
	f.Add(meta, "#cloud-config\nhostname: x\n", "version: 2\nethernets: {e: {addresses: [\"fd00:77::5/64\"]}}\n", false)
	f.Add(`{"hostname": "a"}`, "", `{"networks": [{"type": "ipv6", "ip_address": "fd00::1/64"}]}`, true)
	f.Fuzz(func(t *testing.T, meta, user, network string, drive bool) {
		all := files("meta-data", meta, "user-data", user, "network-config", network)
		if drive {
			all = files("openstack/latest/meta_data.json", meta, "openstack/latest/user_data", user, "openstack/latest/network_data.json", network)
		}
		s, err := Read(all)
		switch {
		case err != nil && strings.ContainsAny(err.Error(), "\n\r"):
			t.Errorf("%q", err)
		case err == nil && (s.Config.Name == "" || strings.ContainsAny(s.Config.Name, "/.\n") || s.Config.Server != ""):
			t.Errorf("%+v", s.Config)
		}
	})
}

package cluster

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
)

func TestParseMounts(t *testing.T) {
	const text = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu\040x rw,relatime shared:7 master:1 - cgroup cgroup rw,cpu,cpuacct
nonsense
42 27 0:4 net:[4026532177] /run/netns/a rw - nsfs
`
	want := []mountPoint{
		{"/", "/sys/fs/cgroup", "tmpfs", []string{"rw", "relatime", "rw", "mode=755"}},
		{"/", "/sys/fs/cgroup/cpu x", "cgroup", []string{"rw", "relatime", "rw", "cpu", "cpuacct"}},
	}
	if got := parseMounts(text); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCgroupsMissing(t *testing.T) {
	v1 := func(controllers ...string) (c cgroups) {
		for _, name := range controllers {
			c = append(c, mountPoint{"/", "/sys/fs/cgroup/" + name, "cgroup", []string{"rw", name}})
		}
		return c
	}
	good := v1("cpu", "cpuset", "memory", "pids")
	for _, c := range []struct {
		hierarchies cgroups
		want        string
	}{
		{good, ""},
		{nil, "no cgroup hierarchy is mounted; mount one at /sys/fs/cgroup"},
		{v1("cpu", "cpuset", "memory"), `no cgroup hierarchy has the controller "pids", which the kubelet needs`},
		{append(v1("cpu"), mountPoint{"/", "/x", "cgroup", []string{"ro"}}), "the cgroup hierarchy at /x is mounted read-only, as in an unprivileged container; use the host"},
		{append(v1("cpu"), mountPoint{"/docker/1", "/x", "cgroup", nil}), "/x shows only the part /docker/1 of a cgroup hierarchy, as in a container; use the host"},
	} {
		if got := c.hierarchies.missing(); got != c.want {
			t.Errorf("%v: got %q, want %q", c.hierarchies, got, c.want)
		}
	}
}

func TestWorkerAddresses(t *testing.T) {
	seen := map[netip.Addr]string{}
	var prefixes []netip.Prefix
	for _, o := range []Options{{Workers: 100}, {Workers: 100, IPv6: true}} {
		for n := 1; n <= o.Workers; n++ {
			w := o.worker(n)
			if !underlay4.Contains(w.IPv4) || !underlay6.Contains(w.IPv6) {
				t.Errorf("%s has %v and %v, which are not in the underlay", w.Name, w.IPv4, w.IPv6)
			}
			for _, a := range []netip.Addr{w.IPv4, w.IPv6} {
				if other := seen[a]; other != "" && other != w.Name {
					t.Errorf("%s and %s both have %v", w.Name, other, a)
				}
				seen[a] = w.Name
			}
			if w.PodCIDRs[0].Addr().Is6() != o.IPv6 || w.PodCIDRs[1].Addr().Is6() == o.IPv6 {
				t.Errorf("%s has the prefixes %v, and IPv6 first is %v", w.Name, w.PodCIDRs, o.IPv6)
			}
			if !o.IPv6 {
				prefixes = append(prefixes, w.PodCIDRs...)
			}
			if !json.Valid(DefaultNetwork(w)) {
				t.Errorf("%s: no JSON: %s", w.Name, DefaultNetwork(w))
			}
		}
	}
	prefixes = append(prefixes, underlay4, underlay6, services4, services6)
	for i, p := range prefixes {
		for _, q := range prefixes[:i] {
			if p.Overlaps(q) {
				t.Errorf("%v and %v overlap", p, q)
			}
		}
	}
}

func TestOptionsCheck(t *testing.T) {
	for _, o := range []Options{{Workers: -1}, {Workers: 101}, {Multus: true}, {Images: []string{"a"}}, {Workers: 1, MaxPods: -1}} {
		if o.check() == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, o := range []Options{{}, {Workers: 100, Multus: true, MaxPods: 2000}} {
		if err := o.check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

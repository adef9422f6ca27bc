package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/tap"
)

// host is a machine made of values.
type host struct {
	files      map[string]string
	writable   bool
	permission error
	now, most  uint64
	tun        error
	tap        tap.Abilities
	tapError   error
	kernel     error
	realTime   bool
	cpus       int
	root       bool
	versions   map[string]string
	tapAsked   bool
}

func (h *host) ReadFile(name string) ([]byte, error) {
	if text, ok := h.files[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (h *host) Writable(name string) bool { _, ok := h.files[name]; return ok && h.writable }
func (h *host) Permitted() error          { return h.permission }
func (h *host) TUN() error                { return h.tun }
func (h *host) Kernel() error             { return h.kernel }
func (h *host) RealTime() bool            { return h.realTime }
func (h *host) CPUs() int                 { return h.cpus }
func (h *host) Root() bool                { return h.root }

func (h *host) TAP() (tap.Abilities, error) {
	h.tapAsked = true
	return h.tap, h.tapError
}

func (h *host) DescriptorLimit() (now, most uint64, err error) { return h.now, h.most, nil }

func (h *host) Version(_ context.Context, daemon string) (string, error) {
	if v, ok := h.versions[daemon]; ok {
		return v, nil
	}
	return "", fmt.Errorf("%s is not there: %w", daemon, router.ErrMissing)
}

// goodHost lacks nothing that three-nodes or iridium need.
func goodHost() *host {
	h := &host{
		files: map[string]string{
			"/proc/sys/kernel/osrelease":                 "6.1.0\n",
			"/proc/sys/kernel/pid_max":                   "4194304\n",
			"/proc/sys/kernel/threads-max":               "250000\n",
			"/proc/sys/user/max_net_namespaces":          "100000\n",
			"/proc/sys/fs/mount-max":                     "100000\n",
			"/proc/sys/fs/inotify/max_user_instances":    "128\n",
			"/proc/sys/net/ipv6/conf/all/disable_ipv6":   "0\n",
			"/proc/meminfo":                              "MemTotal:  8000000 kB\nMemAvailable:    7000000 kB\n",
			"/proc/self/cgroup":                          "0::/user.slice/a.scope\n",
			"/sys/fs/cgroup/user.slice/pids.max":         "50000\n",
			"/sys/fs/cgroup/user.slice/a.scope/pids.max": "max\n",
			"/sys/fs/cgroup/user.slice/memory.max":       "max\n",
		},
		now: 1024, most: 524288, tap: tap.Abilities{TSO: true, USO: true, Announce: true},
		realTime: true, cpus: 4, root: true, writable: true,
		versions: map[string]string{router.BIRD: "2.0.12", router.FRR: "8.4.4"},
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		for i, v := range []string{"128", "512", "1024"} {
			h.files[fmt.Sprintf("/proc/sys/net/%s/neigh/default/gc_thresh%d", family, i+1)] = v + "\n"
		}
	}
	return h
}

func needOf(t *testing.T, file string) Need {
	t.Helper()
	s, err := scenario.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	n, err := NeedOf(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The smallest example: three nodes, two links' worth of ports, no daemon.
func TestNeedOfThreeNodes(t *testing.T) {
	n := needOf(t, "../examples/three-nodes.yaml")
	if n.Nodes != 3 || n.Processes != 0 || n.Daemons != 0 || len(n.Software) != 0 {
		t.Errorf("%+v", n)
	}
	// One port a station, two of the satellite; a device and a routing socket each.
	if want := neighboursPerPort * (3 + 4); n.Neighbours != want {
		t.Errorf("neighbours %d, want %d", n.Neighbours, want)
	}
	if n.Descriptors < 7 {
		t.Errorf("descriptors %d", n.Descriptors)
	}
	if want := int64(emulatorMemory + 3*kernelPerNode); n.Memory != want {
		t.Errorf("memory %d, want %d", n.Memory, want)
	}
}

// Iridium runs zebra and isisd on each of 66 satellites and 6 stations.
func TestNeedOfIridium(t *testing.T) {
	n := needOf(t, "../examples/iridium.yaml")
	if n.Nodes != 72 || n.Daemons != 2*72 || n.Commands != 0 || fmt.Sprint(n.Software) != "[frr]" {
		t.Errorf("%+v", n)
	}
	if want := emulatorMemory + 72*(kernelPerNode+programMemory["zebra"]+programMemory["isisd"]); n.Memory != want {
		t.Errorf("memory %d, want %d", n.Memory, want)
	}
	if want := emulatorThreads + 2*72*frrThreads; n.Threads != want {
		t.Errorf("threads %d, want %d", n.Threads, want)
	}
}

func TestGoodHost(t *testing.T) {
	h := goodHost()
	for _, need := range []Need{{}, needOf(t, "../examples/three-nodes.yaml"), needOf(t, "../examples/iridium.yaml")} {
		for _, f := range Examine(need, Gather(t.Context(), h)) {
			if f.Verdict == Missing || f.Verdict == Note && !strings.HasPrefix(f.Check, "neighbours") {
				t.Errorf("%+v", f)
			}
			if f.Have == "" || f.Need == "" || (f.Verdict == OK) != (f.Remedy == "") {
				t.Errorf("incomplete: %+v", f)
			}
		}
	}
}

func TestGather(t *testing.T) {
	f := Gather(t.Context(), goodHost())
	if f.CgroupPIDs != 50000 || f.MemoryCgroup != Unlimited || f.MemoryAvailable != 7000000<<10 {
		t.Errorf("pids %d, memory %d and %d", f.CgroupPIDs, f.MemoryCgroup, f.MemoryAvailable)
	}
	if f.Neighbours != [2][3]int64{{128, 512, 1024}, {128, 512, 1024}} || !f.NeighboursSettable {
		t.Errorf("neighbours %v, settable %v", f.Neighbours, f.NeighboursSettable)
	}
	if f.Conntrack != Unlimited || f.UDev || f.Networkd {
		t.Errorf("%+v", f)
	}

	// Version 1 of control groups.
	h := goodHost()
	h.files["/proc/self/cgroup"] = "8:pids:/a\n4:memory:/b/c\n0::/\n"
	h.files["/sys/fs/cgroup/pids/a/pids.max"] = "77"
	h.files["/sys/fs/cgroup/memory/b/memory.limit_in_bytes"] = "1048576"
	h.files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712"
	if f := Gather(t.Context(), h); f.CgroupPIDs != 77 || f.MemoryCgroup != 1<<20 {
		t.Errorf("pids %d, memory %d", f.CgroupPIDs, f.MemoryCgroup)
	}

	// Devices are not tried where namespaces are refused.
	h = goodHost()
	h.permission = errors.New("no")
	if Gather(t.Context(), h); h.tapAsked {
		t.Error("asked for a TAP without permission")
	}
}

// Each lack is found, told with a remedy, and is the only one found.
func TestLacks(t *testing.T) {
	iridium := needOf(t, "../examples/iridium.yaml")
	commands := iridium
	commands.Commands = 200
	for name, c := range map[string]struct {
		spoil   func(*host)
		need    Need
		check   string
		verdict Verdict
		remedy  string
	}{
		"kernel":        {func(h *host) { h.kernel = errors.New("epoll_pwait2 is missing") }, iridium, "kernel", Missing, "newer kernel"},
		"ordinary user": {func(h *host) { h.root, h.permission = false, errors.New("node: run as root") }, iridium, "privileges", Missing, "run as root"},
		"no tun":        {func(h *host) { h.tun = errors.New("run `modprobe tun`") }, iridium, "/dev/net/tun", Missing, "modprobe tun"},
		"no carrier":    {func(h *host) { h.tapError = errors.New("TUNSETCARRIER") }, iridium, "TAP devices", Missing, "CONFIG_TUN"},
		"no USO":        {func(h *host) { h.tap.USO = false }, iridium, "TAP devices", Note, "Linux 6.2"},
		"files":         {func(h *host) { h.most = 500 }, iridium, "open files", Missing, "nofile=868"},
		"pid_max":       {func(h *host) { h.files["/proc/sys/kernel/pid_max"] = "100" }, iridium, "threads", Missing, "kernel.pid_max"},
		"container":     {func(h *host) { h.files["/sys/fs/cgroup/user.slice/pids.max"] = "100" }, iridium, "threads", Missing, "TasksMax"},
		"namespaces":    {func(h *host) { h.files["/proc/sys/user/max_net_namespaces"] = "10" }, iridium, "network namespaces", Missing, "max_net_namespaces"},
		"memory":        {func(h *host) { h.files["/proc/meminfo"] = "MemAvailable: 400000 kB\n" }, iridium, "memory", Missing, "memory"},
		"one CPU":       {func(h *host) { h.cpus = 1 }, iridium, "CPUs", Note, "more CPUs"},
		"no priority":   {func(h *host) { h.realTime = false }, iridium, "real-time priority", Note, "CAP_SYS_NICE"},
		"no IPv6":       {func(h *host) { delete(h.files, "/proc/sys/net/ipv6/conf/all/disable_ipv6") }, iridium, "IPv6", Missing, "ipv6.disable"},
		"no FRR":        {func(h *host) { delete(h.versions, router.FRR) }, iridium, "frr", Missing, "not there"},
		"no FRR, maybe": {func(h *host) { delete(h.versions, router.FRR) }, Need{}, "frr", Note, "not there"},
		"no BIRD":       {func(h *host) { delete(h.versions, router.BIRD) }, iridium, "", OK, ""},
		"inotify":       {func(*host) {}, commands, "inotify instances", Note, "max_user_instances"},
	} {
		t.Run(name, func(t *testing.T) {
			h := goodHost()
			c.spoil(h)
			found := false
			findings := Examine(c.need, Gather(t.Context(), h))
			for _, f := range findings {
				switch {
				case f.Check == c.check:
					found = true
					if f.Verdict != c.verdict || !strings.Contains(f.Remedy, c.remedy) || f.Consequence == "" {
						t.Errorf("%+v", f)
					}
				case f.Verdict != OK && !strings.HasPrefix(f.Check, "neighbours"):
					t.Errorf("also: %+v", f)
				}
			}
			if found != (c.check != "") || Healthy(findings) != (c.verdict != Missing) {
				t.Errorf("found %v, healthy %v: %+v", found, Healthy(findings), findings)
			}
		})
	}
}

// Neighbour tables are the emulator's to raise, unless it may not.
func TestNeighbours(t *testing.T) {
	for _, c := range []struct {
		need     int
		have     [3]int64
		settable bool
		want     Verdict
	}{
		{100, [3]int64{128, 512, 1024}, false, OK},
		{600, [3]int64{128, 512, 1024}, false, Note},
		{2000, [3]int64{128, 512, 1024}, false, Missing},
		{2000, [3]int64{128, 512, 1024}, true, Note},
		{2000, [3]int64{Unlimited, Unlimited, Unlimited}, false, OK},
	} {
		f := neighbours(Need{Neighbours: c.need}, Facts{Neighbours: [2][3]int64{c.have, c.have}, NeighboursSettable: c.settable})
		if len(f) != 2 || f[0].Verdict != c.want || f[1].Verdict != c.want {
			t.Errorf("%+v: %+v", c, f)
		}
	}
}

// More of everything never makes a verdict worse, and a greater need never
// makes one better.
func TestMonotonic(t *testing.T) {
	rank := map[Verdict]int{OK: 0, Note: 1, Missing: 2}
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string) int { return rapid.IntRange(0, 100_000).Draw(r, name) }
		need := Need{Nodes: 1 + draw("nodes"), Descriptors: draw("descriptors"), Neighbours: draw("neighbours"), Threads: draw("threads"), Daemons: draw("daemons"), Commands: draw("commands"), Memory: int64(draw("memory"))}
		have := Facts{
			DescriptorsNow: 1024, DescriptorsMost: uint64(draw("have descriptors")),
			PIDMax: int64(draw("pids")), ThreadsMax: int64(draw("have threads")), CgroupPIDs: Unlimited,
			NetNamespaces: int64(draw("namespaces")), Mounts: int64(draw("mounts")), Inotify: int64(draw("inotify")),
			MemoryAvailable: int64(draw("have memory")), MemoryCgroup: Unlimited, CPUs: 1 + draw("cpus")%64,
		}
		for i := range have.Neighbours {
			n := int64(draw("gc_thresh1"))
			have.Neighbours[i] = [3]int64{n, 2 * n, 4 * n}
		}
		better, smaller := have, need
		better.DescriptorsMost *= 2
		better.PIDMax, better.ThreadsMax, better.NetNamespaces, better.Mounts = 2*have.PIDMax, 2*have.ThreadsMax, 2*have.NetNamespaces, 2*have.Mounts
		better.Inotify, better.MemoryAvailable, better.CPUs, better.RealTime = 2*have.Inotify, 2*have.MemoryAvailable, 2*have.CPUs, true
		for i := range better.Neighbours {
			for k := range better.Neighbours[i] {
				better.Neighbours[i][k] *= 2
			}
		}
		smaller.Nodes, smaller.Descriptors, smaller.Neighbours, smaller.Threads = 1+need.Nodes/2, need.Descriptors/2, need.Neighbours/2, need.Threads/2
		smaller.Daemons, smaller.Commands, smaller.Memory = need.Daemons/2, need.Commands/2, need.Memory/2
		base, easier, less := Examine(need, have), Examine(need, better), Examine(smaller, have)
		for i, f := range base {
			if rank[easier[i].Verdict] > rank[f.Verdict] || rank[less[i].Verdict] > rank[f.Verdict] {
				r.Errorf("%+v\nwith more: %+v\nfor less: %+v", f, easier[i], less[i])
			}
		}
	})
}

// The real machine answers; what it answers is its own affair.
func TestSystem(t *testing.T) {
	f := Gather(t.Context(), System{})
	if f.Kernel == "" || f.CPUs < 1 || f.PIDMax < 1 || f.DescriptorsMost < 1 || f.MemoryAvailable < 1 {
		t.Errorf("%+v", f)
	}
	if f.Permission == nil && f.TUN == nil && f.TAPError != nil {
		t.Errorf("TAP devices may be opened and do not work: %v", f.TAPError)
	}
	if len(Examine(Need{}, f)) < 10 {
		t.Error("too few findings")
	}
}

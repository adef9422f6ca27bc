package doctor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/doctor"
	"orrery.dev/orrery/doctor/doctortest"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// needOf a scenario with FRR 8.
func needOf(t *testing.T, file string) doctor.Need {
	t.Helper()
	return needWith(t, file, 8)
}

func needWith(t *testing.T, file string, frr int) doctor.Need {
	t.Helper()
	s, err := scenario.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	n, err := doctor.NeedOf(p, frr)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func examine(t *testing.T, m *doctortest.Machine, need doctor.Need) []doctor.Finding {
	t.Helper()
	return doctor.Examine(need, doctor.Gather(t.Context(), m, need, "/run/orrery/x"))
}

// The smallest example: three nodes, two links' worth of ports, no daemon.
func TestNeedOfThreeNodes(t *testing.T) {
	n := needOf(t, "../examples/three-nodes.yaml")
	if n.Nodes != 3 || n.Processes != 0 || n.Daemons != 0 || len(n.Software) != 0 || n.Ancillary != 0 {
		t.Errorf("%+v", n)
	}
	// One port a station, two of the satellite; a device and a routing socket each.
	if want := 4 * (3 + 4); n.Neighbours != want {
		t.Errorf("neighbours %d, want %d", n.Neighbours, want)
	}
	if n.Descriptors < 7 {
		t.Errorf("descriptors %d", n.Descriptors)
	}
	// Three nodes, each with routes to two stations.
	if want := int64(32<<20 + 3*(700+120)<<10 + 6*700); n.Memory != want {
		t.Errorf("memory %d, want %d", n.Memory, want)
	}
	// 780 km up: 3,249 km to the horizon, twice each way, no link between satellites.
	if n.Rate != 100e6 || n.RoundTrip.Round(time.Millisecond) != 43*time.Millisecond {
		t.Errorf("rate %g, round trip %v", n.Rate, n.RoundTrip)
	}
	if n.SocketBuffer != emulation.EchoBuffer {
		t.Errorf("socket buffer %d", n.SocketBuffer)
	}
}

// Iridium runs zebra and isisd on each of 66 satellites and 6 stations.
func TestNeedOfIridium(t *testing.T) {
	n := needOf(t, "../examples/iridium.yaml")
	if n.Nodes != 72 || n.Processes != 144 || n.Daemons != 144 || n.Commands != 0 || fmt.Sprint(n.Software) != "[frr]" {
		t.Errorf("%+v", n)
	}
	routers := int64(700<<10 + 120<<10 + 7<<20 + 5<<20 + 2*100<<10 + 71*(700+9<<10))
	if want := 32<<20 + 72*routers; n.Memory != want {
		t.Errorf("memory %d, want %d", n.Memory, want)
	}
	if want := 64 + 72*(7+1); n.Threads != want {
		t.Errorf("threads %d, want %d", n.Threads, want)
	}
	if want := n.Descriptors + 72*(44+17); n.HostFiles != want {
		t.Errorf("files of the host %d, want %d", n.HostFiles, want)
	}
	if want := 72*2 + 144*5; n.Inodes != want {
		t.Errorf("inodes %d, want %d", n.Inodes, want)
	}
	if n.Bound != 0 {
		t.Errorf("%d processes with a mount namespace", n.Bound)
	}
	// FRR 10 has mgmtd on each node, and every daemon a mount namespace.
	ten := needWith(t, "../examples/iridium.yaml", 10)
	if ten.Processes != 216 || ten.Daemons != 216 || ten.Bound != 216 || ten.Threads != n.Threads+72 || ten.Inodes != n.Inodes+72*5+216*4 || ten.Memory != n.Memory+72*(5700<<10+100<<10) {
		t.Errorf("with FRR 10: %+v", ten)
	}
	// A satellite has four links and four ground ports: two groups each.
	if want := int64(8 * 2 * 57); n.Ancillary != want {
		t.Errorf("ancillary memory %d, want %d", n.Ancillary, want)
	}
}

func TestGoodMachine(t *testing.T) {
	for _, need := range []doctor.Need{{}, needOf(t, "../examples/three-nodes.yaml"), needOf(t, "../examples/iridium.yaml")} {
		for _, f := range examine(t, doctortest.Good(), need) {
			expected := f.Check == "socket buffers" || f.Check == "TCP buffers" // whose defaults are small
			if f.Verdict != doctor.OK && !(expected && f.Verdict == doctor.Note) {
				t.Errorf("%+v", f)
			}
			if f.Have == "" || f.Need == "" || (f.Verdict == doctor.OK) != (f.Remedy == "") || (f.Verdict == doctor.OK) != (f.Consequence == "") {
				t.Errorf("incomplete: %+v", f)
			}
		}
	}
}

func TestGather(t *testing.T) {
	gather := func(m *doctortest.Machine) doctor.Facts { return doctor.Gather(t.Context(), m, doctor.Need{}, "/run") }
	f := gather(doctortest.Good())
	if f.CgroupPIDs != 50000 || f.MemoryCgroup != doctor.Unlimited || f.MemoryAvailable != 7000000<<10 || f.CPUs != 4 {
		t.Errorf("pids %d, memory %d and %d, CPUs %g", f.CgroupPIDs, f.MemoryCgroup, f.MemoryAvailable, f.CPUs)
	}
	if f.Neighbours != [2][3]int64{{128, 512, 1024}, {128, 512, 1024}} || !f.NeighboursSettable {
		t.Errorf("neighbours %v, settable %v", f.Neighbours, f.NeighboursSettable)
	}
	if f.Conntrack != doctor.Unlimited || f.UDev || f.Networkd {
		t.Errorf("%+v", f)
	}
	if f.ThreadsNow != 321 || f.MountsNow != 2 || f.FilesOpen != 2000 || f.TCPSend != [3]int64{4096, 16384, 4194304} {
		t.Errorf("%+v", f)
	}

	// Version 1 of control groups.
	m := doctortest.Good()
	m.Tree["proc/self/cgroup"] = "8:pids:/a\n4:memory:/b/c\n3:cpuacct,cpu:/d\n0::/\n"
	m.Tree["sys/fs/cgroup/pids/a/pids.max"] = "77"
	m.Tree["sys/fs/cgroup/memory/b/memory.limit_in_bytes"] = "1048576"
	m.Tree["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712"
	m.Tree["sys/fs/cgroup/cpu/d/cpu.cfs_quota_us"] = "150000"
	m.Tree["sys/fs/cgroup/cpu/d/cpu.cfs_period_us"] = "100000"
	m.Tree["sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "-1"
	m.Tree["sys/fs/cgroup/cpu/cpu.cfs_period_us"] = "100000"
	if f := gather(m); f.CgroupPIDs != 77 || f.MemoryCgroup != 1<<20 || f.CPUs != 1.5 {
		t.Errorf("pids %d, memory %d, CPUs %g", f.CgroupPIDs, f.MemoryCgroup, f.CPUs)
	}

	// A quota of version 2.
	m = doctortest.Good()
	m.Tree["sys/fs/cgroup/user.slice/cpu.max"] = "50000 100000\n"
	if f := gather(m); f.CPUs != 0.5 {
		t.Errorf("CPUs %g", f.CPUs)
	}

	// What a node begins with counts, not what the host has.
	m = doctortest.Good()
	m.NodeTree["proc/sys/net/core/optmem_max"] = "131072\n"
	if f := gather(m); f.Ancillary != 131072 || !f.AncillaryOwn || f.TCPSend[2] != 4194304 {
		t.Errorf("%+v", f)
	}

	// Devices are not tried where namespaces are refused.
	m = doctortest.Good()
	m.PermittedError = errors.New("no")
	if gather(m); m.AskedTAP {
		t.Error("asked for a TAP without permission")
	}
	// Only what a scenario names is asked for its version.
	if f := doctor.Gather(t.Context(), doctortest.Good(), doctor.Need{Nodes: 1, Software: []string{router.BIRD}}, "/run"); len(f.Software) != 1 || f.Software[router.BIRD].Version != "2.0.12" {
		t.Errorf("%+v", f.Software)
	}
}

// Refusals and warnings are sentences with all that a user needs.
func TestSentences(t *testing.T) {
	m := doctortest.Good()
	m.Descriptors, m.Inodes, m.Priority = [2]uint64{100, 100}, 3, false
	findings := examine(t, m, doctor.Need{Nodes: 72, Descriptors: 868, Inodes: 864})
	refusals, warnings := doctor.Refusals(findings), doctor.Warnings(findings)
	if len(refusals) != 2 || len(warnings) != 1 || doctor.Healthy(findings) {
		t.Fatalf("refusals %q, warnings %q", refusals, warnings)
	}
	for _, s := range append(refusals, warnings...) {
		if strings.Contains(s, "\n") || strings.Count(s, ";") < 1 {
			t.Errorf("not a sentence: %q", s)
		}
	}
	if want := "open files: not all ports of 72 nodes can be opened (have 100, need 868); raise"; !strings.HasPrefix(refusals[0], want) {
		t.Errorf("%q does not begin with %q", refusals[0], want)
	}
	// An ordinary user is told of that alone.
	m.UID, m.PermittedError, m.TUNError = 1000, errors.New("node: run as root"), errors.New("permission denied")
	if got := doctor.Refusals(examine(t, m, doctor.Need{})); len(got) != 1 || !strings.HasSuffix(got[0], "; run as root") {
		t.Errorf("%q", got)
	}
}

// More of everything never makes a verdict worse, and a greater need never
// makes one better.
func TestMonotonic(t *testing.T) {
	rank := map[doctor.Verdict]int{doctor.OK: 0, doctor.Note: 1, doctor.Warning: 2, doctor.Missing: 3}
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string) int { return rapid.IntRange(0, 100_000).Draw(r, name) }
		need := doctor.Need{
			Nodes: 1 + draw("nodes"), Descriptors: draw("descriptors"), HostFiles: draw("files"), Neighbours: draw("neighbours"),
			Processes: draw("processes"), Threads: draw("threads"), Daemons: draw("daemons"), Commands: draw("commands"), Views: draw("views"),
			Memory: int64(draw("memory")), Disk: int64(draw("disk")), Inodes: draw("inodes"),
			SocketBuffer: int64(draw("buffer")), Ancillary: int64(draw("ancillary")),
			Rate: 1e3 * float64(draw("rate")), RoundTrip: time.Millisecond * time.Duration(draw("round trip")),
		}
		have := doctor.Facts{
			DescriptorsNow: 1024, DescriptorsMost: uint64(draw("have descriptors")),
			FileMax: int64(draw("have files")), FilesOpen: int64(draw("open files")),
			PIDMax: int64(draw("pids")), ThreadsMax: int64(draw("have threads")), CgroupPIDs: doctor.Unlimited,
			UserProcesses: int64(draw("ulimit -u")), ThreadsNow: int64(draw("threads now")),
			Mounts: int64(draw("mounts")), MountsNow: int64(draw("mounts now")), Inotify: int64(draw("inotify")),
			MemoryAvailable: int64(draw("have memory")), MemoryCgroup: doctor.Unlimited, CPUs: 1 + float64(draw("cpus")%64),
			Disk: int64(draw("have disk")), Inodes: int64(draw("have inodes")),
			SocketBuffer: int64(draw("have buffer")), Ancillary: int64(draw("have ancillary")),
			TCPReceive: [3]int64{1, 2, int64(draw("rmem"))}, TCPSend: [3]int64{1, 2, int64(draw("wmem"))},
			NetdevBudget: int64(draw("budget")), NetdevBacklog: int64(draw("backlog")),
		}
		for i := range have.Namespaces {
			have.Namespaces[i] = int64(draw("namespaces"))
		}
		for i := range have.Neighbours {
			n := int64(draw("gc_thresh1"))
			have.Neighbours[i] = [3]int64{n, 2 * n, 4 * n}
		}
		better, smaller := have, need
		better.DescriptorsMost *= 2
		for _, v := range []*int64{
			&better.FileMax, &better.PIDMax, &better.ThreadsMax, &better.UserProcesses,
			&better.Mounts, &better.Inotify, &better.MemoryAvailable, &better.Disk, &better.Inodes, &better.SocketBuffer, &better.Ancillary,
			&better.NetdevBudget, &better.NetdevBacklog,
		} {
			*v *= 2
		}
		if better.TCPReceive[2] > 0 && better.TCPSend[2] > 0 { // 0 is not known
			better.TCPReceive[2], better.TCPSend[2] = 2*have.TCPReceive[2], 2*have.TCPSend[2]
		}
		better.CPUs, better.RealTime, better.Root = 2*have.CPUs, true, true
		for i := range better.Namespaces {
			better.Namespaces[i] *= 2
		}
		for i := range better.Neighbours {
			for k := range better.Neighbours[i] {
				better.Neighbours[i][k] *= 2
			}
		}
		for _, v := range []*int{
			&smaller.Descriptors, &smaller.HostFiles, &smaller.Neighbours, &smaller.Processes, &smaller.Threads, &smaller.Daemons, &smaller.Commands, &smaller.Views, &smaller.Inodes,
		} {
			*v /= 2
		}
		for _, v := range []*int64{&smaller.Memory, &smaller.Disk, &smaller.SocketBuffer, &smaller.Ancillary} {
			*v /= 2
		}
		smaller.Nodes, smaller.Rate, smaller.RoundTrip = 1+need.Nodes/2, need.Rate/2, need.RoundTrip/2
		base, easier, less := doctor.Examine(need, have), doctor.Examine(need, better), doctor.Examine(smaller, have)
		for i, f := range base {
			if rank[easier[i].Verdict] > rank[f.Verdict] || rank[less[i].Verdict] > rank[f.Verdict] {
				r.Errorf("%+v\nwith more: %+v\nfor less: %+v", f, easier[i], less[i])
			}
		}
	})
}

// Settings mend what they are for: on a machine that has them nothing is left
// to set.
func TestSettingsMend(t *testing.T) {
	for _, need := range []doctor.Need{doctor.Typical(), needOf(t, "../examples/starlink-shell1.yaml"), needOf(t, "../examples/kuiper-ospf.yaml")} {
		m := doctortest.Good()
		for name, low := range map[string]string{
			"proc/sys/kernel/pid_max": "400", "proc/sys/kernel/threads-max": "400", "proc/sys/user/max_net_namespaces": "1",
			"proc/sys/user/max_uts_namespaces": "1", "proc/sys/fs/file-max": "3000", "proc/sys/fs/mount-max": "3",
			"proc/sys/net/core/netdev_budget": "1", "proc/sys/net/core/netdev_max_backlog": "1", "proc/sys/fs/inotify/max_user_instances": "0",
			"proc/sys/net/core/optmem_max": "1", "proc/sys/kernel/sched_rt_runtime_us": "0",
		} {
			m.Tree[name] = low
		}
		m.Priority = false
		for _, readOnly := range []bool{false, true} {
			m.ReadOnly = readOnly
			settings := doctor.Settings(examine(t, m, need))
			for _, s := range settings {
				m.Tree["proc/sys/"+strings.ReplaceAll(s.Sysctl, ".", "/")] = s.Value
			}
			if !readOnly && len(settings) < 12 {
				t.Errorf("%d settings", len(settings))
			}
			m.Priority = true // which sched_rt_runtime_us had forbidden
			if left := doctor.Settings(examine(t, m, need)); len(left) > 0 {
				t.Errorf("still to be set: %+v", left)
			}
		}
	}
}

// The real machine answers; what it answers is its own affair.
func TestSystem(t *testing.T) {
	f := doctor.Gather(t.Context(), doctor.System{}, doctor.Need{}, t.TempDir())
	if f.Kernel == "" || f.CPUs <= 0 || f.PIDMax < 1 || f.DescriptorsMost < 1 || f.MemoryAvailable < 1 || f.ThreadsNow < 1 || f.MountsNow < 1 || f.Disk < 1 || f.SocketBuffer < 1 {
		t.Errorf("%+v", f)
	}
	if f.Permission == nil && f.TUN == nil && f.TAPError != nil {
		t.Errorf("TAP devices may be opened and do not work: %v", f.TAPError)
	}
	if f.Permission == nil && (f.TCPReceive[2] < 1 || f.Ancillary == doctor.Unlimited) {
		t.Errorf("what a node begins with is not known: %+v", f)
	}
	if len(doctor.Examine(doctor.Need{}, f)) < 20 {
		t.Error("too few findings")
	}
}

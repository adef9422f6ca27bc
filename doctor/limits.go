package doctor

import (
	"fmt"
	"slices"
	"strings"

	"orrery.dev/orrery/router"
	"orrery.dev/orrery/tune"
)

func descriptors(need Need, have Facts) []Finding {
	f := Finding{Check: "open files", Have: number(have.DescriptorsNow), Need: atLeast(need.Descriptors)}
	if have.DescriptorsMost != have.DescriptorsNow {
		f.Have += ", may be raised to " + number(have.DescriptorsMost)
	}
	if have.DescriptorsMost < uint64(need.Descriptors) {
		return f.worse(Missing, fmt.Sprintf("not all ports of %s nodes can be opened", number(need.Nodes)),
			fmt.Sprintf("raise the hard limit with `ulimit -n %d` as root, nofile in /etc/security/limits.conf, or LimitNOFILE= of a service; or choose fewer nodes", need.Descriptors))
	}
	return f.fine()
}

func hostFiles(need Need, have Facts) []Finding {
	f := Finding{Check: "open files of the host", Have: number(have.FileMax), Need: atLeast(need.HostFiles)}
	if have.FilesOpen > 0 {
		f.Have += fmt.Sprintf(", %s open", number(have.FilesOpen))
	}
	if have.FileMax-have.FilesOpen < int64(need.HostFiles) {
		return f.tunable(Missing, "daemons cannot open their sockets", sysctl("fs.file-max", have.FilesOpen+2*int64(need.HostFiles)))
	}
	return f.fine()
}

// pidsAtMost is PID_MAX_LIMIT of 64-bit kernels.
const pidsAtMost = 4194304

func processes(need Need, have Facts) []Finding {
	f := Finding{
		Check: "threads", Need: atLeast(need.Threads),
		Have: fmt.Sprintf("pid_max %s, threads-max %s", number(have.PIDMax), number(have.ThreadsMax)),
	}
	if have.ThreadsNow > 0 {
		f.Have += fmt.Sprintf(", %s there", number(have.ThreadsNow))
	}
	if have.CgroupPIDs != Unlimited {
		f.Have += ", pids.max " + number(have.CgroupPIDs)
	}
	const consequence = "some daemons cannot be started"
	// The root user's are not counted. FRR's daemons change to a user of their
	// own, and a user namespace's root is an ordinary user.
	bound := !have.Root || !have.InitialUser || slices.Contains(need.Software, router.FRR)
	if bound && have.UserProcesses != Unlimited {
		f.Have += ", a user's " + number(have.UserProcesses)
	}
	want := int64(need.Threads)
	switch {
	case want > have.CgroupPIDs:
		return f.worse(Missing, consequence, "raise pids.max of the control group: TasksMax= of the service, or docker run --pids-limit")
	case bound && want > have.UserProcesses:
		return f.worse(Missing, consequence, fmt.Sprintf("raise RLIMIT_NPROC: `ulimit -u %d`, nproc in /etc/security/limits.conf, or LimitNPROC= of a service", 2*need.Threads))
	}
	var settings []tune.Setting
	if want > have.PIDMax-have.ThreadsNow {
		settings = append(settings, sysctl("kernel.pid_max", pidsAtMost))
	}
	if want > have.ThreadsMax-have.ThreadsNow {
		settings = append(settings, sysctl("kernel.threads-max", have.ThreadsNow+2*want))
	}
	if len(settings) > 0 {
		return f.tunable(Missing, consequence, settings...)
	}
	return f.fine()
}

// roomyNamespaces is what a limit of namespaces or mounts is raised to at least.
const roomyNamespaces = 100_000

// namespaces: one for each node's network, one for each process's host name, and
// further ones for private views, and one of mounts for each process that sees its
// node's directory in place of the host's.
func namespaces(need Need, have Facts) []Finding {
	wanted := [len(namespaceKinds)]int{need.Nodes, need.Processes + need.Views, need.Views + need.Bound, need.Views, need.Views}
	var limits, wants []string
	var settings []tune.Setting
	for i, kind := range namespaceKinds {
		limits = append(limits, kind+" "+number(have.Namespaces[i]))
		if wanted[i] > 0 {
			wants = append(wants, kind+" "+number(wanted[i]))
		}
		if have.Namespaces[i] < int64(wanted[i]) {
			settings = append(settings, sysctl("user.max_"+kind+"_namespaces", max(roomyNamespaces, 2*wanted[i])))
		}
	}
	f := Finding{Check: "namespaces", Have: strings.Join(limits, ", "), Need: strings.Join(wants, ", ")}
	if least := slices.Min(have.Namespaces[:]); least == slices.Max(have.Namespaces[:]) {
		f.Have = number(least) + " of each kind"
	}
	if wants == nil {
		f.Need = "-"
	}
	if len(settings) > 0 {
		return f.tunable(Missing, "not all nodes can be made", settings...)
	}
	return f.fine()
}

// mounts: one for each node's namespace.
func mounts(need Need, have Facts) []Finding {
	f := Finding{
		Check: "mounts", Need: atLeast(need.Nodes),
		Have: fmt.Sprintf("%s, %s there", number(have.Mounts), number(have.MountsNow)),
	}
	if have.Mounts-have.MountsNow < int64(need.Nodes) {
		return f.tunable(Missing, "not all nodes can be made", sysctl("fs.mount-max", max(roomyNamespaces, 2*need.Nodes)))
	}
	return f.fine()
}

// neighbours: the tables of all namespaces are limited together, by the initial
// namespace's sysctls.
func neighbours(need Need, have Facts) []Finding {
	var out []Finding
	for i, family := range []string{"ipv4", "ipv6"} {
		t := have.Neighbours[i]
		f := Finding{
			Check: "neighbours " + family, Need: atLeast(need.Neighbours),
			Have: fmt.Sprintf("gc_thresh %s/%s/%s", number(t[0]), number(t[1]), number(t[2])),
		}
		if t[2] == Unlimited {
			f.Have = "not known in this namespace"
			out = append(out, f.fine()...)
			continue
		}
		var settings []tune.Setting
		for k, factor := range []int{1, 2, 4} {
			if want := factor * need.Neighbours; t[k] < int64(want) {
				settings = append(settings, sysctl(fmt.Sprintf("net.%s.neigh.default.gc_thresh%d", family, k+1), want))
			}
		}
		switch {
		case len(settings) == 0:
			out = append(out, f.fine()...)
		case have.NeighboursSettable:
			f.Have += "; a run raises it for good"
			f.Settings = settings
			out = append(out, f.fine()...)
		case t[2] < int64(need.Neighbours):
			out = append(out, f.tunable(Missing, "nodes lose their neighbours: the tables of all nodes are limited together", settings...)...)
		case t[0] < int64(need.Neighbours):
			out = append(out, f.tunable(Warning, "entries are thrown out early, and asked for again", settings...)...)
		default:
			out = append(out, f.fine()...)
		}
	}
	return out
}

// inotify: Orrery and the routing daemons watch no files, a scenario's commands
// may.
func inotify(need Need, have Facts) []Finding {
	f := Finding{Check: "inotify instances", Have: number(have.Inotify), Need: atLeast(need.Commands)}
	if have.Inotify < int64(need.Commands) {
		return f.tunable(Note, "commands that watch files may fail; daemons do not watch any",
			sysctl("fs.inotify.max_user_instances", max(8192, 2*need.Commands)))
	}
	return f.fine()
}

func memory(need Need, have Facts) []Finding {
	most := min(have.MemoryAvailable, have.MemoryCgroup)
	f := Finding{Check: "memory", Have: size(most) + " available", Need: "about " + size(need.Memory)}
	if need.Memory == 0 {
		f.Need = "0.7 MiB a node, and daemons"
	}
	const remedy = "add memory, end other programs, or choose fewer nodes"
	switch {
	case most < need.Memory:
		return f.worse(Missing, "the kernel kills daemons, or this program", remedy)
	case most/5*4 < need.Memory:
		return f.worse(Warning, "little is left for routes and for the scenario's own programs", remedy)
	}
	return f.fine()
}

func runDirectory(need Need, have Facts) []Finding {
	f := Finding{
		Check: "run directory", Need: fmt.Sprintf("%s, %s files", size(need.Disk), atLeast(need.Inodes)),
		Have: fmt.Sprintf("%s, %s files free", size(have.Disk), number(have.Inodes)),
	}
	if need.Disk == 0 {
		f.Need = "20 KiB, 5 files a process"
	}
	if have.Disk < need.Disk || have.Inodes < int64(need.Inodes) {
		return f.worse(Missing, "nodes' files cannot be written to "+have.RunDir, "make room there, or set ORRERY_RUNTIME_DIR to a directory on another file system")
	}
	return f.fine()
}

// socketBuffers: the prober's, that answers wait in while the emulator does not
// run. What the scenario's programs ask for is theirs to know.
func socketBuffers(need Need, have Facts) []Finding {
	f := Finding{Check: "socket buffers", Have: size(have.SocketBuffer), Need: atLeastSize(need.SocketBuffer)}
	if have.SocketBuffer < need.SocketBuffer {
		return f.tunable(Note, "probes whose answers come in bursts may count as lost", sysctl("net.core.rmem_max", need.SocketBuffer))
	}
	return f.fine()
}

// ancillary memory of a socket (optmem_max) holds its multicast memberships.
func ancillary(need Need, have Facts) []Finding {
	f := Finding{Check: "optmem of a node", Have: size(have.Ancillary), Need: atLeastSize(need.Ancillary)}
	if have.Ancillary < need.Ancillary {
		const consequence = "daemons cannot join the multicast groups of all ports of a node"
		if have.AncillaryOwn {
			return f.worse(Warning, consequence, "give nodes fewer ports: each namespace begins with the kernel's default")
		}
		return f.tunable(Warning, consequence, sysctl("net.core.optmem_max", 2*need.Ancillary))
	}
	return f.fine()
}

// largestBuffer is the most that a TCP window can use: windows end at 1 GiB
// (RFC 7323).
const largestBuffer = 1 << 30

// tcpBuffers: a connection keeps a product of bandwidth and delay under way,
// and half of a buffer is for the kernel's own (tcp_adv_win_scale in
// Documentation/networking/ip-sysctl.rst).
func tcpBuffers(need Need, have Facts) []Finding {
	f := Finding{Check: "TCP buffers", Need: "-"}
	buffer := min(have.TCPReceive[2], have.TCPSend[2])
	f.Have = size(buffer)
	if buffer == 0 {
		f.Have = "not known"
	}
	want := int64(min(2*need.Rate/8*need.RoundTrip.Seconds(), largestBuffer))
	if want == 0 || buffer == 0 {
		return f.fine()
	}
	f.Need = fmt.Sprintf("better %s: %s, %d ms", size(want), rate(need.Rate), need.RoundTrip.Milliseconds())
	if buffer >= want {
		return f.fine()
	}
	var settings []tune.Setting
	for _, s := range []struct {
		name string
		have [3]int64
	}{{"rmem", have.TCPReceive}, {"wmem", have.TCPSend}} {
		if s.have[2] < want {
			settings = append(settings, tune.Setting{Sysctl: "net.ipv4.tcp_" + s.name, Value: fmt.Sprintf("%d %d %d", s.have[0], s.have[1], want)})
		}
	}
	return f.tunable(Note, fmt.Sprintf("one TCP connection over the longest way there can be reaches about %s, as on any host with such buffers",
		rate(float64(buffer)/2*8/need.RoundTrip.Seconds())), settings...)
}

// softirq: what a node sends to itself waits in the CPU's backlog; frames of TAP
// devices do not.
func softirq(_ Need, have Facts) []Finding {
	f := Finding{
		Check: "netdev budget", Have: fmt.Sprintf("%s, backlog %s", number(have.NetdevBudget), number(have.NetdevBacklog)),
		Need: fmt.Sprintf("better %s, backlog %s", number(netdevBudget), number(netdevBacklog)),
	}
	var settings []tune.Setting
	if have.NetdevBudget < netdevBudget {
		settings = append(settings, sysctl("net.core.netdev_budget", netdevBudget))
	}
	if have.NetdevBacklog < netdevBacklog {
		settings = append(settings, sysctl("net.core.netdev_max_backlog", netdevBacklog))
	}
	if len(settings) > 0 {
		return f.tunable(Note, "bursts that a node sends to itself are dropped earlier than by default", settings...)
	}
	return f.fine()
}

func atLeastSize(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return size(bytes)
}

package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"orrery.dev/orrery/router"
)

// Verdict on one check.
type Verdict string

// The verdicts, from good to bad.
const (
	OK      Verdict = "ok"
	Note    Verdict = "note"    // works, with what Consequence says
	Missing Verdict = "missing" // does not work
)

// Finding is what one check found. Consequence and Remedy are empty if all is
// well.
type Finding struct {
	Check       string  `json:"check"`
	Verdict     Verdict `json:"verdict"`
	Have        string  `json:"have"`
	Need        string  `json:"need"`
	Consequence string  `json:"consequence,omitempty"`
	Remedy      string  `json:"remedy,omitempty"`
}

// Healthy says that nothing is missing.
func Healthy(findings []Finding) bool {
	return !slices.ContainsFunc(findings, func(f Finding) bool { return f.Verdict == Missing })
}

// Examine compares what is needed with what is there.
func Examine(need Need, have Facts) []Finding {
	var out []Finding
	for _, check := range []func(Need, Facts) []Finding{
		kernel, privileges, devices, descriptors, processes, neighbours, namespaces,
		memory, processors, priority, ipv6, software, inotify, surroundings,
	} {
		out = append(out, check(need, have)...)
	}
	return out
}

// worse gives a finding its verdict, consequence and remedy.
func (f Finding) worse(v Verdict, consequence, remedy string) []Finding {
	f.Verdict, f.Consequence, f.Remedy = v, consequence, remedy
	return []Finding{f}
}

func (f Finding) fine() []Finding {
	f.Verdict = OK
	return []Finding{f}
}

func kernel(_ Need, have Facts) []Finding {
	f := Finding{Check: "kernel", Have: "Linux " + have.Kernel, Need: "Linux 5.11"}
	if have.KernelError != nil {
		return f.worse(Missing, "links cannot carry frames: "+have.KernelError.Error(), "install a newer kernel and reboot")
	}
	return f.fine()
}

func privileges(_ Need, have Facts) []Finding {
	f := Finding{Check: "privileges", Have: "CAP_SYS_ADMIN, CAP_NET_ADMIN", Need: "root, or a user namespace"}
	if have.Root {
		f.Have = "root"
	}
	if have.Permission != nil {
		f.Have = "an ordinary user"
		if have.Root {
			f.Have = "root without capabilities"
		}
		return f.worse(Missing, "no node can be made", trimmed(have.Permission))
	}
	return f.fine()
}

// trimmed is an error's text without the name of its package.
func trimmed(err error) string {
	return strings.TrimPrefix(err.Error(), "node: ")
}

func devices(_ Need, have Facts) []Finding {
	tun := Finding{Check: "/dev/net/tun", Have: "can be opened", Need: "can be opened"}
	if have.TUN != nil {
		tun.Have = "no"
		return tun.worse(Missing, "nodes have no ports", have.TUN.Error())
	}
	if have.Permission != nil {
		return tun.fine() // what devices can do cannot be tried
	}
	can := Finding{Check: "TAP devices", Need: "header, carrier"}
	if have.TAPError != nil {
		can.Have = "do not work"
		return append(tun.fine(), can.worse(Missing, "nodes have no ports: "+have.TAPError.Error(), "use Linux 5.11 or later with CONFIG_TUN")...)
	}
	list := []string{"header", "carrier"}
	var lack []string
	for _, a := range []struct {
		has         bool
		name, costs string
	}{
		{have.TAP.TSO, "TSO", "TCP within nodes costs several times the CPU"},
		{have.TAP.USO, "USO", "UDP in bulk costs more CPU"},
		{have.TAP.Announce, "prompt carrier", "daemons hear of lost links up to a second late"},
	} {
		if a.has {
			list = append(list, a.name)
		} else {
			lack = append(lack, a.costs)
		}
	}
	can.Have = strings.Join(list, ", ")
	if len(lack) > 0 {
		return append(tun.fine(), can.worse(Note, strings.Join(lack, "; "), "use Linux 6.2 or later")...)
	}
	return append(tun.fine(), can.fine()...)
}

func descriptors(need Need, have Facts) []Finding {
	f := Finding{Check: "open files", Have: number(int64(have.DescriptorsNow)), Need: atLeast(need.Descriptors)}
	if have.DescriptorsMost != have.DescriptorsNow {
		f.Have += ", may be raised to " + number(int64(have.DescriptorsMost))
	}
	if int64(have.DescriptorsMost) < int64(need.Descriptors) {
		return f.worse(Missing, "not all ports can be opened",
			fmt.Sprintf("raise the hard limit: `prlimit --pid $$ --nofile=%d` as root, /etc/security/limits.conf, or LimitNOFILE= of a service; or choose fewer nodes", need.Descriptors))
	}
	return f.fine()
}

func processes(need Need, have Facts) []Finding {
	most := min(have.PIDMax, have.ThreadsMax, have.CgroupPIDs)
	f := Finding{
		Check: "threads", Need: atLeast(need.Threads),
		Have: fmt.Sprintf("pid_max %s, threads-max %s", number(have.PIDMax), number(have.ThreadsMax)),
	}
	if have.CgroupPIDs != Unlimited {
		f.Have += ", pids.max " + number(have.CgroupPIDs)
	}
	if int64(need.Threads) <= most {
		return f.fine()
	}
	remedy := fmt.Sprintf("sysctl -w kernel.pid_max=4194304 kernel.threads-max=%d", 2*need.Threads)
	if have.CgroupPIDs == most {
		remedy = "raise pids.max of the control group: TasksMax= of the service, or docker run --pids-limit"
	}
	return f.worse(Missing, "some daemons cannot be started", remedy)
}

func neighbours(need Need, have Facts) []Finding {
	var out []Finding
	for i, family := range []string{"ipv4", "ipv6"} {
		t := have.Neighbours[i]
		f := Finding{
			Check: "neighbours " + family, Need: atLeast(need.Neighbours),
			Have: fmt.Sprintf("gc_thresh %s/%s/%s", number(t[0]), number(t[1]), number(t[2])),
		}
		switch {
		case t[2] == Unlimited:
			f.Have = "not known in this namespace"
			out = append(out, f.fine()...)
		case t[0] >= int64(need.Neighbours):
			out = append(out, f.fine()...)
		case have.NeighboursSettable:
			out = append(out, f.worse(Note, "the limits are raised when the run starts, and stay so", "nothing to do")...)
		default:
			verdict, consequence := Note, "entries are thrown out early, and asked for again"
			if t[2] < int64(need.Neighbours) {
				verdict, consequence = Missing, "nodes lose their neighbours: the tables of all nodes are limited together"
			}
			out = append(out, f.worse(verdict, consequence, fmt.Sprintf("sysctl -w net.%[1]s.neigh.default.gc_thresh1=%[2]d net.%[1]s.neigh.default.gc_thresh2=%[3]d net.%[1]s.neigh.default.gc_thresh3=%[4]d",
				family, need.Neighbours, 2*need.Neighbours, 4*need.Neighbours))...)
		}
	}
	return out
}

func namespaces(need Need, have Facts) []Finding {
	f := Finding{
		Check: "network namespaces", Need: atLeast(need.Nodes),
		Have: fmt.Sprintf("%s, %s mounts", number(have.NetNamespaces), number(have.Mounts)),
	}
	if int64(need.Nodes) > min(have.NetNamespaces, have.Mounts) {
		return f.worse(Missing, "not all nodes can be made",
			fmt.Sprintf("sysctl -w user.max_net_namespaces=%[1]d fs.mount-max=%[1]d", max(100_000, 2*need.Nodes)))
	}
	return f.fine()
}

func memory(need Need, have Facts) []Finding {
	most := min(have.MemoryAvailable, have.MemoryCgroup)
	f := Finding{Check: "memory", Have: size(most) + " available", Need: "about " + size(need.Memory)}
	if need.Memory == 0 {
		f.Need = "0.7 MiB a node + daemons"
	}
	if most < need.Memory {
		return f.worse(Missing, "the kernel kills daemons, or this program", "add memory, end other programs, or choose fewer nodes")
	}
	return f.fine()
}

// daemonsPerCPU is how many routing daemons one CPU has carried well.
const daemonsPerCPU = 100

func processors(need Need, have Facts) []Finding {
	want := max(2, (need.Daemons+daemonsPerCPU-1)/daemonsPerCPU)
	f := Finding{Check: "CPUs", Have: strconv.Itoa(have.CPUs), Need: fmt.Sprintf("better %d or more", want)}
	if have.CPUs < want {
		if need.Daemons > daemonsPerCPU*have.CPUs {
			return f.worse(Note, fmt.Sprintf("%d routing daemons converge slowly, or not at all", need.Daemons), "use a host with more CPUs, fewer nodes, or protocol oracle")
		}
		return f.worse(Note, "frames wait for programs that compute", "use a host with more CPUs")
	}
	return f.fine()
}

func priority(_ Need, have Facts) []Finding {
	f := Finding{Check: "real-time priority", Have: "allowed", Need: "better allowed"}
	if !have.RealTime {
		f.Have = "refused"
		return f.worse(Note, "frames are late when the CPUs are busy (0.8 ms on average, against 0.01 ms)", "allow CAP_SYS_NICE, or raise RLIMIT_RTPRIO with `ulimit -r 10`")
	}
	return f.fine()
}

func ipv6(_ Need, have Facts) []Finding {
	f := Finding{Check: "IPv6", Have: "yes", Need: "yes"}
	if !have.IPv6 {
		f.Have = "no"
		return f.worse(Missing, "nodes have no addresses", "boot without ipv6.disable=1, or use a kernel with CONFIG_IPV6")
	}
	return f.fine()
}

// software checks the routing suites that are needed; others are told of where
// nothing in particular is needed.
func software(need Need, have Facts) []Finding {
	var out []Finding
	for _, daemon := range []string{router.BIRD, router.FRR} {
		needed := slices.Contains(need.Software, daemon)
		if !needed && need.Nodes > 0 {
			continue
		}
		s := have.Software[daemon]
		f := Finding{Check: daemon, Have: s.Version, Need: "installed"}
		if !needed {
			f.Need = "if a scenario asks"
		}
		switch {
		case s.Error == nil:
			out = append(out, f.fine()...)
		case needed:
			f.Have = absent(f.Have)
			out = append(out, f.worse(Missing, "no node can route", s.Error.Error())...)
		default:
			f.Have = absent(f.Have)
			out = append(out, f.worse(Note, "scenarios that name it cannot be run", s.Error.Error())...)
		}
	}
	return out
}

func absent(version string) string {
	if version == "" {
		return "no"
	}
	return version + ", not usable"
}

// inotify: Orrery and the routing daemons watch no files, a scenario's commands
// may.
func inotify(need Need, have Facts) []Finding {
	f := Finding{Check: "inotify instances", Have: number(have.Inotify), Need: atLeast(need.Commands)}
	if have.Inotify < int64(need.Commands) {
		return f.worse(Note, "commands that watch files may fail; daemons do not watch any", "sysctl -w fs.inotify.max_user_instances=8192")
	}
	return f.fine()
}

// surroundings are parts of the host that get in the way of other emulators.
func surroundings(_ Need, have Facts) []Finding {
	conntrack := Finding{Check: "connection tracking", Have: "absent", Need: "none"}
	if have.Conntrack != Unlimited {
		conntrack.Have = fmt.Sprintf("present (%s); not in nodes", number(have.Conntrack))
	}
	managers := Finding{Check: "device managers", Have: "none", Need: "none"}
	var seen []string
	if have.UDev {
		seen = append(seen, "udev")
	}
	if have.Networkd {
		seen = append(seen, "systemd-networkd")
	}
	if len(seen) > 0 {
		managers.Have = strings.Join(seen, ", ") + "; they see no node"
	}
	return append(conntrack.fine(), managers.fine()...)
}

func atLeast(n int) string {
	if n == 0 {
		return "-"
	}
	return number(int64(n))
}

// number has a comma between thousands.
func number(n int64) string {
	if n == Unlimited {
		return "unlimited"
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(bytes int64) string {
	switch {
	case bytes == Unlimited:
		return "unlimited"
	case bytes >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
}

package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"orrery.dev/orrery/node"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/tap"
)

func kernel(_ Need, have Facts) []Finding {
	f := Finding{Check: "kernel", Have: "Linux " + have.Kernel, Need: "Linux 5.11"}
	if have.KernelError != nil {
		return f.worse(Missing, "links cannot carry frames: "+have.KernelError.Error(), "install a newer kernel and reboot")
	}
	return f.fine()
}

// checkPrivileges is what all else depends on.
const checkPrivileges = "privileges"

func privileges(_ Need, have Facts) []Finding {
	f := Finding{Check: checkPrivileges, Have: "CAP_SYS_ADMIN, CAP_NET_ADMIN", Need: "root, or a user namespace"}
	switch {
	case have.Root && have.InitialUser:
		f.Have = "root"
	case have.Root:
		f.Have = "root of a user namespace"
	}
	if have.Permission != nil {
		f.Have = "an ordinary user"
		if have.Root {
			f.Have = "root without capabilities"
		}
		return f.worse(Missing, "no node can be made", advice(have.Permission))
	}
	return f.fine()
}

// advice is an error's text without the names of packages and of the error that
// it wraps, which say nothing to users.
func advice(err error) string {
	text := err.Error()
	for _, where := range []string{"node: ", "router: ", "tap: "} {
		text = strings.TrimPrefix(text, where)
	}
	for _, what := range []error{node.ErrNotPermitted, tap.ErrUnavailable, router.ErrMissing} {
		text = strings.TrimSuffix(text, ": "+what.Error())
	}
	return text
}

func devices(_ Need, have Facts) []Finding {
	tun := Finding{Check: "/dev/net/tun", Have: "can be opened", Need: "can be opened"}
	if have.TUN != nil {
		tun.Have = "no"
		return tun.worse(Missing, "nodes have no ports", advice(have.TUN))
	}
	if have.Permission != nil {
		return tun.fine() // what devices can do cannot be tried
	}
	can := Finding{Check: "TAP devices", Need: "header, carrier"}
	if have.TAPError != nil {
		can.Have = "do not work"
		return append(tun.fine(), can.worse(Missing, "nodes have no ports: "+advice(have.TAPError), "use Linux 5.11 or later with CONFIG_TUN")...)
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
	verdict := Note
	if !have.TAP.Announce {
		verdict = Warning
	}
	if len(lack) > 0 {
		return append(tun.fine(), can.worse(verdict, strings.Join(lack, "; "), "use Linux 6.2 or later")...)
	}
	return append(tun.fine(), can.fine()...)
}

func ipv6(_ Need, have Facts) []Finding {
	f := Finding{Check: "IPv6", Have: "yes", Need: "yes"}
	if !have.IPv6 {
		f.Have = "no"
		return f.worse(Missing, "nodes have no addresses", "boot without ipv6.disable=1, or use a kernel with CONFIG_IPV6")
	}
	return f.fine()
}

func processors(need Need, have Facts) []Finding {
	want := max(2, (need.Daemons+daemonsPerCPU-1)/daemonsPerCPU)
	f := Finding{Check: "CPUs", Have: strconv.FormatFloat(have.CPUs, 'g', 3, 64), Need: fmt.Sprintf("better %d or more", want)}
	switch {
	case have.CPUs >= float64(want):
		return f.fine()
	case float64(need.Daemons) > daemonsPerCPU*have.CPUs:
		return f.worse(Warning, fmt.Sprintf("%d routing daemons may take long to converge with default timers", need.Daemons),
			"use a host with more CPUs, slower timers (hello, dead, spfDelay), areas, fewer nodes, or protocol oracle")
	}
	return f.worse(Warning, "frames wait for programs that compute", "use a host with more CPUs, or raise the control group's quota if that is the limit")
}

func priority(_ Need, have Facts) []Finding {
	f := Finding{Check: "real-time priority", Have: "allowed", Need: "better allowed"}
	if have.RealTime {
		return f.fine()
	}
	f.Have = "refused"
	const consequence = "frames are late when the CPUs are busy (0.8 ms on average, against 0.01 ms)"
	if have.RealTimeRuntime == 0 {
		return f.tunable(Warning, consequence, sysctl("kernel.sched_rt_runtime_us", 950000))
	}
	return f.worse(Warning, consequence, "allow CAP_SYS_NICE, or raise RLIMIT_RTPRIO: `ulimit -r 10`, rtprio in /etc/security/limits.conf, or LimitRTPRIO= of a service")
}

// software checks the routing suites that are needed; others are told of where
// nothing in particular is needed.
func software(need Need, have Facts) []Finding {
	var out []Finding
	for _, daemon := range suitesFor(need) {
		needed := slices.Contains(need.Software, daemon)
		tested := testedVersions[daemon]
		s := have.Software[daemon]
		f := Finding{Check: daemon, Have: s.Version, Need: "tested with " + tested}
		if !needed {
			f.Need += ", if a scenario asks"
		}
		switch {
		case s.Error == nil && older(s.Version, tested):
			out = append(out, f.worse(Note, "this version may read the configuration otherwise", "install "+tested+" or later if it does not come up")...)
		case s.Error == nil:
			out = append(out, f.fine()...)
		case needed:
			f.Have = absent(f.Have)
			out = append(out, f.worse(Missing, "no node can route", advice(s.Error))...)
		default:
			f.Have = absent(f.Have)
			out = append(out, f.worse(Note, "scenarios that name it cannot be run", advice(s.Error))...)
		}
	}
	return out
}

func absent(version string) string {
	if version == "" {
		return "none"
	}
	return version + ", not usable"
}

// older compares versions number by number, as far as they are numbers.
func older(a, b string) bool {
	x, y := strings.FieldsFunc(a, notDigit), strings.FieldsFunc(b, notDigit)
	for i := range min(len(x), len(y)) {
		p, _ := strconv.Atoi(x[i])
		q, _ := strconv.Atoi(y[i])
		if p != q {
			return p < q
		}
	}
	return len(x) < len(y)
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

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

package node

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// setting is a sysctl of a namespace.
type setting struct{ path, value string }

// settings of a node's namespace. Those under "default" hold for devices made
// afterwards.
func settings(forward bool) []setting {
	s := []setting{
		{"ipv6/conf/all/disable_ipv6", "0"},
		{"ipv6/conf/default/disable_ipv6", "0"},
		// Addresses are derived, not generated, and unique by construction:
		// duplicate address detection would only make them wait.
		{"ipv6/conf/default/addr_gen_mode", "1"},
		{"ipv6/conf/default/accept_dad", "0"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/router_solicitations", "0"},
		// A route whose device has no carrier is not used, at once and without
		// any daemon's help: a static route's next choice takes over.
		{"ipv6/conf/default/ignore_routes_with_linkdown", "1"},
		{"ipv4/conf/all/ignore_routes_with_linkdown", "1"},
		{"ipv4/conf/default/ignore_routes_with_linkdown", "1"},
		{"ipv6/conf/all/keep_addr_on_down", "1"},
		// The way back may differ from the way there.
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv6/route/max_size", "1048576"},
		// Where next hops cost alike the kernel chooses by a hash of the packet's
		// addresses and flow label. Without automatic flow labels all packets
		// between two nodes take one way, the one that Lookup tells.
		{"ipv6/auto_flowlabels", "0"},
		// ping without privileges.
		{"ipv4/ping_group_range", "0 " + strconv.Itoa(lastGroup())},
	}
	if forward {
		s = append(s, setting{"ipv6/conf/all/forwarding", "1"}, setting{"ipv4/ip_forward", "1"})
	}
	return s
}

// lastGroup is the highest group that there is in this process's user namespace;
// others the kernel does not take.
func lastGroup() int {
	const most = 1<<31 - 1
	b, err := os.ReadFile("/proc/self/gid_map") // user_namespaces(7)
	if err != nil {
		return most
	}
	last := 0
	for line := range strings.Lines(string(b)) {
		var inside, outside, count int
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil {
			last = max(last, inside+count-1)
		}
	}
	return min(last, most)
}

// differing keeps those settings that the calling thread's namespace does not
// have yet. New namespaces are alike, so this is asked once for all.
func differing(list []setting) []setting {
	return slices.DeleteFunc(list, func(s setting) bool {
		b, err := os.ReadFile("/proc/sys/net/" + s.path)
		return err == nil && strings.Join(strings.Fields(string(b)), " ") == s.value
	})
}

// sysctls writes settings of new namespaces, one namespace after another.
//
// All namespaces have the same names below /proc/sys/net, and the kernel keeps
// the directories of all of them in one hash chain, which it walks several
// times for each new namespace: with thousands of namespaces that takes longer
// than all else that makes a node. Each instance of procfs has chains of its own.
// So sysctls mounts one for a few namespaces, visible to nobody, and then another.
type sysctls struct {
	proc int // the instance's root, or -1
	left int // namespaces that it is still good for
}

// perInstance is how many namespaces use one instance of procfs. To let go of
// one waits for an RCU grace period.
const perInstance = 64

func newSysctls() *sysctls { return &sysctls{proc: -1} }

// write sets sysctls of the calling thread's namespace. One that this kernel
// does not know is left out.
func (c *sysctls) write(list []setting) error {
	if c.left == 0 {
		c.renew()
	}
	c.left--
	for _, s := range list {
		path := "sys/net/" + s.path
		fd, err := unix.Openat(c.proc, path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: "/proc/" + path, Err: err}
		}
		_, err = unix.Write(fd, []byte(s.value))
		_ = unix.Close(fd)
		if err != nil {
			return &os.PathError{Op: "write " + s.value + " to", Path: "/proc/" + path, Err: err}
		}
	}
	return nil
}

// renew mounts another procfs. Where that is not possible, as in most containers
// without root, it takes the one that there is.
func (c *sysctls) renew() {
	c.close()
	c.left = perInstance
	var err error
	if c.proc, err = mountProc(); err != nil {
		c.proc, _ = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
}

func (c *sysctls) close() {
	if c.proc >= 0 {
		_ = unix.Close(c.proc)
	}
	c.proc = -1
}

// mountProc makes an instance of procfs that is mounted nowhere (Linux 5.8;
// before, it was the same as /proc).
func mountProc() (fd int, err error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}

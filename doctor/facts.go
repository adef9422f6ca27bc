package doctor

import (
	"bytes"
	"context"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/tap"
)

// Facts are what a host has. A limit that does not exist or cannot be read is
// Unlimited.
type Facts struct {
	Kernel      string
	KernelError error // a call that the link engine cannot do without is missing
	Permission  error // why nodes may not be made
	Root        bool
	TUN         error // why TAP devices may not be opened
	TAP         tap.Abilities
	TAPError    error // a mandatory ability of TAP devices is missing

	DescriptorsNow, DescriptorsMost uint64

	PIDMax, ThreadsMax, CgroupPIDs int64
	NetNamespaces, Mounts          int64

	// Thresholds of neighbour tables: gc_thresh1-3 of IPv4 and IPv6.
	Neighbours [2][3]int64
	// NeighboursSettable: this process may raise them.
	NeighboursSettable bool

	Inotify int64
	// MemoryAvailable and MemoryCgroup are in bytes.
	MemoryAvailable, MemoryCgroup int64
	CPUs                          int
	RealTime                      bool
	IPv6                          bool
	Conntrack                     int64 // entries; Unlimited if it is not there
	UDev, Networkd                bool

	Software map[string]Software
}

// Software is a routing suite of the host.
type Software struct {
	Version string
	Error   error // it is not there, or does not work
}

// Unlimited is a limit that is not there.
const Unlimited = int64(1<<63 - 1)

// Host is where facts come from.
type Host interface {
	// ReadFile reads a file of the host, such as one below /proc/sys.
	ReadFile(name string) ([]byte, error)
	// Writable says whether this process may write to a file that exists.
	Writable(name string) bool
	// Permitted says why nodes may not be made.
	Permitted() error
	// DescriptorLimit is RLIMIT_NOFILE, soft and hard.
	DescriptorLimit() (now, most uint64, err error)
	// TUN says why TAP devices may not be opened.
	TUN() error
	// TAP tries what TAP devices can do.
	TAP() (tap.Abilities, error)
	// Kernel says which system call is missing.
	Kernel() error
	// RealTime says whether a thread may have real-time priority.
	RealTime() bool
	CPUs() int
	Root() bool
	// Version of a routing suite.
	Version(ctx context.Context, daemon string) (string, error)
}

// Gather asks a host for all facts.
func Gather(ctx context.Context, h Host) Facts {
	f := Facts{
		Kernel:      word(h, "/proc/sys/kernel/osrelease"),
		KernelError: h.Kernel(),
		Permission:  h.Permitted(), Root: h.Root(),
		TUN:        h.TUN(),
		PIDMax:     limit(h, "/proc/sys/kernel/pid_max"),
		ThreadsMax: limit(h, "/proc/sys/kernel/threads-max"),
		CgroupPIDs: min(cgroupLimit(h, "pids", "pids.max"), cgroupLimit(h, "", "pids.max")),

		NetNamespaces: limit(h, "/proc/sys/user/max_net_namespaces"),
		Mounts:        limit(h, "/proc/sys/fs/mount-max"),
		Inotify:       limit(h, "/proc/sys/fs/inotify/max_user_instances"),
		Conntrack:     limit(h, "/proc/sys/net/netfilter/nf_conntrack_max"),

		MemoryAvailable: memoryAvailable(h),
		MemoryCgroup:    min(cgroupLimit(h, "memory", "memory.limit_in_bytes"), cgroupLimit(h, "", "memory.max")),

		CPUs: h.CPUs(), RealTime: h.RealTime(),
		IPv6:     exists(h, "/proc/sys/net/ipv6/conf/all/disable_ipv6"),
		UDev:     exists(h, "/run/udev/control") || exists(h, "/run/udev/data/+module:tun"),
		Networkd: exists(h, "/run/systemd/netif/state"),
		Software: make(map[string]Software),
	}
	if now, most, err := h.DescriptorLimit(); err == nil {
		f.DescriptorsNow, f.DescriptorsMost = now, most
	}
	if f.Permission == nil && f.TUN == nil {
		f.TAP, f.TAPError = h.TAP()
	}
	f.NeighboursSettable = true
	for i, family := range []string{"ipv4", "ipv6"} {
		for k := range 3 {
			name := "/proc/sys/net/" + family + "/neigh/default/gc_thresh" + strconv.Itoa(k+1)
			f.Neighbours[i][k] = limit(h, name)
			f.NeighboursSettable = f.NeighboursSettable && h.Writable(name)
		}
	}
	for _, daemon := range []string{router.BIRD, router.FRR} {
		v, err := h.Version(ctx, daemon)
		f.Software[daemon] = Software{v, err}
	}
	return f
}

func exists(h Host, name string) bool {
	_, err := h.ReadFile(name)
	// Sockets exist and cannot be read.
	return err == nil || !os.IsNotExist(err)
}

func word(h Host, name string) string {
	b, err := h.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// limit reads a number; "max", as cgroups have it, is none.
func limit(h Host, name string) int64 {
	v, err := strconv.ParseInt(word(h, name), 10, 64)
	if err != nil {
		return Unlimited
	}
	return v
}

// cgroupLimit is the least limit on the way from this process's control group
// to the root: of a controller's hierarchy (version 1), or with an empty
// controller of the unified one (version 2, cgroups(7)).
func cgroupLimit(h Host, controller, file string) int64 {
	least := Unlimited
	for line := range strings.Lines(word(h, "/proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // id:controllers:path
		if len(parts) < 3 || parts[1] != controller {
			continue
		}
		for dir := parts[2]; ; dir = path.Dir(dir) {
			least = min(least, limit(h, path.Join("/sys/fs/cgroup", controller, dir, file)))
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return least
}

// memoryAvailable is what programs may still have without swapping (proc(5)).
func memoryAvailable(h Host) int64 {
	for line := range strings.Lines(word(h, "/proc/meminfo")) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			if kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
				return kB << 10
			}
		}
	}
	return Unlimited
}

// System is this machine.
type System struct{}

var _ Host = System{}

// ReadFile implements Host.
func (System) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// Writable implements Host.
func (System) Writable(name string) bool {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// Permitted implements Host.
func (System) Permitted() error { return node.Permitted() }

// DescriptorLimit implements Host.
func (System) DescriptorLimit() (now, most uint64, err error) { return node.DescriptorLimit() }

// TUN implements Host.
func (System) TUN() error { return tap.Available() }

// TAP implements Host.
func (System) TAP() (tap.Abilities, error) { return tap.Probe() }

// Kernel implements Host.
func (System) Kernel() error { return fabric.Available() }

// RealTime implements Host.
func (System) RealTime() bool { return fabric.RealTime() }

// CPUs implements Host.
func (System) CPUs() int { return runtime.NumCPU() }

// Root implements Host.
func (System) Root() bool { return os.Geteuid() == 0 }

// Version implements Host.
func (System) Version(ctx context.Context, daemon string) (string, error) {
	v, err := router.Version(ctx, daemon)
	if err != nil {
		return "", err
	}
	return v, router.Usable(daemon)
}

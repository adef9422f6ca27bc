package doctor

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

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
	InitialUser bool  // not in a user namespace
	TUN         error // why TAP devices may not be opened
	TAP         tap.Abilities
	TAPError    error // a mandatory ability of TAP devices is missing

	DescriptorsNow, DescriptorsMost uint64
	// FileMax is the host's limit of open files, FilesOpen how many there are.
	FileMax, FilesOpen int64

	// Limits of processes and threads: the host's, the control group's, and the
	// user's. ThreadsNow is how many the host has already.
	PIDMax, ThreadsMax, CgroupPIDs, UserProcesses int64
	ThreadsNow                                    int64

	// Namespaces are the limits of each kind, in the order of namespaceKinds.
	Namespaces [len(namespaceKinds)]int64
	// Mounts is the limit in a mount namespace, MountsNow how many there are.
	Mounts, MountsNow int64

	// Thresholds of neighbour tables: gc_thresh1-3 of IPv4 and IPv6.
	Neighbours [2][3]int64
	// NeighboursSettable: this process may raise them.
	NeighboursSettable bool

	Inotify int64
	// SocketBuffer is net.core.rmem_max.
	SocketBuffer int64
	// Ancillary is net.core.optmem_max as a node has it: its own, or on older
	// kernels the host's.
	Ancillary    int64
	AncillaryOwn bool
	// TCP buffers as a node begins with them: least, first and most bytes of
	// net.ipv4.tcp_rmem and tcp_wmem.
	TCPReceive, TCPSend [3]int64
	// The network softirq: packets in one go, packets that may wait for it.
	NetdevBudget, NetdevBacklog int64

	// MemoryAvailable and MemoryCgroup are in bytes.
	MemoryAvailable, MemoryCgroup int64
	// RunDir, and what its file system has free.
	RunDir       string
	Disk, Inodes int64

	// CPUs that may be used; a control group's quota makes it a fraction.
	CPUs     float64
	RealTime bool
	// RealTimeRuntime is kernel.sched_rt_runtime_us: of each second, how many
	// microseconds threads with real-time priority may run.
	RealTimeRuntime int64
	// RealTimeGroups: control groups (version 1) have real-time of their own, and a new one
	// has none (CONFIG_RT_GROUP_SCHED).
	RealTimeGroups bool
	IPv6           bool
	Conntrack      int64 // entries; Unlimited if it is not there
	UDev, Networkd bool

	Software map[string]Software
}

// Software is a routing suite of the host.
type Software struct {
	Version string
	Error   error // it is not there, or does not work
}

// Unlimited is a limit that is not there.
const Unlimited = int64(math.MaxInt64)

// namespaceKinds that nodes are made of (namespaces(7)).
var namespaceKinds = [...]string{"net", "uts", "mnt", "pid", "ipc"}

// Sysctls that a node has of its own.
const (
	optmemMax = "proc/sys/net/core/optmem_max"
	tcpRmem   = "proc/sys/net/ipv4/tcp_rmem"
	tcpWmem   = "proc/sys/net/ipv4/tcp_wmem"
)

// Gather asks a host for all facts that matter for a need. The run will have
// its files below runDir.
func Gather(ctx context.Context, h Host, need Need, runDir string) Facts {
	files := tree{h.Files()}
	f := Facts{
		Kernel:      files.word("proc/sys/kernel/osrelease"),
		KernelError: h.Kernel(),
		Permission:  h.Permitted(), Root: h.Root(),
		InitialUser: files.numbers("proc/self/uid_map")[2] == math.MaxUint32, // user_namespaces(7)
		TUN:         h.TUN(),

		FileMax:    files.limit("proc/sys/fs/file-max"),
		FilesOpen:  files.numbers("proc/sys/fs/file-nr")[0],
		PIDMax:     files.limit("proc/sys/kernel/pid_max"),
		ThreadsMax: files.limit("proc/sys/kernel/threads-max"),
		ThreadsNow: files.threads(),
		CgroupPIDs: min(files.cgroupLimit("pids", "pids.max"), files.cgroupLimit("", "pids.max")),

		Mounts:        files.limit("proc/sys/fs/mount-max"),
		MountsNow:     int64(bytes.Count(files.read("proc/self/mountinfo"), []byte("\n"))),
		Inotify:       files.limit("proc/sys/fs/inotify/max_user_instances"),
		Conntrack:     files.limit("proc/sys/net/netfilter/nf_conntrack_max"),
		SocketBuffer:  files.limit("proc/sys/net/core/rmem_max"),
		NetdevBudget:  files.limit("proc/sys/net/core/netdev_budget"),
		NetdevBacklog: files.limit("proc/sys/net/core/netdev_max_backlog"),

		MemoryAvailable: files.memoryAvailable(),
		MemoryCgroup:    min(files.cgroupLimit("memory", "memory.limit_in_bytes"), files.cgroupLimit("", "memory.max")),

		CPUs:            min(float64(h.CPUs()), files.cpuQuota()),
		RealTime:        h.RealTime(),
		RealTimeRuntime: files.limit("proc/sys/kernel/sched_rt_runtime_us"),
		RealTimeGroups:  files.exists("sys/fs/cgroup/cpu/cpu.rt_runtime_us"),
		IPv6:            files.exists("proc/sys/net/ipv6/conf/all/disable_ipv6"),
		UDev:            files.exists("run/udev/control") || files.exists("run/udev/data/+module:tun"),
		Networkd:        files.exists("run/systemd/netif/state"),
		Software:        make(map[string]Software),

		RunDir: runDir, Disk: Unlimited, Inodes: Unlimited, UserProcesses: Unlimited,
	}
	if now, most, err := h.DescriptorLimit(); err == nil {
		f.DescriptorsNow, f.DescriptorsMost = now, most
	}
	if n, err := h.ProcessLimit(); err == nil {
		f.UserProcesses = n
	}
	if space, inodes, err := h.Space(runDir); err == nil {
		f.Disk, f.Inodes = space, inodes
	}
	own := tree{files}
	if f.Permission == nil {
		if list, err := h.NodeFiles(optmemMax, tcpRmem, tcpWmem); err == nil {
			own = tree{overlay{list, files}}
			_, f.AncillaryOwn = list[optmemMax]
		}
		if f.TUN == nil {
			f.TAP, f.TAPError = h.TAP()
		}
	}
	f.Ancillary, f.TCPReceive, f.TCPSend = own.limit(optmemMax), own.numbers(tcpRmem), own.numbers(tcpWmem)
	for i, kind := range namespaceKinds {
		f.Namespaces[i] = files.limit("proc/sys/user/max_" + kind + "_namespaces")
	}
	f.NeighboursSettable = true
	for i, family := range []string{"ipv4", "ipv6"} {
		for k := range 3 {
			name := "proc/sys/net/" + family + "/neigh/default/gc_thresh" + strconv.Itoa(k+1)
			f.Neighbours[i][k] = files.limit(name)
			f.NeighboursSettable = f.NeighboursSettable && h.Writable(name)
		}
	}
	for _, daemon := range suitesFor(need) {
		v, err := h.Version(ctx, daemon)
		f.Software[daemon] = Software{v, err}
	}
	return f
}

// suitesFor are the routing suites that matter for a need: those it names, or
// all if it is nobody's in particular.
func suitesFor(need Need) []string {
	if need.Nodes > 0 {
		return need.Software
	}
	return []string{router.BIRD, router.FRR}
}

// overlay are files before a tree that has the others.
type overlay struct {
	files map[string]string
	fs.FS
}

// ReadFile implements fs.ReadFileFS.
func (o overlay) ReadFile(name string) ([]byte, error) {
	if text, ok := o.files[name]; ok {
		return []byte(text), nil
	}
	return fs.ReadFile(o.FS, name)
}

// tree reads a host's files.
type tree struct{ fs.FS }

func (t tree) read(name string) []byte {
	b, err := fs.ReadFile(t.FS, name)
	if err != nil {
		return nil
	}
	return b
}

// exists is true also for what cannot be read, such as a socket.
func (t tree) exists(name string) bool {
	_, err := fs.Stat(t.FS, name)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

func (t tree) word(name string) string { return string(bytes.TrimSpace(t.read(name))) }

// limit reads a number; "max", as control groups have it, is none.
func (t tree) limit(name string) int64 {
	v, err := strconv.ParseInt(t.word(name), 10, 64)
	if err != nil {
		return Unlimited
	}
	return v
}

// numbers reads up to three numbers; those that are not there are 0.
func (t tree) numbers(name string) (n [3]int64) {
	for i, word := range strings.Fields(t.word(name)) {
		if i < len(n) {
			n[i], _ = strconv.ParseInt(word, 10, 64)
		}
	}
	return n
}

// threads is how many the host has: the denominator of the fourth field of
// /proc/loadavg (proc(5)).
func (t tree) threads() int64 {
	fields := strings.Fields(t.word("proc/loadavg"))
	if len(fields) < 4 {
		return 0
	}
	_, total, _ := strings.Cut(fields[3], "/")
	n, _ := strconv.ParseInt(total, 10, 64)
	return n
}

// cgroup calls f with each directory, from this process's control group to the
// root, of a controller's hierarchy (version 1), or with an empty controller of
// the unified one (version 2, cgroups(7)).
func (t tree) cgroup(controller string, f func(dir string)) {
	for line := range strings.Lines(t.word("proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // id:controllers:path
		if len(parts) < 3 || !slices.Contains(strings.Split(parts[1], ","), controller) {
			continue
		}
		for dir := path.Join("/", parts[2]); ; dir = path.Dir(dir) {
			f(path.Join("sys/fs/cgroup", controller, dir))
			if dir == "/" {
				break
			}
		}
	}
}

// cgroupLimit is the least limit on the way to the root.
func (t tree) cgroupLimit(controller, file string) int64 {
	least := Unlimited
	t.cgroup(controller, func(dir string) { least = min(least, t.limit(path.Join(dir, file))) })
	return least
}

// cpuQuota is how many CPUs the control groups leave to this process.
func (t tree) cpuQuota() float64 {
	least := math.Inf(1)
	see := func(quota, period int64) {
		if quota > 0 && period > 0 { // -1 is no limit
			least = min(least, float64(quota)/float64(period))
		}
	}
	t.cgroup("", func(dir string) {
		n := t.numbers(path.Join(dir, "cpu.max")) // "max 100000" gives 0
		see(n[0], n[1])
	})
	t.cgroup("cpu", func(dir string) {
		see(t.numbers(path.Join(dir, "cpu.cfs_quota_us"))[0], t.numbers(path.Join(dir, "cpu.cfs_period_us"))[0])
	})
	return least
}

// memoryAvailable is what programs may still have without swapping (proc(5)).
func (t tree) memoryAvailable() int64 {
	for line := range strings.Lines(t.word("proc/meminfo")) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			if kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
				return kB << 10
			}
		}
	}
	return Unlimited
}

// Package doctortest has a host made of values, for tests of what doctor and
// tune say and do on hosts that are not at hand.
package doctortest

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"testing/fstest"

	"orrery.dev/orrery/doctor"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/tap"
)

// Machine implements doctor.Host. Its fields are set before it is used.
type Machine struct {
	// Tree holds files by their names without a first slash.
	Tree map[string]string
	// NodeTree holds what a new network namespace has instead.
	NodeTree map[string]string
	// ReadOnly lets nothing be written.
	ReadOnly bool
	// Bytes and Inodes are free below every directory.
	Bytes, Inodes int64
	// Descriptors are RLIMIT_NOFILE, soft and hard; Processes is RLIMIT_NPROC.
	Descriptors [2]uint64
	Processes   int64
	// Errors of Permitted, TUN, TAP and Kernel; nil where all is well.
	PermittedError, TUNError, TAPError, KernelError error

	Abilities tap.Abilities
	Priority  bool
	Cores     int
	UID       int
	// Versions of routing suites; one that is absent is not installed.
	Versions map[string]string
	// AskedTAP says that TAP was called.
	AskedTAP bool
}

var _ doctor.Host = (*Machine)(nil)

// Good is a machine of 4 CPUs and 8 GB with a kernel's default limits, which
// lacks nothing that a small scenario needs.
func Good() *Machine {
	m := &Machine{
		Tree: map[string]string{
			"proc/sys/kernel/osrelease":                 "6.1.0\n",
			"proc/sys/kernel/pid_max":                   "4194304\n",
			"proc/sys/kernel/threads-max":               "60000\n",
			"proc/sys/kernel/sched_rt_runtime_us":       "950000\n",
			"proc/sys/fs/file-max":                      "9223372036854775807\n",
			"proc/sys/fs/file-nr":                       "2000\t0\t9223372036854775807\n",
			"proc/sys/fs/mount-max":                     "100000\n",
			"proc/sys/fs/inotify/max_user_instances":    "128\n",
			"proc/sys/net/ipv6/conf/all/disable_ipv6":   "0\n",
			"proc/sys/net/core/rmem_max":                "212992\n",
			"proc/sys/net/core/optmem_max":              "20480\n",
			"proc/sys/net/core/netdev_budget":           "300\n",
			"proc/sys/net/core/netdev_max_backlog":      "1000\n",
			"proc/sys/net/ipv4/tcp_rmem":                "4096\t131072\t6291456\n",
			"proc/sys/net/ipv4/tcp_wmem":                "4096\t16384\t4194304\n",
			"proc/meminfo":                              "MemTotal:  8000000 kB\nMemAvailable:    7000000 kB\n",
			"proc/self/uid_map":                         "         0          0 4294967295\n",
			"proc/loadavg":                              "0.10 0.20 0.30 1/321 4711\n",
			"proc/self/cgroup":                          "0::/user.slice/a.scope\n",
			"proc/self/mountinfo":                       "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:21 / /proc rw - proc proc rw\n",
			"sys/fs/cgroup/user.slice/pids.max":         "50000\n",
			"sys/fs/cgroup/user.slice/a.scope/pids.max": "max\n",
			"sys/fs/cgroup/user.slice/memory.max":       "max\n",
			"sys/fs/cgroup/user.slice/cpu.max":          "max 100000\n",
		},
		NodeTree: map[string]string{},
		Bytes:    700 << 20, Inodes: 200_000,
		Descriptors: [2]uint64{1024, 524288}, Processes: 30000,
		Abilities: tap.Abilities{TSO: true, USO: true, Announce: true},
		Priority:  true, Cores: 4,
		Versions: map[string]string{router.BIRD: "2.0.12", router.FRR: "8.4.4"},
	}
	for _, kind := range []string{"net", "uts", "mnt", "pid", "ipc"} {
		m.Tree["proc/sys/user/max_"+kind+"_namespaces"] = "30000\n"
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		for i, v := range []int{128, 512, 1024} {
			m.Tree[fmt.Sprintf("proc/sys/net/%s/neigh/default/gc_thresh%d", family, i+1)] = fmt.Sprintln(v)
		}
	}
	return m
}

// Files implements doctor.Host.
func (m *Machine) Files() fs.FS {
	files := make(fstest.MapFS)
	for name, text := range m.Tree {
		files[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return files
}

// NodeFiles implements doctor.Host.
func (m *Machine) NodeFiles(...string) (map[string]string, error) {
	return maps.Clone(m.NodeTree), nil
}

// Writable implements doctor.Host.
func (m *Machine) Writable(name string) bool {
	_, ok := m.Tree[name]
	return ok && !m.ReadOnly
}

// Space implements doctor.Host.
func (m *Machine) Space(string) (bytes, inodes int64, err error) { return m.Bytes, m.Inodes, nil }

// DescriptorLimit implements doctor.Host.
func (m *Machine) DescriptorLimit() (now, most uint64, err error) {
	return m.Descriptors[0], m.Descriptors[1], nil
}

// ProcessLimit implements doctor.Host.
func (m *Machine) ProcessLimit() (int64, error) { return m.Processes, nil }

// Permitted implements doctor.Host.
func (m *Machine) Permitted() error { return m.PermittedError }

// TUN implements doctor.Host.
func (m *Machine) TUN() error { return m.TUNError }

// TAP implements doctor.Host.
func (m *Machine) TAP() (tap.Abilities, error) {
	m.AskedTAP = true
	return m.Abilities, m.TAPError
}

// Kernel implements doctor.Host.
func (m *Machine) Kernel() error { return m.KernelError }

// RealTime implements doctor.Host.
func (m *Machine) RealTime() bool { return m.Priority }

// CPUs implements doctor.Host.
func (m *Machine) CPUs() int { return m.Cores }

// Root implements doctor.Host.
func (m *Machine) Root() bool { return m.UID == 0 }

// Version implements doctor.Host.
func (m *Machine) Version(_ context.Context, daemon string) (string, error) {
	if v, ok := m.Versions[daemon]; ok {
		return v, nil
	}
	return "", fmt.Errorf("%s is not there; install it with `apt-get install %s`: %w", daemon, router.Package(daemon), router.ErrMissing)
}

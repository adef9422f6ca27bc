package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// Host is where facts come from: its files, and what only system calls tell.
// Implementations are System and doctortest.Machine.
type Host interface {
	// Files is the host's tree: proc, sys, run.
	Files() fs.FS
	// NodeFiles reads files in a network namespace made for the purpose, to see
	// the values that a node begins with. One that does not exist is left out.
	NodeFiles(names ...string) (map[string]string, error)
	// Writable says whether this process may write to a file that exists.
	Writable(name string) bool
	// Space of the file system that will hold a directory, which need not exist
	// yet: bytes and inodes that this user may still take.
	Space(dir string) (bytes, inodes int64, err error)
	// DescriptorLimit is how many files a process may have open: now, and after
	// raising its own limit (RLIMIT_NOFILE) as far as it may.
	DescriptorLimit() (now, most uint64, err error)
	// ProcessLimit is how many threads a user without privileges may have
	// (RLIMIT_NPROC).
	ProcessLimit() (int64, error)
	// Permitted says why nodes may not be made.
	Permitted() error
	// TUN says why TAP devices may not be opened.
	TUN() error
	// TAP tries what TAP devices can do.
	TAP() (tap.Abilities, error)
	// Kernel says which system call is missing.
	Kernel() error
	// RealTime says whether a thread may have real-time priority.
	RealTime() bool
	// CPUs that this process may use.
	CPUs() int
	// Root says whether the user is 0.
	Root() bool
	// Version of a routing suite.
	Version(ctx context.Context, daemon string) (string, error)
}

// System is this machine.
type System struct{}

var _ Host = System{}

// Files implements Host.
func (System) Files() fs.FS { return os.DirFS("/") }

// NodeFiles implements Host.
func (System) NodeFiles(names ...string) (map[string]string, error) {
	found := make(map[string]string)
	err := thread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		for _, name := range names {
			// Below /proc/sys/net a thread sees its own namespace's.
			if b, err := os.ReadFile("/" + name); err == nil {
				found[name] = string(b)
			}
		}
		return nil
	})
	return found, err
}

// Writable implements Host.
func (System) Writable(name string) bool {
	f, err := os.OpenFile("/"+name, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// Space implements Host.
func (System) Space(dir string) (bytes, inodes int64, err error) {
	var s unix.Statfs_t
	for {
		err := unix.Statfs(dir, &s)
		if err == nil {
			break
		}
		if parent := filepath.Dir(dir); errors.Is(err, unix.ENOENT) && parent != dir {
			dir = parent
			continue
		}
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	inodes = int64(s.Ffree)
	if s.Files == 0 { // as btrfs has it, which makes them as needed
		inodes = Unlimited
	}
	return int64(s.Bavail) * s.Bsize, inodes, nil
}

// DescriptorLimit implements Host.
func (System) DescriptorLimit() (now, most uint64, err error) { return node.DescriptorLimit() }

// ProcessLimit implements Host.
func (System) ProcessLimit() (int64, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &lim); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	if lim.Cur > uint64(Unlimited) {
		return Unlimited, nil
	}
	return int64(lim.Cur), nil
}

// Permitted implements Host.
func (System) Permitted() error { return node.Permitted() }

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

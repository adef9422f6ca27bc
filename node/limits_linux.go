package node

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Permitted says whether this process may make nodes: nil, or an error that
// wraps ErrNotPermitted and says what to do.
func Permitted() error { return permitted() }

// Descriptors is how many files are open while these nodes live: the nodes'
// own, and a reserve for the rest of the emulator.
func Descriptors(specs []Spec) int { return descriptorsFor(specs) + reserve }

// DescriptorLimit is how many files this process may have open: now, and after
// raising its own limit as far as it is allowed to.
func DescriptorLimit() (now, most uint64, err error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, 0, os.NewSyscallError("getrlimit", err)
	}
	// Who has CAP_SYS_RESOURCE in the initial user namespace may go beyond the
	// hard limit. That is seen only by trying; it is taken back at once.
	if ceiling, err := nrOpen(); err == nil && ceiling > lim.Max {
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: lim.Cur, Max: ceiling}) == nil {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
				return 0, 0, os.NewSyscallError("setrlimit", err)
			}
			return lim.Cur, ceiling, nil
		}
	}
	return lim.Cur, lim.Max, nil
}

// nrOpen is the kernel's ceiling for RLIMIT_NOFILE.
func nrOpen() (uint64, error) {
	b, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

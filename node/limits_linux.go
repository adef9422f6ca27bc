package node

import (
	"os"

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
	return lim.Cur, lim.Max, nil
}

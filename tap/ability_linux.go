package tap

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// Abilities are what this host's TAP devices can do beyond the mandatory.
type Abilities struct {
	// TSO: the node's stack hands over TCP super-frames.
	TSO bool
	// USO: the same for UDP (Linux 6.2).
	USO bool
	// Announce: a lost carrier can be made known at once (Linux 5.1).
	Announce bool
}

// Probe makes a TAP device in a network namespace that lives as long as the
// call, and tries what it can do. An error means that a mandatory ability is
// missing: the device itself, its header before each frame, or its carrier.
func Probe() (Abilities, error) {
	var a Abilities
	err := thread.Do(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace: %w", os.NewSyscallError("unshare", err))
		}
		a, err = probe()
		return err
	})
	return a, err
}

func probe() (a Abilities, err error) {
	f, err := Create("probe")
	if err != nil {
		return a, err
	}
	defer f.Close()
	fd := int(f.Fd())
	if flags, err := SetOffload(fd, OffloadAll); err == nil {
		const tso, uso = OffloadTSO4 | OffloadTSO6, OffloadUSO4 | OffloadUSO6
		a.TSO, a.USO = flags&tso == tso, flags&uso == uso
	}
	a.Announce = Announce(fd) == nil
	return a, SetCarrier(fd, true)
}

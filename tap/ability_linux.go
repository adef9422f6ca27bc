package tap

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
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
	type answer struct {
		Abilities
		error
	}
	answers := make(chan answer)
	go func() {
		// Never unlocked: the thread and its namespace end with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			answers <- answer{error: fmt.Errorf("network namespace: %w", os.NewSyscallError("unshare", err))}
			return
		}
		a, err := probe()
		answers <- answer{a, err}
	}()
	a := <-answers
	return a.Abilities, a.error
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

package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ID names a process for good: a number alone may be given to another process
// later.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot: field 22 of proc_pid_stat(5)
}

// Identify names the process that has a number now.
func Identify(pid int) (ID, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ID{}, err
	}
	// The second field is a name in parentheses, which may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return ID{}, fmt.Errorf("/proc/%d/stat has too few fields: %q", pid, stat)
	}
	start, err := strconv.ParseUint(string(fields[22-3]), 10, 64)
	if err != nil {
		return ID{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return ID{PID: pid, Start: start}, nil
}

// Alive says whether the process exists and has not ended.
func (id ID) Alive() bool {
	fd, err := id.open()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return !ended(fd, 0)
}

// Kill ends the process and returns when it has ended. That is also the end of
// all processes in the PID namespace of which it is the first, since the kernel
// lets the first end last. It does nothing if the process has gone.
func (id ID) Kill() error {
	fd, err := id.open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end process %d: %w", id.PID, err)
	}
	ended(fd, -1)
	return nil
}

// open gives a descriptor of the process, ESRCH if it has gone.
func (id ID) open() (int, error) {
	if id.PID <= 0 {
		return -1, unix.ESRCH
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return -1, err
	}
	// Only now can the number not pass to another process unseen.
	if now, err := Identify(id.PID); err != nil || now.Start != id.Start {
		_ = unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

// ended waits for the end of a process for some milliseconds, for ever if
// negative.
func ended(fd, milliseconds int) bool {
	for {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, milliseconds)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0
	}
}

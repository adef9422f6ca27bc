//go:build linux

package fabric

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// ErrKernel is wrapped by the error of Available.
var ErrKernel = errors.New("the kernel is too old")

// Available says whether the kernel has the calls that workers wait with: nil,
// or an error that wraps ErrKernel.
func Available() error {
	// A kernel that knows the call refuses the descriptor.
	_, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, ^uintptr(0), 0, 0, 0, 0, 0)
	if errno == unix.ENOSYS {
		return fmt.Errorf("%w: epoll_pwait2 is missing, use Linux 5.11 or later", ErrKernel)
	}
	return nil
}

// RealTime says whether the kernel lets workers run at real-time priority. It
// tries with a thread that ends right after.
func RealTime() bool {
	var can bool
	_ = thread.Do(func() error {
		can = prioritise(true)
		return nil
	})
	return can
}

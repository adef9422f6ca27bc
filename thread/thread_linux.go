// Package thread runs functions on operating-system threads of their own, so that
// they may change what belongs to a thread: its namespaces, its priority.
//
// A goroutine that locks its thread and ends without unlocking it takes the thread
// with it (package runtime, LockOSThread). But for one: the process's first thread
// cannot end. It would stay, asleep, in whatever namespace it was left in, and
// keep that for as long as the process lives; and the first thread's namespaces
// are what others see as the process's. So functions never get that one.
package thread

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Go runs f on a thread that ends with f. It does not wait for f.
func Go(f func()) {
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		taken := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(taken)
			f()
		}()
		<-taken // only now may another goroutine have the first thread
		runtime.UnlockOSThread()
	}()
}

// Do is Go, and waits for f. The thread itself ends some moments later: what f
// must not leave behind until then, such as a namespace, f has to leave itself.
func Do(f func() error) error {
	done := make(chan error, 1)
	Go(func() { done <- f() })
	return <-done
}

// Away calls f on the calling goroutine's thread, which f may take into other network
// namespaces, and brings that home to the namespace that it is in now. A thread that
// cannot come home stays locked, so that it ends with its goroutine instead of
// surprising another one.
func Away(f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open(ownNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return &os.PathError{Op: "open", Path: ownNamespace, Err: err}
	}
	defer func() {
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		_ = unix.Close(home)
	}()
	return f()
}

// ownNamespace is the network namespace of the calling thread.
const ownNamespace = "/proc/thread-self/ns/net"

// Priorities of RealTime. The lowest of the real-time band but a few is above every
// ordinary process, and below what the system itself may run there (threaded
// interrupts: 50).
const (
	Priority = 10  // of SCHED_FIFO
	Nice     = -15 // where that is not allowed
)

// RealTime gives the calling thread the best priority that the kernel allows, and
// tells whether it is a real-time one (SCHED_FIFO, sched(7)). What the thread forks is
// ordinary again. It is for a goroutine that is locked to its thread, and must never
// keep a processor without bound. Where a Group is in use the thread may go into it.
func RealTime() bool {
	return prioritise(unix.SchedAttr{Flags: unix.SCHED_FLAG_RESET_ON_FORK, Priority: Priority})
}

// RealTimeForks is RealTime for a thread that only starts a process, which has what the
// thread has, in all its threads: just below those that call RealTime.
func RealTimeForks() bool { return prioritise(unix.SchedAttr{Priority: Priority - 1}) }

func prioritise(attr unix.SchedAttr) bool {
	attr.Size, attr.Policy = unix.SizeofSchedAttr, unix.SCHED_FIFO
	err := unix.SchedSetAttr(0, &attr, 0)
	if g := inUse.Load(); errors.Is(err, unix.EPERM) && g != nil && g.join() == nil {
		err = unix.SchedSetAttr(0, &attr, 0)
	}
	if err == nil {
		return true
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), Nice)
	return false
}

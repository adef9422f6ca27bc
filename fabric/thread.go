//go:build linux

package fabric

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// prioritise gives the calling thread the best priority that the kernel
// allows, and tells whether it is a real-time one.
func prioritise(realTime bool) bool {
	// Sleep as exactly as the kernel can (ignored for real-time threads, which
	// always do).
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if !realTime {
		return false
	}
	return thread.RealTime()
}

// longSleep is what the runtime is told of, in nanoseconds: as long as it lets a
// goroutine run at a time.
const longSleep = int64(10 * time.Millisecond)

// poll waits for events for at most ns nanoseconds, without end if negative.
//
// The runtime is not told that the thread blocks. It would take the worker's P
// away, and the worker would come back to wait for one, behind every goroutine
// that computes (measured with twice as many of them as CPUs: p99 of lateness
// 50 ms, against 10 ms this way). When the runtime wants all goroutines to stop
// it signals the thread, which ends the wait. What this costs is one such
// signal every 10 ms (0.8 % of a core for an idle worker), and a P, for which
// New makes up.
//
// In a process of the engine's own nobody computes, and a P is always free. There
// the runtime is told of sleeps that are long enough to be worth it, and lets the
// worker sleep.
func (w *worker) poll(ns int64) int {
	if w.epollWait(ns) != 0 {
		return 0 // interrupted by a signal: look at the clock again
	}
	return w.ready
}

// epollWait leaves the number of events in w.ready.
func (w *worker) epollWait(ns int64) unix.Errno {
	var timeout *unix.Timespec
	if ns >= 0 {
		w.timeout = unix.NsecToTimespec(ns)
		timeout = &w.timeout
	}
	var n uintptr
	var errno unix.Errno
	if w.engine.alone && ns > longSleep {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])),
			uintptr(len(w.events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])),
			uintptr(len(w.events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	}
	w.ready = int(n)
	return errno
}

// nap leaves the CPU to others for a while.
func (w *worker) nap() {
	w.timeout = unix.NsecToTimespec(int64(busyPause))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&w.timeout)), 0, 0)
}

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

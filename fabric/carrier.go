//go:build linux

package fabric

import (
	"runtime"
	"sync"

	"orrery.dev/orrery/tap"
)

// announcer is a thread that goes from namespace to namespace to make the
// kernel tell changes of carrier without delay.
type announcer struct {
	requests chan announcement
}

type announcement struct {
	fd   int
	done chan<- error
}

func (a *announcer) start(wg *sync.WaitGroup) {
	a.requests = make(chan announcement)
	wg.Go(func() {
		// Never unlocked: the thread, which is in some node's namespace, ends
		// with the goroutine.
		runtime.LockOSThread()
		for r := range a.requests {
			r.done <- tap.Announce(r.fd)
		}
	})
}

func (a *announcer) announce(fd int) error {
	done := make(chan error, 1)
	a.requests <- announcement{fd, done}
	return <-done
}

func (a *announcer) stop() { close(a.requests) }

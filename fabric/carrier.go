//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// announcer sets carriers and makes the kernel tell of them without delay. For that
// it takes the calling thread from namespace to namespace and home again: a thread of
// its own would have to be woken first.
//
// The kernel takes a device whose carrier is lost out of use within a grace
// period (RCU) that it waits for under its RTNL lock: 0.4 ms each, and no two at
// once. So listeners are told first, of a whole burst, and the devices are
// settled one by one, on a thread of the announcer's, when nobody is waiting. A
// gained carrier needs no grace period.
type announcer struct {
	waiting atomic.Int32  // callers who want mu, or have it
	settle  chan struct{} // wakes the settler
	stopped chan struct{}

	mu        sync.Mutex // guards the rest; one at a time is under way
	closed    bool
	unsettled []*port // lost carriers that the kernel has not acted upon yet
}

type carrierChange struct {
	port *port
	want carrier // carrierUnknown: what was asked for last, of a device that is new
}

func (a *announcer) start(wg *sync.WaitGroup) {
	a.settle = make(chan struct{}, 1)
	a.stopped = make(chan struct{})
	wg.Go(a.run)
}

// stop returns when nothing is under way.
func (a *announcer) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	close(a.stopped)
}

// set makes the changes in their order and returns when all are told.
func (a *announcer) set(ports []*port, carriers []Carrier) error {
	if len(carriers) == 0 {
		return nil
	}
	changes := make([]carrierChange, len(carriers))
	for i, c := range carriers {
		changes[i] = carrierChange{ports[c.Port], carrierDown}
		if c.Up {
			changes[i].want = carrierUp
		}
	}
	return a.request(changes)
}

// again gives a port's new device the carrier that was asked for last.
func (a *announcer) again(p *port) error {
	return a.request([]carrierChange{{p, carrierUnknown}})
}

func (a *announcer) request(changes []carrierChange) error {
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return fmt.Errorf("fabric: carrier of %s: %w", changes[0].port.name, os.ErrClosed)
	}
	return thread.Away(func() error {
		var errs []error
		for _, c := range changes {
			lost, err := c.port.setCarrier(c.want)
			if err != nil {
				errs = append(errs, fmt.Errorf("fabric: carrier of %s: %w", c.port.name, err))
			}
			if lost {
				a.unsettled = append(a.unsettled, c.port)
			}
		}
		if len(a.unsettled) > 0 {
			select {
			case a.settle <- struct{}{}:
			default: // it has been woken and not looked yet
			}
		}
		return errors.Join(errs...)
	})
}

// run settles what is unsettled. The kernel does so by itself within a second for
// what is left at the end.
func (a *announcer) run() {
	for {
		select {
		case <-a.settle:
		case <-a.stopped:
			return
		}
		for a.settleNext() {
			for a.waiting.Load() > 0 {
				select {
				case <-a.stopped:
					return
				case <-time.After(100 * time.Microsecond):
				}
			}
		}
	}
}

// settleNext settles one port, and tells whether there are more.
func (a *announcer) settleNext() (more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.unsettled) == 0 {
		return false
	}
	p := a.unsettled[0]
	a.unsettled = a.unsettled[1:]
	_ = thread.Away(func() error { // a thread that cannot leave cannot settle
		p.settleCarrier()
		return nil
	})
	return len(a.unsettled) > 0
}

// setCarrier sets and announces the carrier; lost says that the kernel has yet to
// act upon it. A port without a device remembers it. It leaves the calling thread in
// the device's namespace.
func (p *port) setCarrier(want carrier) (lost bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if want == carrierUnknown {
		want = p.wanted
	}
	p.wanted = want
	if p.file == nil || p.carrier == want {
		return false, nil
	}
	if p.tap.Load() {
		up, announce := want == carrierUp, tap.AnnounceLoss
		if up {
			announce = tap.Announce
		}
		fd := int(p.fd.Load())
		if err := tap.SetCarrier(fd, up); err != nil {
			return false, err
		}
		lost = !up
		if err := announce(fd); err != nil {
			return lost, err
		}
	}
	p.carrier = want
	return lost, nil
}

// settleCarrier makes the kernel act upon a lost carrier.
func (p *port) settleCarrier() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.carrier == carrierDown && p.file != nil {
		_ = tap.Announce(int(p.fd.Load())) // if it fails the kernel does so by itself
	}
}

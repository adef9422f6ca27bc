//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// announcer is a thread that goes from namespace to namespace, sets carriers and
// makes the kernel tell of them without delay.
//
// The kernel takes a device whose carrier is lost out of use within a grace
// period (RCU) that it waits for under its RTNL lock: 0.4 ms each, and no two at
// once. So listeners are told first, of a whole burst, and the devices are
// settled one by one when nobody is waiting. A gained carrier needs no grace
// period.
type announcer struct {
	requests  chan announcement
	stopped   chan struct{}
	unsettled []*port // lost carriers that the kernel has not acted upon yet
}

type announcement struct {
	changes []carrierChange
	done    chan<- error
}

type carrierChange struct {
	port *port
	want carrier // carrierUnknown: what was asked for last, of a device that is new
}

func (a *announcer) start(wg *sync.WaitGroup) {
	a.requests = make(chan announcement)
	a.stopped = make(chan struct{})
	wg.Add(1)
	thread.Go(func() {
		defer wg.Done()
		a.run()
	})
}

func (a *announcer) stop() { close(a.stopped) }

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
	done := make(chan error, 1)
	select {
	case a.requests <- announcement{changes, done}:
		return <-done
	case <-a.stopped:
		return fmt.Errorf("fabric: carrier of %s: %w", changes[0].port.name, os.ErrClosed)
	}
}

func (a *announcer) run() {
	// It comes home: else it holds the last namespace for moments after its end.
	home, err := os.Open("/proc/thread-self/ns/net")
	if err == nil {
		defer func() {
			_ = unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
			_ = home.Close()
		}()
	}
	for {
		if len(a.unsettled) > 0 {
			select {
			case r := <-a.requests:
				a.serve(r)
			case <-a.stopped:
				return // the kernel settles what is left within a second
			default:
				a.unsettled[0].settleCarrier()
				a.unsettled = a.unsettled[1:]
			}
			continue
		}
		select {
		case r := <-a.requests:
			a.serve(r)
		case <-a.stopped:
			return
		}
	}
}

func (a *announcer) serve(r announcement) {
	var errs []error
	for _, c := range r.changes {
		lost, err := c.port.setCarrier(c.want)
		if err != nil {
			errs = append(errs, fmt.Errorf("fabric: carrier of %s: %w", c.port.name, err))
		}
		if lost {
			a.unsettled = append(a.unsettled, c.port)
		}
	}
	r.done <- errors.Join(errs...)
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
	if p.tap {
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

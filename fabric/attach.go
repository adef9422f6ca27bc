//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

var _ Attacher = (*Engine)(nil)

// Attach gives a port a device.
func (e *Engine) Attach(id PortID, device *os.File) error {
	e.closing.Lock()
	defer e.closing.Unlock()
	p := e.ports[id]
	if e.done {
		return fmt.Errorf("fabric: attach %s: %w", p.name, os.ErrClosed)
	}
	if device == nil {
		return fmt.Errorf("fabric: attach %s: there is no device", p.name)
	}
	if err := e.detach(p); err != nil {
		return fmt.Errorf("fabric: attach %s: %w", p.name, err)
	}
	// An engine before this one may have left any offloads.
	p.mu.Lock()
	p.take(device)
	p.told = offloadsUnknown
	p.mu.Unlock()
	if err := e.workerOf(p).watch(int(p.fd.Load()), int32(id)); err != nil {
		p.mu.Lock()
		p.release()
		p.mu.Unlock()
		e.quiesce()
		return fmt.Errorf("fabric: attach %s: %w", p.name, err)
	}
	e.control.change(p)
	e.reconsider(func(peer PortID) bool { return peer == id }) // it may have lived elsewhere
	if !e.started {
		return nil // as in a test that makes the workers' steps
	}
	if err := e.announcer.again(p); err != nil {
		_, _ = e.takeAway(p) // the caller keeps the file
		return fmt.Errorf("fabric: attach %s: %w", p.name, err)
	}
	return nil
}

// Detach takes a port's device away.
func (e *Engine) Detach(id PortID) error {
	e.closing.Lock()
	defer e.closing.Unlock()
	p := e.ports[id]
	if e.done {
		return fmt.Errorf("fabric: detach %s: %w", p.name, os.ErrClosed)
	}
	if err := e.detach(p); err != nil {
		return fmt.Errorf("fabric: detach %s: %w", p.name, err)
	}
	e.reconsider(func(peer PortID) bool { return peer == id }) // it may live elsewhere now
	return nil
}

// detach is called with e.closing held.
func (e *Engine) detach(p *port) error {
	file, err := e.takeAway(p)
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	return err
}

// takeAway takes the device from the port, and gives its file, which nobody uses any
// more, nil if there was none. It is called with e.closing held.
func (e *Engine) takeAway(p *port) (*os.File, error) {
	fd := int(p.fd.Load())
	p.mu.Lock()
	file := p.release()
	p.mu.Unlock()
	if file == nil {
		return nil, nil
	}
	// Another process may hold the same device: closing alone would leave it watched. One
	// that is gone is not watched any more.
	err := unix.EpollCtl(e.workerOf(p).epoll, unix.EPOLL_CTL_DEL, fd, nil)
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	e.quiesce()
	return file, err
}

// release takes the device away from the port and gives its file, nil if there is
// none. It is called with p.mu held.
func (p *port) release() *os.File {
	file := p.file
	p.file = nil
	p.fd.Store(noDevice)
	return file
}

// quiesce returns when no worker uses a descriptor that was taken from a port before: a
// number that is closed may name another file the next moment.
func (e *Engine) quiesce() {
	if !e.started {
		return
	}
	for _, w := range e.workers {
		began := w.turn.Load()
		for w.interrupt() == nil && w.turn.Load() == began {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// workerOf is the worker that reads from p.
func (e *Engine) workerOf(p *port) *worker { return e.workers[int(p.id)%e.readers] }

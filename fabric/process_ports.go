//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"orrery.dev/orrery/fabric/underlay"
)

var (
	_ Attacher         = (*Process)(nil)
	_ Placer           = (*Process)(nil)
	_ UnderlayStatuser = (*Process)(nil)
)

// Attach gives a port a device. If the child dies the next one has it, too.
func (p *Process) Attach(id PortID, device *os.File) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	q := p.ports[id]
	if device == nil {
		return fmt.Errorf("fabric: attach %s: there is no device", q.name)
	}
	if err := p.detach(q); err != nil {
		return fmt.Errorf("fabric: attach %s: %w", q.name, err)
	}
	q.mu.Lock()
	q.take(device)
	q.mu.Unlock()
	if err := p.call(&message{Attach: &id}, int(device.Fd())); err != nil {
		q.mu.Lock()
		q.release()
		q.mu.Unlock()
		return fmt.Errorf("fabric: attach %s: %w", q.name, err)
	}
	if err := p.announcer.again(q); err != nil {
		_, _ = p.takeAway(q) // the caller keeps the file
		return fmt.Errorf("fabric: attach %s: %w", q.name, err)
	}
	return nil
}

// Detach takes a port's device away.
func (p *Process) Detach(id PortID) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	q := p.ports[id]
	if err := p.detach(q); err != nil {
		return fmt.Errorf("fabric: detach %s: %w", q.name, err)
	}
	return nil
}

// detach is called with p.changes held.
func (p *Process) detach(q *port) error {
	if p.isClosed() {
		return os.ErrClosed
	}
	file, err := p.takeAway(q)
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	return err
}

// takeAway takes the device from the port and from the child, and gives its file, nil
// if there was none. It is called with p.changes held.
func (p *Process) takeAway(q *port) (*os.File, error) {
	q.mu.Lock()
	file := q.release()
	q.mu.Unlock()
	if file == nil {
		return nil, nil
	}
	return file, p.call(&message{Detach: &q.id})
}

// SetHost says at which address the fabric of a host is heard.
func (p *Process) SetHost(name string, at netip.AddrPort) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	if p.socket == nil {
		return errNoUnderlay
	}
	if err := p.config.Underlay.CheckPeer(name, at); err != nil {
		return err
	}
	if err := p.call(&message{Hosts: []childHost{{name, at}}}); err != nil {
		return err
	}
	p.hosts[name] = at
	return nil
}

// Place says where ports live.
func (p *Process) Place(placements ...Placement) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	if p.socket == nil {
		return errNoUnderlay
	}
	for _, pl := range placements {
		if pl.Host == "" || pl.Host == p.config.Underlay.Host {
			continue
		}
		if err := p.config.Underlay.CheckPeer(pl.Host, netip.AddrPort{}); err != nil {
			return fmt.Errorf("fabric: place %s: %w", p.ports[pl.Port].name, err)
		}
	}
	for batch := range slices.Chunk(placements, batchPlaces) {
		if err := p.call(&message{Places: batch}); err != nil {
			return err
		}
		for _, pl := range batch {
			p.places[pl.Port] = pl.Host
		}
	}
	return nil
}

// whereabouts are the messages that tell a new child of hosts and places.
func (p *Process) whereabouts() (all []*message) {
	for name, at := range maps.All(p.hosts) {
		all = append(all, &message{Hosts: []childHost{{name, at}}})
	}
	var places []Placement
	for port, host := range maps.All(p.places) {
		places = append(places, Placement{port, host})
	}
	for batch := range slices.Chunk(places, batchPlaces) {
		all = append(all, &message{Places: batch})
	}
	return all
}

// Underlay says how it stands with the other hosts. A child that was started again
// counts anew. While there is none it is what the last one said.
func (p *Process) Underlay() underlay.Status {
	p.changes.Lock()
	defer p.changes.Unlock()
	c := p.present()
	if p.socket == nil || c == nil {
		return p.status
	}
	if answer, err := c.call(&message{Report: true}); err == nil && answer.Underlay != nil {
		p.status = *answer.Underlay
	}
	return p.status
}

// call has the child do something, and returns an error if it refuses. If there is no
// child, or it dies, the next one is told at its start. It is called with p.changes
// held.
func (p *Process) call(m *message, fds ...int) error {
	if p.isClosed() {
		return os.ErrClosed
	}
	c := p.present()
	if c == nil {
		return nil
	}
	var refused *refusedError
	if _, err := c.call(m, fds...); errors.As(err, &refused) {
		return err
	}
	return nil
}

// present is the child, or nil if there is none.
func (p *Process) present() *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child
}

func (p *Process) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

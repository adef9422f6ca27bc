package memfabric

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/underlay"
)

// Join gives the fabric an underlay to those of other hosts. Its Conn is one of package
// underlaytest; Now is that of the timeline. It is called once, before anything else.
func (f *Fabric) Join(c underlay.Config) error {
	c.Now = f.timeline.Monotonic
	t, err := underlay.New(c)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.transport, f.outbox, f.host = t, t.NewOutbox(0), c.Host
	return nil
}

// Attach makes the port one that has a device, as all are at first. A file is closed:
// there is no use for it here.
func (f *Fabric) Attach(id fabric.PortID, device *os.File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run()
	f.ports[id].detached = false
	if device != nil {
		return device.Close()
	}
	return nil
}

// Detach makes the port one that has none.
func (f *Fabric) Detach(id fabric.PortID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run()
	f.ports[id].detached = true
	return nil
}

var errNoUnderlay = errors.New("memfabric: it knows no other hosts; call Join")

// SetHost says at which address the fabric of a host is heard.
func (f *Fabric) SetHost(name string, at netip.AddrPort) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.transport == nil {
		return errNoUnderlay
	}
	return f.transport.SetPeer(name, at)
}

// Place says where ports live.
func (f *Fabric) Place(placements ...fabric.Placement) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.transport == nil {
		return errNoUnderlay
	}
	f.run()
	for _, pl := range placements {
		var host *underlay.Peer
		if pl.Host != "" && pl.Host != f.host {
			var err error
			if host, err = f.transport.Peer(pl.Host); err != nil {
				return fmt.Errorf("memfabric: place port %d: %w", pl.Port, err)
			}
		}
		f.ports[pl.Port].host = host
	}
	return nil
}

// Underlay says how it stands with the other hosts.
func (f *Fabric) Underlay() underlay.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.transport == nil {
		return underlay.Status{}
	}
	return f.transport.Status()
}

// transmit is called with f.mu held.
func (f *Fabric) transmit(from fabric.PortID, host *underlay.Peer, w *fabric.Wire, frame []byte, due int64) {
	h := underlay.Header{Due: due, Contact: w.Contact, Source: int32(from), Destination: int32(w.Peer)}
	if !f.outbox.Send(f.timeline.Monotonic(), host, &h, frame) {
		f.ports[from].counters.DropUnderlay++
	}
	f.outbox.Flush()
}

// listen takes what has come from other hosts. It is called with f.mu held.
func (f *Fabric) listen() {
	if f.transport == nil {
		return
	}
	f.transport.Poll(f.timeline.Monotonic())
	for {
		if n, err := f.transport.Receive((*sink)(f)); n == 0 || err != nil {
			break
		}
	}
	f.transport.Poll(f.timeline.Monotonic()) // what came may be worth a question
}

// sink takes frames of other hosts; f.mu is held.
type sink Fabric

// Arrive takes one.
func (s *sink) Arrive(a *underlay.Arrival) bool {
	if int(a.Source) >= len(s.ports) || int(a.Destination) >= len(s.ports) {
		return false
	}
	p := &s.ports[a.Source]
	now := s.timeline.Monotonic()
	if now > a.Due {
		a.Late(now - a.Due)
	}
	if p.stream != a.Stream {
		before := a.Order - underlay.OrderSpan - 1
		for i := range p.arriving {
			p.arriving[i].order = before
		}
		p.stream, p.newest, p.gone = a.Stream, before, before
	}
	switch {
	case a.Order >= p.newest:
		if p.remoteContact != a.Contact {
			p.counters.DropInFlight += uint64(len(p.arriving))
			p.arriving = nil
		}
		p.newest, p.remoteContact = a.Order, a.Contact
	case p.remoteContact != a.Contact:
		p.counters.DropInFlight++
		return true
	case a.Order < p.gone:
		p.counters.DropUnderlay++
		return true
	}
	i := len(p.arriving)
	for i > 0 && p.arriving[i-1].order > a.Order {
		i--
	}
	g := flying{arrival: a.Due, peer: fabric.PortID(a.Destination), frame: slices.Clone(a.Packet), order: a.Order, contact: a.Contact, came: now}
	if i < len(p.arriving) {
		g.arrival = min(g.arrival, p.arriving[i].arrival)
	}
	if i > 0 {
		g.arrival = max(g.arrival, p.arriving[i-1].arrival)
	}
	p.arriving = slices.Insert(p.arriving, i, g)
	(*Fabric)(s).deliver()
	return true
}

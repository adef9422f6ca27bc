//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/tap"
)

var (
	_ Placer           = (*Engine)(nil)
	_ UnderlayStatuser = (*Engine)(nil)
)

// errNoUnderlay is the answer to whoever speaks of other hosts.
var errNoUnderlay = errors.New("fabric: it knows no other hosts; give Config.Underlay")

// SetHost says at which address the fabric of a host is heard.
func (e *Engine) SetHost(name string, at netip.AddrPort) error {
	if e.transport == nil {
		return errNoUnderlay
	}
	return e.transport.SetPeer(name, at)
}

// Place says where ports live.
func (e *Engine) Place(placements ...Placement) error {
	if e.transport == nil {
		return errNoUnderlay
	}
	moved := make(map[PortID]bool)
	for _, pl := range placements {
		var host *underlay.Peer
		if pl.Host != "" && pl.Host != e.host {
			var err error
			if host, err = e.transport.Peer(pl.Host); err != nil {
				return fmt.Errorf("fabric: place %s: %w", e.ports[pl.Port].name, err)
			}
		}
		if e.ports[pl.Port].host.Swap(host) != host {
			moved[pl.Port] = true
		}
	}
	if len(moved) > 0 {
		e.reconsider(func(peer PortID) bool { return moved[peer] })
	}
	return nil
}

// Underlay says how it stands with the other hosts.
func (e *Engine) Underlay() underlay.Status {
	if e.transport == nil {
		return underlay.Status{}
	}
	return e.transport.Status()
}

// reconsider looks anew at the offloads of ports that are wired to some.
func (e *Engine) reconsider(wiredTo func(peer PortID) bool) {
	for _, p := range e.ports {
		if w := p.wire.Load(); w != nil && wiredTo(w.Peer) {
			e.allow(p)
		}
	}
}

// allow decides about the offloads of a port by its wire and by where its peer lives.
// Whoever changes one of both calls it afterwards; it looks again at the end, so that of
// two that do so at the same time the last one decides by the latest of both.
func (e *Engine) allow(p *port) {
	for {
		wire := p.wire.Load()
		if wire == nil {
			return
		}
		host := e.ports[wire.Peer].elsewhere()
		want := offloadsPlain
		if host == nil && allowsSuperFrames(wire, e.superFrame) {
			want = offloadsSuper
		}
		if p.allowed.Load() != int32(want) && p.allowed.Swap(int32(want)) != int32(want) {
			e.control.change(p)
		}
		if p.wire.Load() == wire && e.ports[wire.Peer].elsewhere() == host {
			return
		}
	}
}

// ask has the transport ask its peers until the engine is closed.
func (e *Engine) ask() {
	for {
		now := e.timeline.Monotonic()
		next := e.transport.Poll(now)
		select {
		case <-time.After(time.Duration(max(next-now, int64(time.Millisecond)))):
		case <-e.ending:
			return
		}
	}
}

// transmit sends a frame to the host that its peer lives on, long before it is due as a
// rule.
func (w *worker) transmit(p *port, to *underlay.Peer, wire *Wire, data []byte, due, now int64) {
	h := underlay.Header{Due: due, Contact: wire.Contact, Source: int32(p.id), Destination: int32(wire.Peer)}
	if !w.outbox.Send(now, to, &h, data) {
		p.account.dropUnderlay.Add(1)
	}
}

// receiver is the worker that takes what comes from other hosts, and delivers it. Such a
// frame waits in a ring of its source port, as those do that a port of this host has
// sent.
type receiver struct {
	worker    *worker
	transport *underlay.Transport
	sources   []*port // by PortID; nil before the first frame
}

// arriving is what a receiver knows of one source port.
type arriving struct {
	stream  *underlay.Stream
	newest  int64  // highest order so far
	last    int64  // order of the last frame that was delivered or dropped
	contact uint64 // of the frame with the highest order
}

// arrivals takes what has come over the underlay.
func (w *worker) arrivals(now int64) int64 {
	if _, err := w.receiver.transport.Receive(w.receiver); err != nil {
		// The socket is broken: nothing more will come of it, and peers fall silent.
		w.bury(int32(w.receiver.transport.Descriptor()))
	}
	return w.timeline.Monotonic()
}

// Arrive takes a frame of another host.
func (r *receiver) Arrive(a *underlay.Arrival) bool {
	w := r.worker
	ports := w.engine.ports
	if int(a.Source) >= len(ports) || int(a.Destination) >= len(ports) || len(a.Packet) <= tap.HeaderLen || len(a.Packet) > largeSize {
		return false
	}
	p := r.source(PortID(a.Source))
	f := frame{
		arrival: a.Due, size: int32(len(a.Packet)), peer: PortID(a.Destination),
		order: uint32(a.Order), contact: a.Contact,
	}
	now := w.timeline.Monotonic()
	if now > f.arrival {
		a.Late(now - f.arrival)
	}
	if !r.inOrder(p, a) {
		return true
	}
	switch i := p.placeOf(&f); {
	case i == 0 && p.flight.len() == 0 && f.arrival <= now:
		if w.covered(p, &f) {
			w.hand(p, f.peer, a.Packet, f.arrival, now)
		} else {
			p.account.dropInFlight.Add(1)
		}
	case !w.store(&f, a.Packet):
		p.account.dropOverload.Add(1)
	default:
		p.flight.insert(i, f)
		if p.flight.len() == 1 {
			w.due.add(p)
		} else if i == 0 {
			w.due.fix(p)
		}
	}
	if f := w.due.first(); f != nil && f.flight.first().arrival <= now {
		w.deliver(now)
	}
	return true
}

// source is the stand-in of a port of another host.
func (r *receiver) source(id PortID) *port {
	if r.sources[id] == nil {
		p := &port{id: id, place: -1, remote: new(arriving), account: r.worker.engine.ports[id].account}
		p.fd.Store(noDevice)
		r.sources[id] = p
	}
	return r.sources[id]
}

// inOrder tells whether a frame can still be delivered in order, and drops what it makes
// obsolete.
func (r *receiver) inOrder(p *port, a *underlay.Arrival) bool {
	s := p.remote
	if s.stream != a.Stream {
		// Another process or host sends for the port now. What came before stays before.
		before := a.Order - underlay.OrderSpan - 1
		for i := range p.flight.len() {
			p.flight.at(i).order = uint32(before)
		}
		s.stream, s.newest, s.last = a.Stream, before, before
	}
	switch {
	case a.Order >= s.newest:
		if s.contact != a.Contact {
			r.worker.lose(p) // the port has turned to another peer
		}
		s.newest, s.contact = a.Order, a.Contact
	case s.contact != a.Contact:
		p.account.dropInFlight.Add(1)
		return false
	case a.Order < s.last:
		p.account.dropUnderlay.Add(1)
		return false
	}
	return true
}

// placeOf is where a frame from another host belongs among those under way. The
// instants at which they are due keep the same order.
func (p *port) placeOf(f *frame) int {
	i := p.flight.len()
	for i > 0 && int32(p.flight.at(i-1).order-f.order) > 0 {
		i--
	}
	if i < p.flight.len() {
		f.arrival = min(f.arrival, p.flight.at(i).arrival)
	}
	if i > 0 {
		f.arrival = max(f.arrival, p.flight.at(i-1).arrival)
	}
	return i
}

// coveredHere tells whether the contact of a frame from another host covers its flight,
// by the wire of the port that it goes to, which is that of the same contact.
func (w *worker) coveredHere(p *port, f *frame) bool {
	s := p.remote
	s.last = s.newest - int64(int32(uint32(s.newest)-f.order))
	wire := w.engine.ports[f.peer].wire.Load()
	return wire != nil && wire.Contact == f.contact && wire.Peer == p.id && w.timeline.At(f.arrival) <= wire.End
}

// store copies data into a buffer for f.
func (w *worker) store(f *frame, data []byte) bool {
	pool := &w.small
	if len(data) > smallSize {
		pool = &w.large
	}
	if f.buf = pool.get(); f.buf == none {
		return false
	}
	copy(pool.at(f.buf), data)
	return true
}

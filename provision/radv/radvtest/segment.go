// Package radvtest has a segment in memory for package radv.
package radvtest

import (
	"net/netip"
	"os"
	"sync"
	"time"
)

// Sent is an advertisement that was sent.
type Sent struct {
	Message []byte
	To      netip.Addr
}

// Segment is a radv.Conn whose other end a test holds.
type Segment struct {
	Out chan Sent // what was sent; it has to be read

	in   chan solicitation
	once sync.Once
	done chan struct{}
}

type solicitation struct {
	b    []byte
	from netip.Addr
}

// New is an empty segment.
func New() *Segment {
	return &Segment{Out: make(chan Sent, 16), in: make(chan solicitation), done: make(chan struct{})}
}

// Solicit gives the responder a message and waits until it has taken it.
func (s *Segment) Solicit(b []byte, from netip.Addr) {
	select {
	case s.in <- solicitation{b, from}:
	case <-s.done:
	}
}

// Receive waits for what Solicit gives.
func (s *Segment) Receive(deadline time.Time) ([]byte, netip.Addr, error) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case x := <-s.in:
		return x.b, x.from, nil
	case <-t.C:
		return nil, netip.Addr{}, os.ErrDeadlineExceeded
	case <-s.done:
		return nil, netip.Addr{}, os.ErrClosed
	}
}

// Send passes a message to Out.
func (s *Segment) Send(b []byte, to netip.Addr) error {
	select {
	case s.Out <- Sent{append([]byte(nil), b...), to}:
		return nil
	case <-s.done:
		return os.ErrClosed
	}
}

// Close ends it.
func (s *Segment) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

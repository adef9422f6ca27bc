package underlay

import (
	"encoding/binary"
	"net/netip"
)

// Arrival is a frame that has come over the underlay.
type Arrival struct {
	Header // Due is an instant of this host's clock
	From   *Peer
	// Stream is where it came in, and Order its place there: frames of one source in a
	// stream were sent in the order of this number, and those of the same number in the
	// order in which they are told. Datagrams may overtake each other by OrderSpan.
	Stream *Stream
	Order  int64
	// Packet is valid during Sink.Arrive only.
	Packet []byte
}

// OrderSpan is by how much the Order of frames in one stream may fall behind.
const OrderSpan = windowSize

// Sink takes what arrives.
type Sink interface {
	// Arrive takes a frame. It returns false if that makes no sense to it.
	Arrive(a *Arrival) bool
}

// Stream is what one thread of a peer's session sends.
type Stream struct {
	window     window
	assemblies [assemblies]assembly
	arrival    Arrival // of the frame that is told; here so that it is not allocated
}

// assemblies is how many frames in pieces may be incomplete at a time: one if no
// datagram overtakes another.
const assemblies = 16

// assembly is a frame of which pieces are missing.
type assembly struct {
	first uint64 // number of the datagram with the first piece
	total int    // bytes of the message; 0 if the assembly is free
	have  int
	buf   []byte
}

// Receive takes what has come in and tells sink of the frames in it. It returns the
// number of messages: 0 if there was nothing. One thread at a time may call it.
func (t *Transport) Receive(sink Sink) (messages int, err error) {
	if err := t.config.Conn.Receive(t.batch); err != nil {
		return 0, err
	}
	now := t.config.Now()
	for i := range t.batch.N {
		m := &t.batch.Messages[i]
		b := m.Buffer[:m.Length]
		size := m.Size
		if size <= 0 {
			size = len(b)
		}
		for len(b) > 0 {
			n := min(size, len(b))
			t.datagram(b[:n:n], m.From, now, sink)
			b = b[n:]
		}
	}
	return t.batch.N, nil
}

// datagram takes one datagram, which it may overwrite.
func (t *Transport) datagram(b []byte, from netip.AddrPort, now int64, sink Sink) {
	if len(b) < prefix || b[0] != magic0 || b[1] != magic1 {
		t.refused.strangers.Add(1)
		return
	}
	switch kind := b[atKind]; {
	case kind == kindRequest || kind == kindAnswer:
		t.hear(b, from, now)
	case b[atVersion] != Version:
		t.refused.versions.Add(1)
	case kind != kindData || len(b) < dataRoom:
		t.refused.malformed.Add(1)
	case [runSize]byte(b[atRun:]) != [runSize]byte(t.config.Run[:]):
		t.refused.runs.Add(1)
	default:
		s := (*t.sessions.Load())[binary.BigEndian.Uint64(b[atSession:])]
		if s == nil {
			t.refused.sessions.Add(1)
			return
		}
		s.take(b, now, sink)
	}
}

// take opens a datagram with frames.
func (s *session) take(b []byte, now int64, sink Sink) {
	p := s.peer
	plain, err := s.open.Open(b[dataHeader:dataHeader], b[atNonce:dataHeader], b[dataHeader:], b[:dataHeader])
	if err != nil {
		p.counts.refused.forged.Add(1)
		return
	}
	id := binary.BigEndian.Uint32(b[atNonce:])
	number := binary.BigEndian.Uint64(b[atSequence:])
	st := s.streams[id]
	if st == nil {
		if id >= MaxStreams {
			p.counts.refused.malformed.Add(1)
			return
		}
		st = new(Stream)
		s.streams[id] = st
	}
	lost := st.window.lost()
	if !st.window.accept(number) {
		p.counts.refused.replayed.Add(1)
		return
	}
	p.counts.lost.Add(int64(st.window.lost() - lost))
	e := p.estimate.Load()
	if e == nil {
		p.counts.refused.sessions.Add(1)
		return
	}
	p.heard.Store(now)
	p.counts.receivedDatagrams.Add(1)
	p.latency.add(now - e.local(int64(binary.BigEndian.Uint64(plain))))
	rest := plain[sentSize:]
	for {
		r, after, ok := nextRecord(rest)
		if !ok {
			p.counts.refused.malformed.Add(1)
			return
		}
		if r.kind == recordPadding {
			return
		}
		rest = after
		order, message := number, r.body
		if r.kind == recordPiece {
			if uint64(r.back) > number {
				p.counts.refused.malformed.Add(1)
				return
			}
			order = number - uint64(r.back)
			if message = st.assemble(p, order, &r); message == nil {
				continue
			}
		}
		a := &st.arrival
		var valid bool
		if a.Header, a.Packet, valid = decodeMessage(message); valid {
			a.Due = e.local(a.Due)
			a.From, a.Stream, a.Order = p, st, int64(order)
			valid = sink.Arrive(a)
		}
		if !valid {
			p.counts.refused.malformed.Add(1)
			continue
		}
		p.counts.receivedFrames.Add(1)
	}
}

// assemble adds a piece to its frame, and gives the message if it is complete.
func (st *Stream) assemble(p *Peer, first uint64, r *record) []byte {
	a := &st.assemblies[0] // or a free one, or else the oldest
	for i := range st.assemblies {
		c := &st.assemblies[i]
		if c.total > 0 && c.first == first {
			a = c
			break
		}
		if a.total > 0 && (c.total == 0 || c.first < a.first) {
			a = c
		}
	}
	if a.total > 0 && a.first != first {
		p.counts.incomplete.Add(1)
		a.total = 0
	}
	if a.total == 0 {
		if cap(a.buf) < r.total {
			a.buf = make([]byte, messageHeader+MaxPacket)
		}
		a.first, a.total, a.have, a.buf = first, r.total, 0, a.buf[:r.total]
	}
	if a.total != r.total || a.have+len(r.body) > a.total {
		p.counts.incomplete.Add(1)
		a.total = 0
		return nil
	}
	a.have += copy(a.buf[r.offset:], r.body)
	if a.have < a.total {
		return nil
	}
	a.total = 0
	return a.buf
}

// Late notes that the frame that a tells of came after it was due, by so many ns.
func (a *Arrival) Late(by int64) {
	c := &a.From.counts
	c.late.Add(1)
	c.lateMax.Store(max(c.lateMax.Load(), by)) // one thread writes
	c.lateAt.Store(a.From.transport.config.Now())
}

package underlay

import (
	"encoding/binary"
	"time"
)

const (
	// batchSize bounds the datagrams handed to the kernel at once, as the kernel does
	// (UDP_SEGMENT): 64 KiB less headers, and batchDatagrams.
	batchSize      = 65535 - 48
	batchDatagrams = 64
	// minPiece is the least of a frame that goes into what is left of a datagram.
	minPiece = 256
	// silence after which a peer counts as gone: its requests come every calm ns.
	silence = int64(3 * time.Second)
)

// Outbox is the sending side of one thread. Only that thread may use it.
type Outbox struct {
	transport *Transport
	stream    uint32
	boxes     []*box // by index of the peer; nil before the first frame
	pending   []*box // those that have something to send
}

// NewOutbox makes the outbox of a stream. Each outbox of a transport has a number of
// its own, below MaxStreams.
func (t *Transport) NewOutbox(stream int) *Outbox {
	if stream < 0 || stream >= MaxStreams {
		panic("underlay: no such stream")
	}
	return &Outbox{transport: t, stream: uint32(stream)}
}

// MaxStreams bounds the outboxes of a transport.
const MaxStreams = 1024

// box holds datagrams for one peer until they are flushed.
type box struct {
	peer    *Peer
	session *session
	next    uint64 // number of the next datagram
	pending bool

	buf   []byte
	size  int // of datagrams, as long as there are any
	count int // datagrams begun
	start int // of the last one
	fill  int // up to where it is written
}

// Send puts a frame into the box of a peer: h, and the packet, whose content only the
// two fabrics understand, of 1 to MaxPacket bytes. Now is the instant of this host's
// clock. It returns false if there is no session with the peer, or none any more.
// Whether the frame arrives nobody tells.
func (o *Outbox) Send(now int64, to *Peer, h *Header, packet []byte) bool {
	s := to.session.Load()
	if s == nil || !s.known.Load() || now-to.heard.Load() > silence || len(packet) == 0 || len(packet) > MaxPacket {
		return false
	}
	b := o.box(to)
	if b.session != s {
		o.flush(b)
		b.session, b.next = s, 0
	}
	if !b.pending {
		b.pending = true
		o.pending = append(o.pending, b)
	}
	var head [messageHeader]byte
	h.encode(&head)
	total := messageHeader + len(packet)
	to.counts.sentFrames.Add(1)
	to.counts.sentBytes.Add(uint64(len(packet)))
	if room := o.room(b, recordHeader+pieceHeader+min(total, minPiece)); room >= recordHeader+total {
		b.fill += putRecord(b.buf[b.fill:], &record{kind: recordFrame}, total)
		b.copy(&head, packet, 0, total)
		return true
	}
	// In pieces, each of which fills its datagram.
	r := record{kind: recordPiece, total: total}
	for r.offset < total {
		least := recordHeader + pieceHeader + min(total-r.offset, minPiece)
		n := min(o.room(b, least)-recordHeader-pieceHeader, total-r.offset)
		b.fill += putRecord(b.buf[b.fill:], &r, n)
		b.copy(&head, packet, r.offset, n)
		r.offset += n
		r.back++
	}
	return true
}

func (o *Outbox) box(to *Peer) *box {
	for to.index >= len(o.boxes) {
		o.boxes = append(o.boxes, nil)
	}
	if o.boxes[to.index] == nil {
		o.boxes[to.index] = &box{peer: to, buf: make([]byte, batchSize)}
	}
	return o.boxes[to.index]
}

// room gives how much the last datagram of b has room for, and begins a new one if that
// is less than wanted.
func (o *Outbox) room(b *box, want int) int {
	if b.count > 0 {
		if left := b.start + b.size - tagSize - b.fill; left >= want {
			return left
		}
		end := b.start + b.size
		if b.count == batchDatagrams || end+b.size > len(b.buf) {
			o.flush(b)
		} else {
			clear(b.buf[b.fill:end]) // padding
			b.start = end
		}
	}
	if b.count == 0 {
		b.size, b.start = int(b.peer.datagram.Load()), 0
	}
	b.count++
	b.fill = b.start + dataHeader + sentSize
	return b.start + b.size - tagSize - b.fill
}

// copy appends n bytes from offset on of the message that consists of head and packet.
func (b *box) copy(head *[messageHeader]byte, packet []byte, offset, n int) {
	to := b.buf[b.fill : b.fill+n]
	if offset < messageHeader {
		c := copy(to, head[offset:])
		to, offset = to[c:], offset+c
	}
	copy(to, packet[offset-messageHeader:])
	b.fill += n
}

// Flush hands what was put in since the last one to the kernel.
func (o *Outbox) Flush() {
	for _, b := range o.pending {
		o.flush(b)
		b.pending = false
	}
	o.pending = o.pending[:0]
}

// flush seals and sends what b holds. What the kernel does not take is lost.
func (o *Outbox) flush(b *box) {
	if b.count == 0 {
		return
	}
	t, p := o.transport, b.peer
	sent := t.config.Now()
	last := b.fill + tagSize
	for i := range b.count {
		d := b.buf[i*b.size : min((i+1)*b.size, last)]
		d[0], d[1], d[atVersion], d[atKind] = magic0, magic1, Version, kindData
		copy(d[atRun:], t.config.Run[:runSize])
		copy(d[atSession:], t.session[:sessionIDSize])
		binary.BigEndian.PutUint32(d[atNonce:], o.stream)
		binary.BigEndian.PutUint64(d[atSequence:], b.next)
		b.next++
		binary.BigEndian.PutUint64(d[dataHeader:], uint64(sent))
		b.session.seal.Seal(d[dataHeader:dataHeader], d[atNonce:dataHeader], d[dataHeader:len(d)-tagSize], d[:dataHeader])
	}
	p.counts.sentDatagrams.Add(uint64(b.count))
	to := p.address.Load()
	if to == nil || t.config.Conn.Send(*to, b.buf[:last], b.size) != nil {
		p.counts.unsent.Add(uint64(b.count))
		if to != nil {
			p.measure(*to) // the path may have become narrower
		}
	}
	b.count, b.fill, b.start = 0, 0, 0
}

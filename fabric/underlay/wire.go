package underlay

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Version of the protocol. Both ends must speak the same one.
const Version = 1

// Run tells one run from others: the hosts of a run have the same.
type Run [32]byte

// NewRun derives a Run from what makes a run what it is, such as its scenario and
// its epoch. The parts are told apart, so that moving a byte from one to the next
// gives another Run.
func NewRun(parts ...[]byte) Run {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p)))) // never fails
		_, _ = h.Write(p)
	}
	return Run(h.Sum(nil))
}

// String is the part of a run that each datagram bears, in hexadecimal.
func (r Run) String() string { return hex.EncodeToString(r[:runSize]) }

// All datagrams, of whatever version, begin with two bytes of magic, the version,
// the kind and the first bytes of the run; and those that are no data end with their
// authentication code.
const (
	magic0, magic1 = 'O', 'r'

	atVersion = 2
	atKind    = 3
	atRun     = 4
	runSize   = 8
	prefix    = atRun + runSize
)

// kinds of datagrams
const (
	kindRequest = 1 + iota
	kindAnswer
	kindData
)

// A datagram with frames: the prefix, the sender's session, stream and number in
// clear, and sealed: the instant of sending and records.
const (
	atSession  = prefix // first bytes of the sender's session
	atNonce    = atSession + sessionIDSize
	atSequence = atNonce + 4
	dataHeader = atSequence + 8
	tagSize    = 16
	sentSize   = 8
	// dataRoom is what a datagram holds besides records.
	dataRoom = dataHeader + sentSize + tagSize

	sessionIDSize = 8
)

// A record is one frame or a piece of one. Its header has the length of what follows
// and the kind; for pieces also how many datagrams ago the first piece was, and where
// in the frame's message it belongs.
const (
	recordPadding = iota // up to the datagram's end
	recordFrame
	recordPiece

	recordHeader = 4
	pieceHeader  = 8 // follows a recordHeader
)

// Header is what travels with a frame.
type Header struct {
	// Due is the instant at which the frame is to be delivered, in ns of the
	// monotonic clock of the host that it is told to.
	Due int64
	// Contact and ports as both fabrics know them.
	Contact             uint64
	Source, Destination int32
}

// messageHeader is the size of a Header; the packet follows it.
const messageHeader = 24

// MaxPacket is the largest packet that a frame may consist of, in bytes: 64 KiB of
// IP packet with all that may precede it.
const MaxPacket = 68 << 10

func (h *Header) encode(b *[messageHeader]byte) {
	binary.BigEndian.PutUint64(b[0:], uint64(h.Due))
	binary.BigEndian.PutUint64(b[8:], h.Contact)
	binary.BigEndian.PutUint32(b[16:], uint32(h.Source))
	binary.BigEndian.PutUint32(b[20:], uint32(h.Destination))
}

// decodeMessage cuts a message into header and packet; ok is false if it is not one.
func decodeMessage(b []byte) (h Header, packet []byte, ok bool) {
	if len(b) <= messageHeader || len(b) > messageHeader+MaxPacket {
		return h, nil, false
	}
	h = Header{
		Due:     int64(binary.BigEndian.Uint64(b)),
		Contact: binary.BigEndian.Uint64(b[8:]),
		Source:  int32(binary.BigEndian.Uint32(b[16:])), Destination: int32(binary.BigEndian.Uint32(b[20:])),
	}
	return h, b[messageHeader:], h.Source >= 0 && h.Destination >= 0
}

// record is a decoded one.
type record struct {
	kind          byte
	back          byte // datagrams since that with the first piece
	offset, total int  // of the piece in its message
	body          []byte
}

// nextRecord decodes the record that b begins with, and gives what follows it. The
// kind is recordPadding at the end. ok is false if b makes no sense.
func nextRecord(b []byte) (r record, rest []byte, ok bool) {
	if len(b) < recordHeader || b[2] == recordPadding {
		return record{}, nil, true
	}
	length := int(binary.BigEndian.Uint16(b))
	r.kind, r.back = b[2], b[3]
	b = b[recordHeader:]
	switch r.kind {
	case recordFrame:
		if r.back != 0 {
			return r, nil, false
		}
	case recordPiece:
		if len(b) < pieceHeader {
			return r, nil, false
		}
		offset, total := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		b = b[pieceHeader:]
		if total > messageHeader+MaxPacket || uint64(offset)+uint64(length) > uint64(total) {
			return r, nil, false
		}
		r.offset, r.total = int(offset), int(total)
	default:
		return r, nil, false
	}
	if length == 0 || length > len(b) {
		return r, nil, false
	}
	r.body = b[:length]
	return r, b[length:], true
}

// putRecord writes a record's header into b and gives its size.
func putRecord(b []byte, r *record, length int) int {
	binary.BigEndian.PutUint16(b, uint16(length))
	b[2], b[3] = r.kind, r.back
	if r.kind != recordPiece {
		return recordHeader
	}
	binary.BigEndian.PutUint32(b[recordHeader:], uint32(r.offset))
	binary.BigEndian.PutUint32(b[recordHeader+4:], uint32(r.total))
	return recordHeader + pieceHeader
}

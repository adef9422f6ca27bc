//go:build linux

package fabric

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// transit makes up for the emulator's own lateness at a node that passes
// frames on.
//
// A node's kernel forwards or answers a packet while it is handed over. When
// one between the same two addresses and of the same length leaves the node
// right afterwards, it is that packet or the answer to it. Had the delivery
// been in time, it would have left as much earlier: it is taken to have been
// sent at the instant at which the delivery was due. So lateness does not add
// up along a path; what remains is that of the last delivery.
//
// Deliveries are kept in slots by their key. Any worker may write and read
// them; a slot that is overwritten at the same time gives no answer, or that of
// another packet of the same key.
type transit struct {
	slots [transitSlots]struct {
		key  atomic.Uint64 // 0 while it is being written
		due  atomic.Int64  // host instant at which the delivery was due
		done atomic.Int64  // and at which it was over
	}
}

const (
	transitSlots = 16
	// transitMoment is how long after a delivery its packet may leave.
	transitMoment = int64(time.Millisecond)
	// transitMax is the most lateness that is made up for.
	transitMax = int64(50 * time.Millisecond)
)

// delivered notes the delivery of a packet.
func (t *transit) delivered(key uint64, due, done int64) {
	if key == 0 {
		return
	}
	s := &t.slots[key%transitSlots]
	s.key.Store(0)
	s.due.Store(due)
	s.done.Store(done)
	s.key.Store(key)
}

// sent is when a packet that was read from the node at now was sent, as far as
// the emulated network is concerned; otherwise is for one that the node did not
// pass on.
func (t *transit) sent(key uint64, now, otherwise int64) int64 {
	if key == 0 {
		return otherwise
	}
	s := &t.slots[key%transitSlots]
	if s.key.Load() != key {
		return otherwise
	}
	due, done := s.due.Load(), s.done.Load()
	if s.key.Load() != key || now-done > transitMoment {
		return otherwise
	}
	return min(max(due, now-transitMax), now)
}

// packetKey is the same for a packet, for what becomes of it when it is
// forwarded, and for an answer of the same length; 0 for what is not IP. The
// frame begins with its Ethernet header.
func packetKey(frame []byte) uint64 {
	const ethernet = 14
	if len(frame) < ethernet+20 {
		return 0
	}
	var a, b, length uint64
	switch p := frame[ethernet:]; binary.BigEndian.Uint16(frame[12:]) {
	case 0x86dd: // RFC 8200, section 3
		if len(p) < 40 {
			return 0
		}
		length = uint64(binary.BigEndian.Uint16(p[4:]))
		a = mix(binary.BigEndian.Uint64(p[8:])) ^ binary.BigEndian.Uint64(p[16:])
		b = mix(binary.BigEndian.Uint64(p[24:])) ^ binary.BigEndian.Uint64(p[32:])
	case 0x0800: // RFC 791, section 3.1
		length = uint64(binary.BigEndian.Uint16(p[2:]))
		a = uint64(binary.BigEndian.Uint32(p[12:]))
		b = uint64(binary.BigEndian.Uint32(p[16:]))
	default:
		return 0
	}
	return mix(mix(a)+mix(b)+length) | 1
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

package fabric

import (
	"encoding/binary"
	"math/bits"
)

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 { return ^fold(sum(b)) }

// sum adds up b as big-endian words of 16 bits, the last one filled up with a zero
// byte, in ones' complement arithmetic. It takes 64 bits at a time: 2^64-1 is a
// multiple of 2^16-1, so fold of the sum is the same (RFC 1071, section 2).
func sum(b []byte) uint64 {
	var s, c uint64
	for len(b) >= 32 {
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b[24:]), c)
		s = add(s, c)
		b = b[32:]
	}
	for len(b) >= 8 {
		s = add(s, binary.BigEndian.Uint64(b))
		b = b[8:]
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		s = add(s, binary.BigEndian.Uint64(rest[:]))
	}
	return s
}

// add adds sums in ones' complement arithmetic.
func add(a, b uint64) uint64 {
	s, c := bits.Add64(a, b, 0)
	return s + c // no second carry: if there was a first one, s is less than 2^64-1
}

// fold makes 16 bits of a sum.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}

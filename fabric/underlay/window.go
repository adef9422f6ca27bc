package underlay

// windowSize is how many numbers of datagrams a window remembers. A datagram that
// others overtook by more is refused.
const windowSize = 2048

// window refuses datagrams that were there before, as that of IPsec does (RFC 4303,
// section 3.4.3).
type window struct {
	next     uint64 // one above the highest number accepted
	accepted uint64
	bits     [windowSize / 64]uint64 // by number modulo windowSize
}

// maxSequence keeps numbers from wrapping around; no stream comes near it.
const maxSequence = 1 << 62

// accept notes a number, and tells whether it is new. It is called for authentic
// datagrams only.
func (w *window) accept(n uint64) bool {
	switch {
	case n >= maxSequence:
		return false
	case n >= w.next:
		if n-w.next >= windowSize {
			clear(w.bits[:])
		} else {
			for i := w.next; i < n; i++ {
				w.bits[i%windowSize/64] &^= 1 << (i % 64)
			}
		}
		w.next = n + 1
	case w.next-n > windowSize, w.bits[n%windowSize/64]>>(n%64)&1 != 0:
		return false
	}
	w.bits[n%windowSize/64] |= 1 << (n % 64)
	w.accepted++
	return true
}

// lost is how many numbers below the highest are missing.
func (w *window) lost() uint64 { return w.next - w.accepted }

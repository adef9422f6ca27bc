//go:build linux

package fabric

// frame is one frame under way.
type frame struct {
	arrival int64  // host instant at which it is due
	buf     int32  // small buffer, or large one if it is longer than that
	size    int32  // bytes with the virtio_net_hdr
	peer    PortID // where it goes
	order   uint32 // of a frame from another host: its place among those of its port
	contact uint64 // of such a frame
}

// ring is a first-in first-out queue of frames that grows as needed and keeps
// its room, so that a port in use does not allocate.
type ring struct {
	buf  []frame // length is 0 or a power of two
	head uint32
	n    uint32
}

func (r *ring) len() int { return int(r.n) }

// first frame; the ring must not be empty.
func (r *ring) first() *frame { return r.at(0) }

// at gives frame i from the first one on; there must be as many.
func (r *ring) at(i int) *frame { return &r.buf[(r.head+uint32(i))&uint32(len(r.buf)-1)] }

func (r *ring) push(f frame) {
	if int(r.n) == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+r.n)&uint32(len(r.buf)-1)] = f
	r.n++
}

// insert puts f where i others precede it.
func (r *ring) insert(i int, f frame) {
	r.push(f)
	for j := r.len() - 1; j > i; j-- {
		*r.at(j) = *r.at(j - 1)
	}
	*r.at(i) = f
}

func (r *ring) drop() {
	r.head++
	r.n--
}

func (r *ring) grow() {
	buf := make([]frame, max(8, 2*len(r.buf)))
	for i := range r.n {
		buf[i] = r.buf[(r.head+i)&uint32(len(r.buf)-1)]
	}
	r.buf, r.head = buf, 0
}

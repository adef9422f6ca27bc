//go:build linux

package fabric

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Classes of frame buffers. A frame is read into a large one, since nobody knows
// its length before. What fits into a small one is copied if it has to be kept;
// otherwise the large buffer is kept and another one is read into. A plain read and
// that copy take less than a read into two buffers, by 0.15 µs.
const (
	smallSize = 2 << 10
	// The longest frame is 64 KiB of IP packet with an Ethernet header, tags
	// and the virtio_net_hdr.
	largeSize = 68 << 10
)

// none is no buffer.
const none = -1

// pool hands out buffers of one size by number. Its memory comes from the
// kernel in chunks, not from Go's heap: the collector never looks at it, and
// untouched parts cost nothing. The last buffer given back is the next one
// handed out, since it is still in the cache.
type pool struct {
	size  int
	shift uint // log2 of the number of buffers in a chunk
	limit int  // of chunks
	chunk [][]byte
	free  []int32
}

func newPool(size int, shift uint, bytes int) pool {
	return pool{size: size, shift: shift, limit: max(1, bytes/(size<<shift))}
}

// get a buffer, or none if the limit is reached.
func (p *pool) get() int32 {
	if len(p.free) == 0 && !p.grow() {
		return none
	}
	n := len(p.free) - 1
	b := p.free[n]
	p.free = p.free[:n]
	return b
}

func (p *pool) put(b int32) { p.free = append(p.free, b) }

func (p *pool) at(b int32) []byte {
	o := (int(b) & (1<<p.shift - 1)) * p.size
	return p.chunk[b>>p.shift][o : o+p.size : o+p.size]
}

func (p *pool) grow() bool {
	if len(p.chunk) >= p.limit {
		return false
	}
	m, err := unix.Mmap(-1, 0, p.size<<p.shift, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return false
	}
	base := int32(len(p.chunk)) << p.shift
	p.chunk = append(p.chunk, m)
	if need := len(p.chunk) << p.shift; cap(p.free) < need {
		p.free = append(make([]int32, 0, 2*need), p.free...)
	}
	for i := int32(1)<<p.shift - 1; i >= 0; i-- {
		p.free = append(p.free, base+i)
	}
	return true
}

func (p *pool) close() error {
	for _, m := range p.chunk {
		if err := unix.Munmap(m); err != nil {
			return fmt.Errorf("fabric: release buffers: %w", err)
		}
	}
	p.chunk, p.free = nil, nil
	return nil
}

//go:build linux

package fabric

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"orrery.dev/orrery/tap"
)

// superFrameSize is the longest frame that a node's stack hands over with
// segmentation offload, in bytes.
const superFrameSize = 64 << 10

// allowsSuperFrames tells whether a frame of 64 KiB that stands for many can
// pass w without distorting it: it must not occupy the link for longer than
// bound, must not overflow a queue that its segments would fit into one by
// one, and no loss model may take it as a whole.
func allowsSuperFrames(w *Wire, bound time.Duration) bool {
	if w.Loss.GilbertElliott != nil || !w.Loss.Bernoulli.IsConstant() || w.Loss.Bernoulli.At(0) > 0 {
		return false
	}
	segs := w.Rate.Segments()
	if len(segs) == 0 {
		return true
	}
	if w.Queue > 0 && w.Queue < 16*superFrameSize {
		return false
	}
	slow := func(t time.Duration) bool {
		rate := w.Rate.At(t)
		return rate > 0 && superFrameSize*8/rate > bound.Seconds()
	}
	// Rates are fitted curves without swings inside of a segment: its ends tell.
	if slow(max(w.Start, segs[0].Start)) || slow(w.End) {
		return false
	}
	for i := range segs {
		if t := segs[i].Start; t > w.Start && t < w.End && (slow(t) || slow(t-1)) {
			return false
		}
	}
	return true
}

// Fields of the virtio_net_hdr (VIRTIO 1.2, section 5.1.6).
const (
	vnetFlags      = 0
	vnetGSOType    = 1
	vnetHeaderLen  = 2
	vnetGSOSize    = 4
	vnetCsumStart  = 6
	vnetCsumOffset = 8

	vnetNeedsCsum = 1
	vnetGSOTCPv4  = 1
	vnetGSOUDP    = 3
	vnetGSOTCPv6  = 4
	vnetGSOUDPL4  = 5
	vnetGSOECN    = 0x80
)

// onWire is what a frame with its virtio_net_hdr is on the link: one frame of its
// size, or, if it is a super-frame, the frames that segmentation makes of it, each with
// headers of its own, and their bytes together.
func onWire(data []byte) (frames, bytes int) {
	bytes = len(data) - tap.HeaderLen
	if data[vnetGSOType] == 0 {
		return 1, bytes
	}
	mss := int(binary.LittleEndian.Uint16(data[vnetGSOSize:]))
	headers := segmentHeaders(data)
	if mss == 0 || headers == 0 || headers >= bytes {
		return 1, bytes
	}
	frames = (bytes - headers + mss - 1) / mss
	return frames, bytes + (frames-1)*headers
}

// segmentHeaders is the length of what each segment of a super-frame begins
// with: Ethernet, IP and TCP or UDP header. 0 if it cannot be told.
func segmentHeaders(b []byte) int {
	if b[vnetFlags]&vnetNeedsCsum == 0 {
		return 0
	}
	transport := int(binary.LittleEndian.Uint16(b[vnetCsumStart:]))
	switch b[vnetGSOType] &^ vnetGSOECN {
	case vnetGSOTCPv4, vnetGSOTCPv6:
		if o := tap.HeaderLen + transport + 12; o < len(b) {
			return transport + int(b[o]>>4)*4
		}
	case vnetGSOUDPL4:
		return transport + 8
	}
	return 0
}

// control changes devices' offloads in the background: the system call waits
// for the kernel's RTNL lock, which neither Set nor a worker may.
type control struct {
	mu      sync.Mutex // guards the rest
	cond    sync.Cond
	changed []*port
	stopped bool
}

func (c *control) start(wg *sync.WaitGroup) { wg.Go(c.run) }

func (c *control) change(p *port) {
	c.mu.Lock()
	c.changed = append(c.changed, p)
	c.mu.Unlock()
	c.cond.Signal()
}

func (c *control) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cond.Signal()
}

func (c *control) run() {
	for {
		c.mu.Lock()
		for len(c.changed) == 0 && !c.stopped {
			c.cond.Wait()
		}
		ports := c.changed
		c.changed = nil
		stopped := c.stopped
		c.mu.Unlock()
		if stopped {
			return
		}
		for _, p := range ports {
			if err := p.setOffloads(offloads(p.allowed.Load())); err != nil {
				slog.Warn("fabric: cannot change offloads", "port", p.name, "error", err)
			}
		}
	}
}

func (p *port) setOffloads(want offloads) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tap.Load() || p.file == nil || p.told == want {
		return nil
	}
	// Partial checksums alone never distort: they stay on.
	flags := tap.OffloadCSUM
	if want == offloadsSuper {
		flags = tap.OffloadAll
	}
	if _, err := tap.SetOffload(int(p.fd.Load()), flags); err != nil {
		return err
	}
	p.told = want
	return nil
}

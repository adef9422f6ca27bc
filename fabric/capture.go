//go:build linux

package fabric

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"orrery.dev/orrery/tap"
)

// ErrCaptured is returned for a port that is being captured already.
var ErrCaptured = errors.New("the port is being captured already")

// Room for captured frames that are not yet written: 10 MiB a capture.
const (
	captureSmall = 3072
	captureLarge = 64
)

const (
	inbound  = pcapgo.NgEpbFlagDirectionInbound
	outbound = pcapgo.NgEpbFlagDirectionOutbound
)

// capture takes copies of a port's frames from the workers to one writer.
type capture struct {
	wall         int64 // Unix time minus monotonic time, in ns
	small, large chan []byte
	full         chan captured
	dropped      atomic.Uint64
	stop         chan struct{}
	stopOnce     sync.Once
}

type captured struct {
	at        int64
	direction pcapgo.NgEpbFlag
	size      int // with the virtio_net_hdr
	buf       []byte
}

// Capture copies what port's node sends and receives from now on. The stream is
// a pcapng file of one interface. Once stop was called, or the engine closed,
// what is left can be read, and then comes io.EOF. The reader must go on to
// there or close the stream. Stop may be called more than once.
//
// Timestamps are the instants at which the fabric took the frame from the node
// or gave it to it. Frames that the reader is too slow for are left out and
// counted in the file's interface statistics; the frames themselves are never
// delayed for a capture. A super-frame appears as one long frame, as the node's
// own stack sees it; checksums that the node left to its device are filled in.
func (e *Engine) Capture(id PortID) (stream io.ReadCloser, stop func(), err error) {
	p := e.ports[id]
	c := &capture{
		wall:  time.Now().UnixNano() - e.timeline.Monotonic(),
		small: make(chan []byte, captureSmall),
		large: make(chan []byte, captureLarge),
		full:  make(chan captured, captureSmall+captureLarge),
		stop:  make(chan struct{}),
	}
	for range captureSmall {
		c.small <- make([]byte, smallSize)
	}
	for range captureLarge {
		c.large <- make([]byte, largeSize)
	}
	e.closing.Lock()
	defer e.closing.Unlock()
	if e.done {
		return nil, nil, fmt.Errorf("fabric: capture of %s: %w", p.name, os.ErrClosed)
	}
	if !p.capture.CompareAndSwap(nil, c) {
		return nil, nil, fmt.Errorf("fabric: capture of %s: %w", p.name, ErrCaptured)
	}
	r, w := io.Pipe()
	go func() {
		err := c.write(w, p.name)
		p.capture.CompareAndSwap(c, nil)
		_ = w.CloseWithError(err) // nil is io.EOF
	}()
	return r, func() {
		p.capture.CompareAndSwap(c, nil)
		c.end()
	}, nil
}

func (p *port) stopCapture() {
	if c := p.capture.Swap(nil); c != nil {
		c.end()
	}
}

func (c *capture) end() { c.stopOnce.Do(func() { close(c.stop) }) }

// record copies a frame. It never waits.
func (c *capture) record(direction pcapgo.NgEpbFlag, now int64, data []byte) {
	free := c.small
	if len(data) > smallSize {
		free = c.large
	}
	select {
	case buf := <-free:
		c.full <- captured{now, direction, copy(buf, data), buf} // has room for all buffers
	default:
		c.dropped.Add(1)
	}
}

// write drains the capture until it is stopped.
func (c *capture) write(out io.Writer, name string) error {
	started := time.Now()
	w, err := pcapgo.NewNgWriterInterface(out, pcapgo.NgInterface{
		Name:        name,
		Description: "port " + name + " as its node sees it",
		OS:          "Linux",
		LinkType:    layers.LinkTypeEthernet,
	}, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "Orrery"}})
	if err != nil {
		return err
	}
	var packets uint64
	put := func(f captured) error {
		packets++
		frame := f.buf[tap.HeaderLen:f.size]
		completeChecksum(f.buf[:f.size])
		err := w.WritePacketWithOptions(gopacket.CaptureInfo{
			Timestamp:     time.Unix(0, f.at+c.wall),
			CaptureLength: len(frame),
			Length:        len(frame),
		}, frame, pcapgo.NgPacketOptions{Flags: &pcapgo.NgEpbFlags{Direction: f.direction}})
		if cap(f.buf) == smallSize {
			c.small <- f.buf
		} else {
			c.large <- f.buf
		}
		return err
	}
	for {
		select {
		case f := <-c.full:
			if err := put(f); err != nil {
				return err
			}
			continue
		default:
		}
		// Nothing to do: let the reader see what there is.
		if err := w.Flush(); err != nil {
			return err
		}
		select {
		case f := <-c.full:
			if err := put(f); err != nil {
				return err
			}
		case <-c.stop:
			for len(c.full) > 0 {
				if err := put(<-c.full); err != nil {
					return err
				}
			}
			dropped := c.dropped.Load()
			if err := w.WriteInterfaceStats(0, pcapgo.NgInterfaceStatistics{
				LastUpdate: time.Now(), StartTime: started, EndTime: time.Now(),
				PacketsReceived: packets + dropped, PacketsDropped: dropped,
			}); err != nil {
				return err
			}
			return w.Flush()
		}
	}
}

// completeChecksum does what the node left to its device: the checksum field
// holds the sum over the pseudo-header, and is replaced by the checksum over
// that and everything from csum_start on (VIRTIO 1.2, section 5.1.6.2).
func completeChecksum(b []byte) {
	if b[vnetFlags]&vnetNeedsCsum == 0 {
		return
	}
	frame := b[tap.HeaderLen:]
	start := int(binary.LittleEndian.Uint16(b[vnetCsumStart:]))
	field := start + int(binary.LittleEndian.Uint16(b[vnetCsumOffset:]))
	if field+2 > len(frame) {
		return
	}
	sum := checksum(frame[start:])
	const udpField = 6
	if sum == 0 && field-start == udpField {
		sum = 0xffff // the same number; 0 means "no checksum" in UDP
	}
	binary.BigEndian.PutUint16(frame[field:], sum)
}

//go:build linux

package fabric

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
)

// patience is how long, in ns, a frame that is due and may be joined with others waits
// while its worker reads what was sent in one go. Frames that are read one right after
// the other, in a microsecond each, and with no delivery in between, are due as close
// together as they were sent; so they can be joined in the end.
const patience = 20_000

// mayWait tells whether a frame that is due may wait until the worker has read more.
func (w *worker) mayWait(f *frame, now int64) bool {
	return now-f.arrival < w.engine.patience && w.mayJoin(f.peer, w.data(f))
}

// mayJoin tells at a glance whether a frame for a port may be joined with others.
func (w *worker) mayJoin(to PortID, data []byte) bool {
	return w.engine.patience > 0 && w.engine.ports[to].tap.Load() && looksJoinable(data)
}

// join puts p's first frame, which is due, together with those right after it that can
// be handed over in one write: they are due as well, were to arrive within joinSpan of
// it, and go to the same device. It gives their number; they are in the coalescer if
// that is above 1. No frame is held back for it. Frames from other hosts are not joined.
func (w *worker) join(p *port, now int64) int {
	if p.flight.len() == 1 || p.remote != nil {
		return 1
	}
	first := p.flight.first()
	latest := min(now, first.arrival+w.engine.joinSpan)
	if p.flight.at(1).arrival > latest || !w.mayJoin(first.peer, w.data(first)) ||
		!p.dir.covers(w.timeline, p.wire.Load(), latest) || !w.coalescer.begin(w.data(first)) {
		return 1
	}
	n := 1
	for ; n < p.flight.len(); n++ {
		f := p.flight.at(n)
		if f.arrival > latest || f.peer != first.peer || f.size > smallSize || !w.coalescer.add(w.data(f)) {
			break
		}
	}
	return n
}

// handJoined writes the first n frames of p, which join has put together, to their
// device, and gives the time then. For all that is counted and captured they are n
// frames.
func (w *worker) handJoined(p *port, n int, now int64) int64 {
	first, last := p.flight.first(), p.flight.at(n-1)
	to := first.peer
	peer := w.engine.ports[to]
	parts, size := w.coalescer.finish()
	written, errno := uintptr(0), unix.ENODEV
	if fd := peer.fd.Load(); fd != noDevice {
		written, _, errno = unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&parts[0])), uintptr(len(parts)))
	}
	if errno != 0 || written != uintptr(size) {
		if errno == unix.EINVAL {
			w.coalescer.refuse()
		}
		for i := range n {
			f := p.flight.at(i)
			now = w.hand(p, to, w.data(f), f.arrival, now)
		}
		return now
	}
	bytes := 0
	capture := peer.capture.Load()
	for i := range n {
		f := p.flight.at(i)
		bytes += int(f.size) - tap.HeaderLen
		w.account.lateness.record(now-f.arrival, 1)
		if capture != nil {
			capture.record(inbound, now, w.data(f))
		}
	}
	d := &w.delivered[to]
	d.frames.Add(uint64(n))
	d.bytes.Add(uint64(bytes))
	done := w.timeline.Monotonic()
	if peer.node != nil {
		// The node passes it on as it is, or in the frames that it stands for.
		due := last.arrival
		peer.node.delivered(packetKey(w.data(first)[tap.HeaderLen:]), due, done)
		if last.size != first.size {
			peer.node.delivered(packetKey(w.data(last)[tap.HeaderLen:]), due, done)
		}
		peer.node.delivered(packetKey(w.coalescer.headers[tap.HeaderLen:]), due, done)
	}
	return done
}

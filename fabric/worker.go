//go:build linux

package fabric

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/tap"
)

const (
	// burst is how many frames are read from one port, and delivered at one
	// go, before the others have their turn.
	burst = 64
	// A worker at real-time priority that had work without a pause for
	// busyLimit sleeps for busyPause, so that the rest of the machine lives.
	busyLimit = 10 * time.Millisecond
	busyPause = 100 * time.Microsecond
	// pulse is the longest that a worker sleeps, so that it is seen to live.
	pulse = int64(time.Second)
)

// worker carries what leaves its ports. All of it happens on one thread: it
// reads a frame, decides about it, keeps it while it is under way, and writes
// it to the peer's device, whoever's port that is. So no lock is taken and no
// frame changes hands.
type worker struct {
	engine   *Engine
	timeline *clock.Timeline
	epoll    int
	wake     int // eventfd
	small    pool
	large    pool
	due      queue

	landing int32 // large buffer that the next frame is read into
	events  [128]unix.EpollEvent
	ready   int // of events
	timeout unix.Timespec
	ahead   ahead
	spinner *spinner // nil: the worker sleeps when there is nothing to do
	woken   int64    // ns that the frames read now have waited for the worker to wake
	idle    int64    // host instant at which the worker last had nothing to do

	coalescer coalescer

	account   *workerAccount
	delivered []delivered // by peer

	turn     atomic.Uint64    // turns begun: what was taken away before is not used in the next
	outbox   *underlay.Outbox // nil if there are no other hosts
	receiver *receiver        // nil but for the one that has the underlay's receiving end
}

// Events of a worker that are no port's.
const (
	eventWake     = -1
	eventUnderlay = -2
)

func newWorker(e *Engine, number, memory int) (*worker, error) {
	w := &worker{
		engine:   e,
		timeline: e.timeline,
		epoll:    -1,
		wake:     -1,
		// Chunks of 1 MiB and 4 MiB.
		small:     newPool(smallSize, 9, memory/2),
		large:     newPool(largeSize, 6, memory/2),
		account:   e.ledger.workers[number],
		delivered: e.ledger.delivered[number],
	}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if w.wake, err = newEvent(); err != nil {
		_ = w.close()
		return nil, err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: eventWake}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, w.wake, &ev); err != nil {
		_ = w.close()
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	if w.landing = w.large.get(); w.landing == none {
		_ = w.close()
		return nil, fmt.Errorf("no memory for frame buffers")
	}
	if errno := w.epollWait(0); errno != 0 {
		_ = w.close()
		return nil, fmt.Errorf("epoll_pwait2: %w: the fabric needs Linux 5.11 or later", errno)
	}
	return w, nil
}

// watch makes the worker read from a descriptor: event is the port whose device it is,
// or another event.
func (w *worker) watch(fd int, event int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: event}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// interrupt wakes the worker so that it sees that the engine is closed, or begins
// another turn.
func (w *worker) interrupt() error {
	_, err := unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return err
}

func (w *worker) close() error {
	for _, fd := range []int{w.epoll, w.wake} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	if err := w.small.close(); err != nil {
		return err
	}
	return w.large.close()
}

// run carries frames until the engine is closed. The thread, whose priority it
// changes, ends with it.
func (w *worker) run(ready chan<- struct{}, realTime, spin bool) {
	runtime.LockOSThread()
	w.account.realTime.Store(prioritise(realTime))
	w.idle = w.timeline.Monotonic()
	w.account.alive.Store(w.idle)
	close(ready)
	w.ahead = ahead{lead: leadStart, credit: creditMax, at: w.idle}
	if spin {
		w.spinner = &spinner{at: w.idle}
	}
	for !w.engine.closed.Load() {
		n := w.wait()
		w.turn.Add(1)
		now := w.timeline.Monotonic()
		w.account.alive.Store(now)
		now = w.deliver(now)
		for i := range n {
			now = w.serve(w.events[i].Fd, now)
		}
		if w.outbox != nil {
			w.outbox.Flush()
		}
	}
}

// serve does what an event asks for.
func (w *worker) serve(event int32, now int64) int64 {
	switch event {
	case eventWake:
		var count [8]byte
		_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(w.wake), uintptr(unsafe.Pointer(&count)), 8)
		return now
	case eventUnderlay:
		return w.arrivals(now)
	default:
		return w.receive(w.engine.ports[event], now)
	}
}

// receive reads what p's node has sent, at most burst frames.
func (w *worker) receive(p *port, now int64) int64 {
	fd := p.fd.Load()
	if fd == noDevice {
		return now
	}
	var frames, bytes uint64
	for range burst {
		into := w.large.at(w.landing)
		size, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&into[0])), largeSize)
		now = w.timeline.Monotonic()
		if errno != 0 || size == 0 {
			if errno != unix.EAGAIN && errno != unix.EINTR {
				w.bury(fd)
			}
			break
		}
		if size <= tap.HeaderLen {
			continue
		}
		n, b := onWire(into[:size])
		frames += uint64(n)
		bytes += uint64(b)
		w.carry(p, now, into[:size], n, b)
		if f := w.overdue(now); f != nil && !w.mayWait(f, now) {
			now = w.deliver(now)
		}
	}
	if w.overdue(now) != nil {
		now = w.deliver(now)
	}
	if frames > 0 {
		p.account.sentFrames.Add(frames)
		p.account.sentBytes.Add(bytes)
	}
	return now
}

// overdue is the frame that is due for the longest time, or nil.
func (w *worker) overdue(now int64) *frame {
	if p := w.due.first(); p != nil {
		if f := p.flight.first(); f.arrival <= now {
			return f
		}
	}
	return nil
}

// bury forgets a device that has gone: its namespace was destroyed.
func (w *worker) bury(fd int32) {
	_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
}

// carry takes what is in the landing buffer, which was just read from p, and is frames
// of size bytes together on the link.
func (w *worker) carry(p *port, now int64, data []byte, frames, size int) {
	if c := p.capture.Load(); c != nil {
		c.record(outbound, now, data)
	}
	if kind := protocolOf(data[tap.HeaderLen:]); kind < Protocols {
		c := &p.control[kind]
		c.frames.Add(uint64(frames))
		c.bytes.Add(uint64(size))
	}
	if p.guard != nil && p.guard.forged(data[tap.HeaderLen:]) {
		p.account.forged.Add(uint64(frames))
		if p.guard.drop {
			p.account.dropForged.Add(uint64(frames))
			return
		}
	}
	wire := p.wire.Load()
	if wire == nil {
		p.account.dropNoLink.Add(uint64(frames))
		return
	}
	d := &p.dir
	if wire != d.wire {
		if d.newContact(wire) {
			w.lose(p)
		}
		d.turn(wire)
	}
	sent := now - w.woken
	if p.node != nil {
		sent = p.node.sent(packetKey(data[tap.HeaderLen:]), now, sent)
	}
	if w.timeline.At(sent) < wire.Start {
		sent = now // the contact is younger than the delivery
	}
	arrival, v := d.decide(w.timeline, sent, size)
	switch v {
	case dropNoLink:
		p.account.dropNoLink.Add(uint64(frames))
		return
	case dropQueue:
		p.account.dropQueue.Add(uint64(frames))
		return
	case dropLoss:
		p.account.dropLoss.Add(uint64(frames))
		return
	}
	if host := w.engine.ports[wire.Peer].elsewhere(); host != nil {
		w.transmit(p, host, wire, data, arrival, now)
		return
	}
	if arrival <= now && p.flight.len() == 0 && !w.mayJoin(wire.Peer, data) {
		w.hand(p, wire.Peer, data, arrival, now)
		return
	}
	f := frame{arrival: arrival, size: int32(len(data)), peer: wire.Peer}
	if !w.keep(&f, data) {
		p.account.dropOverload.Add(uint64(frames))
		return
	}
	p.flight.push(f)
	if p.flight.len() == 1 {
		w.due.add(p)
	}
}

// keep finds a buffer for the frame in the landing buffer.
func (w *worker) keep(f *frame, data []byte) bool {
	if len(data) <= smallSize {
		if f.buf = w.small.get(); f.buf == none {
			return false
		}
		copy(w.small.at(f.buf), data)
		return true
	}
	next := w.large.get()
	if next == none {
		return false
	}
	f.buf, w.landing = w.landing, next
	return true
}

// stands is how many frames on the link a frame that was kept stands for.
func (w *worker) stands(f *frame) uint64 {
	frames, _ := onWire(w.data(f))
	return uint64(frames)
}

// data of a frame that was kept.
func (w *worker) data(f *frame) []byte {
	if f.size <= smallSize {
		return w.small.at(f.buf)[:f.size]
	}
	return w.large.at(f.buf)[:f.size]
}

// deliver hands over frames that are due, at most burst of them or as many more as
// are joined with the last.
func (w *worker) deliver(now int64) int64 {
	for n := 0; n < burst; {
		p := w.due.first()
		if p == nil {
			return now
		}
		f := p.flight.first()
		if f.arrival > now {
			return now
		}
		joined := 1
		if !w.covered(p, f) {
			p.account.dropInFlight.Add(w.stands(f))
		} else if joined = w.join(p, now); joined > 1 {
			now = w.handJoined(p, joined, now)
		} else {
			now = w.hand(p, f.peer, w.data(f), f.arrival, now)
		}
		for range joined {
			w.release(p)
		}
		n += joined
		w.due.fix(p)
	}
	return now
}

// covered tells whether the contact of p's first frame under way covers its flight.
func (w *worker) covered(p *port, f *frame) bool {
	if p.remote != nil {
		return w.coveredHere(p, f)
	}
	return p.dir.covers(w.timeline, p.wire.Load(), f.arrival)
}

// lose drops all that is under way from p.
func (w *worker) lose(p *port) {
	if p.flight.len() == 0 {
		return
	}
	for p.flight.len() > 0 {
		p.account.dropInFlight.Add(w.stands(p.flight.first()))
		w.release(p)
	}
	w.due.fix(p)
}

// release drops p's first frame and takes back its buffer.
func (w *worker) release(p *port) {
	f := p.flight.first()
	if f.size <= smallSize {
		w.small.put(f.buf)
	} else {
		w.large.put(f.buf)
	}
	p.flight.drop()
}

// hand writes a frame of p to its peer's device, and gives the time then.
func (w *worker) hand(p *port, to PortID, data []byte, arrival, now int64) int64 {
	peer := w.engine.ports[to]
	frames, bytes := onWire(data)
	fd := peer.fd.Load()
	if fd == noDevice {
		p.account.dropDevice.Add(uint64(frames))
		return now
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
	if errno != 0 || n != uintptr(len(data)) {
		p.account.dropDevice.Add(uint64(frames))
		return w.timeline.Monotonic()
	}
	w.account.lateness.record(now-arrival, frames)
	d := &w.delivered[to]
	d.frames.Add(uint64(frames))
	d.bytes.Add(uint64(bytes))
	if c := peer.capture.Load(); c != nil {
		c.record(inbound, now, data)
	}
	done := w.timeline.Monotonic()
	if peer.node != nil {
		peer.node.delivered(packetKey(data[tap.HeaderLen:]), arrival, done)
	}
	return done
}

// wait sleeps until a port has frames or one under way is due.
func (w *worker) wait() int {
	now := w.timeline.Monotonic()
	w.woken = 0
	due := int64(-1)
	if p := w.due.first(); p != nil {
		due = max(p.flight.first().arrival, now)
	}
	if now-w.idle > int64(busyLimit) {
		if n := w.poll(0); n > 0 || due == now {
			if w.account.realTime.Load() {
				w.nap()
			}
			w.idle = w.timeline.Monotonic()
			return n
		}
	}
	if due == now {
		return w.poll(0)
	}
	longest := pulse
	if w.spinner != nil {
		n, done := w.spin(now, due)
		if done {
			return n
		}
		now, longest = w.timeline.Monotonic(), spinPause
	}
	if due < 0 {
		n := w.poll(longest)
		w.rested(now, n)
		return n
	}
	left := due - now
	if sleep := min(w.ahead.sleep(now, left), longest); sleep > 0 {
		n := w.poll(sleep)
		then := w.rested(now, n)
		if n > 0 {
			return n
		}
		if late := then - now - sleep; late >= 0 { // not woken by a signal
			w.ahead.woke(late)
		}
	}
	return w.look(due)
}

// rested notes that the worker slept, and gives the time.
func (w *worker) rested(since int64, events int) int64 {
	now := w.timeline.Monotonic()
	if w.spinner != nil {
		w.spinner.slept(now)
	}
	slept := now-since > int64(10*time.Microsecond)
	if events == 0 || slept {
		w.idle = now
	}
	if events > 0 && slept {
		w.woken = min(w.ahead.usual, now-since)
	}
	return now
}

// look polls without sleeping until a frame is due, which is soon.
func (w *worker) look(due int64) int {
	began := w.timeline.Monotonic()
	if due-began > 2*leadMax {
		return 0 // woken by a signal, long before: sleep again
	}
	n, now := 0, began
	for n == 0 && now < due {
		n = w.poll(0)
		now = w.timeline.Monotonic()
	}
	w.ahead.spent(now - began)
	return n
}

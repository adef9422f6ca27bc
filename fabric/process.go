//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/fabric/underlay"
)

// Process is a Fabric whose Engine runs in a process of its own, the child: what
// the emulator computes cannot hold up frames, and all of the child's threads,
// not only its workers, run at real-time priority where the kernel allows it.
//
// Wires go to the child through shared memory, in order and not waited for:
// SetCarriers waits until those that were set before it stand. Counters come back
// through shared memory as well. The carriers of devices are set from here.
//
// If the child dies it is started again with the devices, the wires, what was said of
// other hosts, and the counters so far. Frames that were under way are lost, and counted nowhere; loss
// models begin anew. Trouble tells of it.
type Process struct {
	config    Config
	ports     []*port
	announcer announcer
	shared    *os.File
	stream    stream
	ledger    *ledger
	socket    *underlay.Socket // nil if there are no other hosts
	closing   chan struct{}
	running   sync.WaitGroup

	// changes guards devices, hosts and places, and calls of the child. It is held while
	// a child is started, so that the next one has what the one before was given.
	changes sync.Mutex
	hosts   map[string]netip.AddrPort
	places  map[PortID]string
	status  underlay.Status // as reported last

	mu       sync.Mutex // guards the rest; taken after changes if both are
	wires    []*Wire
	child    *child // nil while there is none
	words    []uint64
	captured map[PortID]bool
	restarts int
	trouble  string
	closed   bool
}

var (
	_ Fabric         = (*Process)(nil)
	_ ControlCounter = (*Process)(nil)
	_ ControlCounter = (*Engine)(nil)
)

// NewProcess is New for an engine in a process of its own. The program must call
// Main before anything else.
func NewProcess(c Config) (*Process, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Process{
		config: c, closing: make(chan struct{}),
		wires: make([]*Wire, len(c.Ports)), captured: make(map[PortID]bool),
		hosts: make(map[string]netip.AddrPort), places: make(map[PortID]string),
	}
	if c.Underlay != nil {
		var ok bool
		if p.socket, ok = c.Underlay.Conn.(*underlay.Socket); !ok {
			return nil, fmt.Errorf("fabric: an underlay of type %T cannot be handed to another process; give an underlay.Socket", c.Underlay.Conn)
		}
	}
	for i, q := range c.Ports {
		p.ports = append(p.ports, newPort(PortID(i), q, c.Seed))
	}
	if err := p.share(); err != nil {
		return nil, err
	}
	first, err := p.spawn(false)
	if err != nil {
		_ = p.shared.Close()
		return nil, err
	}
	p.announcer.start(&p.running)
	p.adopt(first)
	p.running.Go(func() { p.supervise(first) })
	p.running.Go(p.followTimeline)
	return p, nil
}

// share makes the memory that both processes have: the stream of orders, and the
// ledger.
func (p *Process) share() error {
	fd, err := unix.MemfdCreate(childName, unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fabric: memfd_create: %w", err)
	}
	p.shared = os.NewFile(uintptr(fd), childName)
	var memory []byte
	size := streamSize + ledgerSize(len(p.ports), p.config.threads())
	if err = unix.Ftruncate(fd, int64(size)); err == nil {
		memory, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		_ = p.shared.Close()
		return fmt.Errorf("fabric: %d bytes of shared memory: %w", size, err)
	}
	p.stream = mapStream(memory)
	p.ledger = mapLedger(memory[streamSize:], len(p.ports), p.config.threads())
	// Counters are read after Close, too.
	runtime.AddCleanup(p, func(m []byte) { _ = unix.Munmap(m) }, memory)
	return nil
}

// adopt hands all wires to c, and from then on what changes. It returns false if the
// fabric was closed meanwhile.
func (p *Process) adopt(c *child) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.child = c
	p.tell(appendTimeline(p.words[:0], p.config.Timeline.State()))
	for id, w := range p.wires {
		if w != nil {
			p.tell(appendWire(p.words[:0], PortID(id), w))
		}
	}
	return true
}

// tell writes an order that was encoded into p.words. It is called with p.mu held.
func (p *Process) tell(words []uint64) {
	p.words = words[:0]
	if p.child != nil {
		p.stream.write(words, p.child.gone, p.child.wake)
	}
}

// supervise starts the child again whenever it has ended.
func (p *Process) supervise(c *child) {
	for {
		select {
		case <-p.closing:
			return
		case <-c.gone:
		}
		ended, reason := time.Now(), c.reason
		p.mu.Lock()
		p.child = nil
		p.restarts++
		p.trouble = fmt.Sprintf("the process that carries frames ended (%v) and is being started again", reason)
		p.mu.Unlock()
		p.changes.Lock() // nobody waits for its answer any more
		_ = c.close()
		p.changes.Unlock()
		adopted := false
		for c = nil; c == nil; {
			p.changes.Lock()
			p.stream.reset()
			next, err := p.spawn(true)
			if err == nil {
				c = next
				adopted = p.adopt(c)
			}
			p.changes.Unlock()
			if err == nil {
				break
			}
			p.mu.Lock()
			p.trouble = fmt.Sprintf("the process that carries frames ended (%v) and cannot be started again: %v", reason, err)
			p.mu.Unlock()
			select {
			case <-p.closing:
				return
			case <-time.After(time.Second):
			}
		}
		if !adopted {
			_ = c.end()
			return
		}
		p.mu.Lock()
		p.trouble = fmt.Sprintf("the process that carries frames ended (%v) and was started again after %v, restart %d of this run; frames that were under way are lost",
			reason, time.Since(ended).Round(time.Millisecond), p.restarts)
		p.mu.Unlock()
	}
}

// followTimeline tells the child of each change of the timeline.
func (p *Process) followTimeline() {
	for {
		changed := p.config.Timeline.Changed()
		p.mu.Lock()
		p.tell(appendTimeline(p.words[:0], p.config.Timeline.State()))
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.closing:
			return
		}
	}
}

// Set makes wire what leaves port: it writes it into the memory that is shared with
// the child. While there is no child it is kept for the next one.
func (p *Process) Set(id PortID, wire *Wire) {
	if wire != nil && (int(wire.Peer) < 0 || int(wire.Peer) >= len(p.ports)) {
		panic(fmt.Sprintf("fabric: port %d: no port %d to be wired to", id, wire.Peer))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wires[id] == wire {
		return
	}
	p.wires[id] = wire
	p.tell(appendWire(p.words[:0], id, wire))
}

// wiresStand bounds how long SetCarriers waits for wires to stand.
const wiresStand = time.Second

// SetCarriers raises or takes away carriers of ports' devices, in the order
// given, when the wires set before it stand. The nodes' kernels tell their daemons
// before SetCarriers returns. An error of one does not keep the others from being
// set.
func (p *Process) SetCarriers(carriers ...Carrier) error {
	if len(carriers) == 0 {
		return nil
	}
	p.mu.Lock()
	c := p.child
	p.mu.Unlock()
	if c != nil {
		p.stream.settled(c.gone, wiresStand)
	}
	return p.announcer.set(p.ports, carriers)
}

// Counters of a port. A super-frame counts as the frames that it stands for.
func (p *Process) Counters(id PortID) Counters { return p.ledger.counters(id) }

// Control implements ControlCounter.
func (p *Process) Control(id PortID) [Protocols]Load { return p.ledger.controlOf(id) }

// Fidelity says how truthfully frames were carried so far.
func (p *Process) Fidelity() Fidelity {
	f := p.ledger.fidelity(p.config.Timeline.Monotonic())
	p.mu.Lock()
	defer p.mu.Unlock()
	f.Interruptions = uint64(p.restarts)
	return f
}

// Trouble says what has happened to the child; empty if nothing.
func (p *Process) Trouble() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

// Capture is Engine.Capture. If the child dies the stream ends, cut off.
func (p *Process) Capture(id PortID) (stream io.ReadCloser, stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := p.ports[id].name
	switch {
	case p.closed:
		return nil, nil, fmt.Errorf("fabric: capture of %s: %w", name, os.ErrClosed)
	case p.child == nil:
		return nil, nil, fmt.Errorf("fabric: capture of %s: %s; try again", name, p.trouble)
	case p.captured[id]:
		return nil, nil, fmt.Errorf("fabric: capture of %s: %w", name, ErrCaptured)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("fabric: capture of %s: %w", name, err)
	}
	c := p.child
	err = c.send(&message{Capture: &id}, int(w.Fd()))
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, nil, fmt.Errorf("fabric: capture of %s: %w", name, err)
	}
	p.captured[id] = true
	var once sync.Once
	stop = func() {
		once.Do(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.captured, id)
			if p.child == c {
				_ = c.send(&message{Stop: &id}) // or it is going, and the stream ends so
			}
		})
	}
	return &captureStream{r, stop}, stop, nil
}

// captureStream ends its capture when it is closed.
type captureStream struct {
	*os.File
	stop func()
}

func (s *captureStream) Close() error {
	s.stop()
	return s.File.Close()
}

// Close ends the child and closes the ports' files, which does not destroy the
// devices. Closing twice does nothing twice.
func (p *Process) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	c := p.child
	p.child = nil
	p.mu.Unlock()
	close(p.closing)
	p.changes.Lock()
	var errs []error
	var files []*os.File
	for _, q := range p.ports {
		q.mu.Lock()
		if file := q.release(); file != nil { // from here on nobody asks for an announcement
			files = append(files, file)
		}
		q.mu.Unlock()
	}
	p.changes.Unlock()
	p.announcer.stop()
	p.running.Wait()
	if c != nil {
		errs = append(errs, c.end())
	}
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	if p.socket != nil {
		errs = append(errs, p.socket.Close())
	}
	return errors.Join(append(errs, p.shared.Close())...)
}

// PID is the id of the process that carries frames, 0 while there is none.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return 0
	}
	return p.child.process.Pid
}

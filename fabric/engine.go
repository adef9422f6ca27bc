//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric/underlay"
)

// Config of an Engine.
type Config struct {
	// Timeline is the clock of the run; its source must be clock.Host.
	Timeline *clock.Timeline
	// Ports to carry frames for: PortID i is Ports[i]. The engine owns their
	// files from a successful New on.
	Ports []Port
	// Workers is the number of threads that carry frames; 0 is one for every
	// two CPUs. Ports are dealt out to them evenly.
	Workers int
	// Seed of the loss models: the same seed and the same frames give the same
	// losses on every port.
	Seed uint64
	// Memory is the bound on buffers for frames under way, in bytes for all
	// workers together; 0 is 512 MiB. It is taken from the system as needed.
	Memory int
	// SuperFrame is the longest time that a segmentation-offloaded frame of
	// 64 KiB may occupy a link whose port has offloads on; 0 is 100 µs.
	SuperFrame time.Duration
	// Ordinary leaves workers at ordinary priority.
	Ordinary bool
	// Spin makes workers poll where they would sleep, which uses up to nine tenths of a
	// CPU for each of them at all times.
	Spin bool
	// OneByOne delivers each frame by a write of its own, also where several could be
	// joined: see "Coalescing" in the package's documentation.
	OneByOne bool
	// Underlay to other hosts, nil if there are none. Its Now is that of Timeline. Its Conn
	// is the engine's from a successful New on.
	Underlay *underlay.Config
}

// threads that carry frames: the workers, and the one that receives from other hosts.
func (c *Config) threads() int {
	if c.Underlay != nil {
		return c.Workers + 1
	}
	return c.Workers
}

const (
	defaultMemory     = 512 << 20
	defaultSuperFrame = 100 * time.Microsecond
)

// Engine carries frames between TAP devices. It implements Fabric.
type Engine struct {
	timeline   *clock.Timeline
	ports      []*port
	workers    []*worker
	readers    int // of workers: those that ports are dealt out to, which come first
	ledger     *ledger
	transport  *underlay.Transport // nil if there are no other hosts
	host       string              // the name of this one
	superFrame time.Duration
	alone      bool  // in this process
	joinSpan   int64 // ns between the arrivals of frames that are joined at most
	patience   int64 // ns that a due frame may wait for reading; 0: nothing is joined
	control    control
	announcer  announcer
	started    bool          // the workers are running
	ending     chan struct{} // closed by Close
	closed     atomic.Bool
	running    sync.WaitGroup

	closing sync.Mutex // one Close at a time
	done    bool
}

var _ Fabric = (*Engine)(nil)

// New starts to carry frames between ports, all of which are disconnected and
// keep the carrier they have until Set and SetCarriers. On an error the caller
// keeps the files.
//
// The engine raises GOMAXPROCS by the number of workers, so that other
// goroutines cannot keep a worker from running, and Close takes that back.
func New(c Config) (*Engine, error) {
	e, err := build(c, nil)
	if err != nil {
		return nil, err
	}
	e.start(c)
	return e, nil
}

// start sets the engine's threads going.
func (e *Engine) start(c Config) {
	e.control.start(&e.running)
	e.announcer.start(&e.running)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + len(e.workers))
	for _, w := range e.workers {
		ready := make(chan struct{})
		e.running.Go(func() { w.run(ready, !c.Ordinary, c.Spin) })
		<-ready
	}
	e.started = true
	if e.transport != nil {
		e.running.Go(e.ask)
	}
}

// check fills in what c leaves out.
func (c *Config) check() error {
	if c.Timeline == nil {
		return errors.New("fabric: Config.Timeline is missing")
	}
	if c.Workers == 0 {
		c.Workers = max(1, runtime.NumCPU()/2)
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.SuperFrame == 0 {
		c.SuperFrame = defaultSuperFrame
	}
	return nil
}

// build makes an engine that stands still and counts in l, or in a ledger of its
// own if that is nil.
func build(c Config, l *ledger) (*Engine, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if l == nil {
		l = newLedger(len(c.Ports), c.threads())
	}
	e := &Engine{timeline: c.Timeline, superFrame: c.SuperFrame, ledger: l, readers: c.Workers, ending: make(chan struct{})}
	if !c.OneByOne {
		e.joinSpan, e.patience = int64(c.SuperFrame), patience
	}
	e.control.cond.L = &e.control.mu
	nodes := make(map[int]*transit)
	for i, p := range c.Ports {
		q := newPort(PortID(i), p, c.Seed)
		q.account, q.control = &e.ledger.ports[i], &e.ledger.control[i]
		var err error
		if q.guard, err = newGuard(p.Origin); err != nil {
			return nil, fmt.Errorf("fabric: port %d (%s): %w", i, p.Name, err)
		}
		if p.Node > 0 {
			if nodes[p.Node] == nil {
				nodes[p.Node] = new(transit)
			}
			q.node = nodes[p.Node]
		}
		e.ports = append(e.ports, q)
	}
	for i := range c.threads() {
		w, err := newWorker(e, i, c.Memory/c.threads())
		if err != nil {
			e.abandon()
			return nil, fmt.Errorf("fabric: worker %d: %w", i, err)
		}
		e.workers = append(e.workers, w)
	}
	for _, p := range e.ports {
		if fd := p.fd.Load(); fd != noDevice {
			if err := e.workerOf(p).watch(int(fd), int32(p.id)); err != nil {
				e.abandon()
				return nil, fmt.Errorf("fabric: port %d (%s): %w", p.id, p.name, err)
			}
		}
	}
	if c.Underlay != nil {
		if err := e.reach(*c.Underlay); err != nil {
			e.abandon()
			return nil, err
		}
	}
	return e, nil
}

// reach gives the workers their ends of the underlay.
func (e *Engine) reach(c underlay.Config) error {
	c.Now = e.timeline.Monotonic
	t, err := underlay.New(c)
	if err != nil {
		return err
	}
	for i, w := range e.workers[:e.readers] {
		w.outbox = t.NewOutbox(i)
	}
	w := e.workers[e.readers]
	w.receiver = &receiver{worker: w, transport: t, sources: make([]*port, len(e.ports))}
	if fd := t.Descriptor(); fd >= 0 {
		if err := w.watch(fd, eventUnderlay); err != nil {
			return fmt.Errorf("fabric: underlay: %w", err)
		}
	}
	e.transport, e.host = t, c.Host
	return nil
}

// abandon releases what New made before it failed.
func (e *Engine) abandon() {
	for _, w := range e.workers {
		_ = w.close()
	}
}

// Set makes wire what leaves port. It is one pointer swap, besides the look
// whether super-frames are allowed.
func (e *Engine) Set(id PortID, wire *Wire) {
	p := e.ports[id]
	if wire != nil {
		if int(wire.Peer) < 0 || int(wire.Peer) >= len(e.ports) {
			panic(fmt.Sprintf("fabric: port %d: no port %d to be wired to", id, wire.Peer))
		}
	}
	p.wire.Store(wire)
	e.allow(p)
}

// SetCarriers raises or takes away carriers of ports' devices, in the order
// given. The nodes' kernels tell their daemons before SetCarriers returns. An
// error of one does not keep the others from being set.
func (e *Engine) SetCarriers(carriers ...Carrier) error {
	return e.announcer.set(e.ports, carriers)
}

// Counters of a port. A super-frame counts as the frames that it stands for.
func (e *Engine) Counters(id PortID) Counters { return e.ledger.counters(id) }

// Control implements ControlCounter.
func (e *Engine) Control(id PortID) [Protocols]Load { return e.ledger.controlOf(id) }

// Fidelity says how truthfully frames were carried so far.
func (e *Engine) Fidelity() Fidelity { return e.ledger.fidelity(e.timeline.Monotonic()) }

// Close stops carrying, ends captures and closes the ports' files, which does
// not destroy the devices. Closing twice does nothing twice.
func (e *Engine) Close() error {
	e.closing.Lock()
	defer e.closing.Unlock()
	if e.done {
		return nil
	}
	e.done = true
	e.closed.Store(true)
	close(e.ending)
	var errs []error
	for _, w := range e.workers {
		errs = append(errs, w.interrupt())
	}
	e.control.stop()
	files := make([]*os.File, 0, len(e.ports))
	for _, p := range e.ports {
		p.stopCapture()
		p.mu.Lock()
		// From here on nobody asks for an announcement. Workers go on until they end.
		if p.file != nil {
			files = append(files, p.file)
			p.file = nil
		}
		p.mu.Unlock()
	}
	e.announcer.stop()
	e.running.Wait()
	runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)-len(e.workers)))
	for _, w := range e.workers {
		errs = append(errs, w.close())
	}
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	if e.transport != nil {
		errs = append(errs, e.transport.Close())
	}
	return errors.Join(errs...)
}

// newEvent makes an eventfd.
func newEvent() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("eventfd: %w", err)
	}
	return fd, nil
}

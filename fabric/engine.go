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
	ledger     *ledger
	superFrame time.Duration
	joinSpan   int64 // ns between the arrivals of frames that are joined at most
	patience   int64 // ns that a due frame may wait for reading; 0: nothing is joined
	control    control
	announcer  announcer
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
}

// check fills in what c leaves out.
func (c *Config) check() error {
	if c.Timeline == nil {
		return errors.New("fabric: Config.Timeline is missing")
	}
	for i, p := range c.Ports {
		if p.Device == nil {
			return fmt.Errorf("fabric: port %d (%s) has no device", i, p.Name)
		}
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
		l = newLedger(len(c.Ports), c.Workers)
	}
	e := &Engine{timeline: c.Timeline, superFrame: c.SuperFrame, ledger: l}
	if !c.OneByOne {
		e.joinSpan, e.patience = int64(c.SuperFrame), patience
	}
	e.control.cond.L = &e.control.mu
	nodes := make(map[int]*transit)
	for i, p := range c.Ports {
		q := newPort(PortID(i), p, c.Seed)
		q.account = &e.ledger.ports[i]
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
	for i := range c.Workers {
		w, err := newWorker(e, i, c.Memory/c.Workers)
		if err != nil {
			e.abandon()
			return nil, fmt.Errorf("fabric: worker %d: %w", i, err)
		}
		e.workers = append(e.workers, w)
	}
	for _, p := range e.ports {
		if err := e.workers[int(p.id)%len(e.workers)].watch(p); err != nil {
			e.abandon()
			return nil, fmt.Errorf("fabric: port %d (%s): %w", p.id, p.name, err)
		}
	}
	return e, nil
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
		want := offloadsPlain
		if allowsSuperFrames(wire, e.superFrame) {
			want = offloadsSuper
		}
		if int32(want) != p.allowed.Load() {
			p.allowed.Store(int32(want))
			e.control.change(p)
		}
	}
	p.wire.Store(wire)
}

// SetCarriers raises or takes away carriers of ports' devices, in the order
// given. The nodes' kernels tell their daemons before SetCarriers returns. An
// error of one does not keep the others from being set.
func (e *Engine) SetCarriers(carriers ...Carrier) error {
	return e.announcer.set(e.ports, carriers)
}

// Counters of a port. A super-frame counts as the frames that it stands for.
func (e *Engine) Counters(id PortID) Counters { return e.ledger.counters(id) }

// Fidelity says how truthfully frames were carried so far.
func (e *Engine) Fidelity() Fidelity { return e.ledger.fidelity() }

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
	var errs []error
	for _, w := range e.workers {
		errs = append(errs, w.interrupt())
	}
	e.control.stop()
	files := make([]*os.File, 0, len(e.ports))
	for _, p := range e.ports {
		p.stopCapture()
		p.mu.Lock()
		files = append(files, p.file)
		p.file = nil // from here on nobody asks for an announcement
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

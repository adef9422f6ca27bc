//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric/underlay"
)

// Main carries frames, if this process was started for that by NewProcess, and does
// not return then. A program that calls NewProcess calls Main before anything else.
func Main() {
	if os.Args[0] != childName {
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "orrery: the process that carries frames: "+err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// serve is the life of a child: until the emulator closes its end of the socket, or
// dies.
func serve() error {
	_ = os.WriteFile("/proc/self/comm", []byte(childName), 0) // for those who look at processes
	// The emulator decides when to end, and needs frames until then.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	// The heap is a few MiB, and grows with what is wired: collect rarely. One
	// processor besides those that start adds for workers.
	debug.SetGCPercent(400)
	runtime.GOMAXPROCS(1)

	g, err := greeted()
	if err != nil {
		return err
	}
	c := g.config
	e, s, err := inherit(g)
	if err != nil {
		return errors.Join(err, send(childSocket, &message{Error: err.Error()}))
	}
	e.start(c)
	if err := send(childSocket, &message{Ready: true}); err != nil {
		return err
	}
	go func() {
		if err := obey(e, c.Timeline, s); err != nil {
			fmt.Fprintln(os.Stderr, "orrery: the process that carries frames: "+err.Error())
			os.Exit(1) // it is started again
		}
	}()
	return listen(e)
}

// greeting is what a child is told at first.
type greeting struct {
	config Config
	hosts  []childHost
	places []Placement
	again  bool
}

// greeted takes what introduce sends.
func greeted() (g greeting, err error) {
	c := &g.config
	for {
		m, fds, err := receive(childSocket)
		if err != nil {
			return g, err
		}
		for _, p := range m.Ports {
			q := Port{Name: p.Name, Node: p.Node, Origin: p.Origin}
			if p.Device {
				if len(fds) == 0 {
					return g, errors.New("there are more ports than descriptors")
				}
				if q.Device, err = deviceFile(fds[0], p.Name); err != nil {
					return g, err
				}
				fds = fds[1:]
			}
			c.Ports = append(c.Ports, q)
		}
		g.hosts = append(g.hosts, m.Hosts...)
		g.places = append(g.places, m.Places...)
		start := m.Start
		if start == nil {
			continue
		}
		c.Workers, c.Seed, c.Memory, c.SuperFrame = start.Workers, start.Seed, start.Memory, start.SuperFrame
		c.Ordinary, c.OneByOne, c.Spin = start.Ordinary, start.OneByOne, start.Spin
		c.Timeline = clock.New(clock.Host{}, 0, 1)
		c.Timeline.Follow(start.Timeline)
		g.again = start.Again
		if c.Underlay = start.Underlay; c.Underlay != nil {
			c.Underlay.Conn, err = underlay.NewSocket(fds)
		}
		return g, err
	}
}

// deviceFile makes a file of a descriptor that has come from the emulator.
func deviceFile(fd int, name string) (*os.File, error) {
	// While a file is blocking NewFile leaves it out of the runtime's poller.
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	return f, unix.SetNonblock(fd, true)
}

// inherit builds the engine over the shared memory.
func inherit(g greeting) (*Engine, stream, error) {
	c := g.config
	size := streamSize + ledgerSize(len(c.Ports), c.threads())
	memory, err := unix.Mmap(childMemory, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, stream{}, fmt.Errorf("map shared memory: %w", err)
	}
	e, err := build(c, mapLedger(memory[streamSize:], len(c.Ports), c.threads()))
	if err != nil {
		return nil, stream{}, err
	}
	e.alone = true
	for _, h := range g.hosts {
		if err := e.SetHost(h.Name, h.Address); err != nil {
			return nil, stream{}, err
		}
	}
	if len(g.places) > 0 {
		if err := e.Place(g.places...); err != nil {
			return nil, stream{}, err
		}
	}
	if g.again {
		for _, p := range e.ports {
			p.allowed.Store(int32(offloadsUnknown))
			p.told = offloadsUnknown
		}
	}
	return e, mapStream(memory), nil
}

// obey carries out orders for ever, or until one makes no sense.
func obey(e *Engine, tl *clock.Timeline, s stream) error {
	var words []uint64
	event := make([]byte, 8)
	for {
		words = s.take(words)
		rest := words
		for {
			o, n, err := nextOrder(rest)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			rest = rest[n:]
			if o.kind == orderTimeline {
				tl.Follow(o.timeline)
				continue
			}
			if int(o.port) < 0 || int(o.port) >= len(e.ports) || o.wire != nil && (int(o.wire.Peer) < 0 || int(o.wire.Peer) >= len(e.ports)) {
				return errOrder
			}
			e.Set(o.port, o.wire)
		}
		s.done.Add(uint64(len(words) - len(rest)))
		words = words[:copy(words, rest)]
		if s.empty() {
			_, _ = unix.Read(childEvent, event) // or a signal: look again
		}
	}
}

// obeyed does what a message asks for that is answered, and gives the answer.
func obeyed(e *Engine, m *message, fds []int) *message {
	answer := &message{Done: true}
	var err error
	switch {
	case m.Attach != nil && len(fds) == 1 && int(*m.Attach) < len(e.ports):
		var f *os.File
		if f, err = deviceFile(fds[0], e.ports[*m.Attach].name); err == nil {
			if err = e.Attach(*m.Attach, f); err != nil {
				_ = f.Close()
			}
		}
	case m.Detach != nil && int(*m.Detach) < len(e.ports):
		err = e.Detach(*m.Detach)
	case len(m.Hosts) > 0:
		for _, h := range m.Hosts {
			err = errors.Join(err, e.SetHost(h.Name, h.Address))
		}
	case len(m.Places) > 0:
		err = e.Place(m.Places...)
	case m.Report:
		s := e.Underlay()
		answer.Underlay = &s
	default:
		return nil
	}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

// listen does what the emulator asks for until that is gone, and gives the readers of
// captures a moment then.
func listen(e *Engine) error {
	stops := make(map[PortID]func())
	var copying sync.WaitGroup
	for {
		m, fds, err := receive(childSocket)
		if err != nil {
			err := e.Close()
			copied := make(chan struct{})
			go func() {
				copying.Wait()
				close(copied)
			}()
			select {
			case <-copied:
			case <-time.After(childEnds / 5):
			}
			return err
		}
		if answer := obeyed(e, m, fds); answer != nil {
			if err := send(childSocket, answer); err != nil {
				fmt.Fprintln(os.Stderr, "orrery: the process that carries frames: "+err.Error())
			}
			continue
		}
		switch {
		case m.Capture != nil && len(fds) == 1 && int(*m.Capture) < len(e.ports):
			pipe := os.NewFile(uintptr(fds[0]), "capture")
			stream, stop, err := e.Capture(*m.Capture)
			if err != nil {
				fmt.Fprintln(os.Stderr, "orrery: "+err.Error())
				_ = pipe.Close()
				continue
			}
			stops[*m.Capture] = stop
			copying.Go(func() {
				_, _ = io.Copy(pipe, stream) // the reader may go at any time
				_ = stream.Close()
				_ = pipe.Close()
			})
		case m.Stop != nil && stops[*m.Stop] != nil:
			stops[*m.Stop]()
			delete(stops, *m.Stop)
		}
	}
}

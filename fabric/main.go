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

	c, start, err := greeted()
	if err != nil {
		return err
	}
	e, s, err := inherit(c, start)
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

// greeted takes what introduce sends.
func greeted() (c Config, start *childStart, err error) {
	for start == nil {
		m, fds, err := receive(childSocket)
		if err != nil {
			return c, nil, err
		}
		if len(fds) != len(m.Ports) {
			return c, nil, fmt.Errorf("%d descriptors for %d ports", len(fds), len(m.Ports))
		}
		for i, p := range m.Ports {
			// While a file is blocking NewFile leaves it out of the runtime's poller.
			if err := unix.SetNonblock(fds[i], false); err != nil {
				return c, nil, err
			}
			f := os.NewFile(uintptr(fds[i]), p.Name)
			if err := unix.SetNonblock(fds[i], true); err != nil {
				return c, nil, err
			}
			c.Ports = append(c.Ports, Port{Name: p.Name, Device: f, Node: p.Node, Origin: p.Origin})
		}
		start = m.Start
	}
	c.Workers, c.Seed, c.Memory, c.SuperFrame = start.Workers, start.Seed, start.Memory, start.SuperFrame
	c.Ordinary, c.OneByOne, c.Spin = start.Ordinary, start.OneByOne, start.Spin
	c.Timeline = clock.New(clock.Host{}, 0, 1)
	c.Timeline.Follow(start.Timeline)
	return c, start, nil
}

// inherit builds the engine over the shared memory.
func inherit(c Config, start *childStart) (*Engine, stream, error) {
	size := streamSize + ledgerSize(len(c.Ports), start.Workers)
	memory, err := unix.Mmap(childMemory, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, stream{}, fmt.Errorf("map shared memory: %w", err)
	}
	e, err := build(c, mapLedger(memory[streamSize:], len(c.Ports), start.Workers))
	if err != nil {
		return nil, stream{}, err
	}
	if start.Again {
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

// listen starts and stops captures until the emulator is gone, and gives their
// readers a moment then.
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

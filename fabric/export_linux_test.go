package fabric

import (
	"os"
	"time"
	"unsafe"

	"orrery.dev/orrery/tap"
)

// Stepper is an engine whose workers' steps are made by a test, on a clock of
// the test's.
type Stepper struct{ *Engine }

// NewStepper makes an engine that stands still.
func NewStepper(c Config) (*Stepper, error) {
	e, err := build(c, nil)
	return &Stepper{e}, err
}

// Step reads what nodes and other hosts have sent and delivers what is due; other hosts
// are asked if it is time to.
func (s *Stepper) Step() {
	if s.transport == nil {
		s.Carry()
		return
	}
	s.transport.Poll(s.timeline.Monotonic())
	s.Carry()
	s.transport.Poll(s.timeline.Monotonic()) // what came may be worth a question
}

// Carry is Step without asking other hosts.
func (s *Stepper) Carry() {
	now := s.timeline.Monotonic()
	for _, w := range s.workers {
		for w.due.first() != nil && w.due.first().flight.first().arrival <= now {
			w.deliver(now)
		}
		for n := w.poll(0); n > 0; n = w.poll(0) {
			for i := range n {
				w.serve(w.events[i].Fd, now)
			}
		}
		if w.outbox != nil {
			w.outbox.Flush()
		}
		if w.receiver != nil {
			for n := 1; n > 0; {
				n, _ = w.receiver.transport.Receive(w.receiver)
			}
		}
	}
}

// Next is the host instant of the next delivery.
func (s *Stepper) Next() (at int64, ok bool) {
	for _, w := range s.workers {
		if p := w.due.first(); p != nil && (!ok || p.flight.first().arrival < at) {
			at, ok = p.flight.first().arrival, true
		}
	}
	return at, ok
}

// Idle tells whether all buffers but the landing ones are back in their pools.
func (s *Stepper) Idle() bool {
	for _, w := range s.workers {
		if len(w.small.free) != len(w.small.chunk)<<w.small.shift || len(w.large.free) != len(w.large.chunk)<<w.large.shift-1 {
			return false
		}
	}
	return true
}

// Offloads tells what the device of a port was told last.
func (e *Engine) Offloads(id PortID) bool {
	p := e.ports[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told == offloadsSuper
}

// RaiseCarrier raises the carrier of all ports, which nobody announces.
func (s *Stepper) RaiseCarrier() error {
	for _, p := range s.ports {
		if err := tap.SetCarrier(int(p.fd.Load()), true); err != nil {
			return err
		}
	}
	return nil
}

// CloseStepper releases what Close would.
func (s *Stepper) CloseStepper() {
	s.abandon()
	for _, p := range s.ports {
		if p.file != nil {
			_ = p.file.Close()
		}
	}
	if s.transport != nil {
		_ = s.transport.Close()
	}
}

var (
	AllowsSuperFrames = func(w *Wire, bound time.Duration) bool { return allowsSuperFrames(w, bound) }
	OnWire            = onWire
	CompleteChecksum  = completeChecksum
)

// Start makes the engine believe that its workers run, which the test then does.
func (s *Stepper) Start() {
	s.announcer.start(&s.running)
	s.started = true
}

// Woken tells whether a worker was asked to begin another turn.
func (s *Stepper) Woken() bool {
	w := s.workers[0]
	for i := range w.poll(0) {
		if w.events[i].Fd == eventWake {
			return true
		}
	}
	return false
}

// Turn begins another turn of the worker.
func (s *Stepper) Turn() { s.workers[0].turn.Add(1) }

// KillChild kills the child with SIGKILL and waits until it is noticed. If one is being
// started, that is waited for.
func (p *Process) KillChild() {
	c := p.present()
	for ; c == nil; c = p.present() {
		time.Sleep(time.Millisecond)
	}
	_ = c.process.Kill()
	<-c.gone
}

// SignalChild sends the child a signal.
func (p *Process) SignalChild(sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child.process.Signal(sig)
}

// Coalesce joins frames with those before them for as long as they can be, and gives
// the super-frame and how many it stands for: 0 if the first stays alone.
func Coalesce(frames [][]byte) (super []byte, joined int) {
	var c coalescer
	if !c.begin(frames[0]) {
		return nil, 0
	}
	for joined = 1; joined < len(frames) && c.add(frames[joined]); joined++ {
	}
	parts, size := c.finish()
	for _, p := range parts {
		super = append(super, unsafe.Slice(p.Base, p.Len)...)
	}
	if len(super) != size {
		panic("the parts are not as long as the whole")
	}
	return super, joined
}

// Spinner is a worker's account of the time that it polls.
type Spinner struct{ s spinner }

// Bounds of a Spinner.
const SpinMax, SpinPause = time.Duration(spinMax), time.Duration(spinPause)

// MaySpin tells whether there is credit.
func (s *Spinner) MaySpin() bool { return s.s.credit > 0 }

// Awake and Slept reckon the time up to now.
func (s *Spinner) Awake(now time.Duration) { s.s.awake(int64(now)) }

// Slept is the other one.
func (s *Spinner) Slept(now time.Duration) { s.s.slept(int64(now)) }

// Package memfabric is a fabric in memory: the semantics of package fabric on
// a clock that only a test moves, without devices, threads or system calls.
//
// It is the double for tests of whatever drives a fabric, and, written without
// a thought of speed, the reference that the real engine is compared with.
package memfabric

import (
	"math/rand/v2"
	"slices"
	"sync"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
)

// Delivery is a frame that a node received.
type Delivery struct {
	From  fabric.PortID
	At    int64 // host instant, in ns
	Frame []byte
}

// Fabric implements fabric.Fabric. Frames move only during its methods: Send
// and Set first deliver what is due by then, and Run does nothing else.
type Fabric struct {
	timeline *clock.Timeline

	mu       sync.Mutex // guards the rest
	ports    []port
	lateness fabric.Histogram
}

var _ fabric.Fabric = (*Fabric)(nil)

type port struct {
	wire     *fabric.Wire
	carrier  bool
	counters fabric.Counters
	received []Delivery

	// What leaves the port.
	contact *uint64 // of the last frame
	sent    []transmission
	flight  []flying
	rng     *rand.PCG
	bad     bool
}

type transmission struct {
	end   int64
	bytes int
}

type flying struct {
	arrival int64
	peer    fabric.PortID
	frame   []byte
}

// New makes a fabric of ports 0 … ports-1 whose time is timeline's.
func New(timeline *clock.Timeline, ports int, seed uint64) *Fabric {
	f := &Fabric{timeline: timeline, ports: make([]port, ports)}
	for i := range f.ports {
		f.ports[i].rng = rand.NewPCG(seed, uint64(i))
	}
	return f
}

// Set makes wire what leaves the port.
func (f *Fabric) Set(id fabric.PortID, wire *fabric.Wire) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run()
	f.ports[id].wire = wire
}

// Wire is what was set last for the port.
func (f *Fabric) Wire(id fabric.PortID) *fabric.Wire {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ports[id].wire
}

// SetCarriers remembers the carriers for Carrier.
func (f *Fabric) SetCarriers(carriers ...fabric.Carrier) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range carriers {
		f.ports[c.Port].carrier = c.Up
	}
	return nil
}

// Carrier is what SetCarriers said last.
func (f *Fabric) Carrier(id fabric.PortID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ports[id].carrier
}

// Send is the node of port id sending a frame at this moment.
func (f *Fabric) Send(id fabric.PortID, frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run()
	p := &f.ports[id]
	p.counters.SentFrames++
	p.counters.SentBytes += uint64(len(frame))
	now := f.timeline.Monotonic()
	w := p.wire
	if w == nil {
		p.counters.DropNoLink++
		return
	}
	if p.contact != nil && *p.contact != w.Contact {
		p.counters.DropInFlight += uint64(len(p.flight))
		p.flight, p.sent, p.bad = nil, nil, false
	}
	p.contact = &w.Contact
	if t := f.timeline.At(now); t < w.Start || t > w.End {
		p.counters.DropNoLink++
		return
	}

	departure, backlog := now, 0
	for _, s := range p.sent {
		departure = max(departure, s.end)
		if s.end > now {
			backlog += s.bytes
		}
	}
	if rate := w.Rate.At(f.timeline.At(departure)); rate > 0 {
		if w.Queue > 0 && backlog > 0 && backlog+len(frame) > w.Queue {
			p.counters.DropQueue++
			return
		}
		departure += int64(float64(len(frame)) * 8e9 / rate)
		p.sent = append(p.sent, transmission{departure, len(frame)})
	}
	if p.lost(w, f.timeline, departure) {
		p.counters.DropLoss++
		return
	}
	arrival := departure + max(0, int64(w.Delay.At(f.timeline.At(departure))*1e9))
	for _, g := range p.flight {
		arrival = max(arrival, g.arrival)
	}
	p.flight = append(p.flight, flying{arrival, w.Peer, slices.Clone(frame)})
	f.run()
}

func (p *port) lost(w *fabric.Wire, tl *clock.Timeline, departure int64) bool {
	draw := func() float64 { return float64(p.rng.Uint64()>>11) / (1 << 53) }
	if ge := w.Loss.GilbertElliott; ge != nil {
		if p.bad {
			p.bad = draw() >= ge.BadToGood
		} else {
			p.bad = draw() < ge.GoodToBad
		}
		if p.bad {
			return draw() < ge.LossBad
		}
		return draw() < ge.LossGood
	}
	q := w.Loss.Bernoulli.At(tl.At(departure))
	return q >= 1 || q > 0 && draw() < q
}

// Run delivers what is due.
func (f *Fabric) Run() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run()
}

func (f *Fabric) run() {
	now := f.timeline.Monotonic()
	for {
		var next *port
		for i := range f.ports {
			p := &f.ports[i]
			if len(p.flight) > 0 && (next == nil || p.flight[0].arrival < next.flight[0].arrival) {
				next = p
			}
		}
		if next == nil || next.flight[0].arrival > now {
			return
		}
		g := next.flight[0]
		next.flight = next.flight[1:]
		w := next.wire
		if w == nil || w.Contact != *next.contact || f.timeline.At(g.arrival) > w.End {
			next.counters.DropInFlight++
			continue
		}
		to := &f.ports[g.peer]
		to.counters.ReceivedFrames++
		to.counters.ReceivedBytes += uint64(len(g.frame))
		to.received = append(to.received, Delivery{f.id(next), g.arrival, g.frame})
		f.lateness.Record(0)
	}
}

func (f *Fabric) id(p *port) fabric.PortID {
	for i := range f.ports {
		if &f.ports[i] == p {
			return fabric.PortID(i)
		}
	}
	panic("memfabric: a port of another fabric")
}

// Next is the host instant of the next delivery; ok is false if nothing is
// under way.
func (f *Fabric) Next() (at int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ports {
		if fl := f.ports[i].flight; len(fl) > 0 && (!ok || fl[0].arrival < at) {
			at, ok = fl[0].arrival, true
		}
	}
	return at, ok
}

// Take returns what the node of port id received since the last Take.
func (f *Fabric) Take(id fabric.PortID) []Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run()
	d := f.ports[id].received
	f.ports[id].received = nil
	return d
}

// Counters of a port.
func (f *Fabric) Counters(id fabric.PortID) fabric.Counters {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run()
	return f.ports[id].counters
}

// Fidelity is perfect: every delivery is at its instant.
func (f *Fabric) Fidelity() fabric.Fidelity {
	f.mu.Lock()
	defer f.mu.Unlock()
	var h fabric.Histogram
	h.Merge(f.lateness)
	return fabric.Fidelity{Lateness: h, RealTime: true}
}

// Close drops what is under way.
func (f *Fabric) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ports {
		f.ports[i].wire, f.ports[i].flight = nil, nil
	}
	return nil
}

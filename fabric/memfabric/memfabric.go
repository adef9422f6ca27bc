// Package memfabric is a fabric in memory: the semantics of package fabric on
// a clock that only a test moves, without devices, threads or system calls.
//
// It is the double for tests of whatever drives a fabric, and, written without
// a thought of speed, the reference that the real engine is compared with.
//
// Fabrics of several hosts are joined by Join, over a network of package underlaytest.
package memfabric

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/underlay"
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

	mu        sync.Mutex // guards the rest
	ports     []port
	lateness  fabric.Histogram
	transport *underlay.Transport // nil if there are no other hosts
	outbox    *underlay.Outbox
	host      string
}

var (
	_ fabric.Fabric           = (*Fabric)(nil)
	_ fabric.Attacher         = (*Fabric)(nil)
	_ fabric.Placer           = (*Fabric)(nil)
	_ fabric.UnderlayStatuser = (*Fabric)(nil)
	_ fabric.ControlCounter   = (*Fabric)(nil)
)

type port struct {
	wire     *fabric.Wire
	carrier  bool
	detached bool
	host     *underlay.Peer // where it lives if it is detached; nil if nobody knows
	counters fabric.Counters
	control  [fabric.Protocols]fabric.Load
	received []Delivery

	// What leaves the port.
	contact *uint64 // of the last frame
	sent    []transmission
	last    int64 // arrival of the last frame
	flight  []flying
	rng     *rand.PCG
	bad     bool

	// What has left it on another host.
	stream        *underlay.Stream
	newest, gone  int64  // orders: the highest, and that of the last one delivered or dropped
	remoteContact uint64 // of the frame with the highest order
	arriving      []flying
}

type transmission struct {
	end   int64
	bytes int
}

type flying struct {
	arrival int64
	peer    fabric.PortID
	frame   []byte

	// Of those from another host:
	order   int64
	contact uint64
	came    int64 // instant
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
	if p.detached {
		return // there is nothing to send it with
	}
	p.counters.SentFrames++
	p.counters.SentBytes += uint64(len(frame))
	if kind, ok := fabric.Classify(frame); ok {
		p.control[kind].Frames++
		p.control[kind].Bytes += uint64(len(frame))
	}
	now := f.timeline.Monotonic()
	w := p.wire
	if w == nil {
		p.counters.DropNoLink++
		return
	}
	if p.contact != nil && *p.contact != w.Contact {
		p.counters.DropInFlight += uint64(len(p.flight))
		p.flight, p.sent, p.bad, p.last = nil, nil, false, 0
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
	arrival = max(arrival, p.last)
	p.last = arrival
	if to := &f.ports[w.Peer]; to.detached && to.host != nil {
		f.transmit(id, to.host, w, frame, arrival)
		return
	}
	p.flight = append(p.flight, flying{arrival: arrival, peer: w.Peer, frame: slices.Clone(frame)})
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

// run is called with f.mu held. What is due comes before what has come in.
func (f *Fabric) run() {
	f.deliver()
	f.listen()
}

func (f *Fabric) deliver() {
	now := f.timeline.Monotonic()
	for {
		var next *port
		var flight *[]flying
		for i := range f.ports {
			p := &f.ports[i]
			for _, fl := range []*[]flying{&p.flight, &p.arriving} {
				if len(*fl) > 0 && (next == nil || (*fl)[0].arrival < (*flight)[0].arrival) {
					next, flight = p, fl
				}
			}
		}
		if next == nil || (*flight)[0].arrival > now {
			return
		}
		g := (*flight)[0]
		*flight = (*flight)[1:]
		var covered bool
		if flight == &next.arriving {
			next.gone = g.order
			w := f.ports[g.peer].wire
			covered = w != nil && w.Contact == g.contact && w.Peer == f.id(next) && f.timeline.At(g.arrival) <= w.End
		} else {
			w := next.wire
			covered = w != nil && w.Contact == *next.contact && f.timeline.At(g.arrival) <= w.End
		}
		to := &f.ports[g.peer]
		switch {
		case !covered:
			next.counters.DropInFlight++
		case to.detached:
			next.counters.DropDevice++
		default:
			to.counters.ReceivedFrames++
			to.counters.ReceivedBytes += uint64(len(g.frame))
			at := max(g.arrival, g.came)
			to.received = append(to.received, Delivery{f.id(next), at, g.frame})
			f.lateness.Record(time.Duration(at - g.arrival))
		}
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
		for _, fl := range [][]flying{f.ports[i].flight, f.ports[i].arriving} {
			if len(fl) > 0 && (!ok || fl[0].arrival < at) {
				at, ok = fl[0].arrival, true
			}
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

// Control implements fabric.ControlCounter.
func (f *Fabric) Control(id fabric.PortID) [fabric.Protocols]fabric.Load {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ports[id].control
}

// Fidelity is perfect, but for frames that an underlay has brought after they were due.
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
		f.ports[i].wire, f.ports[i].flight, f.ports[i].arriving = nil, nil, nil
	}
	if f.transport != nil {
		t := f.transport
		f.transport = nil
		return t.Close()
	}
	return nil
}

//go:build linux

package fabric

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// ledger is all that workers count, in one piece of memory without pointers: it
// may be shared with another process, and outlives the engine that writes it.
type ledger struct {
	// ports by PortID; each is written by the worker of the port, and by the receiver for
	// what comes from other hosts.
	ports []portAccount
	// workers by number; each is written by that worker alone.
	workers []*workerAccount
	// delivered by worker and peer.
	delivered [][]delivered
	// control by PortID, written as ports are.
	control []controlAccount
}

// controlAccount is what control protocols sent at a port.
type controlAccount [Protocols]struct{ frames, bytes atomic.Uint64 }

// portAccount is what became of frames that a port's node sent. It fills lines of
// the cache.
type portAccount struct {
	sentFrames, sentBytes                                                   atomic.Uint64
	dropNoLink, dropQueue, dropLoss, dropInFlight, dropDevice, dropOverload atomic.Uint64
	forged, dropForged, dropUnderlay                                        atomic.Uint64
	_                                                                       [5]uint64
}

// workerAccount is what a worker tells of itself.
type workerAccount struct {
	realTime atomic.Bool
	alive    atomic.Int64 // host instant of the worker's last turn
	lateness recorder
	_        [64]byte
}

// delivered counts what one worker delivered to a port.
type delivered struct{ frames, bytes atomic.Uint64 }

const (
	portAccountSize   = int(unsafe.Sizeof(portAccount{}))
	workerAccountSize = (int(unsafe.Sizeof(workerAccount{})) + 63) &^ 63
	deliveredSize     = int(unsafe.Sizeof(delivered{}))
	controlSize       = int(unsafe.Sizeof(controlAccount{}))
)

func ledgerSize(ports, workers int) int {
	return ports*(portAccountSize+controlSize) + workers*(workerAccountSize+ports*deliveredSize)
}

// newLedger makes a ledger of this process alone.
func newLedger(ports, workers int) *ledger {
	words := make([]uint64, ledgerSize(ports, workers)/8+1)
	return layLedger(unsafe.Pointer(&words[0]), ports, workers)
}

// mapLedger makes the ledger of shared memory, which must have its size, be aligned
// to a line of the cache, and last as long as the ledger is used.
func mapLedger(memory []byte, ports, workers int) *ledger {
	return layLedger(unsafe.Pointer(&memory[0]), ports, workers)
}

func layLedger(at unsafe.Pointer, ports, workers int) *ledger {
	l := &ledger{ports: unsafe.Slice((*portAccount)(at), ports)}
	at = unsafe.Add(at, ports*portAccountSize)
	for range workers {
		l.workers = append(l.workers, (*workerAccount)(at))
		at = unsafe.Add(at, workerAccountSize)
		l.delivered = append(l.delivered, unsafe.Slice((*delivered)(at), ports))
		at = unsafe.Add(at, ports*deliveredSize)
	}
	l.control = unsafe.Slice((*controlAccount)(at), ports)
	return l
}

// counters of a port.
func (l *ledger) counters(id PortID) Counters {
	p := &l.ports[id]
	c := Counters{
		SentFrames:   p.sentFrames.Load(),
		SentBytes:    p.sentBytes.Load(),
		DropNoLink:   p.dropNoLink.Load(),
		DropQueue:    p.dropQueue.Load(),
		DropLoss:     p.dropLoss.Load(),
		DropInFlight: p.dropInFlight.Load(),
		DropDevice:   p.dropDevice.Load(),
		DropOverload: p.dropOverload.Load(),
		Forged:       p.forged.Load(),
		DropForged:   p.dropForged.Load(),
		DropUnderlay: p.dropUnderlay.Load(),
	}
	for _, d := range l.delivered {
		c.ReceivedFrames += d[id].frames.Load()
		c.ReceivedBytes += d[id].bytes.Load()
	}
	return c
}

// controlOf a port.
func (l *ledger) controlOf(id PortID) (load [Protocols]Load) {
	for i := range load {
		c := &l.control[id][i]
		load[i] = Load{c.frames.Load(), c.bytes.Load()}
	}
	return load
}

// fidelity at host instant now.
func (l *ledger) fidelity(now int64) Fidelity {
	f := Fidelity{RealTime: true, Workers: len(l.workers)}
	for _, w := range l.workers {
		f.Silence = max(f.Silence, time.Duration(now-w.alive.Load()))
		f.Lateness.Merge(w.lateness.snapshot())
		f.RealTime = f.RealTime && w.realTime.Load()
	}
	return f
}

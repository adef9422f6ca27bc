//go:build linux

package fabric

import "time"

// ahead is how a worker makes up for the time that the kernel takes to wake it.
// It wakes that much before a frame is due, and looks at the clock and at its
// ports until it is. Both are bounded: a thread at real-time priority must not
// keep a CPU to itself.
//
// A frame that wakes a sleeping worker has been waiting for as long; it counts as
// sent that much before it was read.
//
// On the development machine, a virtual one, waking took 30 to 90 µs; on a
// path of ten hops that added up to half a millisecond and more.
type ahead struct {
	lead   int64 // ns: what 9 of 10 wake-ups take at most, as estimated so far
	usual  int64 // ns: what half of them take at most
	credit int64 // ns that may still be spent looking
	at     int64 // host instant up to which credit was given
}

const (
	leadStart = int64(40 * time.Microsecond)
	leadMax   = int64(150 * time.Microsecond)
	leadStep  = int64(time.Microsecond)
	// lookShare of the time may be spent looking, 1/lookShare of it, and what
	// was saved up at most creditMax.
	lookShare = 8
	creditMax = int64(10 * time.Millisecond)
)

// sleep is how long to sleep if a frame is due in left ns: 0 or less means to
// look until then.
func (a *ahead) sleep(now, left int64) int64 {
	a.credit = min(a.credit+(now-a.at)/lookShare, creditMax)
	a.at = now
	if a.credit <= 0 {
		return left
	}
	return max(left-a.lead, 0)
}

// woke learns from a wake-up that came late by so much. The estimates move up
// or down in steps whose ratio is that of the wake-ups below and above: lead
// rests where 1 of 10 is above it, usual where half of them are.
func (a *ahead) woke(late int64) {
	if late > a.lead {
		a.lead = min(a.lead+9*leadStep/10, leadMax)
	} else {
		a.lead = max(a.lead-leadStep/10, 0)
	}
	if late > a.usual {
		a.usual = min(a.usual+leadStep/2, leadMax)
	} else {
		a.usual = max(a.usual-leadStep/2, 0)
	}
}

// spent tells for how long the worker looked.
func (a *ahead) spent(ns int64) { a.credit -= ns }

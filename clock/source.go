package clock

import (
	"sync"
	"time"
)

// After is a timer of the runtime, which itself runs on CLOCK_MONOTONIC.
func (Host) After(d time.Duration) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	t := time.AfterFunc(d, func() { c <- struct{}{} })
	return c, func() { t.Stop() }
}

// Skewed is the clock of another host, as far as a test is concerned: it shows other
// instants than Source does, and may run at another speed.
type Skewed struct {
	Source
	Ahead time.Duration // what it shows more than Source at the origin
	Drift float64       // how much faster it runs, as a share: 1e-6 is 1 ppm
}

// Monotonic is what the other host's clock shows.
func (s Skewed) Monotonic() int64 {
	m := s.Source.Monotonic()
	return m + int64(s.Ahead) + int64(s.Drift*float64(m))
}

// After fires when d has passed by the other host's clock.
func (s Skewed) After(d time.Duration) (<-chan struct{}, func()) {
	return s.Source.After(time.Duration(float64(d) / (1 + s.Drift)))
}

// Lead implements Eager: what an idle virtual processor takes to be woken.
func (Host) Lead() time.Duration { return 2 * time.Millisecond }

// Manual is a Source that only a test moves. The zero value stands at 0.
type Manual struct {
	mu     sync.Mutex // guards the rest
	now    int64
	timers map[*manualTimer]struct{}
}

type manualTimer struct {
	at int64
	c  chan struct{}
}

// Monotonic is the sum of all advances.
func (m *Manual) Monotonic() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Advance moves the time on and fires the timers that are due.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now += int64(d)
	for t := range m.timers {
		if t.at <= m.now {
			t.c <- struct{}{} // buffered, and sent once
			delete(m.timers, t)
		}
	}
}

// Sleepers is how many timers wait, so that a test can advance when all of the
// code under test has come to rest.
func (m *Manual) Sleepers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.timers)
}

// After fires when Advance has moved the time on by d.
func (m *Manual) After(d time.Duration) (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &manualTimer{at: m.now + int64(d), c: make(chan struct{}, 1)}
	if d <= 0 {
		t.c <- struct{}{}
		return t.c, func() {}
	}
	if m.timers == nil {
		m.timers = make(map[*manualTimer]struct{})
	}
	m.timers[t] = struct{}{}
	return t.c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.timers, t)
	}
}

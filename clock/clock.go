// Package clock relates the host's monotonic time to scenario time.
//
// Scenario time is the duration since the scenario's epoch (orbital time). It
// runs at a chosen speed, may be paused, and every part of a run reads it from
// one Timeline, so that a change of speed is one pointer swap for the whole
// emulator, however many links it carries.
package clock

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Source is the host's time: nanoseconds on a monotonic scale of any origin.
type Source interface {
	Monotonic() int64
	// After sends once when d has passed. Stop releases it early.
	After(d time.Duration) (fired <-chan struct{}, stop func())
}

// Eager is the further ability of a Source that passes by itself to tell by how much
// its timers are late as a rule.
type Eager interface {
	Lead() time.Duration
}

// mapping is immutable: scenario = scn0 + (mono - mono0)·speed.
type mapping struct {
	mono0 int64
	scn0  time.Duration
	speed float64 // 0 while paused
	set   float64 // the speed asked for, kept while paused
}

func (m *mapping) at(mono int64) time.Duration {
	if m.speed == 1 {
		return m.scn0 + time.Duration(mono-m.mono0)
	}
	return m.scn0 + time.Duration(float64(mono-m.mono0)*m.speed)
}

// Timeline maps the host's monotonic time to scenario time. It is made with
// New, and safe for concurrent use; reading it takes no lock.
type Timeline struct {
	src Source
	cur atomic.Pointer[mapping]

	mu      sync.Mutex // guards changes, and:
	changed chan struct{}
}

// New makes a timeline that stands still at scenario time start until Resume.
// Speed is in scenario seconds per host second and must be positive.
func New(src Source, start time.Duration, speed float64) *Timeline {
	t := &Timeline{src: src, changed: make(chan struct{})}
	t.cur.Store(&mapping{mono0: src.Monotonic(), scn0: start, set: speed})
	return t
}

// Monotonic is the host's time, in nanoseconds.
func (t *Timeline) Monotonic() int64 { return t.src.Monotonic() }

// Now is the scenario time of this moment.
func (t *Timeline) Now() time.Duration { return t.cur.Load().at(t.src.Monotonic()) }

// At is the scenario time of a host instant near now, past or future, if the
// speed does not change in between.
func (t *Timeline) At(mono int64) time.Duration { return t.cur.Load().at(mono) }

// Until is the host time from now until scenario time s, negative if s is
// past. ok is false while the timeline stands still and s lies ahead.
func (t *Timeline) Until(s time.Duration) (d time.Duration, ok bool) {
	m := t.cur.Load()
	left := s - m.at(t.src.Monotonic())
	switch {
	case m.speed > 0:
		if host := float64(left) / m.speed; host < math.MaxInt64 {
			return time.Duration(host), true
		}
		return math.MaxInt64, true
	case left <= 0:
		return left, true
	default:
		return 0, false
	}
}

// Speed is scenario seconds per host second as set, also while paused.
func (t *Timeline) Speed() float64 { return t.cur.Load().set }

// Paused tells whether scenario time stands still.
func (t *Timeline) Paused() bool { return t.cur.Load().speed == 0 }

// State is a timeline at one moment as a plain value, for another process of the
// same host: its clock.Host has the same scale.
type State struct {
	Monotonic int64         // host instant, in ns
	Scenario  time.Duration // scenario time at that instant
	Speed     float64       // scenario seconds per host second as set
	Paused    bool
}

// State is how the timeline has run since its last change.
func (t *Timeline) State() State {
	m := t.cur.Load()
	return State{m.mono0, m.scn0, m.set, m.speed == 0}
}

// Follow makes the timeline the one that s was taken of.
func (t *Timeline) Follow(s State) {
	t.change(func(m *mapping) {
		*m = mapping{mono0: s.Monotonic, scn0: s.Scenario, set: s.Speed}
		if !s.Paused {
			m.speed = s.Speed
		}
	})
}

// Pause stops scenario time. Pausing twice does nothing twice.
func (t *Timeline) Pause() { t.change(func(m *mapping) { m.speed = 0 }) }

// Resume lets scenario time run at the set speed.
func (t *Timeline) Resume() { t.change(func(m *mapping) { m.speed = m.set }) }

// SetSpeed changes the speed from this moment on. While paused it takes effect
// at Resume.
func (t *Timeline) SetSpeed(speed float64) {
	t.change(func(m *mapping) {
		m.set = speed
		if m.speed != 0 {
			m.speed = speed
		}
	})
}

// WaitUntil returns nil at scenario time s, at once if s is past. Pauses and
// changes of speed on the way are followed. It returns the context's error if
// that ends first.
func (t *Timeline) WaitUntil(ctx context.Context, s time.Duration) error {
	for {
		changed := t.Changed() // before Until, so that no change is missed
		left, ok := t.Until(s)
		if ok && left <= 0 {
			return nil
		}
		var fired <-chan struct{}
		stop := func() {}
		if ok {
			fired, stop = t.src.After(left)
		}
		select {
		case <-fired:
		case <-changed:
		case <-ctx.Done():
			stop()
			return ctx.Err()
		}
		stop()
	}
}

// Meet is WaitUntil for who must not be late: where timers of the host fire late, it
// sleeps less and looks at the clock for the rest, keeping its processor busy.
func (t *Timeline) Meet(ctx context.Context, s time.Duration) error {
	eager, ok := t.src.(Eager)
	if !ok {
		return t.WaitUntil(ctx, s)
	}
	lead := eager.Lead()
	for {
		early := time.Duration(float64(lead) * t.Speed())
		if err := t.WaitUntil(ctx, s-early); err != nil {
			return err
		}
		changed := t.Changed() // before Until, so that no change is missed
		left, runs := t.Until(s)
		for ; runs && left > 0 && left <= 2*lead; left, runs = t.Until(s) {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		switch {
		case !runs:
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		case left <= 0:
			return nil
		}
	}
}

// Changed is closed at the next pause, resume or change of speed, so that
// whoever sleeps until an instant can compute its sleep anew.
func (t *Timeline) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

func (t *Timeline) change(f func(*mapping)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.cur.Load()
	mono := t.src.Monotonic()
	m := &mapping{mono0: mono, scn0: old.at(mono), speed: old.speed, set: old.set}
	f(m)
	t.cur.Store(m)
	close(t.changed)
	t.changed = make(chan struct{})
}

// Package traffic keeps what every port of a network has carried since a run began, in
// bounded memory: the whole past is there, the more coarsely the longer it is.
package traffic

import (
	"slices"
	"sync"
	"time"
)

// Step is what ports carried meanwhile. It does not change any more.
type Step struct {
	// From and To are scenario times.
	From, To time.Duration
	// Host is how long it took by the clock of the host, which the rates are of.
	Host time.Duration
	// Bits that each port's node has sent per second, and Drops of frames per second on
	// leaving it, in order of the ports' numbers.
	Bits, Drops []float32
}

// fewest steps that there is room for, however many ports there are.
const fewest = 64

// History is a sequence of steps without holes.
type History struct {
	mu    sync.Mutex // guards the rest:
	steps []Step
	room  int // steps that are kept, even
	each  int // added steps that make one of steps
	count int // of those in pending
	// pending is what will be the next of steps.
	pending Step
}

// NewHistory makes a history of so many ports that keeps to so many bytes, and to so many
// steps.
func NewHistory(ports, bytes, steps int) *History {
	room := steps
	if ports > 0 {
		room = min(room, bytes/(8*ports))
	}
	return &History{room: max(room, fewest) &^ 1, each: 1}
}

// Add appends a step. It begins where the last one ended, and all that are added last
// about as long by the clock of the host. The history keeps its slices.
func (h *History) Add(s Step) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == 0 {
		h.pending = s
	} else {
		h.pending = merge(h.pending, s)
	}
	if h.count++; h.count < h.each {
		return
	}
	h.steps, h.count, h.pending = append(h.steps, h.pending), 0, Step{}
	if len(h.steps) < h.room {
		return
	}
	for i := range h.room / 2 {
		h.steps[i] = merge(h.steps[2*i], h.steps[2*i+1])
	}
	clear(h.steps[h.room/2:])
	h.steps = h.steps[:h.room/2]
	h.each *= 2
}

// At gives the step that an instant of the scenario falls into. ok is false if nothing was
// kept of it: it is before the first step, or after the last.
func (h *History) At(t time.Duration) (s Step, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, _ := slices.BinarySearchFunc(h.steps, t, func(s Step, t time.Duration) int { return int(s.To - t) })
	switch {
	case i < len(h.steps):
		s = h.steps[i]
	case h.count > 0:
		s = h.pending
	default:
		return Step{}, false
	}
	return s, s.From <= t && t <= s.To
}

// merge makes one step of two neighbours. Rates are means over the time of the host.
func merge(a, b Step) Step {
	out := Step{From: a.From, To: b.To, Host: a.Host + b.Host, Bits: make([]float32, len(a.Bits)), Drops: make([]float32, len(a.Drops))}
	share := 0.5
	if out.Host > 0 {
		share = float64(b.Host) / float64(out.Host)
	}
	for i := range out.Bits {
		out.Bits[i] = mean(a.Bits[i], b.Bits[i], share)
		out.Drops[i] = mean(a.Drops[i], b.Drops[i], share)
	}
	return out
}

func mean(a, b float32, share float64) float32 {
	return float32(float64(a) + share*(float64(b)-float64(a)))
}

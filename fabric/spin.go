//go:build linux

package fabric

import "time"

// spinner lets a worker poll where it would sleep: what waking takes is then never in
// a frame's way. It costs a CPU, and a thread at real-time priority must leave some of
// it to the rest of the machine: over any length of time the worker sleeps for a tenth
// of it. While it does so frames wake it as they always do.
type spinner struct {
	credit int64 // ns that the worker may still be awake
	at     int64 // host instant up to which credit was reckoned
}

const (
	// spinShare is how much longer a worker may be awake than asleep.
	spinShare = 9
	spinMax   = int64(10 * time.Millisecond) // of credit, owned or owed
	// spinPause is the longest sleep that only pays for what was spun.
	spinPause = spinMax / spinShare
)

// awake and slept reckon the time up to now.
func (s *spinner) awake(now int64) {
	s.credit = max(s.credit-(now-s.at), -spinMax)
	s.at = now
}

func (s *spinner) slept(now int64) {
	s.credit = min(s.credit+spinShare*(now-s.at), spinMax)
	s.at = now
}

// spin polls until there are events, a frame is due, or its time is used up; done is
// false then. due is below 0 if no frame is under way.
func (w *worker) spin(now, due int64) (events int, done bool) {
	w.spinner.awake(now)
	for w.spinner.credit > 0 {
		if n := w.poll(0); n > 0 {
			return n, true
		}
		now = w.timeline.Monotonic()
		w.idle = now
		if due >= 0 && now >= due {
			return 0, true
		}
		w.spinner.awake(now)
	}
	return 0, false
}

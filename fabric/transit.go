//go:build linux

package fabric

import (
	"sync/atomic"
	"time"
)

// transit makes up for the emulator's own lateness at a node that passes
// frames on.
//
// A node's kernel forwards or answers a frame while it is handed over, so what
// leaves the node right afterwards is, as a rule, that frame. Had the delivery
// been in time, it would have left as much earlier: it is taken to have been
// sent at the instant at which the delivery was due. So lateness does not add
// up along a path; what remains is that of the last delivery. A frame that the
// node sent on its own account within the same moment is early by that
// lateness at most.
type transit struct {
	due  atomic.Int64 // host instant at which the last delivery to the node was due
	done atomic.Int64 // and at which it was over
}

const (
	// transitMoment after a delivery frames count as passed on.
	transitMoment = int64(time.Millisecond)
	// transitMax is the most lateness that is made up for.
	transitMax = int64(50 * time.Millisecond)
)

// delivered notes a delivery.
func (t *transit) delivered(due, done int64) {
	t.due.Store(due)
	t.done.Store(done)
}

// sent is when a frame that was read from the node at now was sent, as far as
// the emulated network is concerned.
func (t *transit) sent(now int64) int64 {
	if t == nil || now-t.done.Load() > transitMoment {
		return now
	}
	return min(max(t.due.Load(), now-transitMax), now)
}

//go:build !linux

package clock

import "time"

// Host is the runtime's monotonic clock.
type Host struct{}

var origin = time.Now()

// Monotonic is the time since the program began.
func (Host) Monotonic() int64 { return int64(time.Since(origin)) }

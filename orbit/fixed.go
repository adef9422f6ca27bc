package orbit

import "time"

// Fixed is a place that rests on or above the rotating Earth. It implements
// Motion.
type Fixed struct{ position Vec }

// NewFixed is the motion of a station that stays at g.
func NewFixed(g Geodetic) Fixed { return Fixed{g.ECEF()} }

// State is the same position at all times, with no velocity. It never fails.
func (f Fixed) State(time.Duration) (State, error) { return State{Position: f.position}, nil }

package orbit

import (
	"math"
	"time"
)

// Vec is a vector in kilometres (or km/s), in the frame that its user names.
type Vec struct{ X, Y, Z float64 }

// Add is v + w.
func (v Vec) Add(w Vec) Vec { return Vec{v.X + w.X, v.Y + w.Y, v.Z + w.Z} }

// Sub is v - w.
func (v Vec) Sub(w Vec) Vec { return Vec{v.X - w.X, v.Y - w.Y, v.Z - w.Z} }

// Scale is k·v.
func (v Vec) Scale(k float64) Vec { return Vec{k * v.X, k * v.Y, k * v.Z} }

// Dot is the scalar product.
func (v Vec) Dot(w Vec) float64 { return v.X*w.X + v.Y*w.Y + v.Z*w.Z }

// Cross is the vector product.
func (v Vec) Cross(w Vec) Vec {
	return Vec{v.Y*w.Z - v.Z*w.Y, v.Z*w.X - v.X*w.Z, v.X*w.Y - v.Y*w.X}
}

// Norm is the length.
func (v Vec) Norm() float64 { return math.Sqrt(v.Dot(v)) }

// State is where something is and how it moves, in km and km/s.
type State struct{ Position, Velocity Vec }

// Motion is a path through space as a pure function of scenario time (the
// duration since the scenario's epoch). Implementations are immutable, safe
// for concurrent use, and allocate nothing in State.
type Motion interface {
	// State is position and velocity at t in the Earth-fixed frame (ECEF,
	// rotating with the Earth, so that a station's position is constant and
	// its velocity zero). The error says why there is none: a satellite
	// that has decayed, elements outside their model.
	State(t time.Duration) (State, error)
}

package sgp4

import (
	"fmt"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/orbit/gp"
)

// Satellite is the motion of a real satellite in a scenario. It implements
// orbit.InertialMotion.
type Satellite struct {
	propagator *Propagator
	earth      orbit.Earth
	offset     time.Duration // scenario epoch minus elements' epoch
}

// maxAge bounds the time between the two epochs. Elements are good for days;
// the bound only keeps a mistyped year from giving nonsense.
const maxAge = 10 * 365 * 24 * time.Hour

// NewSatellite is the motion that elements e describe, in a scenario that
// begins at epoch. The theory gives kilometres of error after a few days, and
// nothing of use after some weeks.
func NewSatellite(e gp.Elements, epoch time.Time) (*Satellite, error) {
	offset := epoch.Sub(e.Epoch)
	if offset > maxAge || offset < -maxAge {
		return nil, fmt.Errorf("satellite %d: its elements are of %s, more than ten years from the scenario's epoch %s; take elements of a nearer date",
			e.Number, e.Epoch.UTC().Format(time.DateOnly), epoch.UTC().Format(time.DateOnly))
	}
	p, err := New(e)
	if err != nil {
		return nil, fmt.Errorf("satellite %d: %w", e.Number, err)
	}
	return &Satellite{propagator: p, earth: orbit.NewEarth(epoch), offset: offset}, nil
}

// State is position and velocity in ECEF at scenario time t. The error is an
// Error.
func (s *Satellite) State(t time.Duration) (orbit.State, error) {
	state, err := s.InertialState(t)
	if err != nil {
		return orbit.State{}, err
	}
	return s.earth.At(t).Fixed(state), nil
}

// InertialState is position and velocity in TEME. The error is an Error.
func (s *Satellite) InertialState(t time.Duration) (orbit.State, error) {
	return s.propagator.At(float64(s.offset+t) / float64(time.Minute))
}

package plan

import (
	"slices"
	"time"

	"orrery.dev/orrery/sky"
)

// terminal is the state of one station's antennas for one ground link.
type terminal struct {
	*terminalSpec
	index    int
	culling  *culling
	views    []view // satellites in view, by node
	antennas []antenna
	dirty    bool // is to decide at the present instant
}

// view is a satellite in view.
type view struct {
	node int
	// sets and leave are predictions, never if not yet made.
	sets  time.Duration // when it is lost
	leave time.Duration // when it falls below minElevation + hysteresis for good
}

// antenna is one of a station's antennas.
type antenna struct {
	contact *joined // nil if it is free
	node    int     // its satellite
	port    int     // of the satellite's ground ports
	leaving bool    // its successor is up already; it is released at release
	release time.Duration
}

func compareView(v view, node int) int { return v.node - node }

// view of a satellite, nil if it is not in view.
func (t *terminal) view(node int) *view {
	if i, ok := slices.BinarySearchFunc(t.views, node, compareView); ok {
		return &t.views[i]
	}
	return nil
}

func (t *terminal) rise(node int) {
	i, _ := slices.BinarySearchFunc(t.views, node, compareView)
	t.views = slices.Insert(t.views, i, view{node: node, sets: never, leave: never})
}

func (t *terminal) set(node int) {
	if i, ok := slices.BinarySearchFunc(t.views, node, compareView); ok {
		t.views = slices.Delete(t.views, i, i+1)
	}
}

func (t *terminal) holds(node int) bool {
	for i := range t.antennas {
		if t.antennas[i].contact != nil && t.antennas[i].node == node {
			return true
		}
	}
	return false
}

// free is a free antenna, -1 if there is none.
func (t *terminal) free() int {
	for i := range t.antennas {
		if t.antennas[i].contact == nil {
			return i
		}
	}
	return -1
}

// wanted is how many satellites the terminal holds outside of handovers. With
// make-before-break one antenna is kept for the next satellite.
func (t *terminal) wanted() int {
	if t.link.overlap > 0 && len(t.antennas) > 1 {
		return len(t.antennas) - 1
	}
	return len(t.antennas)
}

// staying counts the antennas that hold a satellite and are not leaving it.
func (t *terminal) staying() (n int) {
	for i := range t.antennas {
		if t.antennas[i].contact != nil && !t.antennas[i].leaving {
			n++
		}
	}
	return n
}

// overlaps tells whether the terminal can make before it breaks.
func (t *terminal) overlaps() bool { return t.link.overlap > 0 && len(t.antennas) > 1 }

// horizon is how far ahead it is predicted when a satellite is lost. What
// stays longer, as a geostationary satellite does, stays for good.
const horizon = 24 * time.Hour

// predict fills in when a satellite in view is lost, and when it ought to be
// left.
func (p *groundPlanner) predict(t *terminal, v *view, now time.Duration) {
	if v.sets != never {
		return
	}
	pair := p.plan.pair(t.link.rule, t.node, v.node)
	v.sets = pair.Until(now, now+horizon)
	v.leave = v.sets
	if t.link.policy == sticky && t.link.hysteresis > 0 {
		v.leave = now
		pair.Rule = t.link.above
		if last, ok := pair.LastSeen(now, v.sets); ok {
			v.leave = last
		}
	}
}

// elevation of a satellite above the terminal's horizon, as its sine.
func (p *groundPlanner) elevation(b *block, t *terminal, node int, at time.Duration) float64 {
	from, to := b.paths[t.node].End(at), b.paths[node].Position(at)
	return sky.SineOfElevation(&from, to)
}

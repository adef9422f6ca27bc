package plan

import (
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/sky"
)

// blockLength is the stretch in which a cursor plans, whatever the length of
// its windows: so that contacts do not depend on it.
const blockLength = 60 * time.Second

// knotStep is the distance of the knots of ephemerides.
const knotStep = 15 * time.Second

const knotsPerBlock = int(blockLength/knotStep) + 1

const never = time.Duration(1<<63 - 1)

// block is a stretch of time with the paths of all nodes in it.
type block struct {
	from, to time.Duration
	// paths by node. One that ends before the block belongs to a node that is
	// lost at its end; one without times to a node that is lost already.
	paths []sky.Path
}

// alive tells whether a node has a path at t.
func (b *block) alive(node int, t time.Duration) bool {
	p := &b.paths[node]
	return len(p.Times) > 0 && (p.To() > t || p.To() == b.to && t <= b.to)
}

// ephemeris computes block after block.
type ephemeris struct {
	plan  *Plan
	earth orbit.Earth
	lost  []bool // by node
	next  time.Duration
	block block
	times []time.Duration
	ends  []sky.End // of all nodes, knotsPerBlock each
	kinks []time.Duration
}

func newEphemeris(p *Plan) *ephemeris {
	n := len(p.Nodes)
	return &ephemeris{
		plan: p, earth: orbit.NewEarth(p.Epoch),
		lost:  make([]bool, n),
		times: make([]time.Duration, knotsPerBlock),
		ends:  make([]sky.End, n*knotsPerBlock),
		block: block{paths: make([]sky.Path, n)},
	}
}

// advance computes the next block, which is valid until the next call.
// Warnings tell of nodes that are lost in it.
func (e *ephemeris) advance() (*block, []Warning) {
	b := &e.block
	b.from, b.to = e.next, e.next+blockLength
	for k := range e.times {
		e.times[k] = b.from + time.Duration(k)*knotStep
	}
	const last = knotsPerBlock - 1
	failed := make([]error, len(e.lost))
	firstBad := make([]int, len(e.lost))
	for k, t := range e.times {
		rotation := e.earth.At(t)
		for i := range e.lost {
			if e.lost[i] || failed[i] != nil {
				continue
			}
			ends := e.ends[i*knotsPerBlock : (i+1)*knotsPerBlock]
			if k == 0 && b.from > 0 {
				ends[0] = ends[last]
				continue
			}
			var err error
			if ends[k], err = e.end(i, t, rotation); err != nil {
				failed[i], firstBad[i] = err, k
			}
		}
	}
	var warnings []Warning
	for i := range b.paths {
		switch {
		case e.lost[i]:
			b.paths[i] = sky.Path{}
		case failed[i] != nil:
			path, at := e.truncated(i, firstBad[i])
			b.paths[i], e.lost[i] = path, true
			if at > 0 { // Compile has told of those that are lost from the start
				warnings = append(warnings, Warning{at, e.plan.Nodes[i].Name, "is lost, with all its contacts: " + failed[i].Error()})
			}
		default:
			b.paths[i] = sky.Path{Times: e.times, Ends: e.ends[i*knotsPerBlock : (i+1)*knotsPerBlock]}
			if e.kinks = e.plan.kinks[i].within(e.kinks[:0], b.from-1, b.to+1); len(e.kinks) > 0 {
				if p, err := sky.NewPath(e.plan.movers[i], b.from, b.to, knotStep, e.kinks); err == nil {
					b.paths[i] = *p
				}
			}
		}
	}
	e.next = b.to
	return b, warnings
}

func (e *ephemeris) end(node int, t time.Duration, r orbit.Rotation) (sky.End, error) {
	if m, ok := e.plan.Nodes[node].Motion.(orbit.InertialMotion); ok && !e.plan.movers[node].Observer() {
		s, err := m.InertialState(t)
		if err != nil {
			return sky.End{}, err
		}
		return sky.End{State: r.Fixed(s)}, nil
	}
	return e.plan.movers[node].At(t)
}

// truncated is the path of a node that has no state any more at knot bad: up to
// the last microsecond at which it has one.
func (e *ephemeris) truncated(node, bad int) (sky.Path, time.Duration) {
	if bad == 0 {
		return sky.Path{}, e.times[0]
	}
	m := e.plan.movers[node]
	good, end := e.times[bad-1], e.ends[node*knotsPerBlock+bad-1]
	for lo, hi := good, e.times[bad]; hi-lo > time.Microsecond; {
		mid := lo + (hi-lo)/2
		if s, err := m.At(mid); err == nil {
			lo, good, end = mid, mid, s
		} else {
			hi = mid
		}
	}
	p := sky.Path{}
	for k := range bad {
		p.Times = append(p.Times, e.times[k])
		p.Ends = append(p.Ends, e.ends[node*knotsPerBlock+k])
	}
	if good > p.To() {
		p.Times, p.Ends = append(p.Times, good), append(p.Ends, end)
	}
	return p, good
}

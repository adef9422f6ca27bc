package plan

import (
	"math"
	"slices"
	"time"
)

// decide lets a terminal take up, change and leave satellites at an instant.
func (p *groundPlanner) decide(b *block, t *terminal, now time.Duration) {
	if t.link.regular && now%t.link.interval != 0 {
		return
	}
	for t.staying() < t.wanted() {
		a := t.free()
		if a < 0 {
			break
		}
		v := p.best(b, t, now, nil)
		if v == nil {
			return // and so there is no better one for any other antenna
		}
		p.take(t, a, v, now)
	}
	// The antenna with the greatest need changes first.
	for _, a := range p.byNeed(b, t, now) {
		p.change(b, t, a, now)
	}
}

// candidate tells whether a terminal could take up a satellite.
func (p *groundPlanner) candidate(t *terminal, v *view) bool {
	return slices.Contains(p.used[v.node], false) && !t.holds(v.node)
}

// best is the satellite that the policy prefers among those that can be had
// and that accept, if given, agrees to. Ties go to the lower node number.
func (p *groundPlanner) best(b *block, t *terminal, now time.Duration, accept func(*view) bool) *view {
	var best *view
	most := math.Inf(-1)
	for i := range t.views {
		v := &t.views[i]
		if !p.candidate(t, v) {
			continue
		}
		if accept != nil && !accept(v) {
			continue
		}
		score := 0.0
		if t.link.policy == longest {
			p.predict(t, v, now)
			score = v.sets.Seconds()
			if v.sets-now >= horizon { // for good: the highest of them
				score = (now + horizon).Seconds() + p.elevation(b, t, v.node, now)
			}
		} else {
			score = p.elevation(b, t, v.node, now)
		}
		if score > most {
			best, most = v, score
		}
	}
	return best
}

// byNeed lists the antennas that might change their satellite: the lowest
// satellite first, or the one that is lost first.
func (p *groundPlanner) byNeed(b *block, t *terminal, now time.Duration) []int {
	type need struct {
		antenna int
		key     float64
	}
	var needs []need
	for i := range t.antennas {
		a := &t.antennas[i]
		if a.contact == nil || a.leaving {
			continue
		}
		v := t.view(a.node)
		if v == nil {
			continue
		}
		if t.link.policy == highest {
			needs = append(needs, need{i, p.elevation(b, t, a.node, now)})
			continue
		}
		p.predict(t, v, now)
		needs = append(needs, need{i, v.leave.Seconds()})
	}
	slices.SortStableFunc(needs, func(x, y need) int {
		switch {
		case x.key < y.key:
			return -1
		case x.key > y.key:
			return 1
		}
		return x.antenna - y.antenna
	})
	order := make([]int, len(needs))
	for i, n := range needs {
		order[i] = n.antenna
	}
	return order
}

// change gives the satellite of an antenna up for another one, if the policy
// says so and there is one.
func (p *groundPlanner) change(b *block, t *terminal, held int, now time.Duration) {
	a := &t.antennas[held]
	v := t.view(a.node)
	var next *view
	if t.link.policy == highest {
		floor := math.Asin(p.elevation(b, t, a.node, now)) + t.link.hysteresis
		next = p.best(b, t, now, func(c *view) bool {
			return math.Asin(p.elevation(b, t, c.node, now)) > floor
		})
	} else {
		if now < t.seekAt(v) {
			return
		}
		next = p.best(b, t, now, func(c *view) bool {
			p.predict(t, c, now)
			return c.sets > v.sets && now < t.seekAt(c)
		})
	}
	if next == nil {
		return
	}
	if spare := t.free(); spare >= 0 && t.overlaps() {
		a.leaving, a.release = true, now+t.link.overlap
		p.events.push(event{at: a.release, kind: released, index: t.index, node: a.node})
		p.take(t, spare, next, now)
		return
	}
	p.release(t, held, now)
	p.take(t, held, next, now)
}

// seekAt is when a terminal of the policies sticky and longest begins to seek
// a successor for a satellite: when the satellite is to be left, earlier by
// the overlap of make-before-break. If decisions come at intervals, it is the
// last one before that; its exact instant lies within an interval before.
func (t *terminal) seekAt(v *view) time.Duration {
	at := v.leave
	if t.overlaps() {
		at -= t.link.overlap
	}
	if t.link.regular {
		at -= t.link.interval - 1
	}
	return at
}

// take points an antenna at a satellite.
func (p *groundPlanner) take(t *terminal, free int, v *view, now time.Duration) {
	port := slices.Index(p.used[v.node], false)
	p.used[v.node][port] = true
	contact := p.book.open(Ground, t.link.medium,
		t.node, t.base+free, v.node, p.base[v.node]+port, acquired(now, t.link.acquisition))
	t.antennas[free] = antenna{contact: contact, node: v.node, port: port}
	if t.link.regular || t.link.policy == highest {
		return
	}
	if t.overlaps() || t.link.policy == sticky && t.link.hysteresis > 0 {
		p.predict(t, v, now)
		if at := t.seekAt(v); at > now {
			p.events.push(event{at: at, kind: seek, index: t.index, node: v.node})
		}
	}
}

// release ends the contact of an antenna.
func (p *groundPlanner) release(t *terminal, held int, now time.Duration) {
	a := &t.antennas[held]
	p.book.close(a.contact, now)
	p.used[a.node][a.port] = false
	*a = antenna{}
	p.freed = true
}

//go:build linux

package fabric

// queue is a 4-ary heap of the ports that have frames under way, ordered by
// the arrival of the first one. Every port knows its place, so that it can be
// moved when its first frame changes.
type queue struct{ ports []*port }

func (q *queue) first() *port {
	if len(q.ports) == 0 {
		return nil
	}
	return q.ports[0]
}

func (q *queue) add(p *port) {
	q.ports = append(q.ports, p)
	q.up(len(q.ports) - 1)
}

// fix moves p to where its first frame's arrival belongs, or out if it has none.
func (q *queue) fix(p *port) {
	i := p.place
	if p.flight.len() > 0 {
		if !q.up(i) {
			q.down(i)
		}
		return
	}
	n := len(q.ports) - 1
	q.ports[i] = q.ports[n]
	q.ports[i].place = i
	q.ports[n] = nil
	q.ports = q.ports[:n]
	if i < n && !q.up(i) {
		q.down(i)
	}
	p.place = -1
}

func (q *queue) up(i int) bool {
	p := q.ports[i]
	key := p.flight.first().arrival
	start := i
	for i > 0 {
		parent := (i - 1) / 4
		pp := q.ports[parent]
		if pp.flight.first().arrival <= key {
			break
		}
		q.ports[i], pp.place = pp, i
		i = parent
	}
	q.ports[i], p.place = p, i
	return i != start
}

func (q *queue) down(i int) {
	p := q.ports[i]
	key := p.flight.first().arrival
	for {
		child := 4*i + 1
		if child >= len(q.ports) {
			break
		}
		best, bestKey := child, q.ports[child].flight.first().arrival
		for c := child + 1; c < min(child+4, len(q.ports)); c++ {
			if k := q.ports[c].flight.first().arrival; k < bestKey {
				best, bestKey = c, k
			}
		}
		if bestKey >= key {
			break
		}
		q.ports[i], q.ports[best].place = q.ports[best], i
		i = best
	}
	q.ports[i], p.place = p, i
}

package plan

import (
	"cmp"
	"slices"
	"time"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/sky"
)

// joined is a contact in the making.
type joined struct {
	id           ContactID
	a, b         PortID
	nodeA, nodeB int
	class        Class
	medium       *medium
	start, end   time.Duration // end is never until it is known
	fitted       time.Duration // the curves reach to here

	delay, rate, loss []curve.Segment
}

// book is where planners enter their contacts.
type book struct {
	plan    *Plan
	ordinal []uint32  // by port: how many contacts it was the first port of
	live    []*joined // not yet handed out to their end, in order of opening
	busy    []*joined // by port, for the invariant that a port has one contact
}

// open joins two ports of two nodes from start on, which may lie ahead.
func (b *book) open(class Class, m *medium, nodeA, portA, nodeB, portB int, start time.Duration) *joined {
	pa, pb := b.plan.id(nodeA, portA), b.plan.id(nodeB, portB)
	if b.busy[pa] != nil || b.busy[pb] != nil {
		panic("plan: a port is given a second contact")
	}
	b.ordinal[pa]++
	j := &joined{
		// The n-th contact of a port: no clock and no rounding is in it.
		id: ContactID(pa)<<32 | ContactID(b.ordinal[pa]),
		a:  pa, b: pb, nodeA: nodeA, nodeB: nodeB,
		class: class, medium: m, start: start, end: never,
	}
	b.busy[pa], b.busy[pb] = j, j
	b.live = append(b.live, j)
	return j
}

// close parts two ports at end. A contact that has not begun by then never
// was.
func (b *book) close(j *joined, end time.Duration) {
	j.end = end
	b.busy[j.a], b.busy[j.b] = nil, nil
}

// fit brings the curves of all contacts up to the end of the block.
func (b *book) fit(k *block) {
	kept := b.live[:0]
	for _, j := range b.live {
		if j.end <= j.start {
			continue // given up while still acquiring
		}
		if from, to := max(j.start, j.fitted, k.from), min(j.end, k.to); from < to {
			j.medium.fit(j, &k.paths[j.nodeA], &k.paths[j.nodeB], from, to)
			j.fitted = to
		}
		kept = append(kept, j)
	}
	clear(b.live[len(kept):])
	b.live = kept
}

// window hands out what the contacts have in [from, to), and forgets it.
func (b *book) window(from, to time.Duration) []Contact {
	out := make([]Contact, 0, len(b.live))
	kept := b.live[:0]
	for _, j := range b.live {
		if j.start < to && j.end > from {
			out = append(out, j.contact(from, to))
		}
		if j.end > to {
			j.forget(to)
			kept = append(kept, j)
		}
	}
	clear(b.live[len(kept):])
	b.live = kept
	slices.SortFunc(out, compareContacts)
	return out
}

func compareContacts(a, b Contact) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
}

func (j *joined) contact(from, to time.Duration) Contact {
	c := Contact{
		ID: j.id, A: j.a, B: j.b, Class: j.class,
		Start: j.start, End: min(j.end, to), Ends: j.end <= to,
		Delay: piece(j.delay, from, to), Rate: j.medium.rate, Loss: j.medium.loss,
		Properties: j.medium.properties,
	}
	if len(j.rate) > 0 {
		c.Rate = piece(j.rate, from, to)
	}
	if len(j.loss) > 0 {
		c.Loss = piece(j.loss, from, to)
	}
	return c
}

// piece is the part of a curve that is valid in [from, to). Segments are only
// ever appended, so that what was handed out never changes.
func piece(segs []curve.Segment, from, to time.Duration) curve.Curve {
	first, last := 0, len(segs)
	for first+1 < last && segs[first+1].Start <= from {
		first++
	}
	for last-1 > first && segs[last-1].Start >= to {
		last--
	}
	return curve.New(segs[first:last:last])
}

// forget drops the segments that ended before t.
func (j *joined) forget(t time.Duration) {
	trim := func(s []curve.Segment) []curve.Segment {
		n := 0
		for n+1 < len(s) && s[n+1].Start <= t {
			n++
		}
		return s[n:]
	}
	j.delay, j.rate, j.loss = trim(j.delay), trim(j.rate), trim(j.loss)
}

// planner plans one group block by block.
type planner interface {
	// advance enters all contacts that are made or parted in [b.from, b.to).
	advance(b *block)
	// write and read are the planner's part of a snapshot. read is called for a new
	// planner, after the book was read.
	write(w *writer)
	read(r *reader)
}

// pair is the two ends of a possible link.
func (p *Plan) pair(r *sky.Rule, a, b int) sky.Pair {
	return sky.Pair{Rule: r, A: p.movers[a], B: p.movers[b]}
}

package observe

import (
	"maps"
	"slices"
	"time"
)

// Settled is how long no table must change, in the scale of the instants, until what a
// change of topology brought about counts as over.
const Settled = 2 * time.Second

// Convergence is what followed one change of topology.
type Convergence struct {
	At       time.Duration
	Up, Down int // links that came and went
	// First tells the change from others: what the caller gave with it.
	First int
	// Changes of tables until the next change of topology, or until routers act ahead of
	// it, in how many nodes, and when the last was.
	Changes, Nodes int
	LastChange     time.Duration
	// Ahead are changes of tables before it, since routers foresaw it.
	Ahead int
	// Pairs that it cut off although a way existed, or that acting ahead of it did, and
	// until when the last of them was cut off; At if that was before. Restored says that
	// then all had been forwarded again: the sky took the way from none of them
	// meanwhile, and it was not the end.
	Pairs    int
	Restored bool
	Until    time.Duration
	// Lost is how long these pairs had no way although one existed, and Loop how long
	// they were in a loop, both summed up over pairs.
	Lost, Loop time.Duration
	LoopPairs  int
	// Overlapped: the next change of topology came, or routers acted ahead of it, before
	// this was over, or before it can be told that no table reacts.
	Overlapped bool
	// Open: some pairs were still cut off at the end.
	Open bool
}

// Outage is a period in which a pair was not reachable.
type Outage struct {
	From, To time.Duration
	Pair     int
	Cause    State // the one that held longest
	Open     bool  // it lasted at the end
	// Lost is how long of it a way existed.
	Lost time.Duration
}

// Tracker attributes what pairs and tables do to changes of topology. Pairs belong to
// the change that came last before they were cut off, until they are forwarded again;
// table changes to the one that came last before them; both to the one that comes next
// while routers act ahead of it. Instants must not decrease. What happens before the first
// Topology, as the bring-up, belongs to none.
type Tracker struct {
	pairs  []tracked
	events []*following // those that are not over, oldest first
	last   *following
	next   *following // that routers have foreseen, nil if none
	done   []Convergence
	outage []Outage
}

// following is a change of topology that is not over.
type following struct {
	Convergence
	nodes map[int32]bool
	loops map[int]bool
	cut   map[int]bool
	open  int  // pairs that are cut off
	away  bool // the sky took the way from a pair that was cut off
}

// tracked is what is known of a pair.
type tracked struct {
	state State
	since time.Duration // of the state
	by    *following    // who has cut it off, nil if nobody
	been  bool          // it has been reachable
	from  time.Duration // of its outage
	held  [Loop + 1]time.Duration
}

// NewTracker makes a tracker of pairs, none of which has a path.
func NewTracker(pairs int) *Tracker {
	t := &Tracker{pairs: make([]tracked, pairs)}
	for i := range t.pairs {
		t.pairs[i].state = NoPath
	}
	return t
}

// Topology notes that links came or went at an instant. Several calls for one instant
// are one change.
func (t *Tracker) Topology(at time.Duration, up, down, first int) {
	if t.last != nil && t.last.At == at {
		t.last.Up += up
		t.last.Down += down
		return
	}
	t.leave(at)
	if t.next == nil {
		t.expect()
	}
	t.last, t.next = t.next, nil
	l := t.last
	l.At, l.Up, l.Down, l.First = at, up, down, first
	if len(l.cut) > 0 {
		l.Until = at
	}
	t.finish()
}

// Foresee notes that routers begin to act ahead of the next change of topology: what
// happens from now on belongs to that.
func (t *Tracker) Foresee(at time.Duration) {
	if t.last == nil || t.next != nil {
		return
	}
	t.leave(at)
	t.expect()
}

// expect makes the next change, of which nothing is known yet.
func (t *Tracker) expect() {
	t.next = &following{nodes: make(map[int32]bool), loops: make(map[int]bool), cut: make(map[int]bool)}
	t.events = append(t.events, t.next)
}

// leave notes that what happens from an instant on is not the last change's.
func (t *Tracker) leave(at time.Duration) {
	if l := t.last; l != nil && (l.open > 0 || at-max(l.At, l.LastChange) < Settled) {
		l.Overlapped = true
	}
}

// current is the change that things belong to that happen now, nil if none.
func (t *Tracker) current() *following {
	if t.next != nil {
		return t.next
	}
	return t.last
}

// Table notes that a node's table changed.
func (t *Tracker) Table(at time.Duration, node int32) {
	switch l := t.current(); {
	case l == nil:
	case l == t.next:
		l.Ahead++
	default:
		l.Changes++
		l.nodes[node] = true
		l.LastChange = at
	}
}

// Pair notes that a pair has another state.
func (t *Tracker) Pair(at time.Duration, pair int, s State) {
	p := &t.pairs[pair]
	if p.state == s {
		return
	}
	t.pass(p, at)
	was := p.state
	p.state = s
	switch {
	case s == Reachable:
		if p.been {
			t.outage = append(t.outage, Outage{From: p.from, To: at, Pair: pair, Cause: p.longest(), Lost: p.lost()})
		}
		p.been = true
	case was == Reachable:
		p.from, p.held = at, [Loop + 1]time.Duration{}
	}
	cut := s == BlackHole || s == Loop
	if by := t.current(); cut && p.by == nil && by != nil && p.been {
		p.by = by
		p.by.open++
		p.by.cut[pair] = true
	}
	if s == Loop && p.by != nil {
		p.by.loops[pair] = true
	}
	if !cut && p.by != nil {
		by := p.by
		p.by = nil
		by.Until = at
		by.away = by.away || s == NoPath
		if by.open--; by.open == 0 {
			t.finish()
		}
	}
}

// pass accounts for the time that a pair has been in its state.
func (t *Tracker) pass(p *tracked, at time.Duration) {
	d := at - p.since
	p.since = at
	p.held[p.state] += d
	if p.by == nil {
		return
	}
	p.by.Lost += d
	if p.state == Loop {
		p.by.Loop += d
	}
}

func (p *tracked) lost() time.Duration { return p.held[BlackHole] + p.held[Loop] }

func (p *tracked) longest() State {
	longest := NoPath
	for s := NoPath; s <= Loop; s++ {
		if p.held[s] > p.held[longest] {
			longest = s
		}
	}
	return longest
}

// finish takes out what is over: changes that no pair is cut off by, but for the last and
// the next, which more may follow from.
func (t *Tracker) finish() {
	left := t.events[:0]
	for _, e := range t.events {
		if e.open > 0 || e == t.last || e == t.next {
			left = append(left, e)
			continue
		}
		t.done = append(t.done, e.result(false))
	}
	t.events = left
}

func (e *following) result(open bool) Convergence {
	c := e.Convergence
	c.Nodes, c.Pairs, c.LoopPairs = len(e.nodes), len(e.cut), len(e.loops)
	c.Restored, c.Open = c.Pairs > 0 && !open && !e.away, open
	return c
}

// Close ends everything at an instant.
func (t *Tracker) Close(at time.Duration) {
	for i := range t.pairs {
		p := &t.pairs[i]
		t.pass(p, at)
		if p.state != Reachable && p.been {
			t.outage = append(t.outage, Outage{From: p.from, To: at, Pair: i, Cause: p.longest(), Open: true, Lost: p.lost()})
		}
	}
	if n := t.next; n != nil { // it was foreseen, and did not come
		t.events = slices.DeleteFunc(t.events, func(e *following) bool { return e == n })
		t.last.take(n)
	}
	for _, e := range t.events {
		if e.open > 0 {
			e.Until = at
		}
		t.done = append(t.done, e.result(e.open > 0))
	}
	t.events, t.last, t.next = nil, nil, nil
}

// take adds what another one has done to pairs.
func (e *following) take(o *following) {
	maps.Copy(e.cut, o.cut)
	maps.Copy(e.loops, o.loops)
	e.open, e.away = e.open+o.open, e.away || o.away
	e.Lost, e.Loop = e.Lost+o.Lost, e.Loop+o.Loop
	e.Until = max(e.Until, o.Until)
}

// Take hands out what is over since the last Take.
func (t *Tracker) Take() ([]Convergence, []Outage) {
	c, o := t.done, t.outage
	t.done, t.outage = nil, nil
	return c, o
}

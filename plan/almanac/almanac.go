// Package almanac looks up a plan at any time, again and again.
//
// What is joined at an instant depends on what was joined before, so that a plan
// has to be walked from its beginning. An Almanac leaves marks on its way:
// snapshots of the cursor, from which later questions go on. Marks are spread
// evenly over what has been walked so far, and thinned out when they take more
// memory than they may; a question costs a walk from the mark before it.
//
// Caveat: a question about a time far ahead of all earlier ones walks there. It
// leaves marks, so that one that was cut short by its context has not been in
// vain.
package almanac

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"orrery.dev/orrery/plan"
)

// Memory that marks may take, in bytes, and the first distance between two.
const (
	DefaultMemory = 32 << 20
	firstStride   = 5 * plan.DefaultWindow
)

// Almanac answers for one plan. It is safe for concurrent use; questions are
// answered one after the other, so that they take one processor at most.
type Almanac struct {
	plan   *plan.Plan
	memory int

	busy   chan struct{} // holds one token; whoever has it may use the rest
	stride time.Duration
	marks  []mark // in order of time
	bytes  int    // of all marks
	recent []answer
}

// recentKept is how many answers are kept for those who ask the same: several viewers
// of one page.
const recentKept = 4

// answer to a question. Its contacts are not changed.
type answer struct {
	from, to time.Duration
	contacts []plan.Contact
}

// mark is a cursor between two windows.
type mark struct {
	at       time.Duration
	snapshot []byte
}

// New has not walked anywhere yet. Its marks take memory bytes at most;
// 0 is DefaultMemory.
func New(p *plan.Plan, memory int) *Almanac {
	if memory <= 0 {
		memory = DefaultMemory
	}
	a := &Almanac{plan: p, memory: memory, busy: make(chan struct{}, 1), stride: firstStride}
	a.busy <- struct{}{}
	return a
}

// Plan that is looked up.
func (a *Almanac) Plan() *plan.Plan { return a.plan }

// Contacts are all contacts with a part in [from, to), with their curves in that
// stretch: what plan.Plan's method of this name gives. Errors are the context's.
func (a *Almanac) Contacts(ctx context.Context, from, to time.Duration) ([]plan.Contact, error) {
	select {
	case <-a.busy:
		defer func() { a.busy <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("almanac: other questions come first: %w", ctx.Err())
	}
	for i := range a.recent {
		if r := a.recent[i]; r.from == from && r.to == to {
			return slices.Clone(r.contacts), nil
		}
	}
	cursor, err := a.open(from)
	if err != nil {
		return nil, err
	}
	list, err := cursor.Contacts(ctx, from, to, func() { a.leave(cursor) })
	if err != nil {
		return nil, err
	}
	if len(a.recent) == recentKept {
		a.recent = slices.Delete(a.recent, 0, 1)
	}
	a.recent = append(a.recent, answer{from, to, list})
	return slices.Clone(list), nil
}

// open is a cursor at the last mark before an instant.
func (a *Almanac) open(at time.Duration) (*plan.Cursor, error) {
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].at > at })
	if i == 0 {
		return a.plan.Windows(plan.DefaultWindow), nil
	}
	return a.plan.Resume(a.marks[i-1].snapshot, plan.DefaultWindow)
}

// leave marks where a cursor is, if a mark is due there.
func (a *Almanac) leave(c *plan.Cursor) {
	at := c.At()
	if at%a.stride != 0 {
		return
	}
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].at >= at })
	if i < len(a.marks) && a.marks[i].at == at {
		return
	}
	m := mark{at, c.Snapshot()}
	a.marks = append(a.marks, mark{})
	copy(a.marks[i+1:], a.marks[i:])
	a.marks[i] = m
	a.bytes += len(m.snapshot)
	for a.bytes > a.memory && len(a.marks) > 1 {
		a.thin()
	}
}

// thin drops the marks that are not due at twice the distance.
func (a *Almanac) thin() {
	a.stride *= 2
	kept := a.marks[:0]
	a.bytes = 0
	for _, m := range a.marks {
		if m.at%a.stride == 0 {
			kept = append(kept, m)
			a.bytes += len(m.snapshot)
		}
	}
	clear(a.marks[len(kept):])
	a.marks = kept
}

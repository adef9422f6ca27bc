package plan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// DefaultWindow is the length of windows if none is asked for.
const DefaultWindow = 60 * time.Second

// Cursor walks through a plan window by window, from scenario time 0. It keeps
// the state of the present and no history, so that its memory does not grow.
// It is not safe for concurrent use; a plan may have any number of cursors.
type Cursor struct {
	length    time.Duration
	at        time.Duration // where the next window begins
	book      book
	ephemeris *ephemeris
	planners  []planner
	warnings  []Warning // not yet handed out
}

// Windows begins a walk in windows of a length, by default DefaultWindow. The
// contacts do not depend on the length, except that they are cut at the
// windows' ends.
func (p *Plan) Windows(length time.Duration) *Cursor {
	if length <= 0 {
		length = DefaultWindow
	}
	c := &Cursor{
		length:    length,
		book:      book{plan: p, ordinal: make([]uint32, len(p.ports)), busy: make([]*joined, len(p.ports))},
		ephemeris: newEphemeris(p),
	}
	for _, g := range p.groups {
		c.planners = append(c.planners, g.begin(&c.book))
	}
	return c
}

// Next computes the next window. The only error is the context's, after which
// the cursor can be asked again.
func (c *Cursor) Next(ctx context.Context) (Window, error) {
	w := Window{From: c.at, To: c.at + c.length}
	// One instant more than the window: what ends right at its end has ended.
	for c.ephemeris.next <= w.To {
		if err := ctx.Err(); err != nil {
			return Window{}, fmt.Errorf("planning stopped at %v: %w", c.ephemeris.next, err)
		}
		b, warnings := c.ephemeris.advance()
		c.warnings = append(c.warnings, warnings...)
		for _, p := range c.planners {
			p.advance(b)
		}
		c.book.fit(b)
	}
	w.Contacts = c.book.window(w.From, w.To)
	slices.SortStableFunc(c.warnings, func(a, b Warning) int { return cmp.Compare(a.At, b.At) })
	n := 0
	for n < len(c.warnings) && c.warnings[n].At < w.To {
		n++
	}
	w.Warnings, c.warnings = c.warnings[:n:n], c.warnings[n:]
	c.at = w.To
	return w, nil
}

// Contacts are all contacts with a part in [from, to), with their curves in
// that stretch. It plans from scenario time 0, since what is joined at an
// instant depends on what was joined before; package almanac remembers more.
func (p *Plan) Contacts(ctx context.Context, from, to time.Duration) ([]Contact, error) {
	return p.Windows(DefaultWindow).Contacts(ctx, from, to, nil)
}

// Contacts walks on as far as to and gives all contacts with a part in
// [from, to), with their curves in that stretch. The cursor must not be beyond
// from. passed, if given, is called after each window.
func (c *Cursor) Contacts(ctx context.Context, from, to time.Duration, passed func()) ([]Contact, error) {
	if to <= from {
		return nil, nil
	}
	var all []Contact
	index := map[ContactID]int{}
	for c.at < to {
		w, err := c.Next(ctx)
		if err != nil {
			return nil, err
		}
		if passed != nil {
			passed()
		}
		for _, c := range w.Contacts {
			if c.Start >= to || c.End <= from {
				continue
			}
			if i, ok := index[c.ID]; ok {
				a := &all[i]
				a.End, a.Ends = c.End, c.Ends
				a.Delay, a.Rate, a.Loss = a.Delay.Append(c.Delay), a.Rate.Append(c.Rate), a.Loss.Append(c.Loss)
				continue
			}
			index[c.ID] = len(all)
			all = append(all, c)
		}
	}
	for i := range all {
		if c := &all[i]; c.End > to {
			c.End, c.Ends = to, false
		}
	}
	slices.SortFunc(all, compareContacts)
	return all, nil
}

// EventKind says what an event does.
type EventKind uint8

// The kinds of events. At one instant links go down before others come up.
const (
	Down EventKind = iota
	Up
)

// Event is the begin or the end of a contact.
type Event struct {
	At      time.Duration
	Kind    EventKind
	Contact *Contact
}

// Events are the begins and known ends of contacts in [from, to), in order of
// time; at one instant ends come before begins, and each by contact ID.
func Events(contacts []Contact, from, to time.Duration) []Event {
	var events []Event
	for i := range contacts {
		c := &contacts[i]
		if c.Start >= from && c.Start < to {
			events = append(events, Event{c.Start, Up, c})
		}
		if c.Ends && c.End >= from && c.End < to {
			events = append(events, Event{c.End, Down, c})
		}
	}
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Contact.ID, b.Contact.ID))
	})
	return events
}

package emulation

import (
	"sync"
	"time"
)

// Event is something that happened in a run.
type Event struct {
	Sequence uint64 `json:"sequence"`
	// At is scenario time in nanoseconds; of a topology event the exact instant
	// of the plan.
	At   time.Duration `json:"at"`
	Host time.Time     `json:"host"`
	Kind EventKind     `json:"kind"`
	// A and B are what it is about: ports as NODE:PORT, or nodes.
	A    string `json:"a,omitempty"`
	B    string `json:"b,omitempty"`
	Text string `json:"text,omitempty"`
}

// EventKind says what happened.
type EventKind string

// The kinds of event.
const (
	LinkUp        EventKind = "link-up"
	LinkDown      EventKind = "link-down"
	Reachable     EventKind = "reachable"
	Unreachable   EventKind = "unreachable"
	Converged     EventKind = "converged"
	ProcessUp     EventKind = "process-up"
	ProcessDown   EventKind = "process-down" // and to be started again
	ProcessFailed EventKind = "process-failed"
	Paused        EventKind = "paused"
	Resumed       EventKind = "resumed"
	SpeedChanged  EventKind = "speed"
	Note          EventKind = "note"
	// FidelityChanged: the emulation is trusted more or less than before.
	FidelityChanged EventKind = "fidelity"
)

// Topology tells whether the event is a link's.
func (e *Event) Topology() bool { return e.Kind == LinkUp || e.Kind == LinkDown }

// eventsKept in memory; the record has all of them.
const eventsKept = 4096

// eventLog keeps the latest events and passes all on.
type eventLog struct {
	now func() time.Duration
	// record gets every event, in order; nil for none.
	record func(*Event)

	mu           sync.Mutex // guards the rest
	count        uint64
	topology     uint64
	recent       []Event // a ring once full; the oldest is at count % eventsKept
	lastTopology *Event
	subscribers  map[chan Event]struct{}
}

func newEventLog(now func() time.Duration) *eventLog {
	return &eventLog{now: now, subscribers: make(map[chan Event]struct{})}
}

// add fills in sequence, host time and, if it is zero and the event is not a
// topology event, scenario time.
func (l *eventLog) add(events ...Event) {
	host := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if !e.Topology() && e.At == 0 {
			e.At = l.now()
		}
		e.Host, e.Sequence = host, l.count
		if len(l.recent) < eventsKept {
			l.recent = append(l.recent, e)
		} else {
			l.recent[l.count%eventsKept] = e
		}
		l.count++
		if e.Topology() {
			l.topology++
			last := e
			l.lastTopology = &last
		}
		for c := range l.subscribers {
			select {
			case c <- e:
			default: // a slow reader loses events and sees it in the sequence numbers
			}
		}
		if l.record != nil {
			l.record(&e)
		}
	}
}

// ordered are the events kept, oldest first. It is called with l.mu held.
func (l *eventLog) ordered() []Event {
	if l.count <= eventsKept {
		return append([]Event(nil), l.recent...)
	}
	at := l.count % eventsKept
	return append(append([]Event(nil), l.recent[at:]...), l.recent[:at]...)
}

// subscribe gives the events so far and then each new one, until cancel.
func (l *eventLog) subscribe() (history []Event, events <-chan Event, cancel func()) {
	c := make(chan Event, 1024)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subscribers[c] = struct{}{}
	return l.ordered(), c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subscribers, c)
	}
}

// totals are the numbers of events and of topology events, and the last one of these.
func (l *eventLog) totals() (all, topology uint64, last *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, l.topology, l.lastTopology
}

package emulation

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
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
	// Injected and Undone: somebody has made a failure, or taken it back.
	Injected EventKind = "injected"
	Undone   EventKind = "undone"
	// FidelityChanged: the emulation is trusted more or less than before.
	FidelityChanged EventKind = "fidelity"
)

// Topology tells whether the event is a link's.
func (e *Event) Topology() bool { return e.Kind == LinkUp || e.Kind == LinkDown }

// eventsKept in memory; the file has all of them.
const eventsKept = 4096

// eventLog keeps the latest events, appends all to a file, and passes them on.
type eventLog struct {
	now func() time.Duration

	mu           sync.Mutex // guards the rest
	count        uint64
	topology     uint64
	recent       []Event // a ring once full; the oldest is at count % eventsKept
	lastTopology *Event
	subscribers  map[chan Event]struct{}
	changed      chan struct{} // closed and renewed when there are new ones
	file         *os.File
	out          *bufio.Writer
	fileErr      error
}

// newEventLog appends to path, which may be empty for none.
func newEventLog(path string, now func() time.Duration) (*eventLog, error) {
	l := &eventLog{now: now, subscribers: make(map[chan Event]struct{}), changed: make(chan struct{})}
	if path == "" {
		return l, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	l.file, l.out = f, bufio.NewWriter(f)
	return l, nil
}

// add fills in sequence, host time and, if it is zero and the event is not a
// topology event, scenario time.
func (l *eventLog) add(events ...Event) {
	if len(events) == 0 {
		return
	}
	host := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() {
		close(l.changed)
		l.changed = make(chan struct{})
	}()
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
		l.write(e)
	}
	if l.out != nil && l.fileErr == nil {
		l.fileErr = l.out.Flush()
	}
}

func (l *eventLog) write(e Event) {
	if l.out == nil || l.fileErr != nil {
		return
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = l.out.Write(append(b, '\n'))
	}
	l.fileErr = err
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

// since gives at most so many of the events that are kept, from a sequence number on,
// and the number to go on with. changed is closed when there are more.
func (l *eventLog) since(next uint64, limit int) (events []Event, then uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count > eventsKept {
		next = max(next, l.count-eventsKept)
	}
	for ; next < l.count && len(events) < limit; next++ {
		events = append(events, l.recent[next%eventsKept])
	}
	return events, next, l.changed
}

// totals are the numbers of events and of topology events, the last one of
// these, and what went wrong with the file.
func (l *eventLog) totals() (all, topology uint64, last *Event, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, l.topology, l.lastTopology, l.fileErr
}

func (l *eventLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.out = nil, nil
	return err
}

package plan

import (
	"cmp"
	"container/heap"
	"time"
)

// eventKind orders what happens at one instant.
type eventKind uint8

const (
	sets     eventKind = iota // a satellite is lost
	released                  // an overlap ends
	rises                     // a satellite comes into view
	seek                      // a successor is to be sought
	tick                      // a multiple of a link's interval
)

// event is something that happens to a terminal, or to all of a link.
type event struct {
	at    time.Duration
	kind  eventKind
	index int // of the terminal; of the link for tick
	node  int // the satellite
}

// queue holds the events to come, in an order that does not depend on how they
// came in.
type queue struct{ events eventHeap }

func (q *queue) push(e event)         { heap.Push(&q.events, e) }
func (q *queue) pop() event           { return heap.Pop(&q.events).(event) }
func (q *queue) empty() bool          { return len(q.events) == 0 }
func (q *queue) first() time.Duration { return q.events[0].at }

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind),
		cmp.Compare(a.index, b.index), cmp.Compare(a.node, b.node)) < 0
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(e any)   { *h = append(*h, e.(event)) }
func (h *eventHeap) Pop() any {
	n := len(*h) - 1
	e := (*h)[n]
	*h = (*h)[:n]
	return e
}

package api

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/plan"
)

// Streams hold nothing for a client: what is sent next is looked up when the last
// message has gone. Clients that read slowly so get the latest state, and see in the
// numbers of events what they have missed; they cost a goroutine each, and nothing
// grows with how slow they are.

// minWatchInterval keeps a client from asking for more than anybody can read.
const minWatchInterval = 100 * time.Millisecond

// statusAge is how old a status may be that is sent to those who watch: many clients
// cost as much as one.
const statusAge = 250 * time.Millisecond

// latest is a status that is shared. It must not be changed.
type latest struct {
	mu     sync.Mutex // guards:
	at     time.Time
	status *pb.Status
	brief  *pb.Status // without pairs
}

// recent is a status that is not older than statusAge.
func (s *Server) recent(withoutPairs bool) *pb.Status {
	l := &s.latest
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status == nil || time.Since(l.at) > statusAge {
		l.status, l.brief = s.Status(), nil
		l.at = time.Now()
	}
	if !withoutPairs {
		return l.status
	}
	if l.brief == nil {
		// A copy of the fields, which are shared and only read.
		b := new(pb.Status)
		from, to := l.status.ProtoReflect(), b.ProtoReflect()
		fields := from.Descriptor().Fields()
		for i := range fields.Len() {
			if f := fields.Get(i); f.Name() != "pairs" && from.Has(f) {
				to.Set(f, from.Get(f))
			}
		}
		l.brief = b
	}
	return l.brief
}

// WatchStatus implements the method of the schema.
func (s *Server) WatchStatus(ctx context.Context, req *connect.Request[pb.WatchStatusRequest], out *connect.ServerStream[pb.WatchStatusResponse]) error {
	interval := time.Second
	if d := req.Msg.GetInterval(); d != nil {
		interval = max(d.AsDuration(), minWatchInterval)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := out.Send(&pb.WatchStatusResponse{Status: s.recent(req.Msg.GetWithoutPairs())}); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case <-s.stopped:
			return nil
		}
	}
}

// eventsAtOnce is how many events are looked up at a time.
const eventsAtOnce = 256

// WatchEvents implements the method of the schema.
func (s *Server) WatchEvents(ctx context.Context, req *connect.Request[pb.WatchEventsRequest], out *connect.ServerStream[pb.WatchEventsResponse]) error {
	var next uint64
	if !req.Msg.GetHistory() {
		next = s.run.EventCount()
	}
	for {
		events, then, changed := s.run.EventsSince(next, eventsAtOnce)
		for i := range events {
			if err := out.Send(&pb.WatchEventsResponse{Event: EventMessage(&events[i])}); err != nil {
				return err
			}
		}
		next = then
		if len(events) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-s.stopped:
			return nil
		}
	}
}

// Bounds of a list of events.
const (
	defaultEvents = 1000
	maxEvents     = 10_000
)

// ListEvents implements the method of the schema.
func (s *Server) ListEvents(ctx context.Context, req *connect.Request[pb.ListEventsRequest]) (*connect.Response[pb.ListEventsResponse], error) {
	only, err := s.optionalNode(req.Msg.GetNode())
	if err != nil {
		return nil, err
	}
	limit := int(req.Msg.GetLimit())
	if limit == 0 {
		limit = defaultEvents
	}
	if limit < 0 || limit > maxEvents {
		return nil, invalid("%d events: want 1 to %d", limit, maxEvents)
	}
	now := s.run.Timeline().Now()
	from, to := req.Msg.GetFrom().AsDuration(), now+10*time.Minute
	if d := req.Msg.GetTo(); d != nil {
		to = d.AsDuration()
	}
	if from < 0 || to <= from || to-max(now, from) > maxInterval {
		return nil, invalid("from %v to %v: want 0 <= from < to, and at most %v ahead", from, to, maxInterval)
	}
	about := func(a, b string) bool {
		return only == nil || a == only.Name || b == only.Name || strings.HasPrefix(a, only.Name+":") || strings.HasPrefix(b, only.Name+":")
	}
	out := new(pb.ListEventsResponse)
	past, _, _ := s.run.EventsSince(0, int(s.run.EventCount()))
	out.Truncated = len(past) > 0 && past[0].Sequence > 0 && past[0].At > from
	past = slices.DeleteFunc(past, func(e emulation.Event) bool { return e.At < from || e.At >= to || !about(e.A, e.B) })
	slices.SortStableFunc(past, func(a, b emulation.Event) int { return int(min(1, max(-1, a.At-b.At))) })
	for i := range past {
		out.Events = append(out.Events, EventMessage(&past[i]))
	}
	if begin := max(now, from); to > begin {
		list, err := contacts(ctx, s.sky.shelf.own, begin, to)
		if err != nil {
			return nil, err
		}
		for _, e := range plan.Events(list, begin, to) {
			a, b := s.portName(e.Contact.A), s.portName(e.Contact.B)
			if e.At <= now || !about(a, b) {
				continue
			}
			kind := emulation.LinkDown
			if e.Kind == plan.Up {
				kind = emulation.LinkUp
			}
			out.Events = append(out.Events, &pb.Event{At: duration(e.At), Kind: string(kind), A: a, B: b, Text: e.Contact.Class.String(), Planned: true})
		}
	}
	if over := len(out.Events) - limit; over > 0 {
		out.Events, out.Truncated = Nearest(out.Events, now, limit), true
	}
	return connect.NewResponse(out), nil
}

// Nearest keeps so many events of an ordered list, those nearest to an instant.
func Nearest(list []*pb.Event, now time.Duration, limit int) []*pb.Event {
	for len(list) > limit {
		if now-list[0].GetAt().AsDuration() > list[len(list)-1].GetAt().AsDuration()-now {
			list = list[1:]
		} else {
			list = list[:len(list)-1]
		}
	}
	return list
}

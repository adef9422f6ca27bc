package interchange

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/plan"
)

// SchedulesDraft is what Schedules follows.
const SchedulesDraft = "draft-ietf-tvr-schedule-yang-10 (9 June 2026)"

// The data tree of module ietf-tvr-topology, as far as Schedules fills it, in the JSON
// encoding of RFC 7951.
type (
	tvrNode struct {
		ID        string       `json:"node-id"`
		Available tvrNodeState `json:"available"`
	}
	tvrNodeState struct {
		Default bool `json:"default-node-available"`
	}
	tvrLink struct {
		Node      string       `json:"source-node"`
		ID        string       `json:"source-link-id"`
		Available tvrLinkState `json:"available"`
	}
	tvrLinkState struct {
		Default   bool          `json:"default-link-available"`
		Schedules []tvrSchedule `json:"schedules"`
	}
	tvrSchedule struct {
		ID    uint32  `json:"schedule-id"`
		Start string  `json:"period-start"`
		End   string  `json:"period-end"`
		Value tvrAttr `json:"attr-value"`
	}
	tvrAttr struct {
		Available bool `json:"link-available"`
	}
)

// period is when a link is there.
type period struct{ start, end time.Duration }

// pair is two ports that are joined at times. It is a link of the topology: where a
// port changes its peer there is one for each peer.
type pair struct{ a, b plan.PortID }

// Schedules writes a span as the topology of module ietf-tvr-topology with a schedule for
// each link (SchedulesDraft), as JSON after RFC 7951. Nodes are named by their router
// ids, links as NODE:PORT>NODE:PORT; every link is there once for each direction, is not
// available by default, and has one period for each contact.
func Schedules(ctx context.Context, w io.Writer, p *plan.Plan, s Span) error {
	periods := make(map[pair][]period)
	err := walk(ctx, p, s, nil, func(c *contact) error {
		k := pair{c.a, c.b}
		periods[k] = append(periods[k], period{c.start, c.end})
		return nil
	})
	if err != nil {
		return err
	}
	pairs := make([]pair, 0, 2*len(periods))
	for k := range periods {
		pairs = append(pairs, k, pair{k.b, k.a})
	}
	slices.SortFunc(pairs, func(x, y pair) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })

	out := &list{w: bufio.NewWriter(w)}
	out.text("{\"ietf-tvr-topology:topology-schedule\": {\n\"nodes\": [")
	for i := range p.Nodes {
		out.item(tvrNode{address.RouterID(i).String(), tvrNodeState{true}})
	}
	out.text("\n],\n\"links\": [")
	out.begun = false
	id := uint32(0)
	for _, k := range pairs {
		list, ok := periods[k]
		if !ok {
			list = periods[pair{k.b, k.a}]
		}
		l := tvrLink{Node: address.RouterID(p.Port(k.a).Node).String(), ID: portName(p, k.a) + ">" + portName(p, k.b)}
		slices.SortFunc(list, func(x, y period) int { return cmp.Compare(x.start, y.start) })
		for _, t := range list {
			id++
			l.Available.Schedules = append(l.Available.Schedules, tvrSchedule{id, instant(p, t.start), instant(p, t.end), tvrAttr{true}})
		}
		out.item(l)
	}
	out.text("\n]\n}}\n")
	return out.flush()
}

// portName is NODE:PORT.
func portName(p *plan.Plan, id plan.PortID) string {
	return p.NodeOf(id).Name + ":" + p.Port(id).Name
}

// list writes the items of a JSON array, one on each line, and keeps the first error.
type list struct {
	w     *bufio.Writer
	begun bool // there is an item before
	err   error
}

func (l *list) text(s string) {
	if l.err == nil {
		_, l.err = l.w.WriteString(s)
	}
}

func (l *list) item(v any) {
	if l.err != nil {
		return
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if l.err = e.Encode(v); l.err != nil {
		return
	}
	if l.begun {
		l.text(",")
	}
	l.begun = true
	l.text("\n")
	if l.err == nil {
		_, l.err = l.w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	}
}

func (l *list) flush() error {
	if l.err != nil {
		return l.err
	}
	return l.w.Flush()
}

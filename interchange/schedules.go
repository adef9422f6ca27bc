package interchange

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"orrery.dev/orrery/plan"
)

// SchedulesDraft is what Schedules follows; the module ietf-tvr-topology in it is of revision
// 2026-06-11.
const SchedulesDraft = "draft-ietf-tvr-schedule-yang-12"

// The data tree of ietf-network and ietf-network-topology (RFC 8345) with the augmentations of
// ietf-tvr-topology, as far as Schedules fills it, in the JSON encoding of RFC 7951: numbers
// of 64 bits are strings, and a member is qualified where its module changes.
type (
	tvrNode struct {
		ID        string           `json:"node-id"`
		Available tvrNodeAvailable `json:"ietf-tvr-topology:available"`
		Points    []tvrPoint       `json:"ietf-network-topology:termination-point,omitempty"`
	}
	tvrNodeAvailable struct {
		Default bool `json:"default-node-available"`
	}
	tvrPoint struct {
		ID        string       `json:"tp-id"`
		Available tvrAvailable `json:"ietf-tvr-topology:available"`
	}
	tvrAvailable struct {
		Schedule []tvrSchedule `json:"schedule,omitempty"`
		Default  bool          `json:"default-link-available"`
	}
	tvrSchedule struct {
		ID         uint32        `json:"schedule-id"`
		Start      string        `json:"period-start"`
		End        string        `json:"period-end"`
		Attributes tvrAttributes `json:"link-attributes"`
	}
	tvrAttributes struct {
		Available    bool     `json:"link-available"`
		Bandwidth    string   `json:"bandwidth,omitempty"` // bit/s
		Delay        string   `json:"delay"`               // microseconds
		Destinations []string `json:"destination-nodes"`
		Strict       bool     `json:"strict-destination-checking"`
	}
)

// period is when a port is joined with another, and by what.
type period struct {
	start, end time.Duration
	peer       plan.PortID
	rate       float64 // the least, bit/s; 0: no limit
	delay      float64 // the greatest, s
}

// pair is two ports that are joined at times.
type pair struct{ a, b plan.PortID }

// Schedules writes a span as a network of type tvr-topology (SchedulesDraft), as JSON after
// RFC 7951. Nodes and termination points are called as nodes and ports are; a port is not
// available by default, and has one period for each contact, with the node at its other end,
// the least rate and the greatest delay, which are what the draft has routers go by.
func Schedules(ctx context.Context, w io.Writer, p *plan.Plan, s Span) error {
	periods := make([][]period, p.NumPorts())
	err := walk(ctx, p, s, nil, func(c *contact) error {
		for _, end := range [2]pair{{c.a, c.b}, {c.b, c.a}} {
			periods[end.a] = append(periods[end.a], period{c.start, c.end, end.b, c.rate.least, c.delay.most})
		}
		return nil
	})
	if err != nil {
		return err
	}
	network, err := json.Marshal(p.Scenario.Metadata.Name)
	if err != nil {
		return err
	}
	out := &list{w: bufio.NewWriter(w)}
	out.text("{\"ietf-network:networks\": {\"network\": [{\n\"network-id\": " + string(network) +
		",\n\"network-types\": {\"ietf-tvr-topology:tvr-topology\": {}},\n\"node\": [")
	for i := range p.Nodes {
		n := tvrNode{ID: p.Nodes[i].Name, Available: tvrNodeAvailable{true}}
		for _, port := range p.Nodes[i].Ports {
			list := periods[port.ID]
			slices.SortFunc(list, func(x, y period) int { return cmp.Compare(x.start, y.start) })
			point := tvrPoint{ID: port.Name}
			for k, t := range list {
				point.Available.Schedule = append(point.Available.Schedule, tvrSchedule{
					ID: uint32(k) + 1, Start: instant(p, t.start), End: instant(p, t.end),
					Attributes: tvrAttributes{
						Available: true, Bandwidth: rate(t.rate), Delay: strconv.FormatFloat(math.Ceil(t.delay*1e6), 'f', 0, 64),
						Destinations: []string{p.NodeOf(t.peer).Name}, Strict: true,
					},
				})
			}
			n.Points = append(n.Points, point)
		}
		out.item(n)
	}
	out.text("\n]\n}]}}\n")
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

package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/plan/coverage"
)

// contactRow is a contact as programs read it: scenario times in seconds.
type contactRow struct {
	A       string  `json:"a"`
	B       string  `json:"b"`
	Class   string  `json:"class"`
	Start   float64 `json:"start"`
	End     float64 `json:"end"`
	Ends    bool    `json:"ends"` // false: it goes on beyond what was asked for
	DelayMS struct {
		Start, End float64
	} `json:"delayMs"`
}

func portName(p *plan.Plan, id plan.PortID) string {
	return p.NodeOf(id).Name + ":" + p.Port(id).Name
}

func printContacts(p *plan.Plan, contacts []plan.Contact, format string) error {
	rows := []contactRow{}
	t := table{head: []string{"a", "b", "class", "start", "end", "length", "delay at start", "delay at end"}}
	for i := range contacts {
		c := &contacts[i]
		r := contactRow{A: portName(p, c.A), B: portName(p, c.B), Class: c.Class.String(), Start: c.Start.Seconds(), End: c.End.Seconds(), Ends: c.Ends}
		r.DelayMS.Start, r.DelayMS.End = c.Delay.At(c.Start)*1e3, c.Delay.At(c.End)*1e3
		rows = append(rows, r)
		end := scenarioTime(c.End)
		if !c.Ends {
			end += "+"
		}
		t.add(r.A, r.B, r.Class, scenarioTime(c.Start), end, scenarioTime(c.End-c.Start), fmt.Sprintf("%.3f ms", r.DelayMS.Start), fmt.Sprintf("%.3f ms", r.DelayMS.End))
	}
	if format == "json" {
		return printJSON(os.Stdout, rows)
	}
	return t.print(os.Stdout, format)
}

func printEvents(p *plan.Plan, events []plan.Event, format string) error {
	type row struct {
		At    float64 `json:"at"`
		Kind  string  `json:"kind"`
		A     string  `json:"a"`
		B     string  `json:"b"`
		Class string  `json:"class"`
	}
	rows := []row{}
	t := table{head: []string{"at", "event", "a", "b", "class"}}
	for _, e := range events {
		kind := "link-down"
		if e.Kind == plan.Up {
			kind = "link-up"
		}
		r := row{e.At.Seconds(), kind, portName(p, e.Contact.A), portName(p, e.Contact.B), e.Contact.Class.String()}
		rows = append(rows, r)
		t.add(scenarioTime(e.At), r.Kind, r.A, r.B, r.Class)
	}
	if format == "json" {
		return printJSON(os.Stdout, rows)
	}
	return t.print(os.Stdout, format)
}

// nodeRow sums up a node's contacts over a span of time.
type nodeRow struct {
	Node     string  `json:"node"`
	Contacts int     `json:"contacts"`
	Events   int     `json:"events"`
	Coverage float64 `json:"coverage"`   // share of the span with at least one contact
	LongGap  float64 `json:"longestGap"` // seconds without a contact
	Mean     float64 `json:"meanLinks"`
}

func printNodeSummary(p *plan.Plan, contacts []plan.Contact, from, to time.Duration, only int, format string) error {
	events := make([]int, len(p.Nodes))
	for i := range contacts {
		c := &contacts[i]
		for _, id := range [2]plan.PortID{c.A, c.B} {
			n := p.Port(id).Node
			if c.Start > from {
				events[n]++
			}
			if c.Ends && c.End < to {
				events[n]++
			}
		}
	}
	nodes := coverage.Nodes(p, contacts, from, to)
	rows := []nodeRow{}
	t := table{head: []string{"node", "contacts", "events", "mean links", "covered", "longest gap"}}
	for i := range p.Nodes {
		if only >= 0 && i != only {
			continue
		}
		n, length, gap := &nodes[i], to-from, nodes[i].Longest()
		r := nodeRow{p.Nodes[i].Name, n.Contacts, events[i], n.Covered(length).Seconds() / length.Seconds(), gap.Seconds(), n.Sum.Seconds() / length.Seconds()}
		rows = append(rows, r)
		t.add(r.Node, strconv.Itoa(r.Contacts), strconv.Itoa(r.Events), fmt.Sprintf("%.2f", r.Mean), fmt.Sprintf("%.1f %%", 100*r.Coverage), scenarioTime(gap))
	}
	if format == "json" {
		return printJSON(os.Stdout, rows)
	}
	return t.print(os.Stdout, format)
}

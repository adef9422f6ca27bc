package interchange

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/plan"
)

// DefaultStep is between two epochs of NetSatBench if nothing else is asked for.
const DefaultStep = 10 * time.Second

// satConfigName and the rest are where NetSatBench looks for its files.
const (
	satConfigName = "sat-config.json"
	epochDir      = "epochs"
	epochPattern  = "NetSatBench-epoch*.json"
)

// The files of NetSatBench, as its manual of configuration describes them, with the members
// that are written and read here.
type (
	satConfig struct {
		Common satNode            `json:"node-config-common"`
		Epochs satEpochs          `json:"epoch-config"`
		Nodes  map[string]satNode `json:"nodes"`
	}
	satEpochs struct {
		Dir     string `json:"epoch-dir"`
		Pattern string `json:"file-pattern"`
	}
	satNode struct {
		Type     string       `json:"type,omitempty"`
		Antennas int          `json:"n_antennas,omitempty"`
		Image    string       `json:"image,omitempty"`
		Metadata *satMetadata `json:"metadata,omitempty"`
		L3       *satL3       `json:"L3-config,omitempty"`
	}
	satMetadata struct {
		Orbit    *satOrbit         `json:"orbit,omitempty"`
		Location *satLocation      `json:"location,omitempty"`
		Labels   map[string]string `json:"labels,omitempty"`
	}
	satOrbit struct {
		TLE []string `json:"TLE,omitempty"`
	}
	satLocation struct {
		Latitude  float64 `json:"latitude"`  // deg
		Longitude float64 `json:"longitude"` // deg
		Altitude  float64 `json:"altitude"`  // m
	}
	satL3 struct {
		Netem   bool         `json:"enable-netem"`
		Routing bool         `json:"enable-routing"`
		Module  string       `json:"routing-module,omitempty"`
		AutoIPs bool         `json:"auto-assign-ips,omitempty"`
		Ranges  []satIPRange `json:"auto-assign-super-cidr,omitempty"`
	}
	satIPRange struct {
		Match string `json:"matchType"`
		CIDR  string `json:"super-cidr,omitempty"`
		CIDR6 string `json:"super-cidr6,omitempty"`
	}
	satEpoch struct {
		Time   string              `json:"time"`
		Add    []satLink           `json:"links-add,omitempty"`
		Update []satLink           `json:"links-update,omitempty"`
		Delete []satLink           `json:"links-del,omitempty"`
		Run    map[string][]string `json:"run,omitempty"`
	}
	satLink struct {
		A        string   `json:"endpoint1"`
		B        string   `json:"endpoint2"`
		AntennaA int      `json:"endpoint1_antenna,omitempty"`
		AntennaB int      `json:"endpoint2_antenna,omitempty"`
		Rate     string   `json:"rate,omitempty"`
		Loss     *float64 `json:"loss,omitempty"` // per cent
		Delay    string   `json:"delay,omitempty"`
	}
)

// NetSatBench writes a span as a scenario of NetSatBench: sat-config.json, and in the folder
// epochs one file for each multiple of step (0: DefaultStep) at which links differ from the
// multiple before. create makes a file of a name with slashes; its folder is to be made as
// well.
func NetSatBench(ctx context.Context, create func(name string) (io.WriteCloser, error), p *plan.Plan, s Span, step time.Duration) error {
	if step == 0 {
		step = DefaultStep
	}
	if step < 0 {
		return fmt.Errorf("epochs cannot be %v apart; name a step above 0", step)
	}
	e := epochWriter{plan: p, create: create, names: shortNames(p), present: make(map[pair]satLink)}
	if err := e.write(satConfigName, e.config()); err != nil {
		return err
	}
	next := s.From
	return walk(ctx, p, s, func(w plan.Window) error {
		for ; next < w.To; next += step {
			if err := e.epoch(next, w.Contacts); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// shortNames are names that NetSatBench takes: shorter than 8 characters.
func shortNames(p *plan.Plan) []string {
	names := make([]string, len(p.Nodes))
	count := map[plan.NodeKind]int{}
	for i := range p.Nodes {
		kind := p.Nodes[i].Kind
		count[kind]++
		long, short := "sat", "s"
		if kind == plan.Station {
			long, short = "grd", "g"
		}
		if count[kind] > 9999 {
			long = short
		}
		names[i] = long + strconv.Itoa(count[kind])
	}
	return names
}

// routingModules of NetSatBench by protocol.
var routingModules = map[string]string{"isis": "extra.routing.isis", "oracle": ""}

type epochWriter struct {
	plan    *plan.Plan
	create  func(string) (io.WriteCloser, error)
	names   []string // by node
	present map[pair]satLink
	count   int // epoch files written
}

func (e *epochWriter) config() satConfig {
	p := e.plan
	c := satConfig{
		Common: satNode{Type: "undefined", Image: "msvcbench/sat-container:latest", L3: &satL3{
			Netem: true, AutoIPs: true, Ranges: []satIPRange{
				{Match: "satellite", CIDR: "172.100.0.0/16", CIDR6: "2001:db8:100::/48"},
				{Match: "gateway", CIDR: "172.101.0.0/16", CIDR6: "2001:db8:101::/48"},
			},
		}},
		Epochs: satEpochs{epochDir, epochPattern},
		Nodes:  make(map[string]satNode, len(p.Nodes)),
	}
	if r := p.Scenario.Spec.Routing; len(r) > 0 && routingModules[r[0].Protocol] != "" {
		c.Common.L3.Routing, c.Common.L3.Module = true, routingModules[r[0].Protocol]
		if !p.Scenario.Spec.Network.IPv4 {
			c.Common.L3.Module += "v6"
		}
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		k := satNode{Type: "satellite", Antennas: len(n.Ports), Metadata: &satMetadata{Labels: map[string]string{"name": n.Name}}}
		if n.Kind == plan.Station {
			k.Type = "gateway"
			if state, err := n.Motion.State(0); err == nil {
				g := orbit.SubPoint(state.Position)
				k.Metadata.Location = &satLocation{rounded(g.Latitude/orbit.Degree, 6), rounded(g.Longitude/orbit.Degree, 6), rounded(g.Height*1e3, 1)}
			}
		}
		c.Nodes[e.names[i]] = k
	}
	return c
}

func rounded(v float64, decimals int) float64 {
	f, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', decimals, 64), 64)
	return f + 0 // no -0
}

// epoch writes what differs at an instant from the epoch before. contacts are those of a
// window that the instant lies in.
func (e *epochWriter) epoch(at time.Duration, contacts []plan.Contact) error {
	now := make(map[pair]satLink)
	for i := range contacts {
		if c := &contacts[i]; c.Start <= at && at < c.End {
			now[pair{c.A, c.B}] = e.link(c, at)
		}
	}
	out := satEpoch{Time: instant(e.plan, at)}
	for _, k := range inOrder(now) {
		l := now[k]
		switch was, ok := e.present[k]; {
		case !ok:
			out.Add = append(out.Add, l)
		case was.Delay != l.Delay || was.Rate != l.Rate || *was.Loss != *l.Loss:
			out.Update = append(out.Update, l)
		}
	}
	for _, k := range inOrder(e.present) {
		if _, ok := now[k]; !ok {
			l := e.present[k]
			out.Delete = append(out.Delete, satLink{A: l.A, B: l.B, AntennaA: l.AntennaA, AntennaB: l.AntennaB})
		}
	}
	e.present = now
	if e.count > 0 && len(out.Add)+len(out.Update)+len(out.Delete) == 0 {
		return nil
	}
	name := fmt.Sprintf("%s/NetSatBench-epoch%d.json", epochDir, e.count)
	e.count++
	return e.write(name, out)
}

func inOrder(m map[pair]satLink) []pair {
	return slices.SortedFunc(maps.Keys(m), func(x, y pair) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })
}

// link is a contact as it is at an instant. Antennas are the ports' places, from 1.
func (e *epochWriter) link(c *plan.Contact, at time.Duration) satLink {
	a, b := e.plan.Port(c.A), e.plan.Port(c.B)
	loss := rounded(100*c.Loss.At(at), 4)
	l := satLink{
		A: e.names[a.Node], B: e.names[b.Node], AntennaA: a.Index + 1, AntennaB: b.Index + 1,
		Delay: strconv.FormatFloat(c.Delay.At(at)*1e3, 'f', 3, 64) + "ms", Loss: &loss,
	}
	if bps := c.Rate.At(at); bps > 0 {
		l.Rate = strconv.FormatFloat(bps, 'f', 0, 64) + "bit"
	}
	return l
}

// write makes a file of indented JSON.
func (e *epochWriter) write(name string, v any) error {
	f, err := e.create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	err = enc.Encode(v)
	return cmp.Or(err, w.Flush(), f.Close())
}

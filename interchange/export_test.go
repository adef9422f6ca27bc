package interchange

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

var update = flag.Bool("update", false, "write golden files anew")

// sky has contacts of every class, a loss and a rate that change with geometry, and a
// station that moves.
const sky = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: sky}
spec:
  epoch: 2026-01-01T00:00:00Z
  constellations:
    - name: leo
      walker: {pattern: star, planes: 3, satellitesPerPlane: 8, inclination: 86.4deg, altitude: 780km, phasing: 1}
      links: {pattern: grid, maxLatitude: 60deg, properties: {rate: 1Gbit}}
      groundPorts: 3
    - name: meo
      walker: {pattern: delta, planes: 1, satellitesPerPlane: 4, inclination: 0deg, altitude: 8000km}
      links: {pattern: ring}
  interLinks:
    - {name: up, between: [leo, meo]}
  stations:
    - {name: oslo, position: {lat: 59.9deg, lon: 10.7deg, height: 90m}}
    - name: ferry
      waypoints:
        - {at: 0s, lat: 54deg, lon: 10deg}
        - {at: 30m, lat: 55deg, lon: 12deg}
  groundLinks:
    - name: user
      constellations: [leo]
      minElevation: 10deg
      antennas: 2
      policy: highest
      properties:
        table:
          by: elevation
          rows:
            - {elevation: 10deg, rate: 50Mbit, loss: 0.01}
            - {elevation: 60deg, rate: 200Mbit, loss: 0}
  routing:
    - {protocol: isis}
`

func compile(t testing.TB, text string) *plan.Plan {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// span that begins and ends within windows.
var span = Span{130 * time.Second, 25*time.Minute + 7*time.Second}

// contactsOf a span as the plan gives them in one piece.
func contactsOf(t testing.TB, p *plan.Plan, s Span) map[pair][]plan.Contact {
	t.Helper()
	list, err := p.Contacts(context.Background(), s.From, s.To)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[pair][]plan.Contact)
	for _, c := range list {
		c.Start = max(c.Start, s.From)
		out[pair{c.A, c.B}] = append(out[pair{c.A, c.B}], c)
	}
	return out
}

func TestContactPlanIsThePlan(t *testing.T) {
	p := compile(t, sky)
	var b bytes.Buffer
	if err := ContactPlan(context.Background(), &b, p, span); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(rows[0], contactPlanColumns) {
		t.Fatalf("header %v", rows[0])
	}
	want := contactsOf(t, p, span)
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	seen, last := 0, ""
	for _, row := range rows[1:] {
		f := make(map[string]string)
		for i, name := range contactPlanColumns {
			f[name] = row[i]
		}
		a, okA := p.PortByName(f["a_node"], f["a_port"])
		z, okB := p.PortByName(f["b_node"], f["b_port"])
		if !okA || !okB {
			t.Fatalf("row %v names no ports", row)
		}
		i := slices.IndexFunc(want[pair{a.ID, z.ID}], func(c plan.Contact) bool { return seconds(c.Start) == f["start_s"] })
		if i < 0 {
			t.Fatalf("row %v is no contact", row)
		}
		c := want[pair{a.ID, z.ID}][i]
		if seconds(c.End) != f["end_s"] || strconv.FormatBool(c.Ends) != f["ends"] || c.Class.String() != f["class"] {
			t.Errorf("row %v, contact %+v", row, c)
		}
		if at, err := time.Parse(time.RFC3339Nano, f["start_utc"]); err != nil || !at.Equal(p.Epoch.Add(c.Start)) {
			t.Errorf("start %s is not %v", f["start_utc"], c.Start)
		}
		if f["end_s"] < last && len(f["end_s"]) == len(last) {
			t.Errorf("the contact that ended at %s comes after that of %s", f["end_s"], last)
		}
		last = f["end_s"]
		for k := range 21 {
			at := c.Start + (c.End-c.Start-1)*time.Duration(k)/20
			if d := c.Delay.At(at) * 1e3; d < number(f["delay_min_ms"])-1e-6 || d > number(f["delay_max_ms"])+1e-6 {
				t.Errorf("%s: delay %v at %v is outside of %s … %s", row[0], d, at, f["delay_min_ms"], f["delay_max_ms"])
			}
			if r := c.Rate.At(at); r > 0 && (r < number(f["rate_min_bps"])-1 || r > number(f["rate_max_bps"])+1) {
				t.Errorf("%s: rate %v at %v is outside of %s … %s", row[0], r, at, f["rate_min_bps"], f["rate_max_bps"])
			}
			if v := c.Loss.At(at); v < number(f["loss_min"])-1e-6 || v > number(f["loss_max"])+1e-6 {
				t.Errorf("%s: loss %v at %v is outside of %s … %s", row[0], v, at, f["loss_min"], f["loss_max"])
			}
		}
		seen++
	}
	total := 0
	for _, list := range want {
		total += len(list)
	}
	if seen != total || seen == 0 {
		t.Errorf("%d rows for %d contacts", seen, total)
	}
}

// extentOf is compared with many values of random curves.
func TestExtentHoldsTheCurve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coefficient := rapid.Float64Range(-5, 5)
		var segments []curve.Segment
		at := time.Duration(0)
		for range rapid.IntRange(1, 4).Draw(t, "segments") {
			at += time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond
			segments = append(segments, curve.Segment{Start: at, C: [4]float64{coefficient.Draw(t, "c0"), coefficient.Draw(t, "c1"), coefficient.Draw(t, "c2"), coefficient.Draw(t, "c3")}})
		}
		c := curve.New(segments)
		from := time.Duration(rapid.Int64Range(0, int64(at)).Draw(t, "from"))
		to := from + time.Duration(rapid.Int64Range(1, int64(3*time.Second)).Draw(t, "length"))
		e := extentOf(c, from, to)
		least, most := math.Inf(1), math.Inf(-1)
		const steps = 2000
		for i := range steps {
			v := c.At(from + (to-from)*time.Duration(i)/steps)
			least, most = min(least, v), max(most, v)
		}
		slack := 1e-9 * (1 + math.Abs(least) + math.Abs(most))
		if e.first != c.At(from) || e.least > least+slack || e.most < most-slack {
			t.Fatalf("%+v, but the curve goes from %v to %v", e, least, most)
		}
		// Not wider than it has to be: at most what lies between two of the steps.
		if room := 1 + 0.5*(most-least); e.least < least-room || e.most > most+room {
			t.Fatalf("%+v is wider than %v … %v", e, least, most)
		}
	})
}

func TestSchedulesAreThePlan(t *testing.T) {
	p := compile(t, sky)
	var b bytes.Buffer
	if err := Schedules(context.Background(), &b, p, span); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Networks struct {
			Network []struct {
				ID    string                    `json:"network-id"`
				Types map[string]map[string]any `json:"network-types"`
				Node  []tvrNode                 `json:"node"`
			} `json:"network"`
		} `json:"ietf-network:networks"`
	}
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Networks.Network) != 1 {
		t.Fatalf("%d networks", len(doc.Networks.Network))
	}
	network := doc.Networks.Network[0]
	if _, ok := network.Types["ietf-tvr-topology:tvr-topology"]; !ok || network.ID != "sky" || len(network.Node) != len(p.Nodes) {
		t.Fatalf("network %s of types %v has %d nodes", network.ID, network.Types, len(network.Node))
	}
	joined := make(map[plan.PortID][]plan.Contact)
	for k, list := range contactsOf(t, p, span) {
		joined[k.a], joined[k.b] = append(joined[k.a], list...), append(joined[k.b], list...)
	}
	periods := 0
	for _, n := range network.Node {
		for _, point := range n.Points {
			id := portOf(t, p, n.ID+":"+point.ID)
			contacts := joined[id]
			slices.SortFunc(contacts, func(x, y plan.Contact) int { return int(x.Start - y.Start) })
			if len(point.Available.Schedule) != len(contacts) || point.Available.Default || !n.Available.Default {
				t.Fatalf("%s:%s has %d periods for %d contacts", n.ID, point.ID, len(point.Available.Schedule), len(contacts))
			}
			for i, s := range point.Available.Schedule {
				c := contacts[i]
				far := c.A
				if far == id {
					far = c.B
				}
				if s.ID != uint32(i)+1 || s.Start != instant(p, c.Start) || s.End != instant(p, c.End) || !s.Attributes.Available {
					t.Errorf("%s:%s: period %+v of contact from %v to %v", n.ID, point.ID, s, c.Start, c.End)
				}
				if !slices.Equal(s.Attributes.Destinations, []string{p.NodeOf(far).Name}) || !s.Attributes.Strict {
					t.Errorf("%s:%s leads to %v, not to %s", n.ID, point.ID, s.Attributes.Destinations, p.NodeOf(far).Name)
				}
				delay, err := strconv.ParseUint(s.Attributes.Delay, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				for k := range 11 {
					at := c.Start + (c.End-c.Start-1)*time.Duration(k)/10
					if v := c.Delay.At(at) * 1e6; v > float64(delay)+1e-3 {
						t.Errorf("%s:%s: the delay is %v µs at %v, and was to be %d at most", n.ID, point.ID, v, at, delay)
					}
					if v := c.Rate.At(at); (v == 0) != (s.Attributes.Bandwidth == "") {
						t.Errorf("%s:%s: the rate is %v, and was to be %q", n.ID, point.ID, v, s.Attributes.Bandwidth)
					}
				}
				periods++
			}
		}
	}
	if periods == 0 {
		t.Error("no periods")
	}
}

func portOf(t testing.TB, p *plan.Plan, name string) plan.PortID {
	t.Helper()
	node, port, _ := strings.Cut(name, ":")
	q, ok := p.PortByName(node, port)
	if !ok {
		t.Fatalf("no port %q", name)
	}
	return q.ID
}

// files keeps what an export writes.
type files map[string]*bytes.Buffer

type closer struct{ *bytes.Buffer }

func (closer) Close() error { return nil }

func (f files) create(name string) (io.WriteCloser, error) {
	if f[name] != nil {
		return nil, fmt.Errorf("%s is written twice", name)
	}
	f[name] = new(bytes.Buffer)
	return closer{f[name]}, nil
}

// Replaying the epochs gives the links of each step.
func TestNetSatBenchEpochsReplayThePlan(t *testing.T) {
	p := compile(t, sky)
	const step = 7 * time.Second
	f := files{}
	if err := NetSatBench(context.Background(), f.create, p, span, step); err != nil {
		t.Fatal(err)
	}
	var config satConfig
	if err := json.Unmarshal(f[satConfigName].Bytes(), &config); err != nil {
		t.Fatal(err)
	}
	node := make(map[string]*plan.Node)
	for name, n := range config.Nodes {
		if len(name) >= 8 {
			t.Errorf("NetSatBench takes no name as long as %q", name)
		}
		var ok bool
		if node[name], ok = p.Node(n.Metadata.Labels["name"]); !ok || n.Antennas != len(node[name].Ports) {
			t.Errorf("node %s is %+v", name, n)
		}
	}
	if len(node) != len(p.Nodes) {
		t.Fatalf("%d nodes", len(node))
	}
	epochs := make(map[time.Duration]satEpoch)
	for i := range len(f) - 1 {
		var e satEpoch
		b := f[fmt.Sprintf("epochs/NetSatBench-epoch%d.json", i)]
		if b == nil {
			t.Fatalf("there is no epoch %d", i)
		}
		if err := json.Unmarshal(b.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil {
			t.Fatal(err)
		}
		epochs[at.Sub(p.Epoch)] = e
	}
	type key struct{ a, b plan.PortID }
	of := func(l satLink) key {
		return key{node[l.A].Ports[l.AntennaA-1].ID, node[l.B].Ports[l.AntennaB-1].ID}
	}
	want := contactsOf(t, p, span)
	state := make(map[key]satLink)
	changes := 0
	for at := span.From; at < span.To; at += step {
		e := epochs[at]
		delete(epochs, at)
		for _, l := range e.Delete {
			if _, ok := state[of(l)]; !ok {
				t.Fatalf("at %v %v is deleted and not there", at, l)
			}
			delete(state, of(l))
			changes++
		}
		for _, l := range e.Add {
			if _, ok := state[of(l)]; ok {
				t.Fatalf("at %v %v is added and there", at, l)
			}
			state[of(l)] = l
			changes++
		}
		for _, l := range e.Update {
			if _, ok := state[of(l)]; !ok {
				t.Fatalf("at %v %v is changed and not there", at, l)
			}
			state[of(l)] = l
		}
		left := maps.Clone(state)
		for k, list := range want {
			for _, c := range list {
				if c.Start > at || at >= c.End {
					continue
				}
				l, ok := left[key(k)]
				if want := strconv.FormatFloat(c.Delay.At(at)*1e3, 'f', 3, 64) + "ms"; !ok || l.Delay != want {
					t.Fatalf("at %v link %v is %+v, want delay %s", at, k, l, want)
				}
				delete(left, key(k))
			}
		}
		if len(left) > 0 {
			t.Fatalf("at %v there are links too many: %v", at, left)
		}
	}
	if len(epochs) > 0 || changes == 0 {
		t.Errorf("%d epochs at no multiple of the step; %d changes", len(epochs), changes)
	}
}

// lagrange interpolates as Cesium does: by the polynomial through the samples around.
func lagrange(samples []decimal, degree int, t float64) orbit.Vec {
	n := len(samples) / 4
	points := min(degree+1, n)
	i := 0
	for i < n && float64(samples[4*i]) <= t {
		i++
	}
	first := min(max(0, i-points/2), n-points)
	var v orbit.Vec
	for j := first; j < first+points; j++ {
		weight := 1.0
		for k := first; k < first+points; k++ {
			if k != j {
				weight *= (t - float64(samples[4*k])) / float64(samples[4*j]-samples[4*k])
			}
		}
		v = v.Add(orbit.Vec{X: float64(samples[4*j+1]), Y: float64(samples[4*j+2]), Z: float64(samples[4*j+3])}.Scale(weight))
	}
	return v.Scale(1e-3)
}

func TestCZMLIsThePlan(t *testing.T) {
	p := compile(t, sky)
	var b bytes.Buffer
	if err := CZML(context.Background(), &b, p, span, 0); err != nil {
		t.Fatal(err)
	}
	var packets []packet
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&packets); err != nil {
		t.Fatal(err)
	}
	if packets[0].ID != "document" || packets[0].Version != "1.0" {
		t.Fatalf("the document begins with %+v", packets[0])
	}
	want := contactsOf(t, p, span)
	ids := make(map[string]bool)
	nodes, worst := 0, 0.0
	for _, k := range packets[1:] {
		if ids[k.ID] {
			t.Errorf("two packets have the id %s", k.ID)
		}
		ids[k.ID] = true
		begin, end, _ := strings.Cut(k.Availability, "/")
		if k.Polyline == nil {
			nodes++
			n, ok := p.Node(k.ID)
			if !ok {
				t.Fatalf("packet %s is no node", k.ID)
			}
			if begin != instant(p, span.From) || end != instant(p, span.To) {
				t.Errorf("%s is there in %s", k.ID, k.Availability)
			}
			for i := range 400 {
				at := span.From + (span.To-span.From)*time.Duration(i)/400
				state, err := n.Motion.State(at)
				if err != nil {
					t.Fatal(err)
				}
				var v orbit.Vec
				if q := k.Position; q.Epoch == "" {
					v = orbit.Vec{X: float64(q.Cartesian[0]), Y: float64(q.Cartesian[1]), Z: float64(q.Cartesian[2])}.Scale(1e-3)
				} else {
					v = lagrange(q.Cartesian, q.Degree, (at - span.From).Seconds())
				}
				worst = max(worst, v.Sub(state.Position).Norm()*1e3)
			}
			continue
		}
		from, to, _ := strings.Cut(k.Name, " - ")
		key := pair{portOf(t, p, from), portOf(t, p, to)}
		i := slices.IndexFunc(want[key], func(c plan.Contact) bool { return instant(p, c.Start) == begin && instant(p, c.End) == end })
		if i < 0 {
			t.Fatalf("%s from %s to %s is no contact", k.Name, begin, end)
		}
		want[key] = slices.Delete(want[key], i, i+1)
		for _, r := range k.Polyline.Positions.References {
			if name, ok := strings.CutSuffix(r, "#position"); !ok || !ids[name] {
				t.Errorf("%s refers to %s", k.Name, r)
			}
		}
	}
	for k, left := range want {
		if len(left) > 0 {
			t.Errorf("contacts of %v are missing: %d", k, len(left))
		}
	}
	t.Logf("positions are off by at most %.3f m", worst)
	if nodes != len(p.Nodes) || worst > 2 {
		t.Errorf("%d nodes, positions off by up to %v m", nodes, worst)
	}
}

func TestExportsRefuseWhatMakesNoSense(t *testing.T) {
	p := compile(t, sky)
	ctx := context.Background()
	for _, s := range []Span{{0, 0}, {time.Minute, time.Second}, {-time.Second, time.Minute}} {
		for name, err := range map[string]error{
			"csv": ContactPlan(ctx, io.Discard, p, s), "tvr": Schedules(ctx, io.Discard, p, s), "czml": CZML(ctx, io.Discard, p, s, 0),
			"netsatbench": NetSatBench(ctx, files{}.create, p, s, 0),
		} {
			if err == nil {
				t.Errorf("%s takes the span %v", name, s)
			}
		}
	}
	s := Span{0, time.Minute}
	if CZML(ctx, io.Discard, p, s, -1) == nil || NetSatBench(ctx, files{}.create, p, s, -1) == nil {
		t.Error("a negative step is taken")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if ContactPlan(ended, io.Discard, p, s) == nil {
		t.Error("a context that ended stops nothing")
	}
	broken := failing{}
	for name, err := range map[string]error{
		"csv": ContactPlan(ctx, broken, p, s), "tvr": Schedules(ctx, broken, p, s), "czml": CZML(ctx, broken, p, s, 0),
		"netsatbench": NetSatBench(ctx, func(string) (io.WriteCloser, error) { return broken, nil }, p, s, 0),
	} {
		if err == nil {
			t.Errorf("%s does not say that the disk is full", name)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
func (failing) Close() error              { return nil }

// small is a pass of one satellite over two stations, for golden files.
const small = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  epoch: 2026-01-01T00:00:00Z
  constellations:
    - name: sat
      elements: [{name: a, altitude: 700km, inclination: 90deg, raan: 110deg, meanAnomaly: 45deg}]
      groundPorts: 2
  stations:
    - {name: bern, position: {lat: 46.9deg, lon: 7.4deg}}
    - {name: oslo, position: {lat: 59.9deg, lon: 10.7deg}}
  groundLinks:
    - {name: user, minElevation: 20deg, properties: {rate: 10Mbit}}
`

func TestGolden(t *testing.T) {
	p := compile(t, small)
	ctx, s := context.Background(), Span{0, 5 * time.Minute}
	f := files{}
	made := map[string]func(io.Writer) error{
		"contacts.csv":   func(w io.Writer) error { return ContactPlan(ctx, w, p, s) },
		"schedules.json": func(w io.Writer) error { return Schedules(ctx, w, p, s) },
		"small.czml":     func(w io.Writer) error { return CZML(ctx, w, p, s, 0) },
	}
	for name, write := range made {
		w, _ := f.create(name)
		if err := write(w); err != nil {
			t.Fatal(err)
		}
	}
	err := NetSatBench(ctx, func(name string) (io.WriteCloser, error) { return f.create("netsatbench/" + name) }, p, s, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range f {
		golden := filepath.Join("testdata/export", filepath.FromSlash(name))
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s is not what it was; look at it, then: go test ./interchange -run TestGolden -update\n%s", name, b)
		}
	}
}

package scenario

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawn makes the parts of random scenarios that are valid.
type drawn struct{ *rapid.T }

func (d drawn) number(name string, from, to float64) float64 {
	v := rapid.Float64Range(from, to).Draw(d.T, name)
	return v + 0
}

func (d drawn) count(name string, from, to int) int {
	return rapid.IntRange(from, to).Draw(d.T, name)
}
func (d drawn) maybe(name string) bool             { return rapid.Bool().Draw(d.T, name) }
func (d drawn) of(name string, w ...string) string { return rapid.SampledFrom(w).Draw(d.T, name) }
func (d drawn) label(prefix string, n int) string  { return fmt.Sprintf("%s-%d", prefix, n) }
func (d drawn) span(name string, from, to time.Duration) Duration {
	return Duration(rapid.Int64Range(int64(from), int64(to)).Draw(d.T, name))
}
func (d drawn) text() string {
	return rapid.StringMatching(`[ -~äß°…🛰]{0,12}`).Draw(d.T, "text")
}

func pointer[T any](v T) *T { return &v }

func (d drawn) scenario() *Scenario {
	s := &Scenario{APIVersion: APIVersion, Kind: Kind, Metadata: Metadata{Name: "random"}}
	if d.maybe("labels") {
		s.Metadata.Labels = map[string]string{"a": d.text(), "b.c/d": d.text(), "true": "false", "1": "2"}
	}
	spec := &s.Spec
	if d.maybe("epoch") {
		spec.Epoch = pointer(time.Unix(rapid.Int64Range(0, 4e9).Draw(d.T, "epoch"), rapid.Int64Range(0, 999999999).Draw(d.T, "ns")).UTC())
	}
	spec.Duration = d.span("duration", 0, 1e6*time.Hour)
	spec.Speed = d.number("speed", 0.001, 1000)
	spec.Seed = rapid.Uint64().Draw(d.T, "seed")
	for i := range d.count("constellations", 1, 3) {
		spec.Constellations = append(spec.Constellations, d.constellation(d.label("c", i)))
	}
	for i := range d.count("stations", 1, 3) {
		spec.Stations = append(spec.Stations, d.station(d.label("s", i)))
	}
	if len(spec.Constellations) > 1 && d.maybe("inter-link") {
		spec.InterLinks = append(spec.InterLinks, InterLink{
			Name: "up", Between: [2]string{"c-0", "c-1"}, Interval: d.span("interval", time.Second, time.Hour),
			Hysteresis: Distance(d.number("hysteresis", 0, 1000)), Limits: d.limits(), Properties: d.properties(false),
		})
	}
	for i := range d.count("ground links", 0, 2) {
		g := GroundLink{Name: d.label("g", i), MinElevation: Angle(d.number("elevation", -10, 40)), Policy: d.of("policy", "", "highest", "longest", "sticky"),
			Antennas: d.count("antennas", 2, 4), Properties: d.properties(true), MakeBeforeBreak: d.span("make", 0, time.Minute)}
		if g.Policy != "longest" {
			g.Hysteresis = Angle(d.number("hysteresis", 0, 40))
		}
		if d.maybe("stations") {
			g.Stations = []string{"s-0", "s*"}
		}
		if d.maybe("constellation") {
			g.Constellations = []string{"c-0"}
		}
		spec.GroundLinks = append(spec.GroundLinks, g)
	}
	spec.Probes = d.of("probes", "", "stations", "none")
	spec.Network = Network{IPv4: true, MTU: d.count("mtu", 1280, 9000)}
	for range d.count("routing", 0, 3) {
		spec.Routing = append(spec.Routing, d.routing())
	}
	if d.maybe("command") {
		c := Command{Name: "run", Nodes: []string{"*"}, Start: d.span("start", 0, time.Hour), Restart: d.of("restart", "", "never", "always")}
		for range d.count("arguments", 0, 4) {
			c.Argv = append(c.Argv, d.text())
		}
		c.Argv = append([]string{"program", "${loopback:s-0}"}, c.Argv...)
		c.Env = map[string]string{"A": d.text(), "yes": d.text()}
		spec.Commands = append(spec.Commands, c)
	}
	return s
}

func (d drawn) constellation(name string) Constellation {
	c := Constellation{Name: name}
	walker := d.maybe("walker")
	if walker {
		c.Walker = &Walker{Pattern: d.of("pattern", "delta", "star"), Planes: d.count("planes", 2, 12), SatellitesPerPlane: d.count("slots", 1, 12),
			Phasing: d.number("phasing", 0, 1.999), Inclination: Angle(d.number("inclination", 0, 180)), Altitude: Distance(d.number("altitude", 100, 40000)),
			RAANOffset: Angle(d.number("raan", -360, 360))}
		if d.maybe("spread") {
			c.Walker.RAANSpread = pointer(Angle(d.number("spread", 0.001, 360)))
		}
	} else {
		for i := range d.count("elements", 2, 4) {
			e := Element{Name: d.label("e", i), Inclination: Angle(d.number("inclination", 0, 180)), Eccentricity: d.number("eccentricity", 0, 0.01),
				MeanAnomaly: Angle(d.number("anomaly", -360, 360))}
			if d.maybe("axis") {
				e.SemiMajorAxis = pointer(Distance(d.number("axis", 7000, 42000)))
			} else {
				e.Altitude = pointer(Distance(d.number("altitude", 700, 36000)))
			}
			c.Elements = append(c.Elements, e)
		}
	}
	if d.maybe("links") {
		l := &ISL{Pattern: d.of("links", "none", "nearest", "explicit"), Limits: d.limits(), Properties: d.properties(false)}
		if walker {
			l.Pattern = d.of("links", "none", "ring", "grid", "nearest")
		}
		switch l.Pattern {
		case "grid":
			l.Seam = d.of("seam", "", "open", "closed")
		case "nearest":
			l.Ports, l.Hysteresis = d.count("ports", 1, 8), Distance(d.number("hysteresis", 0, 500))
		case "explicit":
			l.Pairs = [][2]string{{name + "-e-0", name + "-e-1"}}
		}
		c.Links = l
	}
	if d.maybe("ground ports") {
		c.GroundPorts = pointer(d.count("ground ports", 1, 4))
	}
	return c
}

func (d drawn) limits() Limits {
	l := Limits{MaxRange: Distance(d.number("range", 1, 50000)), Acquisition: d.span("acquisition", 0, time.Minute)}
	if d.maybe("grazing") {
		l.MinGrazingAltitude = pointer(Distance(d.number("grazing", 0, 500)))
	}
	if d.maybe("latitude") {
		l.MaxLatitude = pointer(Angle(d.number("latitude", 0, 90)))
	}
	return l
}

func (d drawn) station(name string) Station {
	place := func() Position {
		return Position{Angle(d.number("lat", -90, 90)), Angle(d.number("lon", -180, 180)), Distance(d.number("height", -1, 100))}
	}
	if d.maybe("fixed") {
		return Station{Name: name, Position: pointer(place())}
	}
	s := Station{Name: name, Loop: d.maybe("loop")}
	at := Duration(0)
	for range d.count("waypoints", 2, 4) {
		s.Waypoints = append(s.Waypoints, Waypoint{at, place()})
		at += d.span("leg", 1, 1000*time.Hour)
	}
	return s
}

func (d drawn) properties(ground bool) Properties {
	p := Properties{ExtraDelay: d.span("delay", 0, time.Second), Silent: d.maybe("silent")}
	if d.maybe("rate") {
		p.Rate = Rate(d.number("rate", 1, 1e12))
		if d.maybe("queue") {
			p.Queue = Size(d.count("queue", 10000, 1<<40))
		}
	}
	switch d.count("loss", 0, 2) {
	case 1:
		p.Loss = &Loss{Probability: Fraction(d.number("p", 1e-9, 1))}
	case 2:
		p.Loss = &Loss{GilbertElliott: &GilbertElliott{GoodToBad: Fraction(d.number("p", 0, 1)), BadToGood: Fraction(d.number("q", 0, 1)), LossBad: pointer(Fraction(d.number("bad", 0, 1)))}}
	}
	if d.maybe("table") {
		p.Table = &Table{By: "range"}
		if ground && d.maybe("by elevation") {
			p.Table.By = "elevation"
		}
		for i := range d.count("rows", 1, 3) {
			row := TableRow{ExtraDelay: pointer(d.span("delay", 0, time.Second))}
			x := float64(i) + d.number("x", 0, 0.9)
			if p.Table.By == "range" {
				row.Range = pointer(Distance(x))
			} else {
				row.Elevation = pointer(Angle(x))
			}
			p.Table.Rows = append(p.Table.Rows, row)
		}
	}
	return p
}

func (d drawn) routing() Routing {
	r := Routing{Protocol: d.of("protocol", "isis", "ospf3", "ospf2", "bgp", "static", "oracle", "none")}
	switch r.Protocol {
	case "isis", "ospf3", "ospf2", "bgp":
		r.Hello = Duration(d.count("hello", 1, 30)) * Duration(time.Second)
		r.Dead = 4 * r.Hello
		if d.maybe("bfd") {
			r.BFD = &BFD{Interval: d.span("bfd", 10*time.Millisecond, time.Second)}
		}
		if r.Protocol == "ospf3" && d.maybe("areas") {
			r.Areas = []Area{{ID: "0.0.0.1", Nodes: []string{"s-0"}}, {ID: "2", Nodes: []string{"c-0*"}}}
		}
	case "static":
		r.Routes = []StaticRoute{{To: "10.0.0.0/8", Via: "ant0"}, {To: "s-0", Via: "ant0"}}
		r.Nodes = []string{"s-0"}
		r.Daemon = d.of("daemon", "frr", "bird")
	case "oracle":
		r.Metric = d.of("metric", "", "hops", "delay")
		r.Lead = d.span("lead", time.Microsecond, time.Second)
	}
	return r
}

// A resolved scenario prints as a file that reads back as the same scenario,
// in YAML and in JSON, and prints the same again.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn{t}
		s := d.scenario()
		if len(s.Spec.Stations) == 0 || len(s.Spec.GroundLinks) == 0 || s.Spec.GroundLinks[0].Stations == nil {
			for i := range s.Spec.Routing { // the static route needs an antenna
				if s.Spec.Routing[i].Protocol == "static" {
					s.Spec.Routing[i] = Routing{Protocol: "none"}
				}
			}
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("a scenario that should be valid is refused: %v", err)
		}
		text, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		same := func(how string, got *Scenario) {
			t.Helper()
			if !reflect.DeepEqual(got.Metadata, s.Metadata) || !reflect.DeepEqual(got.Spec, s.Spec) {
				t.Fatalf("%s does not read back as what was printed:\n%s\ngot\n%+v\nwant\n%+v", how, text, got.Spec, s.Spec)
			}
		}
		got, err := Parse("yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		same("YAML", got)
		again, err := got.YAML()
		if err != nil || string(again) != string(text) {
			t.Fatalf("printed twice:\n%s\n%s", text, again)
		}
		object, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = Parse("json", object); err != nil {
			t.Fatalf("%v\n%s", err, object)
		}
		same("JSON", got)
		var decoded Scenario
		if err := json.Unmarshal(object, &decoded); err != nil {
			t.Fatalf("%v\n%s", err, object)
		}
		same("JSON by encoding/json", &decoded)
	})
}

// Default changes nothing the second time.
func TestDefaultIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawn{t}.scenario()
		s.Default()
		once, _ := json.Marshal(s)
		s.Default()
		if twice, _ := json.Marshal(s); string(once) != string(twice) {
			t.Fatalf("once\n%s\ntwice\n%s", once, twice)
		}
	})
}

package emulation

import (
	"maps"
	"testing"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// demandOf a ring of six satellites and two stations with this routing.
func demandOf(t *testing.T, rest string) Demand {
	t.Helper()
	s, err := scenario.Parse("demand.yaml", []byte(`
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: demand}
spec:
  constellations:
    - name: sat
      walker: {pattern: delta, planes: 1, satellitesPerPlane: 6, inclination: 0deg, altitude: 20000km}
      links: {pattern: ring}
  stations:
    - {name: a, position: {lat: 0deg, lon: 0deg}}
    - {name: b, position: {lat: 0deg, lon: 90deg}}
  groundLinks: [{name: user, minElevation: 5deg}]
`+rest))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := DemandOf(p, 8)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDemandOfRoutes(t *testing.T) {
	for _, c := range []struct {
		name, routing    string
		routes4, routes6 int
		learned          map[string]int
	}{
		{"none", "  routing: [{protocol: none}]", 0, 0, nil},
		{"oracle to stations", "  routing: [{protocol: oracle}]", 0, 8 * 2, nil},
		{"oracle to all, both families", "  network: {ipv4: true}\n  routing: [{protocol: oracle, destinations: all}]", 8 * 7, 8 * 7, nil},
		{"OSPFv3", "  network: {ipv4: true}\n  routing: [{protocol: ospf3}]", 0, 8 * 7, map[string]int{"bird": 8 * 7}},
		{"OSPFv2", "  network: {ipv4: true}\n  routing: [{protocol: ospf2}]", 8 * 7, 0, map[string]int{"frr": 8 * 7}},
		{"satellites alone", "  routing: [{nodes: ['sat-*'], protocol: isis}]", 0, 6 * 5, map[string]int{"frr": 6 * 5}},
		// A level-1 router knows its area, the backbone everybody.
		{"IS-IS areas", "  routing: [{protocol: isis, areas: [{id: '49.0001', nodes: ['sat-p01s01', 'sat-p01s02', 'sat-p01s03']}]}]", 0, 3*2 + 5*7, map[string]int{"frr": 3*2 + 5*7}},
	} {
		d := demandOf(t, c.routing)
		if d.Routes4 != c.routes4 || d.Routes6 != c.routes6 || !maps.Equal(d.Learned, c.learned) {
			t.Errorf("%s: %d and %d routes, learned %v; want %d, %d, %v", c.name, d.Routes4, d.Routes6, d.Learned, c.routes4, c.routes6, c.learned)
		}
	}
}

func TestDemandOfViews(t *testing.T) {
	const software = "  routing: [{nodes: ['sat-*'], protocol: ospf3}]\n  commands: [{name: x, nodes: [a, sat-p01s01], argv: [sleep, '1']}]\n"
	for isolation, want := range map[string]int{"none": 0, "commands": 2, "all": 7} {
		if d := demandOf(t, software+"  isolation: "+isolation); d.Views != want {
			t.Errorf("%s: %d views, want %d", isolation, d.Views, want)
		}
	}
}

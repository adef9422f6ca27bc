package scenario

import (
	"strings"
	"testing"
)

const changeBase = `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  stations:
    - name: north
      position: {lat: 60deg, lon: 0deg}
    - name: south
      position: {lat: -60deg, lon: 0deg}
  routing:
    - protocol: isis
      hello: 1s
`

// changed reads a document of changes and applies them.
func changed(t *testing.T, changes string) (*Scenario, error) {
	t.Helper()
	base, err := ParseBase("base.yaml", []byte(changeBase))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Kind string  `json:"kind" enum:"Test"`
		Set  Changes `json:"set,omitempty"`
	}
	text := "kind: Test\nset:\n  " + strings.ReplaceAll(strings.TrimSpace(changes), "\n", "\n  ") + "\n"
	if _, err := ParseDocument("test.yaml", []byte(text), "Test", &doc); err != nil {
		return nil, err
	}
	return base.With(doc.Set)
}

func TestChanges(t *testing.T) {
	s, err := changed(t, `
spec.routing[0].protocol: ospf3
spec.routing[0].daemon: bird
spec.routing[0].hello: null
spec.routing[0].bfd: {interval: 50ms}
spec.stations[south].position.lat: -61deg
spec.stations[*].position.height: 10m
spec.stations[2]: {name: west, position: {lat: 0deg, lon: -60deg}}
spec.network.mtu: 9000
`)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Spec.Routing[0]
	if r.Protocol != "ospf3" || r.Daemon != "bird" || r.Hello != 0 || r.BFD == nil || r.BFD.Interval.String() != "50ms" {
		t.Errorf("routing is %+v", r)
	}
	st := s.Spec.Stations
	if len(st) != 3 || st[1].Position.Lat != -61 || st[0].Position.Lat != 60 || st[0].Position.Height != 0.01 || st[1].Position.Height != 0.01 || st[2].Name != "west" {
		t.Errorf("stations are %+v", st)
	}
	if s.Spec.Network.MTU != 9000 {
		t.Errorf("the MTU is %d", s.Spec.Network.MTU)
	}
	// The base stays as it was.
	if s, err = changed(t, "spec.stations[0]: null"); err != nil || len(s.Spec.Stations) != 1 || s.Spec.Stations[0].Name != "south" {
		t.Errorf("taking a station away gives %+v, %v", s, err)
	}
}

// Each mistake gives one sentence that begins with its place.
func TestBadChanges(t *testing.T) {
	for _, c := range []struct{ changes, want string }{
		{"spec.routing[0].protokol: ospf3", `test.yaml:3:3: "protokol" is not a field of spec.routing[0]; `},
		{"spec.routing[0].daemon: brid", `test.yaml:3:27: daemon is "brid"; did you mean bird?`},
		{"spec.routing[0].hello: 1ms", `test.yaml:3:26: hello 1ms is out of range`},
		{"routing[0].hello: 1s", `test.yaml:3:3: "routing[0].hello" is not the path of a field; begin it with spec`},
		{"spec.routing[3].hello: 1s", `test.yaml:3:3: spec.routing has no item 3; name one by its number, 0 to 0`},
		{"spec.stations[nroth].name: x", `test.yaml:3:3: spec.stations has no item nroth; name one by its number, 0 to 1, or by its name (north or south)`},
		{"spec.routing[0].hello.x: 1s", `test.yaml:3:3: spec.routing[0].hello is the text "1s" and has no field x`},
		{"spec.stations.x: 1s", `test.yaml:3:3: spec.stations is a list and has no field x`},
		{"spec.routing[0: 1s", `test.yaml:3:3: "spec.routing[0" is not the path of a field; write items`},
		{"spec.routing[0].protocol: oracle\nspec.routing[0].daemon: frr", `test.yaml:4:27: `},
		{"spec.routing[0].protocol: ospf3\nspec.routing[0].protocol: isis", `test.yaml:4:3: spec.routing[0].protocol is given twice`},
		{"spec.stations[0].name: south", `base.yaml:8:13: `},
	} {
		_, err := changed(t, c.changes)
		if err == nil {
			t.Errorf("%s: accepted", c.changes)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s:\ngot  %s\nwant %s…", c.changes, got, c.want)
		}
	}
}

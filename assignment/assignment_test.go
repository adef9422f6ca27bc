package assignment

import (
	"slices"
	"testing"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

func compile(t *testing.T, text string) *plan.Plan {
	t.Helper()
	s, err := scenario.Parse("scenario.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const stripes = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: stripes}
spec:
  constellations:
    - name: leo
      walker: {pattern: delta, planes: 4, satellitesPerPlane: 3, inclination: 53deg, altitude: 550km}
      links: {pattern: grid}
  stations:
    - {name: oslo, position: {lat: 59.9deg, lon: 10.7deg}}
    - {name: rome, position: {lat: 41.9deg, lon: 12.5deg}}
  groundLinks:
    - {name: user, minElevation: 10deg}
  routing:
    - nodes: [oslo]
      protocol: none
    - protocol: isis
      areas:
        - {id: "49.0001", nodes: ["leo-p0[12]*"]}
  commands:
    - {name: hello, nodes: [rome], argv: [echo, "${node}", "${loopback:oslo}"], env: {B: "${loopback}", A: x}}
`

func TestInput(t *testing.T) {
	p := compile(t, stripes)
	a, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := p.Node("leo-p02s01")
	entry := Routing(p, n.Index)
	in, err := a.Input(n.Index, entry, "/dir")
	if err != nil {
		t.Fatal(err)
	}
	if Label(entry) != "isis/frr" || in.Area != "49.0001" || in.Name != n.Name || len(in.Ports) != len(n.Ports) {
		t.Errorf("%s: %s, area %s, %d ports", in.Name, Label(entry), in.Area, len(in.Ports))
	}
	for _, l := range in.Ports {
		want := []string{"49.0001", ""}
		if l.Name == "fore" || l.Name == "aft" {
			want = []string{"49.0001"} // its own plane
		}
		if got := slices.Clone(l.Areas); !slices.Equal(got, want) {
			t.Errorf("port %s meets areas %q, want %q", l.Name, got, want)
		}
	}
	if _, err := router.Render(in); err != nil {
		t.Error(err)
	}
	oslo, _ := p.Node("oslo")
	if e := Routing(p, oslo.Index); e.Protocol != router.None || Label(e) != "none" {
		t.Errorf("oslo has %v", e)
	}
	if lo, ok := in.Resolve("oslo"); !ok || lo != in.Scheme.Loopback(oslo.Index) {
		t.Errorf("the loopback of oslo is %v, %v", lo, ok)
	}
}

func TestVariablesOfCommands(t *testing.T) {
	p := compile(t, stripes)
	scheme, err := Scheme(p)
	if err != nil {
		t.Fatal(err)
	}
	oslo, _ := p.Node("oslo")
	rome, _ := p.Node("rome")
	loopback := func(n *plan.Node) string { return scheme.Loopback(n.Index).Addr().String() }
	argv, env := Command(p, scheme, &p.Scenario.Spec.Commands[0], rome.Index)
	if want := []string{"echo", "rome", loopback(oslo)}; !slices.Equal(argv, want) {
		t.Errorf("arguments are %q, want %q", argv, want)
	}
	if want := []string{"A=x", "B=" + loopback(rome)}; !slices.Equal(env, want) {
		t.Errorf("the environment is %q, want %q", env, want)
	}
	if got := Expand(p, scheme, "${HOME}", rome.Index); got != "${HOME}" {
		t.Errorf("${HOME} became %q", got)
	}
}

package plan

import (
	"context"
	"errors"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// iridium is 66 satellites in 6 polar planes, with four stations.
func iridium() *scenario.Scenario {
	cut := scenario.Angle(70)
	s := &scenario.Scenario{Spec: scenario.Spec{
		Constellations: []scenario.Constellation{{
			Name:   "iridium",
			Walker: &scenario.Walker{Pattern: "star", Planes: 6, SatellitesPerPlane: 11, Phasing: 3, Inclination: 86.4, Altitude: 780},
			Links:  &scenario.ISL{Pattern: "grid", Limits: scenario.Limits{MaxLatitude: &cut}},
		}},
		Stations: []scenario.Station{
			{Name: "berlin", Position: &scenario.Position{Lat: 52.5, Lon: 13.4}},
			{Name: "quito", Position: &scenario.Position{Lat: -0.2, Lon: -78.5, Height: 2.85}},
			{Name: "svalbard", Position: &scenario.Position{Lat: 78.2, Lon: 15.6}},
			{Name: "sydney", Position: &scenario.Position{Lat: -33.9, Lon: 151.2}},
		},
		GroundLinks: []scenario.GroundLink{{Name: "user", MinElevation: 10}},
	}}
	s.Default()
	return s
}

func compile(t testing.TB, s *scenario.Scenario) *Plan {
	t.Helper()
	p, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The links of Iridium: within planes always all 66; between planes five
// rows of eleven, less those near the poles; none across the seam.
func TestIridiumLinks(t *testing.T) {
	p := compile(t, iridium())
	all, err := p.Contacts(context.Background(), 0, 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Nodes[:66] {
		names := ""
		for _, port := range n.Ports {
			names += port.Name + " "
		}
		if names != "fore aft left right gnd0 " {
			t.Fatalf("%s has the ports %s", n.Name, names)
		}
	}
	pairs := map[[2]PortID]bool{}
	for _, c := range all {
		a, b := p.NodeOf(c.A), p.NodeOf(c.B)
		fixed := c.Class == IntraPlane || c.Class == InterPlane
		ab, okA := p.FixedPeer(c.A)
		ba, okB := p.FixedPeer(c.B)
		if okA != fixed || okB != fixed || fixed && (ab != c.B || ba != c.A) {
			t.Errorf("%s - %s: fixed peers %v %v, %v %v", a.Name, b.Name, ab, okA, ba, okB)
		}
		switch c.Class {
		case IntraPlane:
			if c.Start != 0 || c.Ends || a.Plane != b.Plane || (a.Slot+1)%11 != b.Slot || p.Port(c.A).Name != "fore" || p.Port(c.B).Name != "aft" {
				t.Errorf("%s - %s from %v to %v", a.Name, b.Name, c.Start, c.End)
			}
		case InterPlane:
			if b.Plane != a.Plane+1 || p.Port(c.A).Name != "right" || p.Port(c.B).Name != "left" {
				t.Errorf("%s - %s", a.Name, b.Name)
			}
		default:
			continue
		}
		pairs[[2]PortID{c.A, c.B}] = true
	}
	if len(pairs) != 66+55 {
		t.Errorf("%d pairs of ports are joined at some time, want 121: 2 x 66 less the 11 of the seam", len(pairs))
	}
	// At any instant the links between planes are those whose ends are both
	// within 70° of latitude: each pair is counted by its own latitudes.
	for at := time.Duration(0); at < 2*time.Hour; at += 7 * time.Minute {
		up := 0
		for _, c := range all {
			if c.Class == InterPlane && c.Start <= at && at < c.End {
				up++
			}
		}
		want := 0
		for pair := range pairs {
			a, b := p.NodeOf(pair[0]), p.NodeOf(pair[1])
			if a.Plane == b.Plane {
				continue
			}
			sa, _ := a.Motion.State(at)
			sb, _ := b.Motion.State(at)
			if max(math.Abs(sky.Latitude(sa.Position)), math.Abs(sky.Latitude(sb.Position))) <= 70*orbit.Degree {
				want++
			}
		}
		if up != want {
			t.Errorf("at %v %d links between planes are up, want %d", at, up, want)
		}
	}
}

// failing is a motion that ends, as a satellite's does that decays.
type failing struct {
	orbit.Motion
	end time.Duration
}

var errDecayed = errors.New("it has decayed")

func (f failing) State(t time.Duration) (orbit.State, error) {
	if t >= f.end {
		return orbit.State{}, errDecayed
	}
	return f.Motion.State(t)
}

// A satellite that is lost loses all its contacts at that instant, and the
// plan says so; one that never was is there without contacts.
func TestLostSatellite(t *testing.T) {
	const end = 97*time.Second + 123456*time.Microsecond
	for _, pattern := range []string{"grid", "nearest"} {
		s := iridium()
		s.Spec.Constellations[0].Links = &scenario.ISL{Pattern: pattern}
		s.Default()
		p := compile(t, s)
		lose := func(node int, at time.Duration) {
			p.Nodes[node].Motion = failing{p.Nodes[node].Motion, at}
			p.movers[node] = sky.NewMover(p.Nodes[node].Motion)
		}
		first := firstWindow(t, p)
		served := p.NodeOf(first[len(first)-1].B).Index // by a station
		for _, c := range first {
			if c.Class == Ground {
				served = p.NodeOf(c.B).Index
			}
		}
		lose(served, end)
		dead := (served + 20) % 66
		lose(dead, -1)
		var warnings []Warning
		cursor := p.Windows(time.Minute)
		ended := map[Class]int{}
		for range 4 {
			w, err := cursor.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			warnings = append(warnings, w.Warnings...)
			for _, c := range w.Contacts {
				a, b := p.NodeOf(c.A).Index, p.NodeOf(c.B).Index
				if a == dead || b == dead {
					t.Errorf("a satellite that never was has a contact")
				}
				if a != served && b != served {
					continue
				}
				if c.End > end || c.Start >= end {
					t.Errorf("%s: a contact of the lost satellite from %v to %v", pattern, c.Start, c.End)
				}
				if c.Ends && (end-c.End) <= 2*time.Microsecond {
					ended[c.Class]++
				}
			}
		}
		if len(warnings) != 1 || warnings[0].Node != p.Nodes[served].Name || (warnings[0].At-end).Abs() > 2*time.Microsecond {
			t.Errorf("%s: warnings %v", pattern, warnings)
		}
		if ended[Ground] != 1 || len(ended) < 2 {
			t.Errorf("%s: contacts that ended with it, by class: %v", pattern, ended)
		}
	}
}

// Walking the same plan twice at the same time gives the same bits.
func TestCursorsAreIndependent(t *testing.T) {
	p := compile(t, iridium())
	const span = 10 * time.Minute
	results := make([][]Contact, 4)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			results[i], _ = p.Contacts(context.Background(), 0, span)
		})
	}
	group.Wait()
	for _, r := range results[1:] {
		if !reflect.DeepEqual(r, results[0]) {
			t.Fatal("two walks differ")
		}
	}
}

func TestEvents(t *testing.T) {
	p := compile(t, iridium())
	all, err := p.Contacts(context.Background(), 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	up := map[PortID]bool{}
	last := time.Duration(-1)
	n := 0
	for _, e := range Events(all, 0, time.Hour) {
		if e.At < last {
			t.Fatal("events are out of order")
		}
		last = e.At
		for _, port := range []PortID{e.Contact.A, e.Contact.B} {
			if up[port] == (e.Kind == Up) {
				t.Fatalf("port %d changes to %d at %v, and is so already", port, e.Kind, e.At)
			}
			up[port] = e.Kind == Up
		}
		n++
	}
	if n < 200 {
		t.Errorf("only %d events", n)
	}
}

func TestCancelled(t *testing.T) {
	p := compile(t, iridium())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := p.Windows(0)
	if _, err := c.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if w, err := c.Next(context.Background()); err != nil || w.From != 0 || len(w.Contacts) == 0 {
		t.Errorf("after that: window from %v with %d contacts, %v", w.From, len(w.Contacts), err)
	}
}

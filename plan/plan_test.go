package plan

import (
	"context"
	"testing"
	"time"

	"orrery.dev/orrery/scenario"
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

func TestIridiumSmoke(t *testing.T) {
	p := compile(t, iridium())
	w, err := p.Windows(0).Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n := map[Class]int{}
	for _, c := range w.Contacts {
		n[c.Class]++
	}
	t.Log(len(p.Nodes), p.NumPorts(), n)
	all, err := p.Contacts(context.Background(), 0, 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Class == Ground {
			t.Log(p.NodeOf(c.A).Name, p.NodeOf(c.B).Name, c.Start, c.End, c.Ends, len(c.Delay.Segments()), c.Delay.At(c.Start)*1e3, c.Delay.At(c.End)*1e3)
		}
	}
}

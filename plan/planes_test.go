package plan

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// fileConstellation is a shell of a real element file.
func fileConstellation(t testing.TB, file string, low, high scenario.Distance, links *scenario.ISL) *scenario.Scenario {
	s := &scenario.Scenario{Spec: scenario.Spec{Constellations: []scenario.Constellation{{
		Name:  "sat",
		File:  &scenario.OrbitFile{Path: dataFile(t, file), Select: &scenario.Select{Altitude: &scenario.DistanceRange{Min: &low, Max: &high}}},
		Links: links,
	}}}}
	s.Default()
	return s
}

// planeSizes counts the satellites of each plane.
func planeSizes(p *Plan) []int {
	var sizes []int
	for i := range p.Nodes {
		for len(sizes) <= p.Nodes[i].Plane {
			sizes = append(sizes, 0)
		}
		sizes[p.Nodes[i].Plane]++
	}
	return sizes
}

// The first shell of Starlink is 72 planes (FCC, SAT-MOD-20200417-00037), of
// which some satellites are missing and some are spares.
func TestPlanesOfStarlink(t *testing.T) {
	s := fileConstellation(t, "tle/starlink.tle", 540, 560, &scenario.ISL{Pattern: "grid"})
	lo, hi := scenario.Angle(52.9), scenario.Angle(53.2)
	s.Spec.Constellations[0].File.Select.Inclination = &scenario.AngleRange{Min: &lo, Max: &hi}
	p := compile(t, s)
	sizes := planeSizes(p)
	if len(sizes) != 72 || slices.Min(sizes) < 17 || slices.Max(sizes) > 24 {
		t.Errorf("%d planes of %v", len(sizes), sizes)
	}
	// Its planes go all around, so that each satellite of a plane that is not the
	// larger one has a partner on both sides.
	n := map[Class]int{}
	for _, c := range firstWindow(t, p) {
		n[c.Class]++
	}
	partners := 0
	for i := range sizes {
		partners += min(sizes[i], sizes[(i+1)%72])
	}
	if n[IntraPlane] < 1460 || n[InterPlane] < partners*95/100 || n[InterPlane] > partners {
		t.Errorf("%d links within planes, %d between them, where %d pairs are neighbours", n[IntraPlane], n[InterPlane], partners)
	}
}

// OneWeb is a star of 12 planes; its first and last plane counter-rotate.
func TestPlanesOfOneWeb(t *testing.T) {
	s := fileConstellation(t, "tle/oneweb.tle", 1150, 1250, &scenario.ISL{Pattern: "grid"})
	s.Spec.Constellations[0].Links.Seam = "" // found from the planes
	p := compile(t, s)
	if sizes := planeSizes(p); len(sizes) != 12 {
		t.Fatalf("%d planes of %v", len(sizes), sizes)
	}
	for _, c := range firstWindow(t, p) {
		if a, b := p.NodeOf(c.A).Plane, p.NodeOf(c.B).Plane; c.Class == InterPlane && b != a+1 {
			t.Errorf("a link from plane %d to plane %d crosses the seam", a, b)
		}
	}
}

func firstWindow(t testing.TB, p *Plan) []Contact {
	t.Helper()
	w, err := p.Windows(0).Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return w.Contacts
}

// Neighbours of a Walker are the nearest ones on average over a revolution,
// across the seam of a delta too.
func TestNeighboursAreNearest(t *testing.T) {
	for _, w := range []scenario.Walker{
		{Pattern: "delta", Planes: 72, SatellitesPerPlane: 22, Phasing: 17, Inclination: 53, Altitude: 550},
		{Pattern: "delta", Planes: 5, SatellitesPerPlane: 8, Phasing: 3, Inclination: 60, Altitude: 1200},
		{Pattern: "star", Planes: 6, SatellitesPerPlane: 11, Phasing: 3, Inclination: 86.4, Altitude: 780},
	} {
		s := &scenario.Scenario{Spec: scenario.Spec{Constellations: []scenario.Constellation{{
			Name: "sat", Walker: &w, Links: &scenario.ISL{Pattern: "grid"}}}}}
		s.Default()
		p := compile(t, s)
		layout := (&compiler{Plan: p, satellite: [][]int{allNodes(p)}}).layOut(0)
		const samples = 64
		a := orbit.EarthRadius + float64(w.Altitude)
		revolution := 2 * math.Pi * math.Sqrt(a*a*a/orbit.Mu)
		distance := func(a, b int) (sum float64) {
			for k := range samples {
				at := time.Duration(float64(k) / samples * revolution * 1e9)
				sa, _ := p.Nodes[a].Motion.State(at)
				sb, _ := p.Nodes[b].Motion.State(at)
				d := sky.Range(sa.Position, sb.Position)
				sum += d * d
			}
			return math.Sqrt(sum / samples)
		}
		for _, l := range layout.across(w.Pattern == "delta") {
			if p.Nodes[l[0]].Slot > 1 {
				continue // all are alike
			}
			chosen := distance(l[0], l[1])
			for _, other := range layout.planes[p.Nodes[l[1]].Plane] {
				if d := distance(l[0], other.node); d < chosen-20 {
					t.Errorf("%s: %s is %.0f km from %s and %.0f km from %s", w.Pattern,
						p.Nodes[l[0]].Name, chosen, p.Nodes[l[1]].Name, d, p.Nodes[other.node].Name)
				}
			}
		}
	}
}

func allNodes(p *Plan) (all []int) {
	for i := range p.Nodes {
		all = append(all, i)
	}
	return all
}

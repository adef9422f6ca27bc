package plan

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

func ptr[T any](v T) *T { return &v }

// drawLimits are limits between satellites.
func drawLimits(t *rapid.T) scenario.Limits {
	l := scenario.Limits{}
	if rapid.Bool().Draw(t, "has range") {
		l.MaxRange = scenario.Distance(rapid.Float64Range(1000, 8000).Draw(t, "range"))
	}
	if rapid.Bool().Draw(t, "has grazing") {
		l.MinGrazingAltitude = ptr(scenario.Distance(rapid.Float64Range(0, 200).Draw(t, "grazing")))
	}
	if rapid.Bool().Draw(t, "has latitude") {
		l.MaxLatitude = ptr(scenario.Angle(rapid.Float64Range(20, 85).Draw(t, "latitude")))
	}
	l.Acquisition = drawDuration(t, "acquisition", 0, 5*time.Second, 40*time.Second)
	return l
}

func drawDuration(t *rapid.T, label string, from ...time.Duration) scenario.Duration {
	return scenario.Duration(rapid.SampledFrom(from).Draw(t, label))
}

func drawISL(t *rapid.T, c *scenario.Constellation) *scenario.ISL {
	l := &scenario.ISL{Pattern: rapid.SampledFrom([]string{"none", "ring", "grid", "nearest", "explicit"}).Draw(t, "pattern")}
	l.Limits = drawLimits(t)
	l.Ports = rapid.IntRange(1, 5).Draw(t, "ports")
	l.Interval = drawDuration(t, "interval", 7*time.Second, 10*time.Second, 90*time.Second)
	l.Hysteresis = scenario.Distance(rapid.SampledFrom([]float64{0, 100, 1000}).Draw(t, "hysteresis"))
	if l.Pattern == "grid" {
		l.Seam = rapid.SampledFrom([]string{"", "open", "closed"}).Draw(t, "seam")
	}
	if l.Pattern == "explicit" {
		total := c.Walker.Planes * c.Walker.SatellitesPerPlane
		name := func(i int) string {
			return c.SatelliteName(i/c.Walker.SatellitesPerPlane, i%c.Walker.SatellitesPerPlane)
		}
		for range rapid.IntRange(1, 6).Draw(t, "pairs") {
			a, b := rapid.IntRange(0, total-1).Draw(t, "a"), rapid.IntRange(0, total-1).Draw(t, "b")
			if a != b {
				l.Pairs = append(l.Pairs, [2]string{name(a), name(b)})
			}
		}
	}
	return l
}

func drawConstellation(t *rapid.T, name string, low, high float64) scenario.Constellation {
	c := scenario.Constellation{Name: name, Walker: &scenario.Walker{
		Pattern:            rapid.SampledFrom([]string{"delta", "star"}).Draw(t, "walker"),
		Planes:             rapid.IntRange(1, 5).Draw(t, "planes"),
		SatellitesPerPlane: rapid.IntRange(2, 7).Draw(t, "slots"),
		Phasing:            rapid.Float64Range(0, 3).Draw(t, "phasing"),
		Inclination:        scenario.Angle(rapid.Float64Range(0, 110).Draw(t, "inclination")),
		Altitude:           scenario.Distance(rapid.Float64Range(low, high).Draw(t, "altitude")),
		AnomalyOffset:      scenario.Angle(rapid.Float64Range(0, 360).Draw(t, "anomaly")),
	}}
	c.Links = drawISL(t, &c)
	if rapid.Bool().Draw(t, "has ground ports") {
		c.GroundPorts = ptr(rapid.IntRange(0, 3).Draw(t, "ground ports"))
	}
	return c
}

func drawGroundLink(t *rapid.T, name string) scenario.GroundLink {
	g := scenario.GroundLink{
		Name:            name,
		MinElevation:    scenario.Angle(rapid.Float64Range(0, 40).Draw(t, "elevation")),
		Antennas:        rapid.IntRange(1, 3).Draw(t, "antennas"),
		Policy:          rapid.SampledFrom([]string{"highest", "longest", "sticky"}).Draw(t, "policy"),
		Hysteresis:      scenario.Angle(rapid.SampledFrom([]float64{0, 5, 15}).Draw(t, "hysteresis")),
		Interval:        drawDuration(t, "interval", 0, 15*time.Second, 47*time.Second),
		MakeBeforeBreak: drawDuration(t, "make before break", 0, 3*time.Second, 20*time.Second),
		Acquisition:     drawDuration(t, "acquisition", 0, 2*time.Second),
	}
	if rapid.Bool().Draw(t, "has range") {
		g.MaxRange = scenario.Distance(rapid.Float64Range(800, 4000).Draw(t, "range"))
	}
	if rapid.Bool().Draw(t, "has table") {
		g.Properties.Table = &scenario.Table{By: "elevation", Rows: []scenario.TableRow{
			{Elevation: ptr(scenario.Angle(10)), Rate: ptr(scenario.Rate(1e7)), ExtraDelay: ptr(scenario.Duration(2 * time.Millisecond))},
			{Elevation: ptr(scenario.Angle(30)), Rate: ptr(scenario.Rate(1e8)), Loss: ptr(scenario.Fraction(0.01)), ExtraDelay: ptr(scenario.Duration(time.Millisecond))},
			{Elevation: ptr(scenario.Angle(60)), Rate: ptr(scenario.Rate(2e8))},
		}}
	}
	return g
}

func drawScenario(t *rapid.T) *scenario.Scenario {
	s := &scenario.Scenario{}
	s.Spec.Constellations = append(s.Spec.Constellations, drawConstellation(t, "low", 400, 2000))
	if rapid.Bool().Draw(t, "two shells") {
		s.Spec.Constellations = append(s.Spec.Constellations, drawConstellation(t, "high", 1500, 20000))
		s.Spec.InterLinks = []scenario.InterLink{{
			Name: "between", Between: [2]string{"low", "high"},
			Ports:      []int{rapid.IntRange(1, 2).Draw(t, "up"), rapid.IntRange(1, 4).Draw(t, "down")},
			Interval:   drawDuration(t, "interval", 10*time.Second, 25*time.Second),
			Hysteresis: scenario.Distance(rapid.SampledFrom([]float64{0, 500}).Draw(t, "hysteresis")),
			Limits:     drawLimits(t),
		}}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "stations") {
		at := func() scenario.Position {
			return scenario.Position{
				Lat:    scenario.Angle(rapid.Float64Range(-80, 80).Draw(t, "lat")),
				Lon:    scenario.Angle(rapid.Float64Range(-180, 180).Draw(t, "lon")),
				Height: scenario.Distance(rapid.Float64Range(0, 10).Draw(t, "height")),
			}
		}
		st := scenario.Station{Name: fmt.Sprintf("st%d", i)}
		p := at()
		if rapid.Bool().Draw(t, "flies") {
			q := p
			q.Lat++
			st.Waypoints = []scenario.Waypoint{{At: 0, Position: p}, {At: scenario.Duration(5 * time.Minute), Position: q}, {At: scenario.Duration(11 * time.Minute), Position: p}}
			st.Loop = true
		} else {
			st.Position = &p
		}
		s.Spec.Stations = append(s.Spec.Stations, st)
	}
	if len(s.Spec.Stations) > 0 {
		for i := range rapid.IntRange(1, 2).Draw(t, "ground links") {
			s.Spec.GroundLinks = append(s.Spec.GroundLinks, drawGroundLink(t, fmt.Sprintf("g%d", i)))
		}
	}
	s.Default()
	return s
}

// merged are the contacts of a walk in windows of some length, put together.
func merged(t rapid.TB, p *Plan, length, span time.Duration) []Contact {
	t.Helper()
	var all []Contact
	index := map[ContactID]int{}
	cursor := p.Windows(length)
	for cursor.at < span {
		w, err := cursor.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(w.Contacts, compareContacts) {
			t.Fatalf("the contacts of window %v are out of order", w.From)
		}
		for _, c := range w.Contacts {
			if c.Start >= w.To || c.End <= w.From || c.End > w.To || !c.Ends && c.End != w.To {
				t.Fatalf("contact %x from %v to %v (ends: %v) in the window from %v to %v", c.ID, c.Start, c.End, c.Ends, w.From, w.To)
			}
			i, known := index[c.ID]
			if !known {
				if c.Start < w.From {
					t.Fatalf("contact %x began at %v, but was not in an earlier window than %v", c.ID, c.Start, w.From)
				}
				index[c.ID] = len(all)
				all = append(all, c)
				continue
			}
			a := &all[i]
			if a.Ends || a.End != w.From || a.A != c.A || a.B != c.B || a.Start != c.Start {
				t.Fatalf("contact %x goes on in window %v as another one: %+v, %+v", c.ID, w.From, *a, c)
			}
			a.End, a.Ends = c.End, c.Ends
			a.Delay, a.Rate, a.Loss = a.Delay.Append(c.Delay), a.Rate.Append(c.Rate), a.Loss.Append(c.Loss)
		}
	}
	for i := range all {
		if all[i].End > span {
			all[i].End, all[i].Ends = span, false
		}
	}
	all = slices.DeleteFunc(all, func(c Contact) bool { return c.Start >= span })
	slices.SortFunc(all, compareContacts)
	return all
}

func TestInvariants(t *testing.T) {
	scenarios, contacts := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawScenario(t)
		p, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		const span = 15 * time.Minute
		all, err := p.Contacts(context.Background(), 0, span)
		if err != nil {
			t.Fatal(err)
		}
		checkPorts(t, p, all)
		for i := range all {
			checkContact(t, p, &all[i])
		}
		checkWindows(t, p, all, span)
		scenarios++
		contacts += len(all)
	})
	t.Logf("%d contacts in %d scenarios", contacts, scenarios)
}

// checkPorts: no port is ever in two contacts, and both suit each other.
func checkPorts(t *rapid.T, p *Plan, all []Contact) {
	free := make([]time.Duration, p.NumPorts())
	ids := map[ContactID]bool{}
	for i := range all { // in order of start
		c := &all[i]
		if ids[c.ID] {
			t.Fatalf("two contacts are %x", c.ID)
		}
		ids[c.ID] = true
		for _, port := range []PortID{c.A, c.B} {
			if c.Start < free[port] {
				t.Fatalf("port %d is taken until %v and again from %v", port, free[port], c.Start)
			}
			free[port] = c.End
		}
		a, b := p.Port(c.A).Role, p.Port(c.B).Role
		want := map[Class][2]Role{
			IntraPlane: {RoleISL, RoleISL}, InterPlane: {RoleISL, RoleISL}, Neighbour: {RoleISL, RoleISL},
			InterShell: {RoleInterShell, RoleInterShell}, Ground: {RoleAntenna, RoleGround},
		}[c.Class]
		if a != want[0] || b != want[1] {
			t.Fatalf("a contact of class %d joins ports of roles %d and %d", c.Class, a, b)
		}
	}
}

// limitsOf finds what limits a contact, in the scenario.
func limitsOf(p *Plan, c *Contact) (l scenario.Limits, elevation float64) {
	spec := &p.Scenario.Spec
	for i := range spec.GroundLinks {
		if g := &spec.GroundLinks[i]; &g.Properties == c.Properties {
			return scenario.Limits{MaxRange: g.MaxRange}, float64(g.MinElevation)
		}
	}
	for i := range spec.InterLinks {
		if k := &spec.InterLinks[i]; &k.Properties == c.Properties {
			return k.Limits, 0
		}
	}
	for i := range spec.Constellations {
		if k := spec.Constellations[i].Links; k != nil && &k.Properties == c.Properties {
			return k.Limits, 0
		}
	}
	panic("a contact without a link in the scenario")
}

// checkContact: within its limits, by their plain definitions, and true in its
// delay, at some instants of its life.
func checkContact(t *rapid.T, p *Plan, c *Contact) {
	if c.End <= c.Start {
		t.Fatalf("contact %x lasts from %v to %v", c.ID, c.Start, c.End)
	}
	l, elevation := limitsOf(p, c)
	a, b := p.NodeOf(c.A), p.NodeOf(c.B)
	within := a.Group == b.Group && a.Plane == b.Plane
	const slack = time.Microsecond
	for i := range time.Duration(12) {
		at := c.Start + (c.End-c.Start-1)*i/11
		if i == 0 {
			at = min(c.Start+slack, c.End-1)
		}
		if i == 11 {
			at = max(c.End-slack, c.Start)
		}
		sa, _ := a.Motion.State(at)
		sb, _ := b.Motion.State(at)
		r := sky.Range(sa.Position, sb.Position)
		if l.MaxRange > 0 && r > float64(l.MaxRange)+1e-4 {
			t.Fatalf("%s - %s at %v: range %f", a.Name, b.Name, at, r)
		}
		if c.Class == Ground {
			if e := sky.Elevation(sa.Position, sb.Position) / orbit.Degree; e < elevation-1e-5 {
				t.Fatalf("%s - %s at %v: elevation %f", a.Name, b.Name, at, e)
			}
		} else {
			least := 80.0
			if l.MinGrazingAltitude != nil {
				least = float64(*l.MinGrazingAltitude)
			}
			if h := sky.GrazingAltitude(sa.Position, sb.Position); h < least-1e-4 {
				t.Fatalf("%s - %s at %v: grazing altitude %f", a.Name, b.Name, at, h)
			}
			if l.MaxLatitude != nil && !within {
				for _, s := range []orbit.State{sa, sb} {
					if lat := math.Abs(sky.Latitude(s.Position)) / orbit.Degree; lat > float64(*l.MaxLatitude)+1e-5 {
						t.Fatalf("%s - %s at %v: latitude %f", a.Name, b.Name, at, lat)
					}
				}
			}
		}
		extra := 0.0
		if c.Properties.Table != nil {
			e := sky.Elevation(sa.Position, sb.Position) / orbit.Degree
			rate, loss, x := drawnTable(e)
			extra = x
			if got := c.Rate.At(at); math.Abs(got-rate) > 1e-3*2e8 {
				t.Fatalf("rate %f at elevation %f", got, e)
			}
			if got := c.Loss.At(at); math.Abs(got-loss) > 1e-5 {
				t.Fatalf("loss %f at elevation %f", got, e)
			}
		}
		if d := math.Abs(c.Delay.At(at) - sky.Delay(r) - extra); d > 1e-6 {
			t.Fatalf("%s - %s at %v: the delay is %.3f µs off", a.Name, b.Name, at, d*1e6)
		}
	}
}

// drawnTable is the table of drawGroundLink, written out.
func drawnTable(e float64) (rate, loss, extra float64) {
	between := func(lo, hi, x, y float64) float64 { return x + (y-x)*min(1, max(0, (e-lo)/(hi-lo))) }
	if e < 30 {
		return between(10, 30, 1e7, 1e8), between(10, 30, 0, 0.01), between(10, 30, 2e-3, 1e-3)
	}
	return between(30, 60, 1e8, 2e8), between(30, 60, 0.01, 0), between(30, 60, 1e-3, 0)
}

// checkWindows: windows of another length hold the same contacts.
func checkWindows(t *rapid.T, p *Plan, want []Contact, span time.Duration) {
	length := rapid.SampledFrom([]time.Duration{time.Second + 7, 13 * time.Second, 45 * time.Second, 2 * time.Minute, 11*time.Minute + 1}).Draw(t, "window")
	got := merged(t, p, length, span)
	if len(got) != len(want) {
		t.Fatalf("%d contacts in windows of %v, %d in those of %v", len(got), length, len(want), DefaultWindow)
	}
	for i := range got {
		g, w := &got[i], &want[i]
		if g.ID != w.ID || g.A != w.A || g.B != w.B || g.Start != w.Start || g.End != w.End || g.Ends != w.Ends || g.Class != w.Class {
			t.Fatalf("in windows of %v: %+v, want %+v", length, g, w)
		}
		for k := range time.Duration(9) {
			at := w.Start + (w.End-w.Start-1)*k/8
			if g.Delay.At(at) != w.Delay.At(at) || g.Rate.At(at) != w.Rate.At(at) || g.Loss.At(at) != w.Loss.At(at) {
				t.Fatalf("contact %x at %v in windows of %v: other curves", w.ID, at, length)
			}
		}
	}
}

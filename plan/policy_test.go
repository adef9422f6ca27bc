package plan

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// train is satellites behind each other in one orbit over the equator, as seen
// by a station below: with elements, so that nothing but the ground link
// matters. The first one stands at the western horizon at the epoch.
func train(link scenario.GroundLink, anomalies ...float64) *scenario.Scenario {
	c := scenario.Constellation{Name: "sat"}
	for i, m := range anomalies {
		c.Elements = append(c.Elements, scenario.Element{
			Name: string(rune('a' + i)), Altitude: ptr(scenario.Distance(800)), MeanAnomaly: scenario.Angle(m)})
	}
	link.Name = "user"
	s := &scenario.Scenario{Spec: scenario.Spec{
		Epoch:          ptr(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		Constellations: []scenario.Constellation{c},
		// The station's longitude is below right ascension 30° at the epoch:
		// GMST is 100.6° then.
		Stations:    []scenario.Station{{Name: "here", Position: &scenario.Position{Lon: 30 - 100.6}}},
		GroundLinks: []scenario.GroundLink{link},
	}}
	s.Default()
	return s
}

// sights are the periods in which the station sees satellite i.
func sights(p *Plan, elevation float64, i int, to time.Duration) []sky.Span {
	e := elevation * math.Pi / 180
	station, _ := p.Node("here")
	pair := p.pair(sky.NewRule(sky.Limits{MinElevation: &e}), station.Index, i)
	return pair.Between(0, to)
}

func contactsOf(t *testing.T, p *Plan, to time.Duration) []Contact {
	t.Helper()
	all, err := p.Contacts(context.Background(), 0, to)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// expect compares contacts with satellites and periods, to the microsecond.
type period struct {
	node       string
	start, end time.Duration
}

func expect(t *testing.T, p *Plan, all []Contact, want []period) {
	t.Helper()
	var got []period
	for _, c := range all {
		got = append(got, period{p.NodeOf(c.B).Name, c.Start, c.End})
	}
	same := slices.EqualFunc(got, want, func(a, b period) bool {
		const slack = 2 * time.Microsecond
		return a.node == b.node && (a.start-b.start).Abs() <= slack && (a.end-b.end).Abs() <= slack
	})
	if !same {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

const half = 30 * time.Minute

// Sticky: a is kept until it sets, then b is taken, which rose meanwhile.
func TestStickyKeepsUntilLost(t *testing.T) {
	p := compile(t, train(scenario.GroundLink{MinElevation: 10}, 0, -12))
	a, b := sights(p, 10, 0, half)[0], sights(p, 10, 1, half)[0]
	if !(a.Start < b.Start && b.Start < a.End && a.End < b.End) {
		t.Fatalf("the geometry is not what the test needs: %v %v", a, b)
	}
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", a.Start, a.End}, {"sat-b", a.End, b.End}})
}

// Sticky with hysteresis: a is left when it falls below the raised elevation.
func TestStickyLeavesBelowHysteresis(t *testing.T) {
	p := compile(t, train(scenario.GroundLink{MinElevation: 10, Hysteresis: 10}, 0, -12))
	a, b := sights(p, 10, 0, half)[0], sights(p, 10, 1, half)[0]
	raised := sights(p, 20, 0, half)[0]
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", a.Start, raised.End}, {"sat-b", raised.End, b.End}})

	// Alone, it is kept until it is lost: nothing better can be had.
	p = compile(t, train(scenario.GroundLink{MinElevation: 10, Hysteresis: 10}, 0))
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", a.Start, a.End}})
}

// Longest: of two in view when the antenna is free, the one that sets later,
// though it is the lower one.
func TestLongestTakesTheLastToSet(t *testing.T) {
	// At the epoch a stands near the zenith and b low in the west, rising.
	p := compile(t, train(scenario.GroundLink{MinElevation: 10, Policy: "longest"}, 33, 18))
	a, b := sights(p, 10, 0, half)[0], sights(p, 10, 1, half)[0]
	if a.Start != 0 || b.Start != 0 || a.End >= b.End {
		t.Fatalf("the geometry is not what the test needs: %v %v", a, b)
	}
	expect(t, p, contactsOf(t, p, half), []period{{"sat-b", 0, b.End}})
	p = compile(t, train(scenario.GroundLink{MinElevation: 10}, 33, 18))
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", 0, a.End}, {"sat-b", a.End, b.End}})
}

// Highest: a is taken when it rises, and b at the first multiple of 10 s at
// which it is higher.
func TestHighestChangesOnce(t *testing.T) {
	p := compile(t, train(scenario.GroundLink{MinElevation: 10, Policy: "highest"}, 0, -12))
	a, b := sights(p, 10, 0, half)[0], sights(p, 10, 1, half)[0]
	station, _ := p.Node("here")
	elevation := func(i int, at time.Duration) float64 {
		s, _ := p.Nodes[i].Motion.State(at)
		o, _ := station.Motion.State(at)
		return sky.Elevation(o.Position, s.Position)
	}
	change := b.Start.Truncate(10*time.Second) + 10*time.Second
	for elevation(1, change) <= elevation(0, change) {
		change += 10 * time.Second
	}
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", a.Start, change}, {"sat-b", change, b.End}})
}

// Interval: what rises waits for a multiple; what sets before the next one is
// replaced at the last multiple before.
func TestIntervalFixesDecisions(t *testing.T) {
	const interval = 15 * time.Second
	p := compile(t, train(scenario.GroundLink{MinElevation: 10, Interval: scenario.Duration(interval)}, 0, -12))
	a, b := sights(p, 10, 0, half)[0], sights(p, 10, 1, half)[0]
	rise := (a.Start + interval - 1).Truncate(interval)
	change := a.End.Truncate(interval)
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", rise, change}, {"sat-b", change, b.End}})
}

// Make before break: with two antennas the next satellite is up 5 s before a
// is lost; with one there is nothing to overlap with.
func TestMakeBeforeBreak(t *testing.T) {
	link := scenario.GroundLink{MinElevation: 10, Antennas: 2, MakeBeforeBreak: scenario.Duration(5 * time.Second)}
	p := compile(t, train(link, 0, -12))
	a, b := sights(p, 10, 0, half)[0], sights(p, 10, 1, half)[0]
	all := contactsOf(t, p, half)
	expect(t, p, all, []period{{"sat-a", a.Start, a.End}, {"sat-b", a.End - 5*time.Second, b.End}})
	if all[0].A == all[1].A {
		t.Error("both contacts are on one antenna")
	}
	link.Antennas = 1
	p = compile(t, train(link, 0, -12))
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", a.Start, a.End}, {"sat-b", a.End, b.End}})
}

// Acquisition delays what is taken up after the begin, and what is lost before
// it is acquired never was.
func TestAcquisition(t *testing.T) {
	p := compile(t, train(scenario.GroundLink{MinElevation: 10, Acquisition: scenario.Duration(8 * time.Second)}, 0, -12))
	a, b := sights(p, 10, 0, half)[0], sights(p, 10, 1, half)[0]
	start := a.Start + 8*time.Second
	if a.Start == 0 {
		start = 0
	}
	expect(t, p, contactsOf(t, p, half), []period{{"sat-a", start, a.End}, {"sat-b", a.End + 8*time.Second, b.End}})
	p = compile(t, train(scenario.GroundLink{MinElevation: 10, Acquisition: scenario.Duration(20 * time.Minute)}, 0, -12))
	if all := contactsOf(t, p, half); len(all) > 0 && all[0].Start > 0 {
		t.Errorf("contacts %v", all)
	}
}

// One ground port: the second station waits until the first lets go.
func TestGroundPortsAreShared(t *testing.T) {
	s := train(scenario.GroundLink{MinElevation: 10}, 15)
	here := *s.Spec.Stations[0].Position
	here.Lon++
	s.Spec.Stations = append(s.Spec.Stations, scenario.Station{Name: "there", Position: &here})
	p := compile(t, s)
	all := contactsOf(t, p, half)
	if len(all) != 2 || p.NodeOf(all[0].A).Name != "here" || p.NodeOf(all[1].A).Name != "there" || all[1].Start != all[0].End {
		t.Errorf("contacts %+v", all)
	}
	s.Spec.Constellations[0].GroundPorts = ptr(2)
	p = compile(t, s)
	all = contactsOf(t, p, half)
	if len(all) != 2 || all[1].Start >= all[0].End || all[0].B == all[1].B {
		t.Errorf("with two ports: %+v", all)
	}
}

// The nearer of two neighbours changes within each revolution; a hysteresis
// larger than their difference keeps the first choice.
func TestHysteresisPreventsFlapping(t *testing.T) {
	count := func(hysteresis scenario.Distance) (changes int) {
		// A third satellite flies in between two others with a slight
		// eccentricity, so that the nearer of them changes within each revolution.
		c := scenario.Constellation{Name: "sat", Links: &scenario.ISL{Pattern: "nearest", Ports: 1, Hysteresis: hysteresis}}
		for i, e := range []struct{ anomaly, eccentricity float64 }{{0, 0.002}, {5, 0}, {10, 0.002}} {
			c.Elements = append(c.Elements, scenario.Element{Name: string(rune('a' + i)), Altitude: ptr(scenario.Distance(800)),
				MeanAnomaly: scenario.Angle(e.anomaly), Eccentricity: e.eccentricity})
		}
		s := &scenario.Scenario{Spec: scenario.Spec{Constellations: []scenario.Constellation{c}}}
		s.Default()
		return len(contactsOf(t, compile(t, s), 10*time.Hour))
	}
	if n := count(0); n < 6 {
		t.Errorf("without hysteresis the neighbour changes %d times: the geometry is not what the test needs", n)
	}
	if n := count(200); n != 1 {
		t.Errorf("with hysteresis there are %d contacts, want one that lasts", n)
	}
}

package emulation

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// compile makes a plan of a scenario in the text of a file.
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

// smallSky has contacts of every class that come and go within minutes.
const smallSky = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  epoch: 2026-01-01T00:00:00Z
  constellations:
    - name: sat
      walker: {pattern: star, planes: 4, satellitesPerPlane: 8, inclination: 86.4deg, altitude: 780km, phasing: 2}
      links: {pattern: grid, maxLatitude: 60deg, properties: {rate: 1Gbit}}
      groundPorts: 2
  stations:
    - {name: oslo, position: {lat: 59.9deg, lon: 10.7deg}}
    - {name: rome, position: {lat: 41.9deg, lon: 12.5deg}}
  groundLinks:
    - {name: user, minElevation: 10deg, antennas: 2, policy: highest, hysteresis: 2deg, makeBeforeBreak: 5s}
  routing:
    - {protocol: oracle, lead: 1s}
`

// stand is a director over doubles, without goroutines.
type stand struct {
	director *director
	fabric   *memfabric.Fabric
	source   *clock.Manual
	cursor   *plan.Cursor
	carriers map[plan.PortID][]bool
	changes  []applied
}

func newStand(p *plan.Plan) *stand {
	s := &stand{source: new(clock.Manual), carriers: make(map[plan.PortID][]bool)}
	tl := clock.New(s.source, 0, 1)
	tl.Resume()
	s.fabric = memfabric.New(tl, p.NumPorts(), 1)
	s.director = newDirector(p, s.fabric, tl)
	s.director.carriers = func(carriers ...fabric.Carrier) {
		for _, c := range carriers {
			s.carriers[plan.PortID(c.Port)] = append(s.carriers[plan.PortID(c.Port)], c.Up)
		}
	}
	s.director.changed = func(c []applied) { s.changes = append(s.changes, c...) }
	s.cursor = p.Windows(30 * time.Second)
	return s
}

// loadUntil loads windows up to a scenario time.
func (s *stand) loadUntil(t testing.TB, until time.Duration) {
	for s.director.horizon <= until {
		w, err := s.cursor.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		s.director.load(w)
	}
}

// The fabric's wires are compared with the contacts of the plan as computed in
// one piece, at random instants and however late the director comes.
func TestWiresAreThePlansContacts(t *testing.T) {
	p := compile(t, smallSky)
	const length = 20 * time.Minute
	contacts, err := p.Contacts(context.Background(), 0, length)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := newStand(p)
		for now := time.Duration(0); now < length-3*time.Minute; {
			step := time.Duration(rapid.Int64Range(1, int64(2*time.Minute)).Draw(rt, "step"))
			now += step
			s.source.Advance(step)
			s.loadUntil(t, now+30*time.Second)
			s.director.apply()

			want := make(map[fabric.PortID]*plan.Contact)
			for i := range contacts {
				if c := &contacts[i]; c.Start <= now && now < c.End {
					want[fabric.PortID(c.A)], want[fabric.PortID(c.B)] = c, c
				}
			}
			for id := range fabric.PortID(p.NumPorts()) {
				w, c := s.fabric.Wire(id), want[id]
				if (w == nil) != (c == nil) {
					rt.Fatalf("at %v port %d: wire %v, contact %v", now, id, w, c)
				}
				if w == nil {
					continue
				}
				if w.Contact != uint64(c.ID) || w.Peer != fabric.PortID(peer(c, plan.PortID(id))) || w.Start != c.Start {
					rt.Fatalf("at %v port %d: wire %+v, contact %+v", now, id, w, c)
				}
				if c.Ends && w.End != c.End && w.End != never {
					rt.Fatalf("at %v port %d ends at %v, want %v", now, id, w.End, c.End)
				}
				if got, want := w.Delay.At(now), c.Delay.At(now); got != want {
					rt.Fatalf("at %v port %d: delay %v, want %v", now, id, got, want)
				}
			}
		}
	})
}

// A port that goes from one peer to the next must lose its carrier in between.
func TestHandoverShowsAsCarrierDownThenUp(t *testing.T) {
	p := compile(t, smallSky)
	s := newStand(p)
	for now := time.Duration(0); now < 30*time.Minute; now += time.Second {
		s.loadUntil(t, now+30*time.Second)
		s.director.apply()
		s.source.Advance(time.Second)
	}
	handovers := 0
	for id, ups := range s.carriers {
		for i := 1; i < len(ups); i++ {
			if ups[i] == ups[i-1] {
				t.Errorf("port %d: carrier set to %v twice in a row", id, ups[i])
			}
			if ups[i] {
				handovers++
			}
		}
	}
	if handovers == 0 {
		t.Fatal("nothing was handed over in half an hour")
	}
	if !slices.IsSortedFunc(s.changes, func(a, b applied) int {
		if a.before(b.change) {
			return -1
		}
		return 1
	}) {
		t.Error("changes were not applied in order")
	}
}

func TestSilentLinksKeepTheCarrier(t *testing.T) {
	p := compile(t, smallSky)
	for i := range p.Scenario.Spec.GroundLinks {
		p.Scenario.Spec.GroundLinks[i].Properties.Silent = true
	}
	s := newStand(p)
	for now := time.Duration(0); now < 20*time.Minute; now += time.Second {
		s.loadUntil(t, now+30*time.Second)
		s.director.apply()
		s.source.Advance(time.Second)
	}
	downs := 0
	for _, c := range s.changes {
		if c.contact.Class != plan.Ground || c.up {
			continue
		}
		downs++
		for _, id := range []plan.PortID{c.contact.A, c.contact.B} {
			if slices.Contains(s.carriers[id], false) {
				t.Fatalf("port %d lost its carrier", id)
			}
		}
	}
	if downs == 0 {
		t.Fatal("no ground link ended in 20 minutes")
	}
}

// What has ended is forgotten: memory does not grow with the length of a run.
func TestDirectorForgets(t *testing.T) {
	p := compile(t, smallSky)
	s := newStand(p)
	most := 0
	for now := time.Duration(0); now < 2*time.Hour; now += 10 * time.Second {
		s.loadUntil(t, now+30*time.Second)
		s.director.apply()
		s.source.Advance(10 * time.Second)
		most = max(most, len(s.director.links))
		for _, l := range s.director.links {
			if n := len(l.contact.Delay.Segments()); n > 64 {
				t.Fatalf("a contact's delay has %d segments", n)
			}
		}
	}
	if most > 2*p.NumPorts() {
		t.Fatalf("up to %d links were kept, for %d ports", most, p.NumPorts())
	}
}

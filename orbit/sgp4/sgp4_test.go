package sgp4

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/orbit/gp"

	"pgregory.net/rapid"
)

func draw(t *rapid.T) gp.Elements {
	angle := rapid.Float64Range(0, 360)
	perigee := rapid.Float64Range(400, 36000).Draw(t, "perigee altitude") + radius
	ecc := rapid.Float64Range(0, 0.5).Draw(t, "e")
	a := perigee / (1 - ecc) / radius
	return gp.Elements{
		Number:            1,
		Epoch:             noon,
		MeanMotion:        xke / math.Pow(a, 1.5) * 1440 / twoPi,
		Eccentricity:      ecc,
		Inclination:       rapid.Float64Range(13, 167).Draw(t, "i"),
		RAAN:              angle.Draw(t, "raan"),
		ArgumentOfPerigee: angle.Draw(t, "argp"),
		MeanAnomaly:       angle.Draw(t, "m"),
		BStar:             rapid.Float64Range(-1e-4, 2e-4).Draw(t, "b*"),
	}
}

// TestCallsAreIndependent: the state at an instant does not depend on what was
// asked before, nor on who else asks.
func TestCallsAreIndependent(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			p, err := New(k.elements)
			if err != nil {
				t.Fatal(err)
			}
			const n = 200
			at := func(i int) float64 { return float64((i*7919)%n-n/2) * 997 } // to and fro, past the table's ends
			var want [n]orbit.State
			for i := range want {
				if want[i], err = p.At(at(i)); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for j := range n {
						i := (j*(2*g+1) + g) % n
						if s, err := p.At(at(i)); err != nil || s != want[i] {
							t.Errorf("at %v: %v, then %v (%v)", at(i), want[i], s, err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestTableIsTheIntegrator: what is kept of the resonance integrator's steps is
// what stepping from the epoch gives.
func TestTableIsTheIntegrator(t *testing.T) {
	for _, k := range kinds {
		p, err := New(k.elements)
		if err != nil {
			t.Fatal(err)
		}
		if p.deep == nil || p.deep.resonance == nil {
			continue
		}
		bare := *p
		deep := *p.deep
		r := *p.deep.resonance
		r.forward, r.backward = r.forward[:1], r.backward[:1]
		deep.resonance, bare.deep = &r, &deep
		for m := -100000.0; m < 100000; m += 333 {
			a, err1 := p.At(m)
			b, err2 := bare.At(m)
			if a != b || err1 != err2 {
				t.Fatalf("%s at %v: %v with the table, %v without", k.name, m, a, b)
			}
		}
	}
}

// TestVelocity: the theory leaves some terms of the position's derivative out
// of the velocity (drag, J2 times the eccentricity), so that the two agree to
// 0.3 m/s in nearly circular orbits and to some m/s in eccentric ones. Orbits
// near the equator are left out: see the package's caveats.
func TestVelocity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := draw(t)
		p, err := New(e)
		if err != nil {
			t.Skip(err)
		}
		m := rapid.Float64Range(-1440, 1440).Draw(t, "minutes")
		var x [5]orbit.State
		for i := range x {
			if x[i], err = p.At(m + float64(i-2)/60); err != nil {
				t.Skip(err)
			}
		}
		v := x[3].Position.Sub(x[1].Position).Scale(8).Sub(x[4].Position.Sub(x[0].Position)).Scale(1.0 / 12)
		d := x[2].Velocity.Sub(v).Norm()
		if d > 3e-4+8e-3*e.Eccentricity {
			t.Fatalf("velocity is %g km/s off the derivative", d)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	for _, k := range kinds {
		s, err := NewSatellite(k.elements, noon)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := s.State(50 * 24 * time.Hour); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: State allocates %v times", k.name, n)
		}
	}
}

// TestAnyElements is about elements that no file would have, but a caller might
// make: whatever they are, there is a state or an error and no panic or hang.
func TestAnyElements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1, 20), rapid.SampledFrom([]float64{0, 1, 180, math.Inf(1), math.NaN()}))
		e := gp.Elements{
			Epoch:             time.Unix(rapid.Int64Range(-1e9, 1e10).Draw(t, "epoch"), 0),
			MeanMotion:        any.Draw(t, "n"),
			Eccentricity:      any.Draw(t, "e"),
			Inclination:       any.Draw(t, "i"),
			RAAN:              any.Draw(t, "raan"),
			ArgumentOfPerigee: any.Draw(t, "argp"),
			MeanAnomaly:       any.Draw(t, "m"),
			BStar:             any.Draw(t, "b*"),
		}
		p, err := New(e)
		if err != nil {
			return
		}
		s, err := p.At(any.Draw(t, "minutes"))
		if err == nil && (math.IsNaN(s.Position.Norm()) || math.IsInf(s.Position.Norm(), 0)) {
			t.Fatalf("%v without an error", s)
		}
	})
}

// TestSatelliteEpochs: a satellite is where its elements say, whatever epoch
// the scenario has, to the nanosecond.
func TestSatelliteEpochs(t *testing.T) {
	e := kinds[0].elements
	p, err := New(e)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		offset := time.Duration(rapid.Int64Range(-40*86400e9, 40*86400e9).Draw(t, "offset"))
		at := time.Duration(rapid.Int64Range(0, 10*86400e9).Draw(t, "t"))
		epoch := e.Epoch.Add(offset)
		s, err := NewSatellite(e, epoch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.State(at)
		if err != nil {
			t.Fatal(err)
		}
		teme, err := p.At((offset + at).Minutes())
		if err != nil {
			t.Fatal(err)
		}
		if back := orbit.NewEarth(epoch).At(at).Inertial(got); back.Position.Sub(teme.Position).Norm() > 1e-7 {
			t.Fatalf("%v, want %v", back, teme)
		}
		var _ orbit.InertialMotion = s
	})
}

func TestNewSatelliteRefuses(t *testing.T) {
	e := kinds[0].elements
	_, err := NewSatellite(e, noon.AddDate(11, 0, 0))
	if err == nil || !strings.Contains(err.Error(), "more than ten years") {
		t.Errorf("got %v", err)
	}
	e.MeanMotion = 17.5 // inside the Earth
	if _, err = NewSatellite(e, noon); err == nil || !strings.HasPrefix(err.Error(), "satellite 1: SGP4: ") {
		t.Errorf("got %v", err)
	}
}

func ExampleNewSatellite() {
	e, err := gp.ParseTLE("EXAMPLE 7",
		"1 A2345U 26007B   26060.50000000  .00001234 -12345-6  28098-4 0  9991",
		"2 A2345  53.0537 123.4567 0001234  88.7654 271.2345 15.06391234 12343")
	if err != nil {
		fmt.Println(err)
		return
	}
	satellite, err := NewSatellite(e, e.Epoch)
	if err != nil {
		fmt.Println(err)
		return
	}
	state, err := satellite.State(90 * time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	below := orbit.SubPoint(state.Position)
	fmt.Printf("%.2f° south, %.2f° east, %.0f km high\n", -below.Latitude/orbit.Degree, below.Longitude/orbit.Degree, below.Height)
	// Output: 16.72° south, 108.32° east, 552 km high
}

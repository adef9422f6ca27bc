package sky

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/orbit"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// drawSatellite is a satellite in any orbit: low, medium, geostationary or
// eccentric.
func drawSatellite(t *rapid.T, label string) orbit.Motion {
	e := orbit.Elements{
		Inclination:       rapid.Float64Range(0, math.Pi).Draw(t, label+" inclination"),
		RAAN:              rapid.Float64Range(0, 2*math.Pi).Draw(t, label+" RAAN"),
		ArgumentOfPerigee: rapid.Float64Range(0, 2*math.Pi).Draw(t, label+" perigee"),
		MeanAnomaly:       rapid.Float64Range(0, 2*math.Pi).Draw(t, label+" anomaly"),
	}
	perigee := orbit.EarthRadius
	switch rapid.SampledFrom([]string{"LEO", "MEO", "GEO", "eccentric"}).Draw(t, label) {
	case "LEO":
		perigee += rapid.Float64Range(200, 2000).Draw(t, label+" altitude")
		e.Eccentricity = rapid.Float64Range(0, 0.01).Draw(t, label+" eccentricity")
	case "MEO":
		perigee += rapid.Float64Range(2000, 30000).Draw(t, label+" altitude")
		e.Eccentricity = rapid.Float64Range(0, 0.1).Draw(t, label+" eccentricity")
	case "GEO":
		perigee = 42164.17
		e.Inclination = rapid.Float64Range(0, 0.1).Draw(t, label+" geo inclination")
	case "eccentric":
		perigee += rapid.Float64Range(200, 2000).Draw(t, label+" altitude")
		e.Eccentricity = rapid.Float64Range(0.1, 0.8).Draw(t, label+" eccentricity")
		e.MeanAnomaly = rapid.Float64Range(-0.02, 0.02).Draw(t, label+" near perigee")
	}
	e.SemiMajorAxis = perigee / (1 - e.Eccentricity)
	k, err := orbit.NewKepler(e, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// drawStation is a place at rest, or an aircraft with the waypoints' instants.
func drawStation(t *rapid.T) (orbit.Motion, []time.Duration) {
	place := orbit.Degrees(
		rapid.Float64Range(-90, 90).Draw(t, "latitude"),
		rapid.Float64Range(-180, 180).Draw(t, "longitude"),
		rapid.Float64Range(0, 12).Draw(t, "height"))
	if !rapid.Bool().Draw(t, "moves") {
		return orbit.NewFixed(place), nil
	}
	points := []orbit.Waypoint{{At: 0, Place: place}}
	var kinks []time.Duration
	for i := range 4 {
		place.Latitude = math.Max(-1.5, math.Min(1.5, place.Latitude+rapid.Float64Range(-0.001, 0.001).Draw(t, "north")))
		place.Longitude += rapid.Float64Range(-0.001, 0.001).Draw(t, "east")
		at := time.Duration(i+1) * rapid.SampledFrom([]time.Duration{15 * time.Second, 17*time.Second + 3}).Draw(t, "leg")
		if at <= points[len(points)-1].At {
			continue
		}
		points = append(points, orbit.Waypoint{At: at, Place: place})
		kinks = append(kinks, at)
	}
	w, err := orbit.NewWaypoints(points, false)
	if err != nil {
		t.Fatal(err)
	}
	return w, kinks
}

// track samples a motion once a millisecond.
const samples = 60_000

func track(t *rapid.T, m orbit.Motion) []orbit.Vec {
	out := make([]orbit.Vec, samples)
	for k := range out {
		s, err := m.State(time.Duration(k) * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = s.Position
	}
	return out
}

// drawLimit chooses a limit that values cross: at a random instant, or so
// near an extremum that the crossing and the return are milliseconds apart.
func drawLimit(t *rapid.T, label string, values []float64) float64 {
	if slices.Max(values)-slices.Min(values) < 1e-4 {
		t.Skip("nothing changes but the last digits")
	}
	// Where a value is level, as the altitude of a circular orbit, the last
	// digits decide.
	level := func(limit float64, others ...float64) {
		for _, v := range others {
			if math.Abs(v-limit) < 1e-8 {
				t.Skip("the value is level at its limit")
			}
		}
	}
	var extrema []int
	for k := 1; k < len(values)-1; k++ {
		if (values[k]-values[k-1])*(values[k+1]-values[k]) < 0 {
			extrema = append(extrema, k)
		}
	}
	if len(extrema) == 0 || rapid.Bool().Draw(t, label+" anywhere") {
		k := rapid.IntRange(0, len(values)-1).Draw(t, label+" at")
		level(values[k], values[max(0, k-10)], values[min(len(values)-1, k+10)])
		return values[k]
	}
	k := rapid.SampledFrom(extrema).Draw(t, label+" extremum")
	limit := values[min(len(values)-1, k+rapid.IntRange(3, 400).Draw(t, label+" grazes for"))]
	level(limit, values[k])
	return limit
}

// The periods of sight are compared with brute force: conditions by their
// plain definitions, once a millisecond.
func TestSpansAgainstBruteForce(t *testing.T) {
	var worst time.Duration
	geometries, boundaries, brief, escaped := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var a orbit.Motion
		var kinks []time.Duration
		ground := rapid.Bool().Draw(t, "ground link")
		if ground {
			a, kinks = drawStation(t)
		} else {
			a = drawSatellite(t, "A")
		}
		b := drawSatellite(t, "B")
		trackA, trackB := track(t, a), track(t, b)
		visible := make([]bool, samples)
		for k := range visible {
			visible[k] = true
		}
		limits := Limits{}
		require := func(label string, values []float64, atLeast bool) float64 {
			limit := drawLimit(t, label, values)
			for k, v := range values {
				visible[k] = visible[k] && (v >= limit) == atLeast
			}
			return limit
		}
		each := func(f func(a, b orbit.Vec) float64) []float64 {
			values := make([]float64, samples)
			for k := range values {
				values[k] = f(trackA[k], trackB[k])
			}
			return values
		}
		kinds := []string{"grazing", "latitude", "range", "grazing and range"}
		if ground {
			kinds = []string{"elevation", "elevation and range"}
		}
		kind := rapid.SampledFrom(kinds).Draw(t, "conditions")
		switch kind {
		case "grazing", "grazing and range":
			h := require("grazing", each(GrazingAltitude), true)
			limits.MinGrazingAltitude = &h
		case "latitude":
			l := require("latitude", each(func(a, b orbit.Vec) float64 {
				return max(math.Abs(Latitude(a)), math.Abs(Latitude(b)))
			}), false)
			limits.MaxLatitude = &l
		case "elevation", "elevation and range":
			e := require("elevation", each(Elevation), true)
			limits.MinElevation = &e
		}
		if kind == "range" || kind == "elevation and range" || kind == "grazing and range" {
			limits.MaxRange = require("range", each(Range), false)
		}

		pair := Pair{Rule: NewRule(limits), A: NewMover(a), B: NewMover(b)}
		if ground {
			var err error
			if pair.A, err = NewObserver(a); err != nil {
				t.Fatal(err)
			}
		}
		const to = (samples - 1) * time.Millisecond
		pathA, err := NewPath(pair.A, 0, to, 15*time.Second, kinks)
		if err != nil {
			t.Fatal(err)
		}
		pathB, err := NewPath(pair.B, 0, to, 15*time.Second, nil)
		if err != nil {
			t.Fatal(err)
		}
		spans := pair.Spans(nil, pathA, pathB)
		for _, s := range spans {
			if s.Start > 0 && s.End < to && s.End-s.Start < time.Second {
				brief++
			}
		}
		boundaries += 2 * len(spans)
		// Where an end itself is hardly above the grazing radius, more escapes.
		longest := 3
		if limits.MinGrazingAltitude != nil {
			for k := 0; k < samples; k += 100 {
				if h := min(trackA[k].Norm(), trackB[k].Norm()) - orbit.EarthRadius; h < *limits.MinGrazingAltitude+50 {
					longest = 50
				}
			}
		}
		// Samples may lie on the wrong side of a boundary that is within 1 ms, and
		// a contact or a gap of a few milliseconds may escape.
		run := 0
		for k, want := range visible {
			at := time.Duration(k) * time.Millisecond
			got, distance := locate(spans, at)
			if got == want {
				run = 0
				continue
			}
			if distance <= time.Millisecond {
				worst = max(worst, distance)
				continue
			}
			if run++; run > longest {
				t.Fatalf("%s: at %v brute force says %v; found %d: %v", kind, at, want, len(spans), spans[:min(5, len(spans))])
			}
			escaped++
		}
		geometries++
	})
	t.Logf("%d geometries, %d boundaries, worst error %v; %d contacts shorter than 1 s; %d ms escaped", geometries, boundaries, worst, brief, escaped)
}

// locate tells whether t lies in a span, and how far it is from the nearest
// boundary.
func locate(spans []Span, t time.Duration) (in bool, distance time.Duration) {
	distance = math.MaxInt64
	for _, s := range spans {
		in = in || t >= s.Start && t < s.End
		distance = min(distance, (t - s.Start).Abs(), (t - s.End).Abs())
	}
	return in, distance
}

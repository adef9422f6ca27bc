package sgp4

import (
	"testing"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/orbit/gp"
)

// Made-up satellites, one of each kind of the theory.
var kinds = []struct {
	name     string
	elements gp.Elements
}{
	{"near earth", gp.Elements{Number: 1, Epoch: noon, MeanMotion: 15.05, Eccentricity: 0.0011, Inclination: 53.2, RAAN: 120, ArgumentOfPerigee: 80, MeanAnomaly: 280, BStar: 3e-4}},
	{"deep space", gp.Elements{Number: 2, Epoch: noon, MeanMotion: 4.1, Eccentricity: 0.4, Inclination: 40, RAAN: 20, ArgumentOfPerigee: 200, MeanAnomaly: 30, BStar: 1e-5}},
	{"half day", gp.Elements{Number: 3, Epoch: noon, MeanMotion: 2.0063, Eccentricity: 0.71, Inclination: 63.4, RAAN: 300, ArgumentOfPerigee: 270, MeanAnomaly: 10}},
	{"synchronous", gp.Elements{Number: 4, Epoch: noon, MeanMotion: 1.00271, Eccentricity: 0.0002, Inclination: 0.05, RAAN: 80, ArgumentOfPerigee: 10, MeanAnomaly: 150}},
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func BenchmarkAt(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			p, err := New(k.elements)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			t := 0.0
			for b.Loop() {
				s, err := p.At(t)
				if err != nil {
					b.Fatal(err)
				}
				sink = s
				if t += 7.3; t > 20000 {
					t = 0
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(k.elements); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var sink orbit.State

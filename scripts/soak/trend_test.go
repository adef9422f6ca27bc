package main

import (
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A series with a known slope and noise is told from one without a slope,
// whatever happens while caches fill.
func TestTrend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 1))
		level := rapid.Float64Range(100, 1e6).Draw(t, "level")
		growth := rapid.SampledFrom([]float64{-0.5, 0, 0, 0.2, 0.5}).Draw(t, "growth over the settled span")
		noise := rapid.Float64Range(0, 0.01).Draw(t, "noise")
		n := rapid.IntRange(60, 400).Draw(t, "readings")
		var series []reading
		for i := range n {
			share := float64(i) / float64(n-1)
			v := level * (1 + growth*(share-settled)/(1-settled))
			if share < settled {
				v = level * rng.Float64() * 3
			}
			r := reading{at: time.Duration(i) * 5 * time.Second}
			r.values[0] = v * (1 + noise*rng.NormFloat64())
			series = append(series, r)
		}
		line := fit(series, func(r *reading) float64 { return r.values[0] })
		if got, want := line.grows(0.05), growth > 0.05; got != want {
			t.Fatalf("growth of %.0f %% with noise of %.1f %%: grows is %v; %+v", 100*growth, 100*noise, got, line)
		}
		if want := growth / (1 + growth/2); math.Abs(line.growth()-want) > 0.03 {
			t.Fatalf("growth %v, want %v", line.growth(), want)
		}
		leaks := report(io.Discard, series, 0.05)
		if (leaks == 1) != (growth > 0.05) {
			t.Fatalf("%d leaks", leaks)
		}
	})
}

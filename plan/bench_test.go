package plan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"orrery.dev/orrery/scenario"
)

// dataFile finds a file of the shared data beside the repository.
func dataFile(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("ORRERY_DATA"); dir != "" {
		return filepath.Join(dir, name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "shared", "data", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skipf("no shared/data/%s in any directory above, and ORRERY_DATA is not set", name)
	return ""
}

// gateways are n stations spread over the land's latitudes by the golden angle.
func gateways(n int) (all []scenario.Station) {
	for i := range n {
		lat := -55 + 110*(float64(i)+0.5)/float64(n)
		lon := float64(int(float64(i)*137.50776405*1000)%360000)/1000 - 180
		all = append(all, scenario.Station{
			Name:     fmt.Sprintf("gw%03d", i),
			Position: &scenario.Position{Lat: scenario.Angle(lat), Lon: scenario.Angle(lon)},
		})
	}
	return all
}

func starlinkFile(t testing.TB) *scenario.Scenario {
	s := &scenario.Scenario{Spec: scenario.Spec{
		Constellations: []scenario.Constellation{{
			Name:  "starlink",
			File:  &scenario.OrbitFile{Path: dataFile(t, "tle/starlink.tle")},
			Links: &scenario.ISL{Pattern: "nearest", Ports: 4},
		}},
		Stations:    gateways(100),
		GroundLinks: []scenario.GroundLink{{Name: "user", MinElevation: 25, Antennas: 2, Interval: scenario.Duration(15 * time.Second)}},
	}}
	s.Default()
	return s
}

func shell(planes, slots int) *scenario.Scenario {
	s := &scenario.Scenario{Spec: scenario.Spec{
		Constellations: []scenario.Constellation{{
			Name:   "sat",
			Walker: &scenario.Walker{Pattern: "delta", Planes: planes, SatellitesPerPlane: slots, Phasing: 17, Inclination: 53, Altitude: 550},
			Links:  &scenario.ISL{Pattern: "grid"},
		}},
	}}
	s.Default()
	return s
}

// benchmarkPlan plans a stretch of orbit over and over. x-realtime is orbital
// seconds per second on one core.
func benchmarkPlan(b *testing.B, s *scenario.Scenario, span time.Duration) {
	p := compile(b, s)
	contacts := 0
	b.ReportAllocs()
	for b.Loop() {
		contacts = 0
		c := p.Windows(0)
		for c.at < span {
			w, err := c.Next(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			contacts += len(w.Contacts)
		}
	}
	b.ReportMetric(span.Seconds()*float64(b.N)/b.Elapsed().Seconds(), "x-realtime")
	b.ReportMetric(float64(contacts)/span.Minutes(), "contacts/window")
}

func BenchmarkStarlinkFileNearest(b *testing.B) { benchmarkPlan(b, starlinkFile(b), 10*time.Minute) }
func BenchmarkWalkerGrid72x22(b *testing.B)     { benchmarkPlan(b, shell(72, 22), 10*time.Minute) }
func BenchmarkIridium(b *testing.B)             { benchmarkPlan(b, iridium(), 10*time.Minute) }

func BenchmarkCompileStarlinkFile(b *testing.B) {
	s := starlinkFile(b)
	for b.Loop() {
		compile(b, s)
	}
}

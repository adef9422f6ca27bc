package gp

import (
	"os"
	"path/filepath"
	"testing"
)

// data finds a file of the shared data folder, which is not part of the
// repository.
func data(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("ORRERY_DATA"); dir != "" {
		return filepath.Join(dir, name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "shared", "data", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skipf("no folder shared/data with %s beside the repository, and ORRERY_DATA is not set", name)
		}
		dir = up
	}
}

func TestRealFiles(t *testing.T) {
	for _, c := range []struct {
		file            string
		count           int
		altitude        [2]float64 // km, most of them
		first           string
		firstDesignator string
	}{
		{"tle/starlink.tle", 3023, [2]float64{530, 580}, "STARLINK-24", "2019-029D"},
		{"tle/iridium.tle", 31, [2]float64{490, 800}, "IRIDIUM 7 [-]", "1997-020B"},
		{"tle/oneweb.tle", 426, [2]float64{1190, 1230}, "ONEWEB-0012", "2019-010A"},
	} {
		t.Run(c.file, func(t *testing.T) {
			f, err := os.Open(data(t, c.file))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			sets, err := Read(f, Detect)
			if err != nil {
				t.Fatal(err)
			}
			if len(sets) != c.count || sets[0].Name != c.first || sets[0].Designator != c.firstDesignator {
				t.Errorf("%d sets, the first %+v", len(sets), sets[0])
			}
			within := 0
			for _, e := range sets {
				if a := e.MeanAltitude(); a >= c.altitude[0] && a <= c.altitude[1] {
					within++
				}
			}
			if within < len(sets)/2 {
				t.Errorf("%d of %d are within %v km", within, len(sets), c.altitude)
			}
		})
	}
}

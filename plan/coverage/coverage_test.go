package coverage

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/orbit"
)

// fixed stands where it is.
type fixed orbit.Vec

func (f fixed) State(time.Duration) (orbit.State, error) {
	return orbit.State{Position: orbit.Vec(f)}, nil
}

func drawGrid(t *rapid.T) Grid {
	return Grid{
		Rows: rapid.IntRange(1, 40).Draw(t, "rows"), Columns: rapid.IntRange(1, 40).Draw(t, "columns"),
		To: time.Minute, Step: time.Minute, MinElevation: rapid.Float64Range(0, 1.2).Draw(t, "elevation"),
	}
}

func drawSatellite(t *rapid.T) fixed {
	lat := rapid.Float64Range(-math.Pi/2, math.Pi/2).Draw(t, "latitude")
	lon := rapid.Float64Range(-math.Pi, math.Pi).Draw(t, "longitude")
	r := rapid.Float64Range(6400, 50_000).Draw(t, "distance")
	return fixed{r * math.Cos(lat) * math.Cos(lon), r * math.Cos(lat) * math.Sin(lon), r * math.Sin(lat)}
}

// A cell sees a satellite that stands above its horizon by the least elevation,
// as a look from the cell's centre on a round Earth tells.
func TestCapsAreWhatCellsSee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGrid(t)
		var sats []orbit.Motion
		for range rapid.IntRange(1, 5).Draw(t, "satellites") {
			sats = append(sats, drawSatellite(t))
		}
		m, err := Of(context.Background(), sats, g)
		if err != nil {
			t.Fatal(err)
		}
		for row := range g.Rows {
			for col := range g.Columns {
				lat := g.latitude(row)
				lon := -math.Pi + (float64(col)+0.5)*2*math.Pi/float64(g.Columns)
				up := orbit.Vec{X: math.Cos(lat) * math.Cos(lon), Y: math.Cos(lat) * math.Sin(lon), Z: math.Sin(lat)}
				least, most := 0, 0 // what lies on the edge may be seen or not
				for _, s := range sats {
					to := orbit.Vec(s.(fixed)).Sub(up.Scale(meanRadius))
					switch e := math.Asin(to.Dot(up) / to.Norm()); {
					case e > g.MinElevation+1e-6:
						least, most = least+1, most+1
					case e > g.MinElevation-1e-6:
						most++
					}
				}
				if n := int(math.Round(float64(m.Mean[row*g.Columns+col]))); n < least || n > most {
					t.Fatalf("row %d column %d sees %d satellites, want %d to %d", row, col, n, least, most)
				}
			}
		}
	})
}

// gone has no position after an instant.
type gone struct {
	fixed
	after time.Duration
}

func (g gone) State(at time.Duration) (orbit.State, error) {
	if at > g.after {
		return orbit.State{}, errors.New("it has decayed")
	}
	return g.fixed.State(at)
}

func TestShareAndGapCountInstants(t *testing.T) {
	g := Grid{Rows: 1, Columns: 1, To: 10 * time.Minute, Step: time.Minute}
	above := fixed{X: 42164} // the one cell's centre is at 0° N 0° E
	m, err := Of(context.Background(), []orbit.Motion{gone{above, 3 * time.Minute}}, g)
	if err != nil {
		t.Fatal(err)
	}
	if m.Instants != 10 || m.Share[0] != 0.4 || m.Gap[0] != 360 {
		t.Fatalf("%d instants, share %g, gap %g s; want 10, 0.4 and 360", m.Instants, m.Share[0], m.Gap[0])
	}
}

func TestGridsThatMakeNoSense(t *testing.T) {
	good := Grid{Rows: 1, Columns: 1, To: 1, Step: 1}
	for name, spoil := range map[string]func(*Grid){
		"no rows":   func(g *Grid) { g.Rows = 0 },
		"many rows": func(g *Grid) { g.Rows = 1 << 20 },
		"backwards": func(g *Grid) { g.From = 2 },
		"no step":   func(g *Grid) { g.Step = 0 },
		"zenith":    func(g *Grid) { g.MinElevation = 2 },
		"no number": func(g *Grid) { g.MinElevation = math.NaN() },
	} {
		g := good
		spoil(&g)
		if _, err := Of(context.Background(), nil, g); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Every instant is either in a gap or in a span, and gaps do not touch.
func TestGapsAreTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var spans []Span
		for range rapid.IntRange(0, 6).Draw(t, "spans") {
			from := rapid.IntRange(-5, 30).Draw(t, "from")
			spans = append(spans, Span{time.Duration(from), time.Duration(from + rapid.IntRange(1, 10).Draw(t, "length"))})
		}
		gaps := Gaps(spans, 0, 25)
		for i := 1; i < len(gaps); i++ {
			if gaps[i].From <= gaps[i-1].To {
				t.Fatalf("gaps %v touch", gaps)
			}
		}
		for at := time.Duration(0); at < 25; at++ {
			in := func(list []Span) bool {
				for _, s := range list {
					if at >= s.From && at < s.To {
						return true
					}
				}
				return false
			}
			if in(spans) == in(gaps) {
				t.Fatalf("instant %d of spans %v, gaps %v", at, spans, gaps)
			}
		}
	})
}

func BenchmarkMap(b *testing.B) {
	var sats []orbit.Motion
	for i := range 1584 {
		lat, lon := float64(i%40-20)*0.05, float64(i)*0.1
		sats = append(sats, fixed{6920 * math.Cos(lat) * math.Cos(lon), 6920 * math.Cos(lat) * math.Sin(lon), 6920 * math.Sin(lat)})
	}
	for b.Loop() {
		if _, err := Of(context.Background(), sats, Grid{Rows: 90, Columns: 180, To: time.Hour, Step: time.Minute, MinElevation: 0.44}); err != nil {
			b.Fatal(err)
		}
	}
}

// A map ends, also at the end of time and with a step that is longer than all of it.
func TestMapsEnd(t *testing.T) {
	for _, c := range []struct {
		from, to, step time.Duration
		instants       int
	}{
		{0, 10, 3, 4}, {0, 9, 3, 3}, {0, 1, math.MaxInt64, 1}, {math.MaxInt64 - 10, math.MaxInt64, 7, 2}, {1, math.MaxInt64, math.MaxInt64, 1},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		m, err := Of(ctx, nil, Grid{Rows: 1, Columns: 1, From: c.from, To: c.to, Step: c.step})
		cancel()
		if err != nil || m.Instants != c.instants {
			t.Errorf("%v: %v, %v", c, m, err)
		}
	}
}

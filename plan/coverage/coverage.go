// Package coverage says how well a plan's satellites see the ground: as a map,
// and as gaps between contacts.
//
// The map counts, at equidistant instants, which cells' centres lie in the cap
// that a satellite sees from above its horizon mask. The cap's half angle at the
// Earth's centre is λ = arccos(R cos ε / r) - ε, for the least elevation ε, the
// satellite's distance r from the centre and the Earth's radius R (Wertz and
// Larson, Space Mission Analysis and Design, section 5.2). A row of cells at the
// latitude φ is cut by a cap around (φs, Λs) within the longitudes Λs ± Δ with
// cos Δ = (cos λ - sin φ sin φs) / (cos φ cos φs).
//
// Caveat: that is a round Earth of the ellipsoid's mean radius with geocentric
// latitudes taken for geodetic ones; a cap's edge is off by up to some 0.2°.
package coverage

import (
	"context"
	"fmt"
	"math"
	"time"

	"orrery.dev/orrery/orbit"
)

// meanRadius of the Earth in km (IUGG, R1).
const meanRadius = 6371.0088

// Grid of a map, and the instants that it is made of.
type Grid struct {
	// Rows from 90° S to 90° N and Columns from 180° W to 180° E.
	Rows, Columns int
	// From, From + Step, …, before To, in scenario time.
	From, To, Step time.Duration
	// MinElevation in rad.
	MinElevation float64
}

// Map is what the cells see, row by row. All slices have Rows×Columns elements.
type Map struct {
	Instants int
	// Share of the instants with a satellite in view, from 0 to 1.
	Share []float32
	// Mean number of satellites in view.
	Mean []float32
	// Gap is the longest time without a satellite in view, in seconds: so many
	// instants in a row without one, times the step.
	Gap []float32
}

// Check says what is wrong with a grid.
func (g Grid) Check() error {
	switch {
	case g.Rows < 1 || g.Rows > 720 || g.Columns < 1 || g.Columns > 1440:
		return fmt.Errorf("coverage: %d rows and %d columns: want 1 to 720 and 1 to 1,440", g.Rows, g.Columns)
	case g.From < 0 || g.To <= g.From:
		return fmt.Errorf("coverage: from %v to %v: want 0 <= from < to", g.From, g.To)
	case g.Step <= 0:
		return fmt.Errorf("coverage: a step of %v: want more than 0", g.Step)
	case !(g.MinElevation >= 0 && g.MinElevation < math.Pi/2):
		return fmt.Errorf("coverage: a least elevation of %g rad: want 0 or more, and less than π/2", g.MinElevation)
	}
	return nil
}

// Instants is how many a map is made of. The grid must be one that Check finds right.
func (g Grid) Instants() int { return int((g.To-g.From-1)/g.Step) + 1 }

// Of the satellites with these motions. A satellite that has no position at an
// instant sees nothing then. Errors are those of Check, and the context's.
func Of(ctx context.Context, satellites []orbit.Motion, g Grid) (*Map, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	cells := g.Rows * g.Columns
	m := &Map{Share: make([]float32, cells), Mean: make([]float32, cells), Gap: make([]float32, cells)}
	c := newCaps(g)
	run := make([]int, cells) // instants without a satellite up to now
	longest := make([]int, cells)
	seen := make([]int, cells)
	total := make([]int, cells)
	for k := range g.Instants() { // a sum of steps could pass the greatest Duration
		at := g.From + time.Duration(k)*g.Step
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("coverage: %w", err)
		}
		c.clear()
		for _, s := range satellites {
			if st, err := s.State(at); err == nil {
				c.add(st.Position)
			}
		}
		m.Instants++
		for row := range g.Rows {
			n := 0
			for col := range g.Columns {
				i := row*g.Columns + col
				n += c.change[row*(g.Columns+1)+col]
				total[i] += n
				if n > 0 {
					seen[i]++
					run[i] = 0
				} else {
					run[i]++
					longest[i] = max(longest[i], run[i])
				}
			}
		}
	}
	for i := range cells {
		m.Share[i] = float32(seen[i]) / float32(m.Instants)
		m.Mean[i] = float32(total[i]) / float32(m.Instants)
		m.Gap[i] = float32(float64(longest[i]) * g.Step.Seconds())
	}
	return m, nil
}

// caps adds up what satellites see at one instant. A row holds the changes of the
// number in view from one column to the next, so that a cap costs two of them.
type caps struct {
	Grid
	sin, cos []float64 // of each row's latitude
	change   []int     // Rows × (Columns + 1)
}

func newCaps(g Grid) *caps {
	c := &caps{Grid: g, change: make([]int, g.Rows*(g.Columns+1))}
	for row := range g.Rows {
		s, k := math.Sincos(g.latitude(row))
		c.sin, c.cos = append(c.sin, s), append(c.cos, k)
	}
	return c
}

func (g Grid) latitude(row int) float64 {
	return math.Pi * ((float64(row)+0.5)/float64(g.Rows) - 0.5)
}

func (c *caps) clear() { clear(c.change) }

// add the cap below an Earth-fixed position in km.
func (c *caps) add(p orbit.Vec) {
	r := p.Norm()
	if x := meanRadius * math.Cos(c.MinElevation) / r; x < 1 {
		half := math.Acos(x) - c.MinElevation
		sinLat := p.Z / r
		c.cap(math.Asin(sinLat), math.Atan2(p.Y, p.X), sinLat, half)
	}
}

func (c *caps) cap(lat, lon, sinLat, half float64) {
	cosHalf, cosLat := math.Cos(half), math.Sqrt(max(0, 1-sinLat*sinLat))
	height := math.Pi / float64(c.Rows)
	first := max(0, int(math.Floor((lat-half+math.Pi/2)/height))-1)
	last := min(c.Rows-1, int(math.Floor((lat+half+math.Pi/2)/height))+1)
	for row := first; row <= last; row++ {
		num, den := cosHalf-c.sin[row]*sinLat, c.cos[row]*cosLat
		switch {
		case num <= -den:
			c.span(row, 0, c.Columns) // the cap holds the whole row
		case num < den:
			c.longitudes(row, lon, math.Acos(num/den))
		}
	}
}

// longitudes adds the cells of a row whose centres lie within lon ± delta.
func (c *caps) longitudes(row int, lon, delta float64) {
	width := 2 * math.Pi / float64(c.Columns)
	// The centre of column k is at -π + (k + 1/2) width.
	from := int(math.Ceil((lon-delta+math.Pi)/width - 0.5))
	to := int(math.Floor((lon+delta+math.Pi)/width-0.5)) + 1
	switch {
	case to <= from:
	case to-from >= c.Columns:
		c.span(row, 0, c.Columns)
	case from < 0:
		c.span(row, from+c.Columns, c.Columns)
		c.span(row, 0, to)
	case to > c.Columns:
		c.span(row, from, c.Columns)
		c.span(row, 0, to-c.Columns)
	default:
		c.span(row, from, to)
	}
}

// span adds the columns [from, to) of a row.
func (c *caps) span(row, from, to int) {
	if from < to {
		c.change[row*(c.Columns+1)+from]++
		c.change[row*(c.Columns+1)+to]--
	}
}

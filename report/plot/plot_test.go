package plot

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{Seconds, 0, "0 s"}, {Seconds, 1.5e-6, "1.5 µs"}, {Seconds, 0.0421, "42.1 ms"}, {Seconds, 1, "1 s"}, {Seconds, 300, "5 min"}, {Seconds, 0.9999, "1 s"},
		{Percent, 0.00123, "0.123 %"}, {Percent, 1, "100 %"}, {Bytes, 1536, "1.5 KiB"}, {Bytes, 1 << 30, "1 GiB"},
		{Clock, 75, "1:15"}, {Clock, 3661, "1:01:01"}, {Plain, 12345, "12.3 k"}, {Plain, -0.5, "−0.5"},
	} {
		if got := c.unit.Format(c.v); got != c.want {
			t.Errorf("%g is %q, not %q", c.v, got, c.want)
		}
	}
}

// Whatever the data, a scale shows all of it, has ticks in order, and few of them.
func TestScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Axis{Unit: rapid.SampledFrom([]Unit{Plain, Percent, Seconds, Clock, Bytes}).Draw(t, "unit"), Log: rapid.Bool().Draw(t, "log")}
		low := rapid.Float64Range(1e-6, 1e6).Draw(t, "low")
		high := low + rapid.Float64Range(0, 1e6).Draw(t, "more")
		s := newScale(a, low, high, 6)
		if x, y := s.at(low), s.at(high); x < -1e-6 || y > 1+1e-6 || x > y {
			t.Fatalf("%g to %g lie at %g to %g of %+v", low, high, x, y, s)
		}
		if n := len(s.ticks); n < 1 || n > 25 {
			t.Fatalf("%d ticks: %v", n, s.ticks)
		}
		for i := 1; i < len(s.ticks); i++ {
			if s.ticks[i] <= s.ticks[i-1] {
				t.Fatalf("the ticks fall: %v", s.ticks)
			}
		}
	})
}

// Charts of any data are XML without numbers that are none.
func TestChart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Float64Range(-1e9, 1e9), rapid.SampledFrom([]float64{0, math.NaN(), 1e-300}))
		n := rapid.IntRange(0, 20).Draw(t, "n")
		draw := func() []float64 { return rapid.SliceOfN(number, n, n).Draw(t, "values") }
		c := Chart{
			Label: rapid.StringMatching(`[ -~äµ]{0,20}`).Draw(t, "label"), Title: "<&>",
			X: Axis{Log: rapid.Bool().Draw(t, "x"), Unit: Seconds}, Y: Axis{Log: rapid.Bool().Draw(t, "y"), Label: "y"},
			Lines: []Line{
				{Series: 3, X: draw(), Y: draw(), Step: rapid.Bool().Draw(t, "step"), Hint: "a<b"},
				{Series: Black, X: draw(), Y: draw(), Dots: true},
			},
		}
		well(t, c.SVG())
		bars := Bars{X: Axis{Unit: Bytes}, Rows: []Bar{{Name: "a&b", Parts: []Part{{Value: math.Abs(float64(n))}}, Low: 0, High: 3}}}
		well(t, bars.SVG())
	})
}

func well(t *rapid.T, svg string) {
	for _, none := range []string{"NaN", "Inf", "%!"} {
		if _, body, _ := strings.Cut(svg, "font-size="); strings.Contains(body, none) {
			t.Fatalf("%s in %s", none, svg)
		}
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

package plot

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Unit says how the numbers of an axis are written.
type Unit int

// The units of axes.
const (
	Plain   Unit = iota // as they are
	Percent             // shares, 1 is 100 %
	Seconds             // durations in s, written in µs, ms, s, min, h
	Clock               // instants in s, written as min:s
	Bytes               // written with binary prefixes
)

// Axis is one of a chart's two.
type Axis struct {
	Label string
	Unit  Unit
	Log   bool
	// Min and Max are what the axis shows at least; if both are zero, what the
	// data needs.
	Min, Max float64
	// Fixed keeps the axis from growing to round numbers.
	Fixed bool
}

// Format writes a value in a unit, in three digits at most.
func (u Unit) Format(v float64) string {
	switch u {
	case Percent:
		return digits(v*100) + " %"
	case Seconds:
		return duration(v)
	case Clock:
		s := int(math.Round(v))
		if s >= 3600 {
			return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
		}
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	case Bytes:
		return prefixed(v, 1024, "B", "KiB", "MiB", "GiB", "TiB")
	}
	if a := math.Abs(v); a >= 1e4 {
		return prefixed(v, 1000, "", "k", "M", "G", "T")
	}
	return digits(v)
}

func duration(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0 s"
	case a < 999.5e-6:
		return digits(v*1e6) + " µs"
	case a < 0.9995:
		return digits(v*1e3) + " ms"
	case a < 119.5:
		return digits(v) + " s"
	case a < 2*3600:
		return digits(v/60) + " min"
	}
	return digits(v/3600) + " h"
}

func prefixed(v, base float64, names ...string) string {
	i := 0
	for math.Abs(v) >= base*0.9995 && i < len(names)-1 {
		v, i = v/base, i+1
	}
	return strings.TrimSpace(digits(v) + " " + names[i])
}

// digits writes a number with three significant digits and without zeros behind.
func digits(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(math.Abs(v), 'g', -1, 64)
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', min(decimals, 6), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return strings.Replace(text, "-", "−", 1)
}

// scale maps values of an axis to 0…1.
type scale struct {
	axis     Axis
	from, to float64
	ticks    []float64
	minor    []float64
}

// maxTicks of an axis, whatever the numbers.
const maxTicks = 50

// newScale makes a scale that shows values from low to high in about n ticks.
func newScale(a Axis, low, high float64, n int) scale {
	if a.Min != 0 || a.Max != 0 {
		low, high = a.Min, a.Max
	}
	if !(low <= high) || math.IsInf(low, 0) || math.IsInf(high, 0) { // nothing to show
		low, high = 0, 1
		if a.Log {
			low = 0.1
		}
	}
	if a.Log {
		return logScale(a, low, high)
	}
	if size := max(math.Abs(low), math.Abs(high)); high-low <= size*1e-9 { // one value, as far as numbers tell
		half := max(size/2, 0.5)
		low, high = low-half, high+half
		if size == 0 {
			low, high = 0, 1
		}
	}
	step := roundStep((high-low)/float64(n), a.Unit)
	s := scale{axis: a, from: low, to: high}
	if !a.Fixed {
		s.from, s.to = math.Floor(low/step+1e-9)*step, math.Ceil(high/step-1e-9)*step
	}
	for i := math.Ceil(s.from/step - 1e-9); i*step <= s.to+step*1e-9 && len(s.ticks) < maxTicks; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	return s
}

// roundStep is the least round number that is not below a step.
func roundStep(step float64, u Unit) float64 {
	if u == Clock {
		for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200} {
			if s >= step {
				return s
			}
		}
		return math.Ceil(step/86400) * 86400
	}
	if u == Bytes && step >= 1024 {
		unit := math.Pow(1024, math.Floor(math.Log(step)/math.Log(1024)))
		return roundStep(step/unit, Plain) * unit
	}
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if m*power >= step*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logScale has a tick at each power of ten; durations above a second have their
// minutes and hours.
func logScale(a Axis, low, high float64) scale {
	high = math.Max(high, 1e-12)
	low = math.Max(low, high*1e-12) // twelve powers of ten are enough
	s := scale{axis: a}
	from, to := math.Floor(math.Log10(low)+1e-9), math.Ceil(math.Log10(high)-1e-9)
	if from == to {
		to++
	}
	s.from, s.to = from, to
	for e := from; e <= to; e++ {
		s.ticks = append(s.ticks, math.Pow(10, e))
		for m := 2; m < 10 && e < to; m++ {
			s.minor = append(s.minor, float64(m)*math.Pow(10, e))
		}
	}
	if a.Unit == Seconds && to >= 2 {
		s.ticks = s.ticks[:0]
		for e := from; e <= 1; e++ {
			s.ticks = append(s.ticks, math.Pow(10, e))
		}
		for _, t := range []float64{60, 600, 3600, 36000} {
			if math.Log10(t) <= to {
				s.ticks = append(s.ticks, t)
			}
		}
	}
	return s
}

// at is where a value lies, 0…1 within the axis.
func (s scale) at(v float64) float64 {
	if s.axis.Log {
		if v <= 0 {
			return 0
		}
		v = math.Log10(v)
	}
	return (v - s.from) / (s.to - s.from)
}

package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Quantities carry their unit in the file ("780km", "10deg", "1Gbit", "15s");
// in memory each has one fixed unit. A bare number is refused, except 0. What
// String prints reads back as exactly the same value.
type (
	// Distance is in kilometres. Units: m, km.
	Distance float64
	// Angle is in degrees. Units: deg, rad.
	Angle float64
	// Rate is in bit/s. Units: bit, kbit, Mbit, Gbit, Tbit (powers of 1000).
	Rate float64
	// Size is in bytes. Units: B, kB, MB, GB (1000), KiB, MiB, GiB (1024).
	Size int64
	// Duration has the units ns, us, ms, s, m, h, d; several may follow each
	// other as in "1h30m".
	Duration time.Duration
	// Fraction lies in [0, 1]. It is written as 0.01 or as "1%".
	Fraction float64
)

// unit is a name and its size in the quantity's own unit.
type unit struct {
	name  string
	value float64
}

// dimension is what the texts of one quantity look like.
type dimension struct {
	name    string // for messages
	example string
	units   []unit // from small to large
}

var (
	distanceUnits = dimension{"distance", "780km", []unit{{"m", 1e-3}, {"km", 1}}}
	angleUnits    = dimension{"angle", "10deg", []unit{{"deg", 1}, {"rad", 180 / math.Pi}}}
	rateUnits     = dimension{"rate", "1Gbit", []unit{{"bit", 1}, {"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}, {"Tbit", 1e12}}}
	sizeUnits     = dimension{"size", "64KiB", []unit{{"B", 1}, {"kB", 1e3}, {"KiB", 1 << 10}, {"MB", 1e6}, {"MiB", 1 << 20}, {"GB", 1e9}, {"GiB", 1 << 30}}}
	durationUnits = dimension{"duration", "15s", []unit{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}}
)

// Quantity says what the texts of a quantity look like, for the JSON Schema and
// the reference page.
type Quantity struct {
	Name    string   // "distance"
	Example string   // "780km"
	Units   []string // none for a fraction
	Pattern string   // regular expression of JSON Schema (ECMA-262)
}

// Quantities are the quantities by the names of their Go types.
func Quantities() map[string]Quantity {
	of := func(d *dimension, repeated string) Quantity {
		q := Quantity{Name: d.name, Example: d.example}
		for _, u := range d.units {
			q.Units = append(q.Units, u.name)
		}
		part := `[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s?(` + strings.Join(q.Units, "|") + `)`
		q.Pattern = `^[-+]?(` + part + `)` + repeated + `$`
		return q
	}
	return map[string]Quantity{
		"Distance": of(&distanceUnits, ""), "Angle": of(&angleUnits, ""), "Rate": of(&rateUnits, ""),
		"Size": of(&sizeUnits, ""), "Duration": of(&durationUnits, "+"),
		"Fraction": {Name: "fraction", Example: "0.01 or 1%", Pattern: `^[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s?%?$`},
	}
}

// quantityError says that a text is not the quantity that it should be.
type quantityError struct{ what, right string }

func (e *quantityError) Error() string { return e.what + "; " + e.right }

// numberForm is a decimal number; partForm is one with the letters behind it.
var (
	numberForm = `[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?`
	partForm   = regexp.MustCompile(`^(` + numberForm + `)\s?([^-+0-9.\s]*)`)
)

// list is "m, km".
func (d *dimension) list() string {
	names := make([]string, len(d.units))
	for i, u := range d.units {
		names[i] = u.name
	}
	return strings.Join(names, ", ")
}

// unit finds a unit by name.
func (d *dimension) unit(name string) (unit, bool) {
	for _, u := range d.units {
		if u.name == name {
			return u, true
		}
	}
	return unit{}, false
}

// aliases are what people write for units.
var aliases = map[string]string{
	"°": "deg", "degree": "deg", "degrees": "deg", "kilometers": "km", "kilometres": "km", "meters": "m",
	"bps": "bit", "bit/s": "bit", "kbps": "kbit", "Mbps": "Mbit", "Gbps": "Gbit", "Tbps": "Tbit", "Mbit/s": "Mbit", "Gbit/s": "Gbit",
	"Mb": "Mbit", "Gb": "Gbit", "sec": "s", "seconds": "s", "minutes": "m", "min": "m", "hours": "h", "days": "d", "µs": "us", "μs": "us",
	"bytes": "B", "byte": "B", "K": "KiB", "k": "kB", "M": "MB", "G": "GB", "KB": "kB",
}

// wrongUnit says what would be right instead of a unit that is not known.
func (d *dimension) wrongUnit(text, number, name string) *quantityError {
	if name == "" {
		return &quantityError{
			fmt.Sprintf("%q has no unit", clipped(text)),
			fmt.Sprintf("write %s such as %s (units: %s)", article(d.name), d.example, d.list()),
		}
	}
	meant, ok := aliases[name]
	if _, known := d.unit(meant); !ok || !known {
		meant = ""
		for _, u := range d.units {
			if strings.EqualFold(u.name, name) {
				meant = u.name
			}
		}
	}
	right := fmt.Sprintf("write %s such as %s (units: %s)", article(d.name), d.example, d.list())
	if meant != "" {
		right = fmt.Sprintf("write %s%s (units: %s)", number, meant, d.list())
	}
	return &quantityError{fmt.Sprintf("%q is not a unit of %s", clipped(name), d.name), right}
}

// parse reads a number with one unit.
func (d *dimension) parse(text string) (float64, error) {
	m := partForm.FindStringSubmatch(text)
	if m == nil || len(m[0]) != len(text) {
		return 0, &quantityError{fmt.Sprintf("%q is not %s", clipped(text), article(d.name)), fmt.Sprintf("write a number and a unit such as %s (units: %s)", d.example, d.list())}
	}
	number, name := m[1], m[2]
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, &quantityError{fmt.Sprintf("%q is too large", clipped(text)), fmt.Sprintf("write %s such as %s", article(d.name), d.example)}
	}
	u, ok := d.unit(name)
	if !ok {
		if name == "" && v == 0 {
			return 0, nil
		}
		return 0, d.wrongUnit(text, number, name)
	}
	if u.value < 1 { // exact where a product would not be: 0.001 has no binary form
		v /= math.Round(1 / u.value)
	} else {
		v *= u.value
	}
	if math.IsInf(v, 0) {
		return 0, &quantityError{fmt.Sprintf("%q is too large", clipped(text)), fmt.Sprintf("write %s such as %s", article(d.name), d.example)}
	}
	return v + 0, nil // -0 becomes 0
}

// print writes a value in the largest unit that keeps the number at 1 or more
// and reads back exactly; in the quantity's own unit if there is none.
func (d *dimension) print(v float64, own string) string {
	for i := len(d.units) - 1; i >= 0; i-- {
		u := d.units[i]
		n := v / u.value
		if u.value < 1 {
			n = v * math.Round(1/u.value)
		}
		if math.Abs(n) < 1 {
			continue
		}
		text := number(n) + u.name
		if back, err := d.parse(text); err == nil && back == v && len(text) <= len(number(v))+4 {
			return text
		}
	}
	return number(v) + own
}

// number is the shortest decimal that reads back as the same float64.
func number(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// String is "780km", "35m".
func (d Distance) String() string { return distanceUnits.print(float64(d), "km") }

// String is "10deg".
func (a Angle) String() string { return number(float64(a)) + "deg" }

// String is "1Gbit", "2.5Mbit".
func (r Rate) String() string { return rateUnits.print(float64(r), "bit") }

// String is "64KiB", "64kB".
func (s Size) String() string {
	best := unit{"B", 1}
	for _, u := range sizeUnits.units {
		if s != 0 && int64(s)%int64(u.value) == 0 {
			best = u
		}
	}
	return strconv.FormatInt(int64(s)/int64(best.value), 10) + best.name
}

// String is "15s", "1h30m", "1.5ms".
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	left := uint64(d)
	if d < 0 {
		b.WriteByte('-')
		left = -left
	}
	for i := len(durationUnits.units) - 1; i >= 4; i-- { // d, h, m
		u := durationUnits.units[i]
		if n := left / uint64(u.value); n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left %= uint64(u.value)
		}
	}
	for i := 3; i >= 0 && left > 0; i-- { // s, ms, us, ns
		if u := durationUnits.units[i]; left >= uint64(u.value) {
			whole, rest := left/uint64(u.value), left%uint64(u.value)
			fmt.Fprintf(&b, "%d", whole)
			if rest > 0 {
				digits := fmt.Sprintf("%0*d", 3*i, rest)
				b.WriteString("." + strings.TrimRight(digits, "0"))
			}
			b.WriteString(u.name)
			break
		}
	}
	return b.String()
}

// Std is the value of the standard library.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is "0.01".
func (f Fraction) String() string { return number(float64(f)) }

// ParseDistance reads "780km" or "35m".
func ParseDistance(text string) (Distance, error) {
	v, err := distanceUnits.parse(text)
	return Distance(v), err
}

// ParseAngle reads "10deg" or "1.2rad".
func ParseAngle(text string) (Angle, error) {
	v, err := angleUnits.parse(text)
	return Angle(v), err
}

// ParseRate reads "1Gbit"; the result is in bit/s.
func ParseRate(text string) (Rate, error) {
	v, err := rateUnits.parse(text)
	return Rate(v), err
}

// ParseSize reads "64KiB"; it must come to whole bytes.
func ParseSize(text string) (Size, error) {
	v, err := sizeUnits.parse(text)
	if err != nil {
		return 0, err
	}
	if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return 0, &quantityError{fmt.Sprintf("%q is not a whole number of bytes below 8 PiB", clipped(text)), "write a size such as 64KiB"}
	}
	return Size(v), nil
}

// ParseDuration reads "15s" or "1h30m"; it must come to whole nanoseconds.
func ParseDuration(text string) (Duration, error) {
	d := &durationUnits
	rest, sign := text, 1.0
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		if rest[0] == '-' {
			sign = -1
		}
		rest = rest[1:]
	}
	var total int64
	for first := true; first || rest != ""; first = false {
		m := partForm.FindStringSubmatch(rest)
		if m == nil || rest[0] == '-' || rest[0] == '+' {
			return 0, &quantityError{fmt.Sprintf("%q is not a duration", clipped(text)), fmt.Sprintf("write numbers and units such as 15s or 1h30m (units: %s)", d.list())}
		}
		v, err := strconv.ParseFloat(m[1], 64)
		u, ok := d.unit(m[2])
		switch {
		case !ok && m[2] == "" && v == 0 && first && len(m[0]) == len(rest):
			return 0, nil
		case !ok:
			return 0, d.wrongUnit(text, m[1], m[2])
		}
		ns, exact := nanoseconds(m[1], v, u)
		if err != nil || math.Abs(v*u.value) > math.MaxInt64/2 || total > math.MaxInt64/2 {
			return 0, &quantityError{fmt.Sprintf("%q is longer than 146 years", clipped(text)), "write a duration such as 15s"}
		}
		if !exact {
			return 0, &quantityError{fmt.Sprintf("%q is not a whole number of nanoseconds", clipped(text)), "write a duration such as 15s"}
		}
		total += ns
		rest = rest[len(m[0]):]
	}
	return Duration(int64(sign) * total), nil
}

// nanoseconds is the exact value of a decimal in a unit, if it is whole.
// Decimals are taken apart: 0.1s is 100 ms although 0.1 has no binary form.
func nanoseconds(text string, v float64, u unit) (int64, bool) {
	whole, fraction, ok := strings.Cut(text, ".")
	if strings.ContainsAny(text, "eE") || !ok || len(fraction) > 18 {
		ns := v * u.value
		return int64(ns), ns == math.Trunc(ns) && math.Abs(ns) < 1<<53 || v == math.Trunc(v) && math.Abs(ns) < 1<<62
	}
	if len(whole) > 18 {
		return 0, true // far too long, as the caller sees by v
	}
	w, _ := strconv.ParseInt("0"+whole, 10, 64)
	scale, f := int64(1), int64(0)
	for _, digit := range strings.TrimRight(fraction, "0") {
		scale, f = scale*10, f*10+int64(digit-'0')
	}
	per := int64(u.value)
	// f/scale·per: both are below 10^18 and 10^14, so the product may not fit.
	g := gcd(per, scale)
	per, scale = per/g, scale/g
	if f%scale != 0 {
		return 0, false
	}
	return w*int64(u.value) + f/scale*per, true
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ParseFraction reads "0.01" or "1%".
func ParseFraction(text string) (Fraction, error) {
	digits, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || !plainNumber.MatchString(strings.TrimSpace(digits)) {
		return 0, &quantityError{fmt.Sprintf("%q is not a fraction", clipped(text)), "write a number from 0 to 1 such as 0.01, or 1%"}
	}
	if percent {
		v /= 100
	}
	if !(v >= 0 && v <= 1) {
		return 0, &quantityError{fmt.Sprintf("the fraction %s lies outside of 0 to 1", clipped(text)), "write a number from 0 to 1 such as 0.01, or 1%"}
	}
	return Fraction(v + 0), nil
}

var plainNumber = regexp.MustCompile(`^` + numberForm + `$`)

// The texts stand for the values in YAML and JSON.

func (d Distance) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
func (a Angle) MarshalText() ([]byte, error)    { return []byte(a.String()), nil }
func (r Rate) MarshalText() ([]byte, error)     { return []byte(r.String()), nil }
func (s Size) MarshalText() ([]byte, error)     { return []byte(s.String()), nil }
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
func (f Fraction) MarshalJSON() ([]byte, error) { return []byte(f.String()), nil }

func (d *Distance) UnmarshalJSON(b []byte) error { return unquote(b, d, ParseDistance) }
func (a *Angle) UnmarshalJSON(b []byte) error    { return unquote(b, a, ParseAngle) }
func (r *Rate) UnmarshalJSON(b []byte) error     { return unquote(b, r, ParseRate) }
func (s *Size) UnmarshalJSON(b []byte) error     { return unquote(b, s, ParseSize) }
func (d *Duration) UnmarshalJSON(b []byte) error { return unquote(b, d, ParseDuration) }
func (f *Fraction) UnmarshalJSON(b []byte) error { return unquote(b, f, ParseFraction) }

// unquote reads a JSON string, or a number as its text, into a quantity.
func unquote[T any](b []byte, to *T, parse func(string) (T, error)) error {
	text := string(bytes.TrimSpace(b))
	if text == "null" {
		return nil
	}
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	v, err := parse(text)
	if err == nil {
		*to = v
	}
	return err
}

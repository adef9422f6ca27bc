package scenario

import (
	"fmt"
	"math"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantities(t *testing.T) {
	check := func(text string, got any, err error, want any) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%q reads as %v (%v), want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]Distance{"780km": 780, "35m": 0.035, "0": 0, "1e3 km": 1000, "-1km": -1, ".5km": 0.5, "8062.1km": 8062.1} {
		got, err := ParseDistance(text)
		check(text, got, err, want)
	}
	for text, want := range map[string]Angle{"10deg": 10, "-33.9deg": -33.9, "1rad": 180 / math.Pi, "-0": 0} {
		got, err := ParseAngle(text)
		check(text, got, err, want)
	}
	for text, want := range map[string]Rate{"1Gbit": 1e9, "2.5Mbit": 2.5e6, "9.6kbit": 9600, "1Tbit": 1e12, "1bit": 1} {
		got, err := ParseRate(text)
		check(text, got, err, want)
	}
	for text, want := range map[string]Size{"64KiB": 65536, "64kB": 64000, "1.5MiB": 3 << 19, "0.001kB": 1, "2GB": 2e9} {
		got, err := ParseSize(text)
		check(text, got, err, want)
	}
	for text, want := range map[string]time.Duration{
		"15s": 15 * time.Second, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour, "0.1s": 100 * time.Millisecond,
		"-1h30m": -90 * time.Minute, "1.5ms": 1500 * time.Microsecond, "0": 0, "0.000000001s": 1,
		"1234567.891234567s": 1234567891234567, "1e3s": 1000 * time.Second, "3.3d": 285120 * time.Second,
	} {
		got, err := ParseDuration(text)
		check(text, got.Std(), err, want)
	}
	for text, want := range map[string]Fraction{"0.01": 0.01, "1%": 0.01, "100%": 1, "0": 0, "1": 1, "2.5 %": 0.025} {
		got, err := ParseFraction(text)
		check(text, got, err, want)
	}
	for _, text := range []string{"", "km", "780", "780 k m", "1e400km", "780km ", "inf", "NaNkm", "0x10km", "1_000km", "780Km", "--1km", "1..2km", "."} {
		if got, err := ParseDistance(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
	for _, text := range []string{"", "s", "15", "15s30", "1s-1s", "1m 30s", "0.1ns", "200y", "300000d", "106752d", "1e30s", "1h30", "1.5", "0.00000000000000000001s"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
	for _, text := range []string{"1.5B", "1e30B", "64K", "64"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
	for _, text := range []string{"-0.1", "1.1", "101%", "NaN", "inf", "", "%", "0x1p-2", "half"} {
		if got, err := ParseFraction(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
}

func TestQuantityStrings(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{
		Distance(780): "780km", Distance(0.035): "35m", Distance(0): "0km", Distance(-0.5): "-500m",
		Angle(86.4): "86.4deg", Rate(1e9): "1Gbit", Rate(2.5e6): "2.5Mbit", Rate(999): "999bit",
		Size(65536): "64KiB", Size(64000): "64kB", Size(1514): "1514B", Size(0): "0B",
		Duration(15 * time.Second): "15s", Duration(90 * time.Minute): "1h30m", Duration(0): "0s",
		Duration(36*time.Hour + 1): "1d12h1ns", Duration(1500 * time.Microsecond): "1.5ms", Duration(-time.Minute): "-1m",
		Duration(61*time.Second + 5*time.Millisecond): "1m1.005s", Fraction(0.01): "0.01",
	} {
		if got.String() != want {
			t.Errorf("%#v prints as %q, want %q", got, got.String(), want)
		}
	}
}

// What is printed reads back as the same value, and matches the pattern of the
// JSON Schema.
func TestQuantityRoundTrip(t *testing.T) {
	patterns := map[string]*regexp.Regexp{}
	for name, q := range Quantities() {
		patterns[name] = regexp.MustCompile(q.Pattern)
	}
	finite := rapid.Custom(func(t *rapid.T) float64 {
		v := rapid.Float64().Draw(t, "float")
		if rapid.Bool().Draw(t, "round") {
			v = math.Round(math.Mod(v, 1e9)*1e3) / 1e3
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0
		}
		return v + 0
	})
	rapid.Check(t, func(t *rapid.T) {
		v := finite.Draw(t, "v")
		trip(t, patterns["Distance"], Distance(v), ParseDistance)
		trip(t, patterns["Angle"], Angle(v), ParseAngle)
		trip(t, patterns["Rate"], Rate(v), ParseRate)
		trip(t, patterns["Size"], Size(rapid.Int64Range(-1<<53, 1<<53).Draw(t, "size")), ParseSize)
		trip(t, patterns["Duration"], Duration(rapid.Int64Range(-math.MaxInt64/2, math.MaxInt64/2).Draw(t, "duration")), ParseDuration)
		trip(t, patterns["Fraction"], Fraction(rapid.Float64Range(0, 1).Draw(t, "fraction")), ParseFraction)
	})
}

func trip[T interface {
	fmt.Stringer
	comparable
}](t *rapid.T, pattern *regexp.Regexp, v T, parse func(string) (T, error)) {
	text := v.String()
	if got, err := parse(text); err != nil || got != v {
		t.Fatalf("%v prints as %q and reads back as %v (%v)", v, text, got, err)
	}
	if !pattern.MatchString(text) {
		t.Fatalf("%q does not match the schema's pattern %v", text, pattern)
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"780km", "1h30m", "64KiB", "1%", "-0.5e-3rad", "9223372036854775807ns", "1d1h1m1s1ms1us1ns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := ParseDistance(text); err == nil && (math.IsNaN(float64(v)) || math.IsInf(float64(v), 0)) {
			t.Errorf("distance %q is %v", text, v)
		}
		if v, err := ParseDuration(text); err == nil {
			if back, err := ParseDuration(v.String()); err != nil || back != v {
				t.Errorf("duration %q is %v, then %v (%v)", text, v, back, err)
			}
		}
		if v, err := ParseSize(text); err == nil {
			if back, err := ParseSize(v.String()); err != nil || back != v {
				t.Errorf("size %q is %v, then %v (%v)", text, v, back, err)
			}
		}
		if v, err := ParseRate(text); err == nil {
			if back, err := ParseRate(v.String()); err != nil || back != v {
				t.Errorf("rate %q is %v, then %v (%v)", text, float64(v), float64(back), err)
			}
		}
		if v, err := ParseFraction(text); err == nil && !(v >= 0 && v <= 1) {
			t.Errorf("fraction %q is %v", text, v)
		}
	})
}

package orbit

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.12g, want %.12g within %g", what, got, want, tolerance)
	}
}

// turn is the difference of two angles in (-π, π].
func turn(a, b float64) float64 { return math.Remainder(a-b, 2*math.Pi) }

func TestJulian(t *testing.T) {
	for _, c := range []struct {
		time string
		want JulianDate
	}{
		{"2000-01-01T12:00:00Z", JulianDate{2451544.5, 0.5}},
		{"1970-01-01T00:00:00Z", JulianDate{2440587.5, 0}},
		{"1957-10-04T19:26:24Z", JulianDate{2436115.5, 0.81}},                  // Meeus, Astronomical Algorithms, example 7.a
		{"1996-10-26T14:20:00Z", JulianDate{2450382.5, (14.0 + 20.0/60) / 24}}, // Vallado, example 3-4
	} {
		at, err := time.Parse(time.RFC3339, c.time)
		if err != nil {
			t.Fatal(err)
		}
		got := Julian(at)
		if got.Day != c.want.Day {
			t.Errorf("%s: day %v, want %v", c.time, got.Day, c.want.Day)
		}
		near(t, c.time, got.Fraction, c.want.Fraction, 1e-15)
	}
	// A nanosecond is still seen.
	a := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	near(t, "a microsecond", (Julian(a.Add(time.Microsecond)).Fraction-Julian(a).Fraction)*86400, 1e-6, 2e-11)
}

func TestGMST(t *testing.T) {
	// Vallado, 4th ed., example 3-5.
	j := Julian(time.Date(1992, 8, 20, 12, 14, 0, 0, time.UTC))
	near(t, "GMST in deg", j.GMST()/Degree, 152.578787886, 1e-6)

	// The rate is the derivative, and the linear Earth follows GMST.
	rapid.Check(t, func(rt *rapid.T) {
		epoch := time.Unix(rapid.Int64Range(-4e8, 4e9).Draw(rt, "epoch"), 0)
		after := time.Duration(rapid.Int64Range(0, 30*86400e9).Draw(rt, "after"))
		e := NewEarth(epoch)
		got := e.angle0 + e.rate*after.Seconds()
		if d := turn(got, Julian(epoch.Add(after)).GMST()); math.Abs(d) > 2e-11 {
			rt.Fatalf("linear GMST is off by %g rad", d)
		}
	})
}

// TestTEMEtoECEF takes the worked example of Vallado et al., AIAA 2006-6753,
// appendix C: TEME and PEF at 2004-04-06 07:51:28.386009 UTC, when UT1 was
// behind by 0.4399619 s. The paper's PEF is by way of the whole reduction, so
// it agrees to a metre.
func TestTEMEtoECEF(t *testing.T) {
	ut1 := time.Date(2004, 4, 6, 7, 51, 28, 386009000, time.UTC).Add(-439961900)
	teme := State{
		Position: Vec{5094.18016210, 6127.64465950, 6380.34453270},
		Velocity: Vec{-4.746131487, 0.785818041, 5.531931288},
	}
	want := State{
		Position: Vec{-1033.47503130, 7901.30558560, 6380.34453270},
		Velocity: Vec{-3.225632747, -2.872442511, 5.531931288},
	}
	got := NewEarth(ut1).At(0).Fixed(teme)
	if d := got.Position.Sub(want.Position).Norm(); d > 1e-4 {
		t.Errorf("position %v is off by %g km", got.Position, d)
	}
	if d := got.Velocity.Sub(want.Velocity).Norm(); d > 2e-7 {
		t.Errorf("velocity %v is off by %g km/s", got.Velocity, d)
	}
}

func drawVec(t *rapid.T, name string, size float64) Vec {
	f := rapid.Float64Range(-size, size)
	return Vec{f.Draw(t, name+".x"), f.Draw(t, name+".y"), f.Draw(t, name+".z")}
}

func TestRotationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewEarth(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "epoch"), 0)).
			At(time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "t")))
		s := State{drawVec(t, "position", 5e4), drawVec(t, "velocity", 10)}
		back := r.Inertial(r.Fixed(s))
		if d := back.Position.Sub(s.Position).Norm(); d > 1e-9 {
			t.Fatalf("position comes back %g km off", d)
		}
		if d := back.Velocity.Sub(s.Velocity).Norm(); d > 1e-12 {
			t.Fatalf("velocity comes back %g km/s off", d)
		}
	})
}

func drawPlace(t *rapid.T, lowest, highest float64) Geodetic {
	latitude := rapid.OneOf(rapid.Float64Range(-90, 90), rapid.SampledFrom([]float64{-90, 90, 0, 89.9999999, -1e-9, 45})).Draw(t, "latitude")
	longitude := rapid.Float64Range(-180, 180).Draw(t, "longitude")
	height := rapid.OneOf(rapid.Float64Range(lowest, highest), rapid.SampledFrom([]float64{0, lowest, highest})).Draw(t, "height")
	return Degrees(latitude, longitude, height)
}

// TestGeodeticRoundTrip goes from the deepest sea to beyond the geostationary
// orbit.
func TestGeodeticRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawPlace(t, -11, 50000)
		p := g.ECEF()
		back := SubPoint(p)
		if d := math.Abs(back.Height - g.Height); d > 1e-9+1e-15*g.Height {
			t.Fatalf("height comes back %g km off", d)
		}
		if d := math.Abs(back.Latitude-g.Latitude) / Degree; d > 1e-12 {
			t.Fatalf("latitude comes back %g° off", d)
		}
		// At a pole any longitude is right.
		if d := math.Abs(turn(back.Longitude, g.Longitude)) * math.Cos(g.Latitude) / Degree; d > 1e-12 {
			t.Fatalf("longitude comes back %g° off", d)
		}
		if d := back.ECEF().Sub(p).Norm(); d > 1e-9+1e-15*g.Height {
			t.Fatalf("position comes back %g km off", d)
		}
	})
}

func TestSubPoint(t *testing.T) {
	// Vallado, 4th ed., example 3-3.
	g := SubPoint(Vec{6524.834, 6862.875, 6448.296})
	near(t, "latitude in deg", g.Latitude/Degree, 34.352496, 1e-6)
	near(t, "longitude in deg", g.Longitude/Degree, 46.4464, 1e-4)
	near(t, "height in km", g.Height, 5085.22, 0.01)

	g = SubPoint(Vec{0, 0, -7000})
	near(t, "latitude of the axis in deg", g.Latitude/Degree, -90, 0)
	near(t, "height on the axis in km", g.Height, 7000-polarRadius, 1e-9)
}

// TestLook puts a target at a drawn azimuth, elevation and range, by turning
// in a way that has nothing to do with Horizon, and looks at it.
func TestLook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := drawPlace(t, -1, 20)
		azimuth := rapid.Float64Range(0, 360).Draw(t, "azimuth") * Degree
		elevation := rapid.Float64Range(-89.9, 89.9).Draw(t, "elevation") * Degree
		distance := rapid.Float64Range(1, 50000).Draw(t, "range")
		// South, east, zenith; then rotate by colatitude about y and by
		// longitude about z (Vallado, section 3.2.3).
		sinA, cosA := math.Sincos(azimuth)
		sinE, cosE := math.Sincos(elevation)
		s, e, z := -distance*cosE*cosA, distance*cosE*sinA, distance*sinE
		sinLat, cosLat := math.Sincos(place.Latitude)
		sinLon, cosLon := math.Sincos(place.Longitude)
		x, y, z := sinLat*s+cosLat*z, e, -cosLat*s+sinLat*z
		d := Vec{cosLon*x - sinLon*y, sinLon*x + cosLon*y, z}

		look := place.Horizon().Look(place.ECEF().Add(d))
		if math.Abs(look.Range-distance) > 1e-8 {
			t.Fatalf("range %v, want %v", look.Range, distance)
		}
		if math.Abs(look.Elevation-elevation)*distance > 1e-8 {
			t.Fatalf("elevation %v, want %v", look.Elevation, elevation)
		}
		if math.Abs(turn(look.Azimuth, azimuth))*distance*cosE > 1e-8 || look.Azimuth < 0 || look.Azimuth >= 2*math.Pi {
			t.Fatalf("azimuth %v, want %v", look.Azimuth, azimuth)
		}
	})
}

package orbit

import "math"

// The WGS-84 ellipsoid (NIMA TR8350.2).
const (
	// EarthRadius is the equatorial radius in km.
	EarthRadius = 6378.137
	// EarthFlattening is (a-b)/a.
	EarthFlattening = 1 / 298.257223563

	polarRadius = EarthRadius * (1 - EarthFlattening)
	ecc2        = EarthFlattening * (2 - EarthFlattening) // first eccentricity squared
	ecc2Prime   = ecc2 / (1 - ecc2)                       // second eccentricity squared
)

// Geodetic is a place by its WGS-84 coordinates.
type Geodetic struct {
	Latitude  float64 // rad, north positive, in [-π/2, π/2]
	Longitude float64 // rad, east positive, in [-π, π]
	Height    float64 // km above the ellipsoid
}

// Degrees is the place with latitude and longitude in degrees and height in km.
func Degrees(latitude, longitude, height float64) Geodetic {
	return Geodetic{latitude * Degree, longitude * Degree, height}
}

// normal is the unit vector that points away from the ellipsoid at g.
func (g Geodetic) normal() Vec {
	sinLat, cosLat := math.Sincos(g.Latitude)
	sinLon, cosLon := math.Sincos(g.Longitude)
	return Vec{cosLat * cosLon, cosLat * sinLon, sinLat}
}

// ECEF is the Earth-fixed position of g in km.
func (g Geodetic) ECEF() Vec {
	n := g.normal()
	// Radius of curvature in the prime vertical (Vallado, eq. 3-7).
	c := EarthRadius / math.Sqrt(1-ecc2*n.Z*n.Z)
	return Vec{(c + g.Height) * n.X, (c + g.Height) * n.Y, (c*(1-ecc2) + g.Height) * n.Z}
}

// SubPoint is the geodetic latitude, longitude and height of an ECEF
// position: the place right below a satellite, and how high above it.
//
// It is Bowring's formula (Survey Review 23, 1976) repeated until nothing
// changes, which it does after three rounds from the surface to far beyond
// the geostationary orbit. Closer than 50 km to the Earth's centre, where the
// ellipsoid has no unique normal, the result means nothing. On the axis the
// longitude is 0.
func SubPoint(p Vec) Geodetic {
	rho := math.Hypot(p.X, p.Y)
	// s/c is the tangent of the geodetic latitude; sb, cb are sine and cosine
	// of the reduced latitude.
	sb, cb := unit(p.Z*EarthRadius, rho*polarRadius)
	var s, c float64
	for range 4 {
		s = p.Z + ecc2Prime*polarRadius*sb*sb*sb
		c = rho - ecc2*EarthRadius*cb*cb*cb
		sb, cb = unit(polarRadius*s, EarthRadius*c)
	}
	s, c = unit(s, c)
	return Geodetic{
		Latitude:  math.Atan2(s, c),
		Longitude: math.Atan2(p.Y, p.X),
		// Borkowski's form is well conditioned at the poles and the equator alike.
		Height: rho*c + p.Z*s - EarthRadius*math.Sqrt(1-ecc2*s*s),
	}
}

// unit scales (y, x) to length 1.
func unit(y, x float64) (float64, float64) {
	h := math.Sqrt(x*x + y*y)
	if h == 0 {
		return 0, 1
	}
	return y / h, x / h
}

package orbit

import "math"

// Horizon is the local frame of a place: east, north and up along the
// geodetic vertical, all in ECEF.
type Horizon struct {
	Position        Vec // km
	East, North, Up Vec // unit vectors
}

// Horizon is the local frame at g. At a pole, east is by the longitude of g.
func (g Geodetic) Horizon() Horizon {
	sinLon, cosLon := math.Sincos(g.Longitude)
	up := g.normal()
	east := Vec{-sinLon, cosLon, 0}
	return Horizon{Position: g.ECEF(), East: east, North: up.Cross(east), Up: up}
}

// Look is the direction and distance to a target.
type Look struct {
	Azimuth   float64 // rad from north through east, in [0, 2π)
	Elevation float64 // rad above the horizon, without refraction
	Range     float64 // km
}

// Look is where an ECEF position stands in the sky of h.
func (h Horizon) Look(target Vec) Look {
	d := target.Sub(h.Position)
	e, n, u := d.Dot(h.East), d.Dot(h.North), d.Dot(h.Up)
	azimuth := math.Atan2(e, n)
	if azimuth < 0 {
		if azimuth += 2 * math.Pi; azimuth == 2*math.Pi { // a rounding error west of north
			azimuth = 0
		}
	}
	return Look{
		Azimuth:   azimuth,
		Elevation: math.Atan2(u, math.Hypot(e, n)),
		Range:     d.Norm(),
	}
}

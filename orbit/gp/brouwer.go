package gp

import "math"

// Constants of the theory, WGS-72 (Hoots and Roehrich, Spacetrack Report #3;
// Vallado et al., AIAA 2006-6753, appendix B).
const (
	// EarthRadius is the equatorial radius in km.
	EarthRadius = 6378.135
	// Mu is the gravitational parameter in km³/s².
	Mu = 398600.8
	// J2 is the zonal harmonic of degree 2.
	J2 = 0.001082616
)

// XKE is √Mu in Earth radii^1.5 per minute.
var XKE = 60 / math.Sqrt(EarthRadius*EarthRadius*EarthRadius/Mu)

// BrouwerMotion is the mean motion in rad/min in Brouwer's definition, which
// SGP4 propagates with and which the semi-major axis follows from. Element
// sets carry Kozai's, which contains the drift of the mean anomaly under J2.
func (e Elements) BrouwerMotion() float64 {
	n := e.MeanMotion * 2 * math.Pi / 1440
	cos := math.Cos(e.Inclination * math.Pi / 180)
	beta2 := 1 - e.Eccentricity*e.Eccentricity
	a := math.Pow(XKE/n, 2.0/3)
	d1 := 0.75 * J2 * (3*cos*cos - 1) / (math.Sqrt(beta2) * beta2)
	del := d1 / (a * a)
	a *= 1 - del*del - del*(1.0/3+134*del*del/81)
	return n / (1 + d1/(a*a))
}

// SemiMajorAxis is in km.
func (e Elements) SemiMajorAxis() float64 {
	return EarthRadius * math.Pow(XKE/e.BrouwerMotion(), 2.0/3)
}

// MeanAltitude is the semi-major axis above the equatorial radius, in km. It
// tells a constellation's shells from each other.
func (e Elements) MeanAltitude() float64 { return e.SemiMajorAxis() - EarthRadius }

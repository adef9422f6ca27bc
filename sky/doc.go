// Package sky tells who can see whom, from when to when, and how far light
// has to go.
//
// # Model
//
// Two movers see each other while every condition of a Rule holds: range,
// grazing altitude of the line of sight, elevation above the observer's
// horizon, latitude. The Earth that hides satellites is a sphere of the
// equatorial radius (6378.137 km); the observer's vertical is the WGS-84
// geodetic one. Refraction is left out.
//
// Each condition is written as a smooth function f(t) of both states which is
// at least 0 exactly while the condition holds:
//
//	range       (R² - d²) / 2R
//	grazing     (a·b - g² + √(a²-g²)·√(b²-g²)) / g, (a² - g²) / g, (b² - g²) / g
//	latitude    (sin²φ·r² - z²) / R
//	elevation   d·u - sin ε·|d|
//
// with positions a and b, d = b - a, the vertical u of a, and the grazing
// radius g. The grazing conditions say that the angle between a and b is at most
// acos(g/|a|) + acos(g/|b|), the lines of sight to the sphere's limb from both
// sides, and that neither end is itself below. Since states carry velocities, f and its derivative are both known.
//
// # Exact instants
//
// Spans looks at two paths knot by knot (the caller's knots, some 15 s apart).
// Between two knots f is close to the cubic through its values and
// derivatives there (Hermite); the difference is h⁴/384·max|f⁗| (de Boor, A
// Practical Guide to Splines, ch. IV), for which a generous bound is known
// from the motion. If the cubic's Bernstein coefficients (which enclose it) keep
// clear of 0 by more than that bound, f has no root there. Otherwise the
// segment is cut at the extrema of f, so that a pass which rises and sets
// between two knots is not missed, and each sign change is located with the
// exact motions by Newton's method inside a bracket.
//
// Contacts and gaps shorter than some milliseconds may escape, as the extremum
// of f is then lost in its last digits; so may some of tens of milliseconds
// where a satellite itself is less than 50 km above the grazing radius, since
// √(a²-g²) has a kink there. No satellite stays so low.
//
// # Delay
//
// The delay is the geometric range at one instant over the speed of light in
// vacuum. The motion of the receiver while the signal is on its way is left out:
// it changes the delay by at most (v/c)·delay, where v is the receiver's speed
// along the line of sight: less than 0.5 µs on links between low satellites
// and the ground, 1 µs between low satellites 5,000 km apart in opposite
// directions, 3 µs up to a geostationary satellite.
package sky

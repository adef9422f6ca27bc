package orbit

import (
	"fmt"
	"math"
)

// Walker is a constellation of circular orbits in Walker's notation i:t/p/f
// (J. G. Walker, "Satellite constellations", JBIS 37, 1984): p planes of equal
// inclination hold t/p evenly spaced satellites each, and satellites of
// neighbouring planes are shifted against each other by f·360°/t.
type Walker struct {
	Planes      int     // p
	PerPlane    int     // t/p
	Phasing     float64 // f
	Spread      float64 // rad over which the planes' nodes are spread; see Delta and Star
	RAAN        float64 // of plane 0, rad
	Anomaly     float64 // argument of latitude of satellite (0, 0) at the epoch, rad
	Inclination float64 // rad
	Altitude    float64 // km above the equatorial radius
}

// Spreads of the two classical patterns, in rad. In a delta the planes go all
// around; in a star they ascend over one half of the Earth and descend over
// the other, so that two neighbours counter-rotate along a seam.
const (
	Delta = 2 * math.Pi
	Star  = math.Pi
)

// Check says what is wrong with the constellation's numbers.
func (w Walker) Check() error {
	switch {
	case w.Planes < 1:
		return fmt.Errorf("a Walker constellation has at least 1 plane, not %d", w.Planes)
	case w.PerPlane < 1:
		return fmt.Errorf("a Walker constellation has at least 1 satellite per plane, not %d", w.PerPlane)
	case !(w.Spread > 0 && w.Spread <= 2*math.Pi):
		return fmt.Errorf("RAAN spread %g° is not in (0°, 360°]", w.Spread/Degree)
	case math.IsNaN(w.Phasing) || math.IsInf(w.Phasing, 0):
		return fmt.Errorf("phasing %g is not a number", w.Phasing)
	}
	return w.Elements(0, 0).check()
}

// Elements of the satellite in a plane (0 … Planes-1) and slot
// (0 … PerPlane-1) at the epoch.
func (w Walker) Elements(plane, slot int) Elements {
	p, s := float64(plane), float64(slot)
	t := float64(w.Planes * w.PerPlane)
	return Circular(
		w.Altitude,
		w.Inclination,
		math.Mod(w.RAAN+w.Spread*p/float64(w.Planes), 2*math.Pi),
		math.Mod(w.Anomaly+2*math.Pi*(s/float64(w.PerPlane)+w.Phasing*p/t), 2*math.Pi),
	)
}

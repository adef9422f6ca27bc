package gp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Elements are one general perturbations element set: mean elements of the
// SGP4 theory, in the units in which they are exchanged.
type Elements struct {
	Name       string    // as the file has it, "" if it has none
	Number     int       // NORAD catalogue number
	Designator string    // international designator (COSPAR id), "1998-067A"; "" if unknown
	Epoch      time.Time // UTC

	MeanMotion        float64 // revolutions per day (Kozai's mean value)
	Eccentricity      float64
	Inclination       float64 // deg
	RAAN              float64 // right ascension of the ascending node, deg
	ArgumentOfPerigee float64 // deg
	MeanAnomaly       float64 // deg

	BStar          float64 // drag term, 1/Earth radii
	MeanMotionDot  float64 // half the rate of the mean motion, rev/day²; SGP4 does not use it
	MeanMotionDDot float64 // a sixth of its second derivative, rev/day³; SGP4 does not use it
}

// FieldError says what is wrong with a file, and where.
type FieldError struct {
	Line  int    // in the file, from 1
	Field string // in the words of the format
	Found string // as it stands there; "" if it is missing
	Want  string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("line %d: %s is %s; expected %s", e.Line, e.Field, quote(e.Found), e.Want)
}

// quote shortens what was found, since it may be as long as a file.
func quote(s string) string {
	const most = 72
	switch s = strings.TrimRight(s, "\r\n"); {
	case s == "":
		return "missing"
	case len(s) > most:
		return strconv.Quote(s[:most]) + " …"
	}
	return strconv.Quote(s)
}

// bounds of the numbers, the same for all formats.
type bounds struct{ lo, hi float64 }

var (
	boundsMotion       = bounds{1e-8, 20}
	boundsInclination  = bounds{0, 180}
	boundsAngle        = bounds{0, 360}
	boundsEccentricity = bounds{0, 0.9999999}
	boundsBStar        = bounds{-100, 100}
	boundsDot          = bounds{-1000, 1000}
)

func (b bounds) hold(v float64) bool { return v >= b.lo && v <= b.hi }

func (b bounds) String() string { return fmt.Sprintf("a number from %g to %g", b.lo, b.hi) }

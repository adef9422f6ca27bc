package orbit

import (
	"math"
	"time"
)

// Degree is one degree in radians: 53*orbit.Degree is an inclination of 53°.
const Degree = math.Pi / 180

const (
	secondsPerDay = 86400
	unixEpochJD   = 2440587.5 // 1970-01-01T00:00:00Z
	j2000JD       = 2451545.0 // 2000-01-01T12:00:00
)

// JulianDate is an instant in two parts, so that microseconds survive: one
// float64 holds a Julian date of today to no better than 40 µs.
//
// The scale is UTC, which is taken for UT1 (they differ by less than 0.9 s,
// which is less than 0.004° of Earth rotation). Leap seconds do not exist in
// it, as in time.Time.
type JulianDate struct {
	Day      float64 // at the preceding midnight: always an integer and a half
	Fraction float64 // of the day since, in [0, 1)
}

// Julian is the Julian date of an instant.
func Julian(t time.Time) JulianDate {
	s := t.Unix()
	days := s / secondsPerDay
	rest := s % secondsPerDay
	if rest < 0 {
		days--
		rest += secondsPerDay
	}
	return JulianDate{
		Day:      unixEpochJD + float64(days),
		Fraction: (float64(rest) + float64(t.Nanosecond())*1e-9) / secondsPerDay,
	}
}

// GMST is Greenwich mean sidereal time in radians, in [0, 2π): the angle from
// the mean equinox to the Greenwich meridian by the IAU-82 model (Vallado,
// Fundamentals of Astrodynamics and Applications, 4th ed., eq. 3-47).
func (j JulianDate) GMST() float64 {
	// Whole turns per day are left out before they are added up: the term
	// 876600 h · T is 86400 s per day of UT1, and Day counts half days.
	d0 := j.Day - j2000JD
	t := (d0 + j.Fraction) / 36525
	s := 67310.54841 + t*(8640184.812866+t*(0.093104-t*6.2e-6))
	s += secondsPerDay * ((d0 - math.Floor(d0)) + j.Fraction)
	s = math.Mod(s, secondsPerDay)
	if s < 0 {
		s += secondsPerDay
	}
	return s * (2 * math.Pi / secondsPerDay)
}

// gmstRate is the time derivative of GMST in rad/s. It exceeds the Earth's
// rotation rate by the precession of the equinox (7.7e-12 rad/s).
func (j JulianDate) gmstRate() float64 {
	t := (j.Day - j2000JD + j.Fraction) / 36525
	perCentury := 8640184.812866 + t*(2*0.093104-t*3*6.2e-6)
	return (2 * math.Pi / secondsPerDay) * (1 + perCentury/(36525*secondsPerDay))
}

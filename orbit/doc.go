// Package orbit says where things are: satellites, ground stations, ships and
// aircraft, as pure functions of scenario time.
//
// # Model
//
// A Motion gives position and velocity at any instant. There are four:
//
//   - sgp4.Satellite, real satellites from TLE or OMM elements (package gp);
//   - Kepler, satellites of constellations that are only planned, two-body
//     motion with the secular drifts that the Earth's oblateness causes;
//   - Fixed, places on the ground or above it;
//   - Waypoints, travellers along great circles.
//
// Walker generates the elements of whole constellations.
//
// Motions are immutable values: they keep nothing between calls, so any number
// of goroutines may ask one for any instant in any order, and nothing is
// allocated when they answer.
//
// # Frames
//
// States are in kilometres and kilometres per second in ECEF, the frame that
// turns with the Earth: x through the equator at longitude 0, z through the
// north pole. Satellites are computed in TEME (true equator, mean equinox of
// date), in which SGP4 is defined, and turned into ECEF by Greenwich mean
// sidereal time. Who computes many satellites at the same instants can do that
// turn once for all of them: see InertialMotion.
//
// Places are geodetic on the WGS-84 ellipsoid (Geodetic), directions local to
// them (Horizon). Angles are in radians; multiply by Degree.
//
// # Time
//
// Scenario time is the duration since the scenario's epoch, a UTC time.Time.
// Durations are exact to the nanosecond, and so is the time since an element
// set's epoch: nowhere is it the difference of two rounded Julian dates.
//
// # Accuracy and caveats
//
// UTC is taken for UT1 and polar motion is neglected. Together this turns the
// sky against the ground by up to 0.9 s of Earth rotation, 420 m at the
// equator, the same for all satellites; delays between satellites do not feel
// it at all. Leap seconds after the epoch are not known.
//
// Kepler motion leaves out the short-period wobble by J2 (up to 10 km in low
// orbits), other harmonics, drag, Moon and Sun. Its velocity is exactly the
// derivative of its position. SGP4 has caveats of its own; see package sgp4.
//
// On machines whose compiler fuses multiplication and addition (arm64, among
// others, not amd64) results may differ in the last bits.
package orbit

// Package gp reads general perturbations element sets: the mean elements that
// SGP4 turns into positions, as Space-Track and CelesTrak publish them.
//
// Two formats are in use, and five encodings:
//
//   - TLE, two lines of 69 columns, with a line for the name before them or
//     not ("NORAD two-line element set format", celestrak.org; Alpha-5
//     catalogue numbers by space-track.org);
//   - OMM, the CCSDS Orbit Mean-Elements Message (CCSDS 502.0-B-3), in JSON,
//     CSV, XML (CCSDS 505.0-B-3) and KVN. It has room for catalogue numbers
//     beyond 339999, which TLE has not.
//
// Read finds out by itself which one it is given. It is strict: a checksum
// that does not hold, a field that is missing or out of range end it with an
// error that names line, field, what stands there and what should.
//
// All reading is bounded: input beyond MaxSize is refused, and what is kept
// in memory is a small multiple of the input at most.
//
// # Caveats
//
// Elements for SGP4-XP (ephemeris type 4) are refused, since that theory's
// propagator is not public and SGP4 would give wrong positions from them. Of
// an OMM only what SGP4 needs is read; covariances, spacecraft parameters and
// user-defined fields are skipped.
package gp

package scenario

import "time"

// Quantities carry their unit in the file ("780km", "10deg", "1Gbit", "15s");
// in memory each has one fixed unit. A bare number is refused, except 0.
type (
	// Distance is in kilometres. Units: m, km.
	Distance float64
	// Angle is in degrees. Unit: deg, rad.
	Angle float64
	// Rate is in bit/s. Units: bit, kbit, Mbit, Gbit, Tbit (powers of 1000).
	Rate float64
	// Size is in bytes. Units: B, kB, MB, GB (1000), KiB, MiB, GiB (1024).
	Size int64
	// Duration has the units ns, us, ms, s, m, h, d; several may follow each
	// other as in "1h30m".
	Duration time.Duration
	// Fraction lies in [0, 1]. It is written as 0.01 or as "1%".
	Fraction float64
)

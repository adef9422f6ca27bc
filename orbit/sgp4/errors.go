package sgp4

// Error says why there is no state. Values up to 6 are the error codes of the
// reference implementation.
type Error uint8

// The reasons.
const (
	ErrEccentricity          Error = 1 // the mean eccentricity left [-0.001, 1)
	ErrMeanMotion            Error = 2 // the mean motion fell to 0 or below
	ErrPerturbedEccentricity Error = 3 // with lunar and solar terms the eccentricity left [0, 1]
	ErrSemiLatusRectum       Error = 4 // the semi-latus rectum fell below 0
	ErrDecayed               Error = 6 // the satellite is below the surface
	ErrTime                  Error = 7 // the time is more than a century from the epoch, or not a number
)

func (e Error) Error() string {
	switch e {
	case ErrEccentricity:
		return "SGP4: the mean eccentricity is outside of [0, 1); use elements of a nearer epoch"
	case ErrMeanMotion:
		return "SGP4: the mean motion is not positive; use elements of a nearer epoch"
	case ErrPerturbedEccentricity:
		return "SGP4: the eccentricity perturbed by Moon and Sun is outside of [0, 1]; use elements of a nearer epoch"
	case ErrSemiLatusRectum:
		return "SGP4: the semi-latus rectum is negative; use elements of a nearer epoch"
	case ErrDecayed:
		return "SGP4: the satellite has decayed; leave it out or use elements of a nearer epoch"
	case ErrTime:
		return "SGP4: the time is more than a century from the elements' epoch; use elements of a nearer epoch"
	}
	return "SGP4: unknown error"
}

package sky

import "math"

// cubic is a polynomial on [0, 1] by its Bernstein coefficients. It lies
// between the least and the greatest of them.
type cubic [4]float64

func (q *cubic) at(x float64) float64 {
	y := 1 - x
	return y*y*(y*q[0]+3*x*q[1]) + x*x*(3*y*q[2]+x*q[3])
}

// extrema are the instants inside (0, 1) where the derivative is 0, ascending.
func (q *cubic) extrema() (x [2]float64, n int) {
	// The derivative over 3 has the Bernstein coefficients d0, d1, d2 and is
	// a·x² + 2b·x + c.
	d0, d1, d2 := q[1]-q[0], q[2]-q[1], q[3]-q[2]
	a, b, c := d0-2*d1+d2, d1-d0, d0
	disc := b*b - a*c
	if disc < 0 {
		return x, 0
	}
	add := func(v float64) {
		if v > 0 && v < 1 {
			x[n] = v
			n++
		}
	}
	// The numerically stable pair of roots.
	s := -(b + math.Copysign(math.Sqrt(disc), b))
	if a != 0 {
		add(s / a)
	}
	if s != 0 {
		add(c / s)
	}
	if n == 2 && x[0] > x[1] {
		x[0], x[1] = x[1], x[0]
	}
	return x, n
}

// root is where q changes sign between lo and hi, rising or falling, to within
// a few millionths. If it does not quite reach 0 there, it is the nearer end.
func (q *cubic) root(lo, hi float64, rising bool) float64 {
	for range 20 {
		mid := (lo + hi) / 2
		if (q.at(mid) >= 0) == rising {
			hi = mid
		} else {
			lo = mid
		}
	}
	return (lo + hi) / 2
}

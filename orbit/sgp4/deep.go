package sgp4

import (
	"math"

	"orrery.dev/orrery/orbit"
)

// Moon and Sun in the theory.
const (
	zns  = 1.19459e-5   // mean motion of the Sun, rad/min
	znl  = 1.5835218e-4 // mean motion of the Moon, rad/min
	zes  = 0.01675      // eccentricity of the Sun's orbit
	zel  = 0.05490      // eccentricity of the Moon's orbit
	c1ss = 2.9864797e-6 // perturbation coefficients, rad/min
	c1l  = 4.7968065e-7

	rptim = 4.37526908801129966e-3 // rotation of the Earth, rad/min
)

// deepSpace holds what SDP4 adds for periods of 225 minutes and more: the
// Moon and the Sun, and resonance with the Earth's rotation.
type deepSpace struct {
	sun, moon body

	// Secular rates by Moon and Sun, per minute.
	dedt, didt, dmdt, domdt, dnodt float64

	resonance *resonance // nil if there is none
}

// body holds the periodic terms of the Moon or the Sun.
type body struct {
	m0, n, e      float64 // mean anomaly at epoch, mean motion, eccentricity
	e2, e3        float64
	i2, i3        float64
	l2, l3, l4    float64
	gh2, gh3, gh4 float64
	h2, h3        float64
}

// periodic are the changes of the elements by one body.
type periodic struct{ e, i, l, gh, h float64 }

func (b *body) at(t float64) periodic {
	zm := b.m0 + b.n*t
	sinzf, coszf := math.Sincos(zm + 2*b.e*math.Sin(zm))
	f2 := 0.5*sinzf*sinzf - 0.25
	f3 := -0.5 * sinzf * coszf
	return periodic{
		e:  b.e2*f2 + b.e3*f3,
		i:  b.i2*f2 + b.i3*f3,
		l:  b.l2*f2 + b.l3*f3 + b.l4*sinzf,
		gh: b.gh2*f2 + b.gh3*f3 + b.gh4*sinzf,
		h:  b.h2*f2 + b.h3*f3,
	}
}

// attraction is the geometry of one body relative to the orbit, from which
// both its periodic and its secular terms come.
type attraction struct {
	s1, s2, s3, s4, s5, s6, s7   float64
	z1, z2, z3, z11, z12, z13    float64
	z21, z22, z23, z31, z32, z33 float64
}

// attract computes the terms for a body of perturbation coefficient cc whose
// argument of perigee, inclination and node (relative to the satellite's) are
// given by sine and cosine.
func (p *Propagator) attract(cc, sing, cosg, sini, cosi, sinh, cosh float64) attraction {
	sinomm, cosomm := math.Sincos(p.argpo)
	sinim, cosim := p.sinio, p.cosio
	emsq := p.ecco * p.ecco
	betasq := 1 - emsq

	a1 := cosg*cosh + sing*cosi*sinh
	a3 := -sing*cosh + cosg*cosi*sinh
	a7 := -cosg*sinh + sing*cosi*cosh
	a8 := sing * sini
	a9 := sing*sinh + cosg*cosi*cosh
	a10 := cosg * sini
	a2 := cosim*a7 + sinim*a8
	a4 := cosim*a9 + sinim*a10
	a5 := -sinim*a7 + cosim*a8
	a6 := -sinim*a9 + cosim*a10

	x1 := a1*cosomm + a2*sinomm
	x2 := a3*cosomm + a4*sinomm
	x3 := -a1*sinomm + a2*cosomm
	x4 := -a3*sinomm + a4*cosomm
	x5 := a5 * sinomm
	x6 := a6 * sinomm
	x7 := a5 * cosomm
	x8 := a6 * cosomm

	var q attraction
	q.z31 = 12*x1*x1 - 3*x3*x3
	q.z32 = 24*x1*x2 - 6*x3*x4
	q.z33 = 12*x2*x2 - 3*x4*x4
	q.z1 = 3*(a1*a1+a2*a2) + q.z31*emsq
	q.z2 = 6*(a1*a3+a2*a4) + q.z32*emsq
	q.z3 = 3*(a3*a3+a4*a4) + q.z33*emsq
	q.z11 = -6*a1*a5 + emsq*(-24*x1*x7-6*x3*x5)
	q.z12 = -6*(a1*a6+a3*a5) + emsq*(-24*(x2*x7+x1*x8)-6*(x3*x6+x4*x5))
	q.z13 = -6*a3*a6 + emsq*(-24*x2*x8-6*x4*x6)
	q.z21 = 6*a2*a5 + emsq*(24*x1*x5-6*x3*x7)
	q.z22 = 6*(a4*a5+a2*a6) + emsq*(24*(x2*x5+x1*x6)-6*(x4*x7+x3*x8))
	q.z23 = 6*a4*a6 + emsq*(24*x2*x6-6*x4*x8)
	q.z1 = 2*q.z1 + betasq*q.z31
	q.z2 = 2*q.z2 + betasq*q.z32
	q.z3 = 2*q.z3 + betasq*q.z33
	q.s3 = cc / p.no
	rtemsq := math.Sqrt(betasq)
	q.s2 = -0.5 * q.s3 / rtemsq
	q.s4 = q.s3 * rtemsq
	q.s1 = -15 * p.ecco * q.s4
	q.s5 = x1*x3 + x2*x4
	q.s6 = x2*x3 + x1*x4
	q.s7 = x2*x4 - x1*x3
	return q
}

// body gives the periodic terms of a body with mean anomaly m0 at epoch, mean
// motion n and eccentricity e.
func (q *attraction) body(m0, n, e, emsq float64) body {
	return body{
		m0: m0, n: n, e: e,
		e2: 2 * q.s1 * q.s6, e3: 2 * q.s1 * q.s7,
		i2: 2 * q.s2 * q.z12, i3: 2 * q.s2 * (q.z13 - q.z11),
		l2: -2 * q.s3 * q.z2, l3: -2 * q.s3 * (q.z3 - q.z1), l4: -2 * q.s3 * (-21 - 9*emsq) * e,
		gh2: 2 * q.s4 * q.z32, gh3: 2 * q.s4 * (q.z33 - q.z31), gh4: -18 * q.s4 * e,
		h2: -2 * q.s2 * q.z22, h3: -2 * q.s2 * (q.z23 - q.z21),
	}
}

// addSecular adds the secular rates by a body of mean motion n.
func (d *deepSpace) addSecular(p *Propagator, q *attraction, n float64) {
	emsq := p.ecco * p.ecco
	d.dedt += q.s1 * n * q.s5
	d.didt += q.s2 * n * (q.z11 + q.z13)
	d.dmdt -= n * q.s3 * (q.z1 + q.z3 - 14 - 6*emsq)
	d.domdt += q.s4 * n * (q.z31 + q.z33 - 6)
	// The node has no meaning near the equator: within 3° it is left alone.
	const margin = 5.2359877e-2
	if p.inclo >= margin && p.inclo <= math.Pi-margin && p.sinio != 0 {
		h := -n * q.s2 * (q.z21 + q.z23) / p.sinio
		d.domdt -= p.cosio * h
		d.dnodt += h
	}
}

func newDeepSpace(p *Propagator, epoch orbit.JulianDate) *deepSpace {
	// Days since 1899-12-31, noon. The reference rounds the Julian date to one
	// float64 (20 µs) before it places Moon and Sun. This does too: in the most
	// eccentric orbit of the verification set (23333) it makes 4 mm. Time since
	// the epoch is never rounded so.
	day := epoch.Day + epoch.Fraction - 2433281.5 + 18261.5
	emsq := p.ecco * p.ecco
	sinNode, cosNode := math.Sincos(p.nodeo)

	// The Moon's orbit: its node on the ecliptic turns it relative to the equator.
	xnodce := math.Mod(4.5236020-9.2422029e-4*day, twoPi)
	stem, ctem := math.Sincos(xnodce)
	zcosil := 0.91375164 - 0.03568096*ctem
	zsinil := math.Sqrt(1 - zcosil*zcosil)
	zsinhl := 0.089683511 * stem / zsinil
	zcoshl := math.Sqrt(1 - zsinhl*zsinhl)
	gam := 5.8351514 + 0.0019443680*day
	zx := gam - xnodce + math.Atan2(0.39785416*stem/zsinil, zcoshl*ctem+0.91744867*zsinhl*stem)
	zsingl, zcosgl := math.Sincos(zx)

	sun := p.attract(c1ss, -0.98088458, 0.1945905, 0.39785416, 0.91744867, sinNode, cosNode)
	moon := p.attract(c1l, zsingl, zcosgl, zsinil, zcosil,
		sinNode*zcoshl-cosNode*zsinhl, zcoshl*cosNode+zsinhl*sinNode)

	d := &deepSpace{
		sun:  sun.body(math.Mod(6.2565837+0.017201977*day, twoPi), zns, zes, emsq),
		moon: moon.body(math.Mod(4.7199672+0.22997150*day-gam, twoPi), znl, zel, emsq),
	}
	d.addSecular(p, &sun, zns)
	d.addSecular(p, &moon, znl)
	d.resonance = newResonance(p, d, epoch.GMST())
	return d
}

// secular applies the secular rates by Moon and Sun, and resonance.
func (d *deepSpace) secular(el *mean, t float64) {
	el.e += d.dedt * t
	el.i += d.didt * t
	el.argp += d.domdt * t
	el.node += d.dnodt * t
	el.m += d.dmdt * t
	if d.resonance != nil {
		d.resonance.apply(el, t)
	}
}

// periodics applies the periodic terms by Moon and Sun. It returns 0 or what
// is wrong with the result.
func (d *deepSpace) periodics(el *mean, t float64) Error {
	s, l := d.sun.at(t), d.moon.at(t)
	pe, pinc, pl := s.e+l.e, s.i+l.i, s.l+l.l
	pgh, ph := s.gh+l.gh, s.h+l.h

	el.i += pinc
	el.e += pe
	sini, cosi := math.Sincos(el.i)
	if el.i >= 0.2 {
		ph /= sini
		el.argp += pgh - cosi*ph
		el.node += ph
		el.m += pl
	} else {
		// Lyddane's modification: near the equator the node is moved by way of
		// the components of the pole.
		sinn, cosn := math.Sincos(el.node)
		alfdp := sini*sinn + ph*cosn + pinc*cosi*sinn
		betdp := sini*cosn - ph*sinn + pinc*cosi*cosn
		node := wrap(el.node)
		xls := el.m + el.argp + cosi*node + pl + pgh - pinc*node*sini
		moved := math.Atan2(alfdp, betdp)
		if math.Abs(node-moved) > math.Pi {
			if moved < node {
				moved += twoPi
			} else {
				moved -= twoPi
			}
		}
		el.node = moved
		el.m += pl
		el.argp = xls - el.m - cosi*moved
	}
	if el.i < 0 {
		el.i = -el.i
		el.node += math.Pi
		el.argp -= math.Pi
	}
	if !(el.e >= 0 && el.e <= 1) {
		return ErrPerturbedEccentricity
	}
	return 0
}

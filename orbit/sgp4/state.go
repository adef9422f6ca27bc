package sgp4

import (
	"math"

	"orrery.dev/orrery/orbit"
)

// mean are the mean elements at an instant, Earth radii, minutes and rad.
type mean struct {
	n, e, i, node, argp, m float64
}

// century bounds the time, and so the steps of the resonance integrator.
const century = 100 * 365.25 * 1440 // minutes

// At is the state in TEME, km and km/s, at t minutes after the elements'
// epoch. The error is an Error.
func (p *Propagator) At(t float64) (orbit.State, error) {
	if !(math.Abs(t) <= century) {
		return orbit.State{}, ErrTime
	}
	// Secular gravity and drag.
	t2 := t * t
	xmdf := p.mo + p.mdot*t
	el := mean{
		n: p.no, e: p.ecco, i: p.inclo,
		node: p.nodeo + p.nodedot*t + p.nodecf*t2,
		argp: p.argpo + p.argpdot*t,
		m:    xmdf,
	}
	tempa := 1 - p.cc1*t
	tempe := p.bstar * p.cc4 * t
	templ := p.t2cof * t2
	if !p.simple {
		sinm, cosm := math.Sincos(xmdf)
		d := p.omgcof*t + p.xmcof*(power3(1+p.eta*cosm)-p.delmo)
		el.m += d
		el.argp -= d
		t3 := t2 * t
		t4 := t3 * t
		tempa -= p.d2*t2 + p.d3*t3 + p.d4*t4
		sinm, _ = rotate(sinm, cosm, d)
		tempe += p.bstar * p.cc5 * (sinm - p.sinmao)
		templ += p.t3cof*t3 + t4*(p.t4cof+t*p.t5cof)
	}
	a := p.ao
	if p.deep != nil {
		p.deep.secular(&el, t)
		if el.n <= 0 {
			return orbit.State{}, ErrMeanMotion
		}
		if el.n != p.no {
			root := math.Cbrt(xke / el.n)
			a = root * root
		}
	}
	a *= tempa * tempa
	el.n = xke / (a * math.Sqrt(a))
	el.e -= tempe
	if !(el.e < 1 && el.e >= -0.001) {
		return orbit.State{}, ErrEccentricity
	}
	if el.e < 1e-6 {
		el.e = 1e-6
	}
	el.m += p.no * templ
	xl := wrap(el.m + el.argp + el.node)
	el.node = wrap(el.node)
	el.argp = wrap(el.argp)
	el.m = wrap(xl - el.argp - el.node)

	s := shortPeriod{
		a: a, n: el.n,
		sini: p.sinio, cosi: p.cosio,
		con41: p.con41, x1mth2: p.x1mth2, x7thm1: p.x7thm1,
	}
	xlcof, aycof := p.xlcof, p.aycof
	if p.deep != nil {
		if err := p.deep.periodics(&el, t); err != 0 {
			return orbit.State{}, err
		}
		s.sini, s.cosi = math.Sincos(el.i)
		xlcof, aycof = longPeriod(s.sini, s.cosi)
		c2 := s.cosi * s.cosi
		s.con41, s.x1mth2, s.x7thm1 = 3*c2-1, 1-c2, 7*c2-1
	}

	// Long-period terms.
	sinw, cosw := math.Sincos(el.argp)
	s.axn = el.e * cosw
	temp := 1 / (a * (1 - el.e*el.e))
	s.ayn = el.e*sinw + temp*aycof
	s.node = el.node
	s.u = wrap(el.m + el.argp + temp*xlcof*s.axn)
	return s.state()
}

// shortPeriod holds what the last part of the theory starts from.
type shortPeriod struct {
	a, n                  float64
	axn, ayn              float64 // e·cos ω, e·sin ω with long-period terms
	u                     float64 // mean argument of latitude
	node, sini, cosi      float64
	con41, x1mth2, x7thm1 float64
}

func (s *shortPeriod) state() (orbit.State, error) {
	// Kepler's equation for the eccentric argument of latitude. The reference
	// bounds the first steps and gives up after ten; so that results agree for
	// orbits near a parabola, this does too.
	eo := s.u
	sineo, coseo := math.Sincos(eo)
	for k := 0; ; k++ {
		step := (s.u - s.ayn*coseo + s.axn*sineo - eo) / (1 - coseo*s.axn - sineo*s.ayn)
		if step >= 0.95 {
			step = 0.95
		} else if step <= -0.95 {
			step = -0.95
		}
		if math.Abs(step) < 1e-12 || k == 9 {
			break
		}
		eo += step
		sineo, coseo = rotate(sineo, coseo, step)
	}

	// Short-period terms.
	ecose := s.axn*coseo + s.ayn*sineo
	esine := s.axn*sineo - s.ayn*coseo
	el2 := s.axn*s.axn + s.ayn*s.ayn
	pl := s.a * (1 - el2)
	if pl < 0 {
		return orbit.State{}, ErrSemiLatusRectum
	}
	rl := s.a * (1 - ecose)
	rdotl := math.Sqrt(s.a) * esine / rl
	rvdotl := math.Sqrt(pl) / rl
	betal := math.Sqrt(1 - el2)
	temp := esine / (1 + betal)
	sinu := s.a / rl * (sineo - s.ayn - s.axn*temp)
	cosu := s.a / rl * (coseo - s.axn + s.ayn*temp)
	sin2u := (cosu + cosu) * sinu
	cos2u := 1 - 2*sinu*sinu
	temp = 1 / pl
	temp1 := 0.5 * j2 * temp
	temp2 := temp1 * temp

	r := rl*(1-1.5*temp2*betal*s.con41) + 0.5*temp1*s.x1mth2*cos2u
	if !(r >= 1) {
		return orbit.State{}, ErrDecayed
	}
	sinu, cosu = rotate(sinu, cosu, -0.25*temp2*s.x7thm1*sin2u)
	node := s.node + 1.5*temp2*s.cosi*sin2u
	sini, cosi := rotate(s.sini, s.cosi, 1.5*temp2*s.cosi*s.sini*cos2u)
	rdot := rdotl - s.n*temp1*s.x1mth2*sin2u/xke
	rvdot := rvdotl + s.n*temp1*(s.x1mth2*cos2u+1.5*s.con41)/xke

	sno, cno := math.Sincos(node)
	mx, my := -sno*cosi, cno*cosi
	u := orbit.Vec{X: mx*sinu + cno*cosu, Y: my*sinu + sno*cosu, Z: sini * sinu}
	v := orbit.Vec{X: mx*cosu - cno*sinu, Y: my*cosu - sno*sinu, Z: sini * cosu}
	rdot *= kmPerSecond
	rvdot *= kmPerSecond
	return orbit.State{
		Position: u.Scale(r * radius),
		Velocity: orbit.Vec{X: rdot*u.X + rvdot*v.X, Y: rdot*u.Y + rvdot*v.Y, Z: rdot*u.Z + rvdot*v.Z},
	}, nil
}

// rotate gives sine and cosine of x+d from those of x. Most corrections of
// the theory are small, and a few terms of the series are exact then.
func rotate(sin, cos, d float64) (float64, float64) {
	if !(math.Abs(d) < 0.03) {
		s, c := math.Sincos(d)
		return sin*c + cos*s, cos*c - sin*s
	}
	d2 := d * d
	s := d * (1 - d2*(1.0/6)*(1-d2*(1.0/20)*(1-d2*(1.0/42))))
	c := -0.5 * d2 * (1 - d2*(1.0/12)*(1-d2*(1.0/30))) // cos d - 1
	return sin + (sin*c + cos*s), cos + (cos*c - sin*s)
}

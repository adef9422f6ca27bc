package sgp4

import "math"

const (
	step      = 720.0 // minutes: the step of the theory's integrator
	tableSize = 60    // steps that are computed ahead in each direction: 30 days
)

// resonance integrates the mean longitude of an orbit whose period is a day
// (synchronous) or half of one with an eccentricity of at least 0.5, along
// which the Earth's tesseral harmonics act in step.
//
// The theory defines the integrator as fixed steps of 720 minutes from the
// epoch, so each call could begin there. The states at the first steps in
// both directions are kept; a call takes the one it needs, or goes on from the
// last.
type resonance struct {
	synchronous bool
	gsto        float64 // sidereal time at epoch, rad
	no          float64 // mean motion at epoch, rad/min
	xfact       float64
	argpo       float64
	argpdot     float64

	del          [3]float64 // synchronous
	d2201, d2211 float64    // half-day
	d3210, d3222 float64
	d4410, d4422 float64
	d5220, d5232 float64
	d5421, d5433 float64

	forward, backward []longitude
}

// longitude is the integrator's state at one of its steps, with derivatives.
type longitude struct {
	xli, xni           float64 // resonant longitude, rad; mean motion, rad/min
	xldot, xndt, xnddt float64
}

// Phases of the harmonics, rad.
const (
	fasx2 = 0.13130908
	fasx4 = 2.8843198
	fasx6 = 0.37448087
	g22   = 5.7686396
	g32   = 0.95240898
	g44   = 1.8014998
	g52   = 1.0508330
	g54   = 4.4108898
)

func newResonance(p *Propagator, d *deepSpace, gsto float64) *resonance {
	r := &resonance{
		gsto: gsto, no: p.no,
		argpo: p.argpo, argpdot: p.argpdot,
	}
	var start float64
	switch {
	case p.no > 0.0034906585 && p.no < 0.0052359877:
		r.initSynchronous(p)
		start = p.mo + p.nodeo + p.argpo - gsto
		r.xfact = p.mdot + p.argpdot + p.nodedot - rptim + d.dmdt + d.domdt + d.dnodt - p.no
	case p.no >= 8.26e-3 && p.no <= 9.24e-3 && p.ecco >= 0.5:
		r.initHalfDay(p)
		start = p.mo + 2*p.nodeo - 2*gsto
		r.xfact = p.mdot + d.dmdt + 2*(p.nodedot+d.dnodt-rptim) - p.no
	default:
		return nil
	}
	first := longitude{xli: math.Mod(start, twoPi), xni: p.no}
	r.derive(&first, 0)
	r.forward = r.table(first, step)
	r.backward = r.table(first, -step)
	return r
}

func (r *resonance) table(first longitude, dt float64) []longitude {
	t := make([]longitude, tableSize+1)
	t[0] = first
	for k := 1; k < len(t); k++ {
		t[k] = t[k-1]
		r.advance(&t[k], float64(k)*dt, dt)
	}
	return t
}

func (r *resonance) initSynchronous(p *Propagator) {
	r.synchronous = true
	emsq := p.ecco * p.ecco
	sini, cosi := p.sinio, p.cosio
	aonv := math.Pow(p.no/xke, 2.0/3)
	g200 := 1 + emsq*(-2.5+0.8125*emsq)
	g310 := 1 + 2*emsq
	g300 := 1 + emsq*(-6+6.60937*emsq)
	f220 := 0.75 * (1 + cosi) * (1 + cosi)
	f311 := 0.9375*sini*sini*(1+3*cosi) - 0.75*(1+cosi)
	f330 := 1.875 * power3(1+cosi)
	const q22, q31, q33 = 1.7891679e-6, 2.1460748e-6, 2.2123015e-7
	d := 3 * p.no * p.no * aonv * aonv
	r.del = [3]float64{
		d * f311 * g310 * q31 * aonv,
		2 * d * f220 * g200 * q22,
		3 * d * f330 * g300 * q33 * aonv,
	}
}

func (r *resonance) initHalfDay(p *Propagator) {
	e := p.ecco
	e2 := e * e
	e3 := e2 * e
	poly := func(c0, c1, c2, c3 float64) float64 { return c0 + c1*e + c2*e2 + c3*e3 }

	g201 := -0.306 - (e-0.64)*0.440
	var g211, g310, g322, g410, g422, g520, g521, g532, g533 float64
	if e <= 0.65 {
		g211 = poly(3.616, -13.2470, 16.2900, 0)
		g310 = poly(-19.302, 117.3900, -228.4190, 156.5910)
		g322 = poly(-18.9068, 109.7927, -214.6334, 146.5816)
		g410 = poly(-41.122, 242.6940, -471.0940, 313.9530)
		g422 = poly(-146.407, 841.8800, -1629.014, 1083.4350)
		g520 = poly(-532.114, 3017.977, -5740.032, 3708.2760)
	} else {
		g211 = poly(-72.099, 331.819, -508.738, 266.724)
		g310 = poly(-346.844, 1582.851, -2415.925, 1246.113)
		g322 = poly(-342.585, 1554.908, -2366.899, 1215.972)
		g410 = poly(-1052.797, 4758.686, -7193.992, 3651.957)
		g422 = poly(-3581.690, 16178.110, -24462.770, 12422.520)
		if e > 0.715 {
			g520 = poly(-5149.66, 29936.92, -54087.36, 31324.56)
		} else {
			g520 = poly(1464.74, -4664.75, 3763.64, 0)
		}
	}
	if e < 0.7 {
		g533 = poly(-919.22770, 4988.6100, -9064.7700, 5542.21)
		g521 = poly(-822.71072, 4568.6173, -8491.4146, 5337.524)
		g532 = poly(-853.66600, 4690.2500, -8624.7700, 5341.4)
	} else {
		g533 = poly(-37995.780, 161616.52, -229838.20, 109377.94)
		g521 = poly(-51752.104, 218913.95, -309468.16, 146349.42)
		g532 = poly(-40023.880, 170470.89, -242699.48, 115605.82)
	}

	s, c := p.sinio, p.cosio
	s2, c2 := s*s, c*c
	f220 := 0.75 * (1 + 2*c + c2)
	f221 := 1.5 * s2
	f321 := 1.875 * s * (1 - 2*c - 3*c2)
	f322 := -1.875 * s * (1 + 2*c - 3*c2)
	f441 := 35 * s2 * f220
	f442 := 39.3750 * s2 * s2
	f522 := 9.84375 * s * (s2*(1-2*c-5*c2) + 0.33333333*(-2+4*c+6*c2))
	f523 := s * (4.92187512*s2*(-2-4*c+10*c2) + 6.56250012*(1+2*c-3*c2))
	f542 := 29.53125 * s * (2 - 8*c + c2*(-12+8*c+10*c2))
	f543 := 29.53125 * s * (-2 - 8*c + c2*(12+8*c-10*c2))

	const (
		root22 = 1.7891679e-6
		root32 = 3.7393792e-7
		root44 = 7.3636953e-9
		root52 = 1.1428639e-7
		root54 = 2.1765803e-9
	)
	aonv := math.Pow(p.no/xke, 2.0/3)
	k := 3 * p.no * p.no * aonv * aonv
	r.d2201 = k * root22 * f220 * g201
	r.d2211 = k * root22 * f221 * g211
	k *= aonv
	r.d3210 = k * root32 * f321 * g310
	r.d3222 = k * root32 * f322 * g322
	k *= aonv
	r.d4410 = 2 * k * root44 * f441 * g410
	r.d4422 = 2 * k * root44 * f442 * g422
	k *= aonv
	r.d5220 = k * root52 * f522 * g520
	r.d5232 = k * root52 * f523 * g532
	r.d5421 = 2 * k * root54 * f542 * g521
	r.d5433 = 2 * k * root54 * f543 * g533
}

// derive fills in the derivatives at t minutes.
func (r *resonance) derive(l *longitude, t float64) {
	l.xldot = l.xni + r.xfact
	if r.synchronous {
		s1, c1 := math.Sincos(l.xli - fasx2)
		s2, c2 := math.Sincos(2 * (l.xli - fasx4))
		s3, c3 := math.Sincos(3 * (l.xli - fasx6))
		l.xndt = r.del[0]*s1 + r.del[1]*s2 + r.del[2]*s3
		l.xnddt = (r.del[0]*c1 + 2*r.del[1]*c2 + 3*r.del[2]*c3) * l.xldot
		return
	}
	w := r.argpo + r.argpdot*t
	var xndt, xnddt float64
	add := func(d, angle, k float64) {
		s, c := math.Sincos(angle)
		xndt += d * s
		xnddt += k * d * c
	}
	x := l.xli
	add(r.d2201, 2*w+x-g22, 1)
	add(r.d2211, x-g22, 1)
	add(r.d3210, w+x-g32, 1)
	add(r.d3222, -w+x-g32, 1)
	add(r.d4410, 2*w+2*x-g44, 2)
	add(r.d4422, 2*x-g44, 2)
	add(r.d5220, w+x-g52, 1)
	add(r.d5232, -w+x-g52, 1)
	add(r.d5421, w+2*x-g54, 2)
	add(r.d5433, -w+2*x-g54, 2)
	l.xndt, l.xnddt = xndt, xnddt*l.xldot
}

// advance makes one step of dt minutes that ends at t.
func (r *resonance) advance(l *longitude, t, dt float64) {
	const half = step * step / 2
	l.xli += l.xldot*dt + l.xndt*half
	l.xni += l.xndt*dt + l.xnddt*half
	r.derive(l, t)
}

// apply replaces mean motion and mean anomaly by the integrated ones.
func (r *resonance) apply(el *mean, t float64) {
	table, dt := r.forward, step
	if t < 0 {
		table, dt = r.backward, -step
	}
	steps := math.Floor(math.Abs(t) / step)
	k := len(table) - 1
	if steps < float64(k) {
		k = int(steps)
	}
	l := table[k]
	at := float64(k) * dt
	for ; math.Abs(t-at) >= step; at += dt {
		r.advance(&l, at+dt, dt)
	}

	ft := t - at
	xl := l.xli + l.xldot*ft + l.xndt*ft*ft*0.5
	el.n = l.xni + l.xndt*ft + l.xnddt*ft*ft*0.5
	theta := math.Mod(r.gsto+t*rptim, twoPi)
	if r.synchronous {
		el.m = xl - el.node - el.argp + theta
	} else {
		el.m = xl - 2*el.node + 2*theta
	}
}

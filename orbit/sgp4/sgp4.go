package sgp4

import (
	"math"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/orbit/gp"
)

// Constants of the theory in its own units: Earth radii and minutes.
const (
	radius = gp.EarthRadius // km per Earth radius
	j2     = gp.J2
	j3     = -0.00000253881
	j4     = -0.00000165597
	j3oj2  = j3 / j2
	twoPi  = 2 * math.Pi
)

var (
	xke = gp.XKE
	// kmPerSecond is one Earth radius times xke per minute.
	kmPerSecond = radius * xke / 60
)

// Propagator computes states from one element set. It is immutable: any
// number of goroutines may use it, and a call does not depend on earlier ones.
type Propagator struct {
	no, ecco, inclo, nodeo, argpo, mo, bstar float64 // elements at epoch, rad and minutes

	// Secular rates.
	mdot, argpdot, nodedot, nodecf float64
	// Drag.
	cc1, cc4, cc5              float64
	d2, d3, d4                 float64
	t2cof, t3cof, t4cof, t5cof float64
	omgcof, xmcof              float64
	eta, delmo, sinmao         float64
	ao                         float64 // semi-major axis at epoch, Earth radii
	simple                     bool    // perigee below 220 km, or deep space: drag to first order
	// Long- and short-period terms.
	sinio, cosio          float64
	aycof, xlcof          float64
	con41, x1mth2, x7thm1 float64

	deep *deepSpace // nil for periods below 225 minutes
}

// New prepares a propagator. It gives the error that the theory has with
// these elements at their epoch.
func New(e gp.Elements) (*Propagator, error) {
	p := &Propagator{
		no:    e.BrouwerMotion(),
		ecco:  e.Eccentricity,
		inclo: e.Inclination * orbit.Degree,
		nodeo: e.RAAN * orbit.Degree,
		argpo: e.ArgumentOfPerigee * orbit.Degree,
		mo:    e.MeanAnomaly * orbit.Degree,
		bstar: e.BStar,
	}
	switch {
	case !(p.no > 1e-12 && p.no < 1): // rad/min
		return nil, ErrMeanMotion
	case !(e.Eccentricity >= 0 && e.Eccentricity < 1):
		return nil, ErrEccentricity
	}
	p.init(orbit.Julian(e.Epoch))
	if _, err := p.At(0); err != nil {
		return nil, err
	}
	return p, nil
}

// Vallado et al., AIAA 2006-6753, give the formulas of init and At; the names
// of the terms are those of Spacetrack Report #3, so that each can be found
// there.
func (p *Propagator) init(epoch orbit.JulianDate) {
	p.sinio, p.cosio = math.Sincos(p.inclo)
	eccsq := p.ecco * p.ecco
	omeosq := 1 - eccsq
	rteosq := math.Sqrt(omeosq)
	cosio2 := p.cosio * p.cosio
	cosio4 := cosio2 * cosio2
	ao := math.Pow(xke/p.no, 2.0/3)
	p.ao = ao
	po := ao * omeosq
	con42 := 1 - 5*cosio2
	p.con41 = -con42 - cosio2 - cosio2
	p.x1mth2 = 1 - cosio2
	p.x7thm1 = 7*cosio2 - 1
	rp := ao * (1 - p.ecco)
	p.simple = rp < 220/radius+1

	// The density function's base is lowered for perigees below 156 km.
	sfour := 78/radius + 1
	qzms24 := power4((120 - 78) / radius)
	if perigee := (rp - 1) * radius; perigee < 156 {
		s := perigee - 78
		if perigee < 98 {
			s = 20
		}
		qzms24 = power4((120 - s) / radius)
		sfour = s/radius + 1
	}
	pinvsq := 1 / (po * po)
	tsi := 1 / (ao - sfour)
	p.eta = ao * p.ecco * tsi
	etasq := p.eta * p.eta
	eeta := p.ecco * p.eta
	psisq := math.Abs(1 - etasq)
	coef := qzms24 * power4(tsi)
	coef1 := coef / math.Pow(psisq, 3.5)
	cc2 := coef1 * p.no * (ao*(1+1.5*etasq+eeta*(4+etasq)) +
		0.375*j2*tsi/psisq*p.con41*(8+3*etasq*(8+etasq)))
	p.cc1 = p.bstar * cc2
	cc3 := 0.0
	if p.ecco > 1e-4 {
		cc3 = -2 * coef * tsi * j3oj2 * p.no * p.sinio / p.ecco
		p.xmcof = -2.0 / 3 * coef * p.bstar / eeta
	}
	p.cc4 = 2 * p.no * coef1 * ao * omeosq * (p.eta*(2+0.5*etasq) + p.ecco*(0.5+2*etasq) -
		j2*tsi/(ao*psisq)*(-3*p.con41*(1-2*eeta+etasq*(1.5-0.5*eeta))+
			0.75*p.x1mth2*(2*etasq-eeta*(1+etasq))*math.Cos(2*p.argpo)))
	p.cc5 = 2 * coef1 * ao * omeosq * (1 + 2.75*(etasq+eeta) + eeta*etasq)

	temp1 := 1.5 * j2 * pinvsq * p.no
	temp2 := 0.5 * temp1 * j2 * pinvsq
	temp3 := -0.46875 * j4 * pinvsq * pinvsq * p.no
	p.mdot = p.no + 0.5*temp1*rteosq*p.con41 + 0.0625*temp2*rteosq*(13-78*cosio2+137*cosio4)
	p.argpdot = -0.5*temp1*con42 + 0.0625*temp2*(7-114*cosio2+395*cosio4) +
		temp3*(3-36*cosio2+49*cosio4)
	xhdot1 := -temp1 * p.cosio
	p.nodedot = xhdot1 + (0.5*temp2*(4-19*cosio2)+2*temp3*(3-7*cosio2))*p.cosio
	p.omgcof = p.bstar * cc3 * math.Cos(p.argpo)
	p.nodecf = 3.5 * omeosq * xhdot1 * p.cc1
	p.t2cof = 1.5 * p.cc1
	p.xlcof, p.aycof = longPeriod(p.sinio, p.cosio)
	p.delmo = power3(1 + p.eta*math.Cos(p.mo))
	p.sinmao = math.Sin(p.mo)

	if twoPi/p.no >= 225 {
		p.simple = true
		p.deep = newDeepSpace(p, epoch)
	}
	if p.simple {
		return
	}
	cc1sq := p.cc1 * p.cc1
	p.d2 = 4 * ao * tsi * cc1sq
	temp := p.d2 * tsi * p.cc1 / 3
	p.d3 = (17*ao + sfour) * temp
	p.d4 = 0.5 * temp * ao * tsi * (221*ao + 31*sfour) * p.cc1
	p.t3cof = p.d2 + 2*cc1sq
	p.t4cof = 0.25 * (3*p.d3 + p.cc1*(12*p.d2+10*cc1sq))
	p.t5cof = 0.2 * (3*p.d4 + 12*p.cc1*p.d3 + 6*p.d2*p.d2 + 15*cc1sq*(2*p.d2+cc1sq))
}

// longPeriod gives the coefficients of the long-period terms in J3.
func longPeriod(sini, cosi float64) (xlcof, aycof float64) {
	d := 1 + cosi
	if math.Abs(d) <= 1.5e-12 { // inclination of 180°
		d = 1.5e-12
	}
	return -0.25 * j3oj2 * sini * (3 + 5*cosi) / d, -0.5 * j3oj2 * sini
}

func power3(x float64) float64 { return x * x * x }
func power4(x float64) float64 { return x * x * x * x }

// wrap brings an angle into (-2π, 2π), keeping its sign.
func wrap(x float64) float64 {
	if x < twoPi && x > -twoPi {
		return x
	}
	return x - twoPi*math.Trunc(x*(1/twoPi))
}

package sgp4

import (
	"testing"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/orbit/gp"
)

// rows of the verification set of AIAA 2006-6753, one for each way through
// the theory. TestVerificationSet compares all of them where the set is at
// hand.
var rows = []struct {
	what         string
	line1, line2 string
	minutes      float64
	want         orbit.State
}{
	{"near earth, eccentric",
		"1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4753",
		"2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667",
		4320, orbit.State{
			Position: orbit.Vec{X: -9060.47373569, Y: 4658.70952502, Z: 813.68673153},
			Velocity: orbit.Vec{X: -2.232832783, Y: -4.110453490, Z: -3.157345433},
		}},
	{"near earth, moderate drag",
		"1 06251U 62025E   06176.82412014  .00008885  00000-0  12808-3 0  3985",
		"2 06251  58.0579  54.0425 0030035 139.1568 221.1854 15.56387291  6774",
		2880, orbit.State{
			Position: orbit.Vec{X: 1159.27802897, Y: 5056.60175495, Z: 4353.49418579},
			Velocity: orbit.Vec{X: -5.968060341, Y: -2.314790406, Z: 4.230722669},
		}},
	{"e below 1e-4: fewer drag terms",
		"1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836",
		"2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550",
		2880, orbit.State{
			Position: orbit.Vec{X: 1788.42334580, Y: 1990.50530957, Z: -6640.59337725},
			Velocity: orbit.Vec{X: -2.074169091, Y: -6.683381288, Z: -2.562777776},
		}},
	{"perigee 212 km: drag to first order",
		"1 29238U 06022G   06177.28732010  .00766286  10823-4  13334-2 0   101",
		"2 29238  51.5595 213.7903 0202579  95.2503 267.9010 15.73823839  1061",
		1440, orbit.State{
			Position: orbit.Vec{X: -2629.55011449, Y: 3400.98040158, Z: -5344.38217129},
			Velocity: orbit.Vec{X: -6.368548448, Y: -3.998963509, Z: 0.577253064},
		}},
	{"perigee 127 km: lowered density base",
		"1 28350U 04020A   06167.21788666  .16154492  76267-5  18678-3 0  8894",
		"2 28350  64.9977 345.6130 0024870 260.7578  99.9590 16.47856722116490",
		1440, orbit.State{
			Position: orbit.Vec{X: -4527.90871828, Y: -723.29199041, Z: -4527.44608319},
			Velocity: orbit.Vec{X: 5.121674217, Y: -3.909895427, Z: -4.500218556},
		}},
	{"deep space, backwards, near the equator",
		"1 04632U 70093B   04031.91070959 -.00000084  00000-0  10000-3 0  9955",
		"2 04632  11.4628 273.1101 1450506 207.6000 143.9350  1.20231981 44145",
		-4896, orbit.State{
			Position: orbit.Vec{X: -15129.94694545, Y: -36907.74526221, Z: -3487.56256701},
			Velocity: orbit.Vec{X: 2.581167187, Y: -1.524204737, Z: 0.504805763},
		}},
	{"half-day resonance, e in 0.65 … 0.7",
		"1 08195U 75081A   06176.33215444  .00000099  00000-0  11873-3 0   813",
		"2 08195  64.1586 279.0717 6877146 264.7651  20.2257  2.00491383225656",
		2880, orbit.State{
			Position: orbit.Vec{X: 3417.20931586, Y: -16038.79510665, Z: 1894.74934058},
			Velocity: orbit.Vec{X: 2.585515864, Y: -2.596818146, Z: 4.456882556},
		}},
	{"synchronous, backwards",
		"1 09998U 74033F   05148.79417928 -.00000112  00000-0  00000+0 0  4480",
		"2 09998   9.4958 313.1750 0270971 327.5225  30.8097  1.16186785 45878",
		-720, orbit.State{
			Position: orbit.Vec{X: -8535.81598158, Y: 38171.79073851, Z: 3331.00311285},
			Velocity: orbit.Vec{X: -3.043839958, Y: -0.644462527, Z: -0.445808894},
		}},
	{"deep space, e = 0.79",
		"1 20413U 83020D   05363.79166667  .00000000  00000-0  00000+0 0  7041",
		"2 20413  12.3514 187.4253 7864447 196.3027 356.5478  0.24690082  7978",
		4320, orbit.State{
			Position: orbit.Vec{X: -119384.69396454, Y: -108254.71115372, Z: 19306.39581892},
			Velocity: orbit.Vec{X: 1.091093313, Y: -0.076447479, Z: 0.038319282},
		}},
	{"half-day resonance, e above 0.715",
		"1 21897U 92011A   06176.02341244 -.00001273  00000-0 -13525-3 0  3044",
		"2 21897  62.1749 198.0096 7421690 253.0462  20.1561  2.01269994104880",
		2880, orbit.State{
			Position: orbit.Vec{X: -17246.31075678, Y: -7890.72601508, Z: 4315.39410307},
			Velocity: orbit.Vec{X: -1.910968458, Y: -2.740945672, Z: 3.844722726},
		}},
	{"deep space, perigee by way of Lyddane",
		"1 23599U 95029B   06171.76535463  .00085586  12891-6  12956-2 0  2905",
		"2 23599   6.9327   0.2849 5782022 274.4436  25.2425  4.47796565123555",
		720, orbit.State{
			Position: orbit.Vec{X: 7140.41945884, Y: 20539.25485336, Z: 2501.21469368},
			Velocity: orbit.Vec{X: -2.293173684, Y: 2.333507912, Z: 0.282716311},
		}},
	{"synchronous, inclined",
		"1 24208U 96044A   06177.04061740 -.00000094  00000-0  10000-3 0  1600",
		"2 24208   3.8536  80.0121 0026640 311.0977  48.3000  1.00778054 36119",
		1440, orbit.State{
			Position: orbit.Vec{X: 5501.08137100, Y: 41590.27784405, Z: 138.32522930},
			Velocity: orbit.Vec{X: -3.050691874, Y: 0.409203052, Z: 0.207958133},
		}},
	{"synchronous, inclination becomes negative",
		"1 28626U 05008A   06176.46683397 -.00000205  00000-0  10000-3 0  2190",
		"2 28626   0.0019 286.9433 0000335  13.7918  55.6504  1.00270176  4891",
		1440, orbit.State{
			Position: orbit.Vec{X: 42119.96263499, Y: -1925.77567263, Z: -0.19827433},
			Velocity: orbit.Vec{X: 0.140521206, Y: 3.071541613, Z: 0.000179561},
		}},
	{"deep space, perigee 82 km",
		"1 16925U 86065D   06151.67415771  .02550794 -30915-6  18784-3 0  4486",
		"2 16925  62.0906 295.0239 5596327 245.1593  47.9690  4.88511875148616",
		1440, orbit.State{
			Position: orbit.Vec{X: -984.62035146, Y: -5187.03480813, Z: -5745.59594144},
			Velocity: orbit.Vec{X: 4.340271916, Y: -7.266811354, Z: 1.777668888},
		}},
	{"e = 0.97",
		"1 23333U 94071A   94305.49999999 -.00172956  26967-3  10000-3 0    15",
		"2 23333  28.7490   2.3720 9728298  30.4360   1.3500  0.07309491    70",
		1600, orbit.State{
			Position: orbit.Vec{X: -200638.82986236, Y: -82484.14969882, Z: -39488.34331447},
			Velocity: orbit.Vec{X: -1.186748462, Y: -0.665472422, Z: -0.337037582},
		}},
}

func TestRows(t *testing.T) {
	for _, r := range rows {
		t.Run(r.what, func(t *testing.T) {
			e, err := gp.ParseTLE("", r.line1, r.line2)
			if err != nil {
				t.Fatal(err)
			}
			p, err := New(e)
			if err != nil {
				t.Fatal(err)
			}
			s, err := p.At(r.minutes)
			if err != nil {
				t.Fatal(err)
			}
			if d := largest(s.Position.Sub(r.want.Position)); !(d <= 1e-6) {
				t.Errorf("position is off by %g km", d)
			}
			if d := largest(s.Velocity.Sub(r.want.Velocity)); !(d <= 1e-8) {
				t.Errorf("velocity is off by %g km/s", d)
			}
		})
	}
}

// failures of the verification set. The reference stops at these instants.
var failures = []struct {
	what         string
	line1, line2 string
	minutes      float64
	want         Error
}{
	{"below the surface",
		"1 28872U 05037B   05333.02012661  .25992681  00000-0  24476-3 0  1534",
		"2 28872  96.4736 157.9986 0303955 244.0492 110.6523 16.46015938 10708",
		55, ErrDecayed},
	{"an orbit that opens",
		"1 33333U 05037B   05333.02012661  .25992681  00000-0  24476-3 0  1532",
		"2 33333  96.4736 157.9986 9950000 244.0492 110.6523  4.00004038 10700",
		25, ErrSemiLatusRectum},
	{"drag eats the orbit",
		"1 28350U 04020A   06167.21788666  .16154492  76267-5  18678-3 0  8894",
		"2 28350  64.9977 345.6130 0024870 260.7578  99.9590 16.47856722116490",
		1560, ErrEccentricity},
}

func TestFailures(t *testing.T) {
	for _, r := range failures {
		t.Run(r.what, func(t *testing.T) {
			e, err := gp.ParseTLE("", r.line1, r.line2)
			if err != nil {
				t.Fatal(err)
			}
			p, err := New(e)
			if err != nil {
				t.Fatal(err)
			}
			if s, err := p.At(r.minutes); err != r.want {
				t.Errorf("got %v and %v, want %v", s, err, r.want)
			}
			if n := testing.AllocsPerRun(10, func() { p.At(r.minutes) }); n != 0 {
				t.Errorf("an error allocates %v times", n)
			}
		})
	}
}

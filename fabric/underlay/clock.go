package underlay

import (
	"math"
	"time"
)

// sample is what one exchange of packets told of a peer's clock: RFC 5905, section 8.
type sample struct {
	at     int64 // instant of this host's clock in the middle of the exchange, in ns
	offset int64 // the peer's clock less this host's, in ns
	trip   int64 // round trip without the peer's own share, in ns
}

// newSample makes a sample of four timestamps: the request left here at t1, came to
// the peer at t2, whose answer left at t3 and came here at t4. ok is false if they
// cannot be true.
func newSample(t1, t2, t3, t4 int64) (s sample, ok bool) {
	s = sample{at: t1 + (t4-t1)/2, offset: midway(t2-t1, t3-t4), trip: (t4 - t1) - (t3 - t2)}
	// A peer whose clock runs faster may seem to have taken longer than all of it.
	ok = t4 >= t1 && t3 >= t2 && float64(s.trip) >= -maxDrift*float64(t4-t1)
	s.trip = max(s.trip, 0)
	return s, ok
}

// midway is the mean of a and b, without overflow.
func midway(a, b int64) int64 { return a/2 + b/2 + (a%2+b%2)/2 }

const (
	// windowSamples is over how many exchanges the one of the shortest round trip is
	// looked for.
	windowSamples = 64
	// ageing is by how much the uncertainty of a sample grows with time: 15 ppm, PHI of
	// RFC 5905.
	ageing = 15e-6
	// maxDrift between two clocks that are steered: both by 500 ppm at most.
	maxDrift = 1e-3
	// A drift is estimated from driftSamples and driftSpan on.
	driftSamples = 12
	driftSpan    = int64(2 * time.Second)
	// steps in a row that contradict the estimate make it begin anew.
	steps = 3
	// noise in ns of a sample whose round trip is the shortest.
	noise = 2e3
)

// filter estimates a peer's clock from samples.
type filter struct {
	samples [windowSamples]sample
	n       int // of samples in all
	strange int // samples in a row that contradict the estimate
}

// estimate of a peer's clock: an immutable value.
type estimate struct {
	at     int64 // instant of this host's clock for which offset was measured, in ns
	offset int64 // the peer's clock less this host's at that instant, in ns
	trip   int64 // shortest round trip: half of it bounds the error of offset
	drift  float64
}

// add takes a sample and gives the new estimate.
func (f *filter) add(s sample, now *estimate) *estimate {
	if now != nil && now.contradicts(s) {
		f.strange++
		if f.strange < steps {
			return now
		}
		f.n = 0 // the peer's clock, or ours, has stepped
	}
	f.strange = 0
	f.samples[f.n%windowSamples] = s
	f.n++
	known := f.samples[:min(f.n, windowSamples)]
	best := known[0]
	for _, k := range known[1:] {
		if k.uncertainty(s.at) < best.uncertainty(s.at) {
			best = k
		}
	}
	return &estimate{best.at, best.offset, best.trip, drift(known, best)}
}

// uncertainty of a sample's offset at instant now, in ns.
func (s sample) uncertainty(now int64) float64 {
	return float64(s.trip)/2 + ageing*math.Abs(float64(now-s.at))
}

// contradicts tells whether e and s cannot both be true, however much the clocks have
// drifted in between.
func (e *estimate) contradicts(s sample) bool {
	apart := math.Abs(float64(s.offset - e.offset))
	return apart > float64(s.trip+e.trip)/2+maxDrift*math.Abs(float64(s.at-e.at))+noise
}

// drift of offsets: the slope of a straight line through samples, by least squares.
// A sample weighs less the more its round trip exceeds the shortest, by which its
// offset may err. It is 0 while the samples are few or span too short a time.
func drift(samples []sample, best sample) float64 {
	if len(samples) < driftSamples {
		return 0
	}
	first, last, shortest := samples[0].at, samples[0].at, samples[0].trip
	for _, s := range samples {
		first, last, shortest = min(first, s.at), max(last, s.at), min(shortest, s.trip)
	}
	if last-first < driftSpan {
		return 0
	}
	var sum, sumX, sumY, sumXX, sumXY float64
	for _, s := range samples {
		sigma := float64(s.trip-shortest)/2 + noise
		w := 1 / (sigma * sigma)
		x, y := float64(s.at-best.at), float64(s.offset-best.offset)
		sum, sumX, sumY, sumXX, sumXY = sum+w, sumX+w*x, sumY+w*y, sumXX+w*x*x, sumXY+w*x*y
	}
	slope := (sum*sumXY - sumX*sumY) / (sum*sumXX - sumX*sumX)
	if math.IsNaN(slope) || math.Abs(slope) > maxDrift {
		return 0
	}
	return slope
}

// local is the instant of this host's clock at which the peer's shows remote.
func (e *estimate) local(remote int64) int64 {
	l := remote - e.offset
	if e.drift != 0 {
		l -= int64(e.drift * float64(l-e.at))
	}
	return l
}

package emulation

import "time"

// What is remembered of probing: about one request of a pair per second of the host,
// for a quarter of an hour, or less where there are very many pairs; and the latest
// outages.
const (
	sampleEvery   = time.Second
	samplesOfPair = 900
	samplesOfAll  = 300_000
	outagesKept   = 64
)

// Sample is what became of one echo request between two stations.
type Sample struct {
	At       time.Duration // scenario time of sending
	Lost     bool
	Measured time.Duration
	// Geometric and Oracle as in Pair, at the time of sending; 0 where there was none.
	Geometric, Oracle time.Duration
}

// Outage of a pair that had reached each other before, in scenario time.
type Outage struct {
	From, To time.Duration // To only if it no longer lasts
	Lasts    bool
	Problem  string // why requests may have been lost at its begin
}

// history of one pair, in order of time.
type history struct {
	keep    int
	samples []Sample // a ring once full; the oldest is at next
	next    int
	last    time.Time // when the last one of samples was sent
	outages []Outage
}

// note a request that has been judged. Losses are noted one and all.
func (h *history) note(q *request) {
	if q.sent.Sub(h.last) < sampleEvery && !q.rtt.Lost || h.keep < 1 {
		return
	}
	h.last = q.sent
	s := Sample{At: q.at, Lost: q.rtt.Lost, Measured: q.rtt.Measured, Geometric: q.rtt.Geometric, Oracle: q.oracle}
	if len(h.samples) < h.keep {
		h.samples = append(h.samples, s)
		return
	}
	h.samples[h.next] = s
	h.next = (h.next + 1) % h.keep
}

func (h *history) begin(o Outage) {
	if len(h.outages) == outagesKept {
		h.outages = append(h.outages[:0], h.outages[1:]...)
	}
	h.outages = append(h.outages, o)
}

func (h *history) end(at time.Duration) {
	if n := len(h.outages); n > 0 {
		h.outages[n-1].To, h.outages[n-1].Lasts = at, false
	}
}

// PairHistory is what probing has shown of two stations, in whatever order they are
// named: its state now, samples and outages, oldest first. ok is false if they are
// not probed.
func (r *Run) PairHistory(a, b int) (pair Pair, samples []Sample, outages []Outage, ok bool) {
	r.prober.mu.Lock()
	defer r.prober.mu.Unlock()
	for _, p := range r.prober.pairs {
		if p.A == a && p.B == b || p.A == b && p.B == a {
			h := &p.history
			samples = append(append(samples, h.samples[h.next:]...), h.samples[:h.next]...)
			return p.Pair, samples, append(outages, h.outages...), true
		}
	}
	return Pair{}, nil, nil, false
}

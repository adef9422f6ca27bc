package fabric

import (
	"math/rand/v2"
	"time"

	"orrery.dev/orrery/clock"
)

// direction is the state of what leaves one port: its transmitter, its queue
// and its loss model. It decides about frames and touches nothing else; its
// owner is one goroutine.
type direction struct {
	wire *Wire // the wire of the last decision; nil before the first
	free int64 // host instant at which the transmitter is free
	last int64 // arrival of the last frame that was not lost
	rng  rand.PCG
	bad  bool // state of the Gilbert-Elliott chain

	// waiting are the frames whose transmission had not ended when the last one
	// came, oldest first.
	waiting      []transmission
	waitingFirst int
	waitingBytes int

	// What of the wire is the same for all frames.
	noDelay, noRate, noLoss bool
}

type transmission struct {
	end   int64 // host instant
	bytes int
}

// verdict on a frame that a node sent.
type verdict uint8

const (
	carry verdict = iota
	dropNoLink
	dropQueue
	dropLoss
)

// newContact tells whether w belongs to another contact than the frames that
// are under way.
func (d *direction) newContact(w *Wire) bool {
	return d.wire != nil && d.wire.Contact != w.Contact
}

// turn makes w the wire of the decisions that follow. A new contact begins
// with a free transmitter, an empty queue and the loss chain in its good state.
func (d *direction) turn(w *Wire) {
	if d.newContact(w) {
		d.free, d.last, d.bad = 0, 0, false
		d.waiting, d.waitingFirst, d.waitingBytes = d.waiting[:0], 0, 0
	}
	d.wire = w
	d.noDelay = w.Delay.IsConstant() && w.Delay.At(0) <= 0
	d.noRate = w.Rate.IsConstant() && w.Rate.At(0) <= 0
	d.noLoss = w.Loss.GilbertElliott == nil && w.Loss.Bernoulli.IsConstant() && w.Loss.Bernoulli.At(0) <= 0
}

// decide takes a frame of size bytes that the node sent at host instant now,
// on the wire last given to turn. If the verdict is carry, the frame is due at
// host instant arrival.
func (d *direction) decide(tl *clock.Timeline, now int64, size int) (arrival int64, v verdict) {
	w := d.wire
	if scn := tl.At(now); scn < w.Start || scn > w.End {
		return 0, dropNoLink
	}
	departure := max(now, d.free)
	if !d.noRate {
		if rate := w.Rate.At(tl.At(departure)); rate > 0 {
			d.settle(now)
			if w.Queue > 0 && d.waitingBytes > 0 && d.waitingBytes+size > w.Queue {
				return 0, dropQueue
			}
			departure += int64(float64(size) * 8e9 / rate)
			d.wait(departure, size)
			d.free = departure
		}
	}
	arrival = departure
	if !d.noLoss && d.lose(tl.At(departure)) {
		return 0, dropLoss
	}
	if !d.noDelay {
		if delay := w.Delay.At(tl.At(departure)); delay > 0 {
			arrival += int64(delay * 1e9)
		}
	}
	arrival = max(arrival, d.last)
	d.last = arrival
	return arrival, carry
}

// covers tells whether a flight that ends at host instant arrival lies within
// w's contact, for a frame that was sent under the direction's present wire.
func (d *direction) covers(tl *clock.Timeline, w *Wire, arrival int64) bool {
	return w != nil && w.Contact == d.wire.Contact && tl.At(arrival) <= w.End
}

// settle forgets transmissions that have ended.
func (d *direction) settle(now int64) {
	i := d.waitingFirst
	for i < len(d.waiting) && d.waiting[i].end <= now {
		d.waitingBytes -= d.waiting[i].bytes
		i++
	}
	if i == len(d.waiting) {
		d.waiting, i = d.waiting[:0], 0
	}
	d.waitingFirst = i
}

func (d *direction) wait(end int64, bytes int) {
	if len(d.waiting) == cap(d.waiting) && d.waitingFirst > len(d.waiting)/2 {
		n := copy(d.waiting, d.waiting[d.waitingFirst:])
		d.waiting, d.waitingFirst = d.waiting[:n], 0
	}
	d.waiting = append(d.waiting, transmission{end, bytes})
	d.waitingBytes += bytes
}

// lose draws from the loss model: one number for a Bernoulli probability
// strictly between 0 and 1, two for Gilbert-Elliott.
func (d *direction) lose(scn time.Duration) bool {
	if ge := d.wire.Loss.GilbertElliott; ge != nil {
		change, loss := ge.GoodToBad, ge.LossGood
		if d.bad {
			change = ge.BadToGood
		}
		if d.draw() < change {
			d.bad = !d.bad
		}
		if d.bad {
			loss = ge.LossBad
		}
		return d.draw() < loss
	}
	switch p := d.wire.Loss.Bernoulli.At(scn); {
	case p <= 0:
		return false
	case p >= 1:
		return true
	default:
		return d.draw() < p
	}
}

// draw is uniform in [0, 1).
func (d *direction) draw() float64 { return float64(d.rng.Uint64()>>11) / (1 << 53) }

package fabric

import "time"

// Add adds another port's counters.
func (c *Counters) Add(o Counters) {
	c.SentFrames += o.SentFrames
	c.SentBytes += o.SentBytes
	c.ReceivedFrames += o.ReceivedFrames
	c.ReceivedBytes += o.ReceivedBytes
	c.DropNoLink += o.DropNoLink
	c.DropQueue += o.DropQueue
	c.DropLoss += o.DropLoss
	c.DropInFlight += o.DropInFlight
	c.DropDevice += o.DropDevice
	c.DropOverload += o.DropOverload
	c.Forged += o.Forged
	c.DropForged += o.DropForged
	c.DropUnderlay += o.DropUnderlay
}

// Drop is how many frames were dropped for one reason.
type Drop struct {
	Reason string // as in docs/links.md
	Frames uint64
}

// Drops are the dropped frames by reason. Every reason is there, always in this order.
func (c *Counters) Drops() []Drop {
	return []Drop{
		{"no-link", c.DropNoLink}, {"queue", c.DropQueue}, {"loss", c.DropLoss}, {"in-flight", c.DropInFlight},
		{"device", c.DropDevice}, {"overload", c.DropOverload}, {"underlay", c.DropUnderlay}, {"forged", c.DropForged},
	}
}

// Dropped are all frames that did not arrive.
func (c *Counters) Dropped() (frames uint64) {
	for _, d := range c.Drops() {
		frames += d.Frames
	}
	return frames
}

// Rates are what a port has sent in bits per second, and how many frames of it were
// dropped per second, since it had earlier counters and some time has passed; 0 where
// counters began anew meanwhile, or no time has passed.
func (c *Counters) Rates(earlier *Counters, elapsed time.Duration) (bits, drops float64) {
	s := elapsed.Seconds()
	if s <= 0 {
		return 0, 0
	}
	bits = 8 * float64(c.SentBytes-min(c.SentBytes, earlier.SentBytes)) / s
	now, before := c.Dropped(), earlier.Dropped()
	return bits, float64(now-min(now, before)) / s
}

package fabric

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

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

package emulation

import (
	"context"
	"time"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/observe/traffic"
)

// What is remembered of ports' traffic: the whole run, in steps of 5 s (host time) that become
// longer when there is no more room. A run of 540 ports has them for three hours.
const (
	trafficEvery = 5 * time.Second
	trafficSteps = 2048
	trafficBytes = 24 << 20
)

// carried follows what ports carry.
type carried struct {
	run     *Run
	history *traffic.History
	last    []fabric.Counters
	at      time.Duration // scenario time of last
	host    time.Time
}

func newCarried(r *Run) *carried {
	n := r.plan.NumPorts()
	return &carried{run: r, history: traffic.NewHistory(n, trafficBytes, trafficSteps), last: make([]fabric.Counters, n)}
}

// follow adds steps until ctx ends.
func (c *carried) follow(ctx context.Context) error {
	c.look(time.Now())
	tick := time.NewTicker(trafficEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			c.look(now)
		}
	}
}

// look adds a step from the last look until now.
func (c *carried) look(now time.Time) {
	first := c.host.IsZero()
	s := traffic.Step{From: c.at, To: c.run.timeline.Now(), Host: now.Sub(c.host)}
	c.at, c.host = s.To, now
	if !first {
		s.Bits, s.Drops = make([]float32, len(c.last)), make([]float32, len(c.last))
	}
	for i := range c.last {
		is, was := c.run.fabric.Counters(fabric.PortID(i)), &c.last[i]
		if !first && s.Host > 0 {
			s.Bits[i] = float32(8 * float64(is.SentBytes-min(is.SentBytes, was.SentBytes)) / s.Host.Seconds())
			d, before := is.Dropped(), was.Dropped()
			s.Drops[i] = float32(float64(d-min(d, before)) / s.Host.Seconds())
		}
		c.last[i] = is
	}
	if !first {
		c.history.Add(s)
	}
}

// TrafficAt gives what ports carried around an instant of the past. ok is false where nothing
// is known, as in the last seconds.
func (r *Run) TrafficAt(t time.Duration) (traffic.Step, bool) {
	if r.carried == nil {
		return traffic.Step{}, false
	}
	return r.carried.history.At(t)
}

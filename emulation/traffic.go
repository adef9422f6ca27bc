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

// pastTraffic keeps what ports have carried since the run began.
type pastTraffic struct {
	run     *Run
	history *traffic.History
	last    []fabric.Counters
	at      time.Duration // scenario time of last
	host    time.Time
}

func newPastTraffic(r *Run) *pastTraffic {
	n := r.plan.NumPorts()
	return &pastTraffic{run: r, history: traffic.NewHistory(n, trafficBytes, trafficSteps), last: make([]fabric.Counters, n)}
}

// follow adds steps until ctx ends.
func (p *pastTraffic) follow(ctx context.Context) error {
	p.look(time.Now())
	tick := time.NewTicker(trafficEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			p.look(now)
		}
	}
}

// look adds a step from the last look until now.
func (p *pastTraffic) look(now time.Time) {
	first := p.host.IsZero()
	s := traffic.Step{From: p.at, To: p.run.timeline.Now(), Host: now.Sub(p.host)}
	p.at, p.host = s.To, now
	if !first {
		s.Bits, s.Drops = make([]float32, len(p.last)), make([]float32, len(p.last))
	}
	for i := range p.last {
		now := p.run.fabric.Counters(fabric.PortID(i))
		if !first {
			bits, drops := now.Rates(&p.last[i], s.Host)
			s.Bits[i], s.Drops[i] = float32(bits), float32(drops)
		}
		p.last[i] = now
	}
	if !first {
		p.history.Add(s)
	}
}

// TrafficAt gives what ports carried around an instant of the past. ok is false where nothing
// is known, as in the last seconds.
func (r *Run) TrafficAt(t time.Duration) (traffic.Step, bool) {
	if r.pastTraffic == nil {
		return traffic.Step{}, false
	}
	return r.pastTraffic.history.At(t)
}

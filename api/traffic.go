package api

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
)

// trafficEvery is how often ports' counters are read, whoever and how many ask.
const trafficEvery = time.Second

// trafficStale is how old the sample before may be, so that rates are those of a moment.
const trafficStale = 3 * trafficEvery

// traffic derives rates from the ports' counters, for all clients at once.
type traffic struct {
	run *emulation.Run

	mu     sync.Mutex // guards:
	last   []fabric.Counters
	at     time.Time
	latest *rates
}

// rates of all ports, by their numbers. They do not change once made.
type rates struct {
	at    time.Duration // scenario time
	bits  []float64     // sent per second
	drops []float64     // frames per second
	known bool          // else all are 0: there is no sample shortly before
	// message is made once for all.
	message *pb.WatchTrafficResponse
}

// sample gives the latest rates: new ones if the last are older than trafficEvery.
// Rates are over the time since the sample before.
func (t *traffic) sample() *rates {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.latest != nil && now.Sub(t.at) < trafficEvery*9/10 {
		return t.latest
	}
	n := t.run.Plan().NumPorts()
	r := &rates{at: t.run.Timeline().Now(), bits: make([]float64, n), drops: make([]float64, n)}
	counters := make([]fabric.Counters, n)
	elapsed := now.Sub(t.at)
	r.known = t.last != nil && elapsed > 0 && elapsed < trafficStale
	for i := range n {
		c := t.run.Fabric().Counters(fabric.PortID(i))
		counters[i] = c
		if r.known {
			r.bits[i], r.drops[i] = c.Rates(&t.last[i], elapsed)
		}
	}
	r.message = &pb.WatchTrafficResponse{ScenarioTime: duration(r.at)}
	for i := range n {
		r.message.BitsPerSecond = appendFloat32(r.message.BitsPerSecond, r.bits[i])
		r.message.DropsPerSecond = appendFloat32(r.message.DropsPerSecond, r.drops[i])
	}
	t.last, t.at, t.latest = counters, now, r
	return r
}

// recent are rates over about the last second. If nobody else has asked, that takes one.
func (t *traffic) recent(ctx context.Context) (*rates, error) {
	for {
		if r := t.sample(); r.known {
			return r, nil
		}
		select {
		case <-time.After(trafficEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// WatchTraffic implements the method of the schema.
func (s *Server) WatchTraffic(ctx context.Context, _ *connect.Request[pb.WatchTrafficRequest], out *connect.ServerStream[pb.WatchTrafficResponse]) error {
	tick := time.NewTicker(trafficEvery)
	defer tick.Stop()
	for {
		if err := out.Send(s.traffic.sample().message); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case <-s.stopped:
			return nil
		}
	}
}

// GetTraffic implements the method of the schema.
func (s *Server) GetTraffic(_ context.Context, req *connect.Request[pb.GetTrafficRequest]) (*connect.Response[pb.GetTrafficResponse], error) {
	at := req.Msg.GetScenarioTime()
	if at.CheckValid() != nil || at.AsDuration() < 0 {
		return nil, invalid("scenario_time is to be a duration of 0 or more")
	}
	t := at.AsDuration()
	out := &pb.GetTrafficResponse{Failures: failures(s.run.FailuresAt(t))}
	if step, ok := s.run.TrafficAt(t); ok {
		out.From, out.To = duration(step.From), duration(step.To)
		for i := range step.Bits {
			out.BitsPerSecond = appendFloat32(out.BitsPerSecond, float64(step.Bits[i]))
			out.DropsPerSecond = appendFloat32(out.DropsPerSecond, float64(step.Drops[i]))
		}
	}
	return connect.NewResponse(out), nil
}

package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/underlay"
)

// Metrics are an agent's figures for Prometheus. How many there are follows from the
// number of scenarios and of workers, and not from that of nodes or links.
type Metrics struct{ agent *Agent }

// Metrics of the agent.
func (a *Agent) Metrics() Metrics { return Metrics{a} }

var _ prometheus.Collector = Metrics{}

// described are all figures that there may be.
var described []*prometheus.Desc

// describe is a figure of a scenario.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return describeOwn(name, help, append([]string{"namespace", "scenario"}, labels...)...)
}

// describeOwn is a figure of the agent itself.
func describeOwn(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("orrery_"+name, help, labels, nil)
	described = append(described, d)
	return d
}

var (
	descAttached  = describeOwn("attachments_total", "Pods that were given their ports.")
	descAttaching = describeOwn("attachment_seconds_total", "How long the agent took for that, all of them together.")

	descNodes     = describe("nodes", "Nodes of the scenario that this worker carries.")
	descLinks     = describe("links_up", "Links that the plan has up now, on all workers together.", "class")
	descSpeed     = describe("speed", "Seconds of scenario time per second; 0 while it stands.")
	descAhead     = describe("plan_ahead_seconds", "Scenario time for which the plan is known ahead of now.")
	descSent      = describe("frames_sent_total", "Frames that nodes on this worker have sent.")
	descSentBytes = describe("bytes_sent_total", "Bytes of those frames.")
	descReceived  = describe("frames_delivered_total", "Frames that were delivered to nodes on this worker.")
	descDropped   = describe("frames_dropped_total", "Frames that were dropped, by reason; underlay, device and overload were not asked for by the scenario.", "reason")
	descLateness  = describe("frame_lateness_seconds", "By how much deliveries were later than they were due, since the start.", "quantile")
	descEvents    = describe("event_lateness_seconds", "By how much links changed later than the plan says, since the start.", "quantile")
	descRealTime  = describe("realtime", "1 if frames are carried at real-time priority.")
	descVerdict   = describe("fidelity", "What the last seconds are worth: 0 faithful, 1 degraded, 2 overloaded.")
	descHeard     = describe("peer_up", "1 while frames can be sent to another worker.", "peer")
	descRefused   = describe("peer_refused", "1 while nothing is carried to or from another worker, since its agent is of another version, release or run.", "peer", "reason")
	descOffset    = describe("peer_clock_offset_seconds", "By how much the monotonic clock of another worker is ahead.", "peer")
	descError     = describe("peer_clock_uncertainty_seconds", "By how much that may be wrong.", "peer")
	descLatency   = describe("peer_latency_seconds", "One-way latency of datagrams from another worker.", "peer", "quantile")
	descPeerSent  = describe("peer_frames_sent_total", "Frames that were sent to another worker.", "peer")
	descPeerCame  = describe("peer_frames_received_total", "Frames that came from another worker.", "peer")
	descPeerLost  = describe("peer_datagrams_lost_total", "Datagrams of another worker that did not come.", "peer")
	descPeerLate  = describe("peer_frames_late_total", "Frames of another worker that came after they were due.", "peer")
)

// Describe implements prometheus.Collector.
func (m Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range described {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m Metrics) Collect(out chan<- prometheus.Metric) {
	list := m.agent.entries()
	m.agent.mu.Lock()
	attached := m.agent.attached
	m.agent.mu.Unlock()
	out <- prometheus.MustNewConstMetric(descAttached, prometheus.CounterValue, float64(attached.number))
	out <- prometheus.MustNewConstMetric(descAttaching, prometheus.CounterValue, attached.took.Seconds())
	for _, e := range list {
		e.mu.Lock()
		if e.run != nil {
			e.run.collect(out)
		}
		e.mu.Unlock()
	}
}

// collect gives a scenario's figures. The scenario's lock is held.
func (r *run) collect(out chan<- prometheus.Metric) {
	emit := func(kind prometheus.ValueType, d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, value, append([]string{r.seen.Namespace, r.seen.Name}, labels...)...)
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		emit(prometheus.GaugeValue, d, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		emit(prometheus.CounterValue, d, float64(value), labels...)
	}
	s := r.part.Status()
	gauge(descNodes, float64(len(r.sandboxes)))
	gauge(descLinks, float64(s.ISLs), "satellites")
	gauge(descLinks, float64(s.GroundLinks), "ground")
	speed := s.Speed
	if s.Paused {
		speed = 0
	}
	gauge(descSpeed, speed)
	gauge(descAhead, s.PlanAhead.Seconds())
	count(descSent, s.Counters.SentFrames)
	count(descSentBytes, s.Counters.SentBytes)
	count(descReceived, s.Counters.ReceivedFrames)
	for _, d := range s.Counters.Drops() {
		count(descDropped, d.Frames, d.Reason)
	}
	quantiles := func(d *prometheus.Desc, h *fabric.Histogram) {
		gauge(d, h.Quantile(0.5).Seconds(), "0.5")
		gauge(d, h.Quantile(0.99).Seconds(), "0.99")
		gauge(d, h.Max().Seconds(), "1")
	}
	quantiles(descLateness, &s.Carrying.Lateness)
	quantiles(descEvents, &s.EventLateness)
	gauge(descRealTime, oneIf(s.Carrying.RealTime))
	gauge(descVerdict, float64(s.Fidelity.Verdict.Level))
	for _, p := range r.peers() {
		gauge(descHeard, oneIf(p.Up), p.Host)
		for _, reason := range differences {
			gauge(descRefused, oneIf(p.Differs == reason), p.Host, reason)
		}
		gauge(descOffset, p.Offset.Seconds(), p.Host)
		gauge(descError, p.Uncertainty.Seconds(), p.Host)
		gauge(descLatency, p.LatencyP50.Seconds(), p.Host, "0.5")
		gauge(descLatency, p.LatencyP99.Seconds(), p.Host, "0.99")
		count(descPeerSent, p.SentFrames, p.Host)
		count(descPeerCame, p.ReceivedFrames, p.Host)
		count(descPeerLost, p.Lost, p.Host)
		count(descPeerLate, p.Late, p.Host)
	}
}

// differences that underlay.PeerStatus may name.
var differences = []string{"version", "release", "run"}

// peers are what the fabric says of other workers.
func (r *run) peers() []underlay.PeerStatus {
	u, ok := r.part.Fabric().(fabric.UnderlayStatuser)
	if !r.agent.config.Underlay || !ok {
		return nil
	}
	return u.Underlay().Peers
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

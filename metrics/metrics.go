// Package metrics gives a run's figures to Prometheus.
//
// What is asked for at a scrape is read then, by one collector: no figure is kept
// for its own sake, and however large a run is, there are some sixty series of it.
// Only for nodes that were chosen there are series for each port. docs/metrics.md
// lists all names; they are part of what Orrery promises.
package metrics

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fidelity"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// maxPorts that may have series of their own: seven each.
const maxPorts = 2000

// Handler answers scrapes of a run. These ports have series of their own: see Ports.
func Handler(run *emulation.Run, ports []*plan.Port) http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{run, ports}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Ports of the nodes whose names match a shell pattern; none without patterns. The error
// says that there are none, or too many.
func Ports(p *plan.Plan, patterns []string) (list []*plan.Port, err error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	for i := range p.Nodes {
		if !scenario.Match(patterns, p.Nodes[i].Name) {
			continue
		}
		for k := range p.Nodes[i].Ports {
			list = append(list, &p.Nodes[i].Ports[k])
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no node is called like %q; 'orrery validate' and 'orrery plan' tell their names", patterns)
	}
	if len(list) > maxPorts {
		return nil, fmt.Errorf("%q are %d ports, and at most %d can have metrics of their own; choose fewer nodes", patterns, len(list), maxPorts)
	}
	return list, nil
}

// collector reads a run at each scrape.
type collector struct {
	run   *emulation.Run
	ports []*plan.Port
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("orrery_"+name, help, labels, nil)
}

// The names, which docs/metrics.md explains.
var (
	info         = desc("run_info", "The run that these figures are of, always 1.", "name")
	phase        = desc("run_phase", "1 for the phase that the run is in.", "phase")
	scenarioTime = desc("scenario_time_seconds", "Scenario time since the epoch.")
	speed        = desc("speed_ratio", "Seconds of scenario time per second, 0 while paused.")
	uptime       = desc("uptime_seconds", "Host time since the run began.")
	converged    = desc("converged_after_seconds", "From the start until every pair had reached each other; absent until then.")
	nodes        = desc("nodes", "Nodes of the scenario.", "kind")
	ports        = desc("ports", "Ports of the scenario.")
	links        = desc("links", "Links that are up.", "class")
	problems     = desc("problems", "What is wrong with the run, as 'orrery status' lists it.")
	injected     = desc("failures", "Failures that are injected now.", "kind")
	events       = desc("events_total", "Events so far.", "type")
	planAhead    = desc("plan_ahead_seconds", "How far beyond now the plan is computed, in scenario time.")

	processes    = desc("processes", "Processes of routing software and commands.", "state")
	restarts     = desc("process_restarts", "Restarts of the processes that there are now.")
	adjacencies  = desc("adjacencies", "Adjacencies that daemons report, each from both of its ends.")
	possible     = desc("adjacencies_possible", "Adjacencies if every link between routers had one.")
	pairs        = desc("pairs", "Pairs of stations that are probed.", "state")
	probesSent   = desc("probes_sent_total", "Echo requests, of each pair from its first answer on.")
	probesLost   = desc("probes_lost_total", "Echo requests without an answer.")
	pairRTT      = desc("pair_round_trip_seconds", "Last measured round-trip times of pairs that reach each other: their distribution now.")
	pairExcess   = desc("pair_excess_seconds", "Measured less geometric round-trip time of those pairs: their distribution now.")
	frameRate    = desc("frames_per_second", "Frames handed over by nodes in the last second.")
	sentFrames   = desc("frames_sent_total", "Frames that nodes have handed over.")
	sentBytes    = desc("bytes_sent_total", "Bytes in these.")
	gotFrames    = desc("frames_received_total", "Frames that were delivered to nodes.")
	gotBytes     = desc("bytes_received_total", "Bytes in these.")
	drops        = desc("frames_dropped_total", "Frames that were not delivered.", "reason")
	unread       = desc("frames_unread_total", "Frames that the emulator did not read in time.")
	lateFrames   = desc("frame_lateness_seconds", "How much later than they should frames were delivered.")
	lateEvents   = desc("event_lateness_seconds", "How much later than they should events of the topology were applied, in host time.")
	level        = desc("fidelity_level", "Verdict on the last seconds: 0 faithful, 1 degraded, 2 overloaded.")
	levelSeconds = desc("fidelity_seconds_total", "Host time in each level since the network converged.", "level")
	realTime     = desc("fabric_real_time", "1 if the workers that carry frames have real-time priority.")
	workers      = desc("fabric_workers", "Workers that carry frames.")

	portUp    = desc("port_up", "1 while the port has a link.", "node", "port")
	portDelay = desc("port_delay_seconds", "One-way delay of the port's link; absent without one.", "node", "port")
	portSentF = desc("port_frames_sent_total", "Frames that the node has handed over at this port.", "node", "port")
	portSentB = desc("port_bytes_sent_total", "Bytes in these.", "node", "port")
	portGotF  = desc("port_frames_received_total", "Frames that were delivered to this port.", "node", "port")
	portGotB  = desc("port_bytes_received_total", "Bytes in these.", "node", "port")
	portDrops = desc("port_frames_dropped_total", "Frames that this port sent and that were not delivered.", "node", "port")
)

var all = []*prometheus.Desc{
	info, phase, scenarioTime, speed, uptime, converged, nodes, ports, links, problems, injected, events, planAhead,
	processes, restarts, adjacencies, possible, pairs, probesSent, probesLost, pairRTT, pairExcess,
	frameRate, sentFrames, sentBytes, gotFrames, gotBytes, drops, unread, lateFrames, lateEvents, level, levelSeconds, realTime, workers,
	portUp, portDelay, portSentF, portSentB, portGotF, portGotB, portDrops,
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range all {
		out <- d
	}
}

// sink takes figures.
type sink chan<- prometheus.Metric

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sink) counter(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (s sink) flag(d *prometheus.Desc, v bool, labels ...string) {
	x := 0.0
	if v {
		x = 1
	}
	s.gauge(d, x, labels...)
}

// lateness buckets, in seconds.
var lateness = []float64{1e-6, 1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1}

func (s sink) histogram(d *prometheus.Desc, h fabric.Histogram) {
	buckets := make(map[float64]uint64, len(lateness))
	for _, b := range lateness {
		buckets[b] = h.Below(time.Duration(b * 1e9))
	}
	s <- prometheus.MustNewConstHistogram(d, h.Count(), h.Sum().Seconds(), buckets)
}

// Buckets of round-trip times, and of what they are beyond geometry, in seconds.
var (
	roundTrips = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1}
	excesses   = []float64{1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 0.1}
)

func (s sink) distribution(d *prometheus.Desc, bounds, values []float64) {
	buckets := make(map[float64]uint64, len(bounds))
	sum := 0.0
	for _, b := range bounds {
		buckets[b] = 0
	}
	for _, v := range values {
		sum += v
		for _, b := range bounds {
			if v <= b {
				buckets[b]++
			}
		}
	}
	s <- prometheus.MustNewConstHistogram(d, uint64(len(values)), sum, buckets)
}

var phaseNames = map[emulation.Phase]string{
	emulation.PhaseStarting: "starting", emulation.PhaseConverging: "converging", emulation.PhaseRunning: "running",
	emulation.PhaseStopping: "stopping", emulation.PhaseFailed: "failed",
}

var levels = []struct {
	level fidelity.Level
	name  string
}{{fidelity.Faithful, "faithful"}, {fidelity.Degraded, "degraded"}, {fidelity.Overloaded, "overloaded"}}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s, st := sink(out), c.run.Status()
	s.gauge(info, 1, st.Name)
	for p, name := range phaseNames {
		s.flag(phase, p == st.Phase, name)
	}
	s.gauge(scenarioTime, st.ScenarioTime.Seconds())
	if st.Paused {
		s.gauge(speed, 0)
	} else {
		s.gauge(speed, st.Speed)
	}
	s.gauge(uptime, st.Uptime.Seconds())
	if st.ConvergedAfter > 0 {
		s.gauge(converged, st.ConvergedAfter.Seconds())
	}
	s.gauge(nodes, float64(st.Satellites), "satellite")
	s.gauge(nodes, float64(st.Stations), "station")
	s.gauge(ports, float64(st.Ports))
	s.gauge(links, float64(st.ISLs), "isl")
	s.gauge(links, float64(st.GroundLinks), "ground")
	s.gauge(problems, float64(len(st.Problems)))
	failures := map[emulation.FailureKind]int{emulation.Cut: 0, emulation.KillProcess: 0, emulation.KillNode: 0, emulation.Impair: 0}
	for _, f := range st.Failures {
		failures[f.Kind]++
	}
	for kind, n := range failures {
		s.gauge(injected, float64(n), string(kind))
	}
	s.counter(events, float64(st.TopologyEvents), "topology")
	s.counter(events, float64(st.Events-st.TopologyEvents), "other")
	s.gauge(planAhead, st.PlanAhead.Seconds())
	s.software(&st)
	s.probing(&st)
	s.carrying(&st)
	for _, p := range c.ports {
		c.port(s, p)
	}
}

func (s sink) software(st *emulation.Status) {
	states := map[node.ProcessState]int{node.Starting: 0, node.Running: 0, node.Exited: 0, node.Failed: 0}
	again := 0
	for _, p := range st.Processes {
		states[p.State]++
		again += p.Restarts
	}
	for state, n := range states {
		s.gauge(processes, float64(n), string(state))
	}
	s.gauge(restarts, float64(again))
	s.gauge(adjacencies, float64(st.Adjacencies))
	s.gauge(possible, float64(st.AdjacenciesPossible))
}

func (s sink) probing(st *emulation.Status) {
	var sent, lost int64
	var measured, excess []float64
	reach := 0
	for i := range st.Pairs {
		p := &st.Pairs[i]
		sent, lost = sent+p.Sent, lost+p.Lost
		if !p.Reachable {
			continue
		}
		reach++
		measured = append(measured, p.Measured.Seconds())
		if p.Geometric > 0 {
			excess = append(excess, (p.Measured - p.Geometric).Seconds())
		}
	}
	s.gauge(pairs, float64(reach), "reachable")
	s.gauge(pairs, float64(len(st.Pairs)-reach), "unreachable")
	s.counter(probesSent, float64(sent))
	s.counter(probesLost, float64(lost))
	s.distribution(pairRTT, roundTrips, measured)
	s.distribution(pairExcess, excesses, excess)
}

func (s sink) carrying(st *emulation.Status) {
	n := &st.Counters
	s.gauge(frameRate, st.FrameRate)
	s.counter(sentFrames, float64(n.SentFrames))
	s.counter(sentBytes, float64(n.SentBytes))
	s.counter(gotFrames, float64(n.ReceivedFrames))
	s.counter(gotBytes, float64(n.ReceivedBytes))
	for _, d := range n.Drops() {
		s.counter(drops, float64(d.Frames), d.Reason)
	}
	s.counter(unread, float64(st.Fidelity.Lost.Queue))
	s.histogram(lateFrames, st.Carrying.Lateness)
	s.histogram(lateEvents, st.EventLateness)
	for i, l := range levels {
		if st.Fidelity.Verdict.Level == l.level {
			s.gauge(level, float64(i))
		}
		s.counter(levelSeconds, st.Fidelity.Report.Time[l.level].Seconds(), l.name)
	}
	s.flag(realTime, st.Carrying.RealTime)
	s.gauge(workers, float64(st.Carrying.Workers))
}

// port gives the series of a port that was chosen.
func (c *collector) port(s sink, p *plan.Port) {
	name := c.run.Plan().Nodes[p.Node].Name
	contact, _ := c.run.ContactOf(p.ID)
	s.flag(portUp, contact != nil, name, p.Name)
	if contact != nil {
		s.gauge(portDelay, contact.Delay.At(c.run.Timeline().Now()), name, p.Name)
	}
	n := c.run.Fabric().Counters(fabric.PortID(p.ID))
	s.counter(portSentF, float64(n.SentFrames), name, p.Name)
	s.counter(portSentB, float64(n.SentBytes), name, p.Name)
	s.counter(portGotF, float64(n.ReceivedFrames), name, p.Name)
	s.counter(portGotB, float64(n.ReceivedBytes), name, p.Name)
	s.counter(portDrops, float64(n.Dropped()), name, p.Name)
}

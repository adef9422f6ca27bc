package api

import (
	"fmt"
	"math"
	"net"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"orrery.dev/orrery/address"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fidelity"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/plan"
)

func duration(d time.Duration) *durationpb.Duration { return durationpb.New(d) }

// optional leaves out what is not known.
func optional(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func seconds(s float64) *durationpb.Duration {
	return durationpb.New(time.Duration(math.Round(s * 1e9)))
}

var phases = map[emulation.Phase]pb.Phase{
	emulation.PhaseStarting:   pb.Phase_PHASE_STARTING,
	emulation.PhaseConverging: pb.Phase_PHASE_CONVERGING,
	emulation.PhaseRunning:    pb.Phase_PHASE_RUNNING,
	emulation.PhaseStopping:   pb.Phase_PHASE_STOPPING,
	emulation.PhaseFailed:     pb.Phase_PHASE_FAILED,
}

var verdictLevels = map[fidelity.Level]pb.Verdict_Level{
	fidelity.Faithful:   pb.Verdict_LEVEL_FAITHFUL,
	fidelity.Degraded:   pb.Verdict_LEVEL_DEGRADED,
	fidelity.Overloaded: pb.Verdict_LEVEL_OVERLOADED,
}

func verdict(v fidelity.Verdict) *pb.Verdict {
	return &pb.Verdict{Level: verdictLevels[v.Level], Since: timestamppb.New(v.Since), Reasons: v.Reasons, Causes: v.Causes}
}

// Status of the run as a message.
func (s *Server) Status() *pb.Status {
	st := s.run.Status()
	out := &pb.Status{
		Name: st.Name, Phase: phases[st.Phase], Problems: st.Problems,
		Epoch: timestamppb.New(st.Epoch), ScenarioTime: duration(st.ScenarioTime), Duration: optional(st.Duration),
		Speed: st.Speed, Paused: st.Paused, Uptime: duration(st.Uptime),
		Satellites: int32(st.Satellites), Stations: int32(st.Stations), Ports: int32(st.Ports),
		IslLinks: int32(st.ISLs), GroundLinks: int32(st.GroundLinks),
		Routing: st.Routing, Processes: int32(max(st.Wanted, len(st.Processes))),
		Adjacencies: int32(st.Adjacencies), AdjacenciesPossible: int32(st.AdjacenciesPossible), HasAdjacencies: st.HasAdjacencies,
		Events: int64(st.TopologyEvents), TotalEvents: int64(st.Events), ConvergedAfter: optional(st.ConvergedAfter),
		Counters: counters(st.Counters), FramesPerSecond: st.FrameRate, PlanAhead: duration(st.PlanAhead),
		Emulator: emulator(),
		Fidelity: &pb.Fidelity{
			LatenessP50: duration(st.Carrying.Lateness.Quantile(0.5)),
			LatenessP99: duration(st.Carrying.Lateness.Quantile(0.99)),
			LatenessMax: duration(st.Carrying.Lateness.Max()),
			Deliveries:  st.Carrying.Lateness.Count(),
			EventP50:    duration(st.EventLateness.Quantile(0.5)),
			EventP99:    duration(st.EventLateness.Quantile(0.99)),
			EventMax:    duration(st.EventLateness.Max()),
			RealTime:    st.Carrying.RealTime,
			Workers:     int32(st.Carrying.Workers),

			Verdict:        verdict(st.Fidelity.Verdict),
			Worst:          verdict(st.Fidelity.Report.Worst),
			TimeFaithful:   duration(st.Fidelity.Report.Time[fidelity.Faithful]),
			TimeDegraded:   duration(st.Fidelity.Report.Time[fidelity.Degraded]),
			TimeOverloaded: duration(st.Fidelity.Report.Time[fidelity.Overloaded]),
			UnreadFrames:   st.Fidelity.Lost.Queue,
		},
	}
	for _, p := range st.Processes {
		switch p.State {
		case node.Running:
			out.ProcessesRunning++
		case node.Failed:
			out.FailedProcesses = append(out.FailedProcesses, process(p))
		case node.Starting, node.Exited:
		}
	}
	if st.Last != nil {
		out.LastEvent = EventMessage(st.Last)
	}
	if st.Next != nil {
		out.NextEvent = EventMessage(st.Next)
	}
	for i := range st.Pairs {
		out.Pairs = append(out.Pairs, s.pair(&st.Pairs[i]))
	}
	out.Failures = failures(st.Failures)
	return out
}

func (s *Server) pair(p *emulation.Pair) *pb.Pair {
	return &pb.Pair{
		A: s.name(p.A), B: s.name(p.B), Reachable: p.Reachable,
		MeasuredRtt: optional(p.Measured), GeometricRtt: optional(p.Geometric), OracleRtt: optional(p.Oracle),
		Hops: int32(p.Hops), Sent: p.Sent, Lost: p.Lost, Since: duration(time.Since(p.Since)),
	}
}

// EventMessage is an event as a message.
func EventMessage(e *emulation.Event) *pb.Event {
	m := &pb.Event{
		At: duration(e.At), Kind: string(e.Kind), A: e.A, B: e.B, Text: e.Text, Sequence: e.Sequence,
	}
	if !e.Host.IsZero() {
		m.HostTime = timestamppb.New(e.Host)
	}
	return m
}

func process(p node.ProcessStatus) *pb.Process {
	return &pb.Process{
		Node: p.Node, Name: p.Name, State: string(p.State), Pid: int32(p.PID),
		Restarts: int32(p.Restarts), Reason: p.Reason, Log: p.Log, Since: timestamppb.New(p.Since),
	}
}

func counters(c fabric.Counters) *pb.Counters {
	return &pb.Counters{
		SentFrames: c.SentFrames, SentBytes: c.SentBytes,
		ReceivedFrames: c.ReceivedFrames, ReceivedBytes: c.ReceivedBytes,
		DropNoLink: c.DropNoLink, DropQueue: c.DropQueue, DropLoss: c.DropLoss,
		DropInFlight: c.DropInFlight, DropDevice: c.DropDevice, DropOverload: c.DropOverload,
		Forged: c.Forged, DropForged: c.DropForged, DropUnderlay: c.DropUnderlay,
	}
}

func (s *Server) name(n int) string { return s.run.Plan().Nodes[n].Name }

func (s *Server) portName(id plan.PortID) string {
	p := s.run.Plan().Port(id)
	return s.name(p.Node) + ":" + p.Name
}

func (s *Server) node(n *plan.Node, processes []*pb.Process) *pb.Node {
	out := &pb.Node{
		Index: int32(n.Index), Name: n.Name, Kind: n.Kind.String(), Group: n.Group,
		Loopback:  s.run.Loopback(n.Index).String(),
		Processes: processes, Adjacencies: int32(s.run.AdjacenciesOf(n.Index)), Routing: s.run.RoutingOf(n.Index),
	}
	if s.run.Plan().Scenario.Spec.Network.IPv4 {
		out.Loopback4 = address.Loopback4(n.Index).Addr().String()
	}
	if st, err := n.Motion.State(s.run.Timeline().Now()); err == nil {
		g := orbit.SubPoint(st.Position)
		out.Latitude, out.Longitude, out.Height = degrees(g.Latitude), degrees(g.Longitude), g.Height
	}
	for i := range n.Ports {
		p := &n.Ports[i]
		mac := address.MAC(n.Index, p.Index)
		port := &pb.Port{
			Name: p.Name, Mac: net.HardwareAddr(mac[:]).String(),
			LinkLocal: address.LinkLocal(n.Index, p.Index).Addr().String(),
			Counters:  counters(s.run.Fabric().Counters(fabric.PortID(p.ID))),
		}
		if c, other := s.run.ContactOf(p.ID); c != nil {
			port.Up, port.Peer = true, s.portName(other)
			port.Delay = seconds(c.Delay.At(s.run.Timeline().Now()))
		}
		out.Ports = append(out.Ports, port)
	}
	return out
}

func degrees(rad float64) float64 { return rad * 180 / math.Pi }

// link is a contact as a message. Delay, rate and loss are those of now, or of
// the contact's start if it does not stand now.
func (s *Server) link(c *plan.Contact) *pb.Link {
	at := s.run.Timeline().Now()
	if at < c.Start || at >= c.End {
		at = c.Start
	}
	out := &pb.Link{
		A: s.portName(c.A), B: s.portName(c.B), Class: c.Class.String(), Start: duration(c.Start),
		Delay: seconds(c.Delay.At(at)), Rate: c.Rate.At(at), Loss: c.Loss.At(at),
	}
	if c.Ends {
		out.End = duration(c.End)
	}
	return out
}

func (s *Server) path(p *emulation.Path) *pb.Path {
	out := &pb.Path{Delay: duration(p.Delay), Complete: p.Complete(), Problem: p.Problem}
	for _, h := range p.Hops {
		hop := &pb.Hop{Node: s.name(h.Node)}
		if h.Port >= 0 {
			hop.Port, hop.Delay = s.run.Plan().Port(h.Port).Name, duration(h.Delay)
		}
		out.Hops = append(out.Hops, hop)
	}
	return out
}

// NodePort splits NODE:PORT.
func NodePort(s string) (node, port string, err error) {
	for i := len(s) - 1; i > 0; i-- {
		if s[i] == ':' && i+1 < len(s) {
			return s[:i], s[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("%q: want NODE:PORT, such as sat-p01s03:fore", s)
}

package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
)

// askWithin is how long a node's daemons and kernel may take to answer.
const askWithin = 3 * time.Second

// GetNode implements the method of the schema.
func (s *Server) GetNode(ctx context.Context, req *connect.Request[pb.GetNodeRequest]) (*connect.Response[pb.GetNodeResponse], error) {
	n, err := s.findNode(req.Msg.GetName())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var processes []*pb.Process
	for _, p := range s.run.Nodes().Processes() {
		if p.Node == n.Name {
			processes = append(processes, process(p))
		}
	}
	out := &pb.GetNodeResponse{
		Node: s.node(n, processes), Terminals: s.terminals(n), ScenarioTime: duration(s.run.Timeline().Now()),
	}
	out.Neighbours, out.NeighboursProblem = s.neighbours(ctx, n)
	routes, err := s.run.Nodes().Routes(ctx, n.Name)
	if err != nil {
		out.RoutesProblem = err.Error()
	}
	for _, r := range routes {
		m := &pb.Route{Prefix: r.Prefix.String(), Port: r.Port, Metric: int32(r.Metric), Protocol: protocolName(r.Protocol)}
		if r.Via.IsValid() {
			m.Via = r.Via.String()
		}
		out.Routes = append(out.Routes, m)
	}
	for _, c := range s.run.Links() {
		if s.touches(c, n) {
			out.Links = append(out.Links, s.link(c))
		}
	}
	for _, f := range s.run.Failures() {
		if f.Touches(n.Name) {
			out.Failures = append(out.Failures, failure(&f))
		}
	}
	return connect.NewResponse(out), nil
}

// neighbours as a node's daemon says, or why it does not.
func (s *Server) neighbours(ctx context.Context, n *plan.Node) (out []*pb.Neighbour, problem string) {
	entry := assignment.Routing(s.run.Plan(), n.Index)
	if entry == nil || !router.HasAdjacencies(*entry) {
		return nil, ""
	}
	dir := s.run.Nodes().Dir(n.Name)
	if dir == "" {
		return nil, "The daemons are in the node's pod, where this worker's agent does not ask them."
	}
	list, err := router.Adjacencies(ctx, dir, *entry)
	if err != nil {
		problem = err.Error()
	}
	return NeighbourMessages(list), problem
}

// NeighbourMessages are adjacencies as the schema has them.
func NeighbourMessages(list []router.Adjacency) (out []*pb.Neighbour) {
	for _, a := range list {
		out = append(out, &pb.Neighbour{Port: a.Port, Name: a.Neighbour, State: a.State, Up: a.Up})
	}
	return out
}

// protocolNames are those of rtnetlink(7), linux/rtnetlink.h, and the oracle's.
var protocolNames = map[int]string{
	2: "kernel", 3: "boot", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 16: "dhcp", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip",
	emulation.OracleProtocol: "oracle",
}

func protocolName(n int) string {
	if name, ok := protocolNames[n]; ok {
		return name
	}
	return strconv.Itoa(n)
}

// Bounds of how much of a log is given.
const (
	defaultLog = 64 << 10
	maxLog     = 1 << 20
)

// GetLog implements the method of the schema.
func (s *Server) GetLog(_ context.Context, req *connect.Request[pb.GetLogRequest]) (*connect.Response[pb.GetLogResponse], error) {
	n, err := s.findNode(req.Msg.GetNode())
	if err != nil {
		return nil, err
	}
	size := int64(req.Msg.GetBytes())
	if size == 0 {
		size = defaultLog
	}
	if size < 0 || size > maxLog {
		return nil, invalid("%d bytes of a log: want 1 to %d", size, maxLog)
	}
	var names []string
	for _, p := range s.run.Nodes().Processes() {
		if p.Node != n.Name {
			continue
		}
		if p.Name != req.Msg.GetProcess() {
			names = append(names, p.Name)
			continue
		}
		text, truncated, err := tail(p.Log, size)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, connect.NewError(connect.CodeInternal, err)
		}
		return connect.NewResponse(&pb.GetLogResponse{Text: text, Truncated: truncated}), nil
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("node %s has no process %q; it has %v", n.Name, req.Msg.GetProcess(), names))
}

// tail is the last whole lines of a file, size bytes at most.
func tail(path string, size int64) (text string, truncated bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", false, err
	}
	from := max(0, end-size)
	b := make([]byte, end-from)
	n, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	b = b[:n]
	if from > 0 {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), from > 0, nil
}

// lookAhead is how far the next contact of a port without one is looked for.
const lookAhead = 10 * time.Minute

// GetLink implements the method of the schema.
func (s *Server) GetLink(ctx context.Context, req *connect.Request[pb.GetLinkRequest]) (*connect.Response[pb.GetLinkResponse], error) {
	port, err := s.findPort(req.Msg.GetPort())
	if err != nil {
		return nil, err
	}
	rates, err := s.traffic.recent(ctx)
	if err != nil {
		return nil, err
	}
	now := s.run.Timeline().Now()
	out := &pb.GetLinkResponse{ScenarioTime: duration(now), ACounters: counters(s.run.Fabric().Counters(fabric.PortID(port.ID)))}
	out.ABitsPerSecond = rates.bits[port.ID]
	c, far := s.run.ContactOf(port.ID)
	if c != nil {
		out.Up = true
		out.BCounters = counters(s.run.Fabric().Counters(fabric.PortID(far)))
		out.BBitsPerSecond = rates.bits[far]
		if rate := c.Rate.At(now); rate > 0 {
			out.Utilisation = max(out.ABitsPerSecond, out.BBitsPerSecond) / rate
		}
	} else {
		list, err := contacts(ctx, s.sky.shelf.own, now, now+lookAhead)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(c plan.Contact) bool { return c.A == port.ID || c.B == port.ID })
		if i >= 0 {
			c = &list[i]
		}
	}
	if c != nil {
		out.Link = s.link(c)
		if c.B == port.ID { // the port that was asked about comes first
			out.Link.A, out.Link.B = out.Link.B, out.Link.A
		}
		out.Delay, out.Rate, out.Loss = pieces(c.Delay), pieces(c.Rate), pieces(c.Loss)
		out.KnownFrom, out.KnownTo = duration(c.Start), duration(c.End)
		if segments := c.Delay.Segments(); len(segments) > 0 {
			out.KnownFrom = duration(max(c.Start, segments[0].Start))
		}
	}
	for _, f := range s.run.Failures() {
		if name := s.portName(port.ID); f.A == name || f.B == name || f.Kind == emulation.KillNode && f.A == s.name(port.Node) {
			out.Failures = append(out.Failures, failure(&f))
		}
	}
	return connect.NewResponse(out), nil
}

func pieces(c curve.Curve) (out []*pb.Piece) {
	for _, s := range c.Segments() {
		out = append(out, &pb.Piece{Start: duration(s.Start), C0: s.C[0], C1: s.C[1], C2: s.C[2], C3: s.C[3]})
	}
	return out
}

// GetPair implements the method of the schema.
func (s *Server) GetPair(ctx context.Context, req *connect.Request[pb.GetPairRequest]) (*connect.Response[pb.GetPairResponse], error) {
	a, err := s.findNode(req.Msg.GetA())
	if err != nil {
		return nil, err
	}
	b, err := s.findNode(req.Msg.GetB())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	there, back := s.run.KernelPath(ctx, a.Index, b.Index), s.run.KernelPath(ctx, b.Index, a.Index)
	out := &pb.GetPairResponse{
		Kernel: s.path(&there), KernelBack: s.path(&back), Oracle: s.oraclePath(a.Index, b.Index),
		ScenarioTime: duration(s.run.Timeline().Now()),
	}
	pair, samples, outages, ok := s.run.PairHistory(a.Index, b.Index)
	if !ok {
		return connect.NewResponse(out), nil
	}
	out.Pair = s.pair(&pair)
	for _, x := range samples {
		out.Times = appendFloat64(out.Times, x.At.Seconds())
		out.MeasuredMs = appendFloat32(out.MeasuredMs, milliseconds(x.Measured, !x.Lost))
		out.GeometricMs = appendFloat32(out.GeometricMs, milliseconds(x.Geometric, x.Geometric > 0))
		out.OracleMs = appendFloat32(out.OracleMs, milliseconds(x.Oracle, x.Oracle > 0))
	}
	for _, o := range outages {
		m := &pb.Outage{From: duration(o.From), Problem: o.Problem}
		if !o.Lasts {
			m.To = duration(o.To)
		}
		out.Outages = append(out.Outages, m)
	}
	return connect.NewResponse(out), nil
}

// milliseconds of what is known, else not a number.
func milliseconds(d time.Duration, known bool) float64 {
	if !known {
		return math.NaN()
	}
	return float64(d) / 1e6
}

func (s *Server) oraclePath(from, to int) *pb.Path {
	p, ok := s.run.OraclePath(from, to)
	if !ok {
		p.Problem = "the links of this moment do not join them"
	}
	return s.path(&p)
}

// findPort by NODE:PORT.
func (s *Server) findPort(name string) (*plan.Port, error) {
	node, port, err := NodePort(name)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	n, err := s.findNode(node)
	if err != nil {
		return nil, err
	}
	return s.portOf(n, port)
}

func (s *Server) portOf(n *plan.Node, port string) (*plan.Port, error) {
	p, ok := s.run.Plan().PortByName(n.Name, port)
	if !ok {
		var names []string
		for i := range n.Ports {
			names = append(names, n.Ports[i].Name)
		}
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("node %s has no port %q; it has %v", n.Name, port, names))
	}
	return p, nil
}

package api

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"orrery.dev/orrery/api/access"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/plan/almanac"
	"orrery.dev/orrery/plan/coverage"
	"orrery.dev/orrery/scenario"
)

// Bounds of what one request may ask for.
const (
	maxPositions = 4_000_000      // nodes × instants
	maxInterval  = 24 * time.Hour // of contacts and coverage
	maxSamples   = 33             // of a contact's delay
	maxStates    = 4_000_000      // satellites × instants of a coverage map
	maxCells     = 2_000_000_000  // cells × instants of one
	maxGaps      = 1000           // of a station
	// planWithin is how long a request may walk the plan. What it has walked is not
	// lost: the next one goes on from there.
	planWithin = 30 * time.Second
)

// Sky answers from plans, with or without a run.
type Sky struct {
	shelf   *shelf
	running bool
	// one map at a time: each takes a processor
	mapping chan struct{}
}

var _ orreryv1alpha1connect.SkyServiceHandler = (*Sky)(nil)

func newSky(s *shelf, running bool) *Sky {
	return &Sky{shelf: s, running: running, mapping: make(chan struct{}, 1)}
}

// invalid is the error of a request that makes no sense.
func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}

// interval of a request, whose end is optional.
func interval(from, to *durationpb.Duration, length time.Duration) (a, b time.Duration, err error) {
	a = from.AsDuration()
	b = a + length
	if to != nil {
		b = to.AsDuration()
	}
	if a < 0 || b <= a || b-a > maxInterval {
		return 0, 0, invalid("from %v to %v: want 0 <= from < to, and at most %v between them", a, b, maxInterval)
	}
	return a, b, nil
}

// GetInventory implements the method of the schema.
func (s *Sky) GetInventory(ctx context.Context, req *connect.Request[pb.GetInventoryRequest]) (*connect.Response[pb.GetInventoryResponse], error) {
	a, err := s.shelf.find(req.Msg.GetPlan())
	if err != nil {
		return nil, err
	}
	p := a.Plan()
	out := &pb.GetInventoryResponse{
		Name: p.Scenario.Metadata.Name, Epoch: timestamppb.New(p.Epoch),
		Duration: optional(time.Duration(p.Scenario.Spec.Duration)), Speed: p.Scenario.Spec.Speed,
		Running: s.running && req.Msg.GetPlan() == "", ReadOnly: access.Of(ctx) < access.Owner,
	}
	for _, w := range p.Warnings {
		out.Warnings = append(out.Warnings, w.String())
	}
	groups := make(map[string]int32)
	group := func(name, kind string) int32 {
		i, ok := groups[kind+name]
		if !ok {
			i = int32(len(out.Groups))
			groups[kind+name] = i
			out.Groups = append(out.Groups, &pb.Group{Name: name, Kind: kind})
		}
		return i
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		name := n.Group
		if n.Kind == plan.Station {
			name = "stations"
		}
		m := &pb.InventoryNode{
			Name: n.Name, Group: group(name, n.Kind.String()), Plane: int32(n.Plane), Slot: int32(n.Slot),
			FirstPort: int32(len(out.Ports)), Ports: int32(len(n.Ports)),
			MinElevation: minElevation(p, n), Routing: routingLabel(p, i),
		}
		m.Motion, m.Period = motion(n.Motion)
		g := out.Groups[m.Group]
		g.Nodes++
		g.Planes = max(g.Planes, m.Plane+1)
		out.Nodes = append(out.Nodes, m)
		for k := range n.Ports {
			out.Ports = append(out.Ports, &pb.InventoryPort{Node: int32(i), Name: n.Ports[k].Name, Role: n.Ports[k].Role.String()})
		}
	}
	return connect.NewResponse(out), nil
}

func routingLabel(p *plan.Plan, n int) string {
	if r := assignment.Routing(p, n); r != nil {
		return assignment.Label(r)
	}
	return "none"
}

// minElevation of a station in degrees: the least of its ground links. Satellites
// have none.
func minElevation(p *plan.Plan, n *plan.Node) float64 {
	least := math.Inf(1)
	for i := range p.Scenario.Spec.GroundLinks {
		l := &p.Scenario.Spec.GroundLinks[i]
		if n.Kind == plan.Station && scenario.Match(l.Stations, n.Name) {
			least = min(least, float64(l.MinElevation))
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

// earthGM is the Earth's gravitational parameter in km³/s² (WGS-84).
const earthGM = 398600.4418

// motion is its kind and, for an orbit, its period by the vis-viva equation at
// scenario time 0.
func motion(m orbit.Motion) (pb.InventoryNode_Motion, *durationpb.Duration) {
	switch m := m.(type) {
	case orbit.Fixed:
		return pb.InventoryNode_MOTION_FIXED, nil
	case orbit.InertialMotion:
		st, err := m.InertialState(0)
		if err != nil {
			return pb.InventoryNode_MOTION_ORBIT, nil
		}
		a := 1 / (2/st.Position.Norm() - st.Velocity.Dot(st.Velocity)/earthGM)
		if period := 2 * math.Pi * math.Sqrt(a*a*a/earthGM); a > 0 && period < 1e9 {
			return pb.InventoryNode_MOTION_ORBIT, seconds(period)
		}
		return pb.InventoryNode_MOTION_ORBIT, nil
	}
	return pb.InventoryNode_MOTION_WAYPOINTS, nil
}

// GetPositions implements the method of the schema.
func (s *Sky) GetPositions(ctx context.Context, req *connect.Request[pb.GetPositionsRequest]) (*connect.Response[pb.GetPositionsResponse], error) {
	a, err := s.shelf.find(req.Msg.GetPlan())
	if err != nil {
		return nil, err
	}
	p := a.Plan()
	from, step, count := req.Msg.GetFrom().AsDuration(), time.Minute, int(req.Msg.GetCount())
	if d := req.Msg.GetStep(); d != nil {
		step = d.AsDuration()
	}
	if count == 0 {
		count = 2
	}
	nodes := req.Msg.GetNodes()
	for _, n := range nodes {
		if n < 0 || int(n) >= len(p.Nodes) {
			return nil, invalid("there is no node %d; there are %d", n, len(p.Nodes))
		}
	}
	if len(nodes) == 0 {
		for i := range p.Nodes {
			nodes = append(nodes, int32(i))
		}
	}
	if count < 0 || step < time.Second || step > maxInterval || count > maxPositions || count*len(nodes) > maxPositions {
		return nil, invalid("%d instants of %d nodes, %v apart: want at least 1 s, and at most %d positions", count, len(nodes), step, maxPositions)
	}
	if time.Duration(count) > (math.MaxInt64-max(from, 0))/step {
		return nil, invalid("%d instants from %v on, %v apart: the last ones are later than times can be; ask for fewer", count, from, step)
	}
	out := make([]byte, 0, 12*count*len(nodes))
	for k := range count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := from + time.Duration(k)*step
		for _, n := range nodes {
			x, y, z := math.NaN(), math.NaN(), math.NaN()
			if st, err := p.Nodes[n].Motion.State(at); err == nil {
				x, y, z = st.Position.X, st.Position.Y, st.Position.Z
			}
			out = appendFloat32(appendFloat32(appendFloat32(out, x), y), z)
		}
	}
	return connect.NewResponse(&pb.GetPositionsResponse{
		From: duration(from), Step: duration(step), Count: int32(count), Nodes: int32(len(nodes)), Kilometres: out,
	}), nil
}

func appendFloat32(b []byte, x float64) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
}

func appendFloat64(b []byte, x float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
}

// contacts of a plan, within the time that a request may take.
func contacts(ctx context.Context, a *almanac.Almanac, from, to time.Duration) ([]plan.Contact, error) {
	walk, cancel := context.WithTimeout(ctx, planWithin)
	defer cancel()
	list, err := a.Contacts(walk, from, to)
	switch {
	case err == nil:
		return list, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("the plan is not computed as far as %v yet; ask again, it goes on from where it is", to))
	}
	return nil, connect.NewError(connect.CodeInternal, err)
}

// GetContacts implements the method of the schema.
func (s *Sky) GetContacts(ctx context.Context, req *connect.Request[pb.GetContactsRequest]) (*connect.Response[pb.GetContactsResponse], error) {
	a, err := s.shelf.find(req.Msg.GetPlan())
	if err != nil {
		return nil, err
	}
	from, to, err := interval(req.Msg.GetFrom(), req.Msg.GetTo(), 10*time.Minute)
	if err != nil {
		return nil, err
	}
	samples := int(req.Msg.GetDelaySamples())
	if samples < 0 || samples > maxSamples {
		return nil, invalid("%d samples of a delay: want 0 to %d", samples, maxSamples)
	}
	list, err := contacts(ctx, a, from, to)
	if err != nil {
		return nil, err
	}
	if only := req.Msg.GetNodes(); len(only) > 0 {
		p := a.Plan()
		list = slices.DeleteFunc(list, func(c plan.Contact) bool {
			return !slices.Contains(only, int32(p.Port(c.A).Node)) && !slices.Contains(only, int32(p.Port(c.B).Node))
		})
	}
	return connect.NewResponse(pack(list, from, to, samples)), nil
}

// goesOn marks a contact that does not end in the interval.
const goesOn = 128

// pack contacts in [from, to) as arrays.
func pack(list []plan.Contact, from, to time.Duration, samples int) *pb.GetContactsResponse {
	out := &pb.GetContactsResponse{From: duration(from), To: duration(to), Count: int32(len(list)), DelaySamples: int32(samples)}
	for i := range list {
		c := &list[i]
		out.Ports = binary.LittleEndian.AppendUint32(out.Ports, uint32(c.A))
		out.Ports = binary.LittleEndian.AppendUint32(out.Ports, uint32(c.B))
		out.Spans = appendFloat64(appendFloat64(out.Spans, c.Start.Seconds()), c.End.Seconds())
		flags := byte(c.Class)
		if !c.Ends {
			flags |= goesOn
		}
		out.Flags = append(out.Flags, flags)
		out.Ids = binary.LittleEndian.AppendUint64(out.Ids, uint64(c.ID))
		begin, end := max(c.Start, from), min(c.End, to)
		for k := range samples {
			at := begin
			if samples > 1 {
				at += time.Duration(float64(end-begin) * float64(k) / float64(samples-1))
			}
			out.Delays = appendFloat32(out.Delays, c.Delay.At(at)*1e3)
		}
	}
	return out
}

// GetCoverage implements the method of the schema.
func (s *Sky) GetCoverage(ctx context.Context, req *connect.Request[pb.GetCoverageRequest]) (*connect.Response[pb.GetCoverageResponse], error) {
	a, err := s.shelf.find(req.Msg.GetPlan())
	if err != nil {
		return nil, err
	}
	from, to, err := interval(req.Msg.GetFrom(), req.Msg.GetTo(), 100*time.Minute)
	if err != nil {
		return nil, err
	}
	p := a.Plan()
	var satellites []orbit.Motion
	least := math.Inf(1)
	for i := range p.Nodes {
		n := &p.Nodes[i]
		switch {
		case n.Kind == plan.Station:
			least = min(least, minElevation(p, n))
		case req.Msg.GetGroup() == "" || n.Group == req.Msg.GetGroup():
			satellites = append(satellites, n.Motion)
		}
	}
	if len(satellites) == 0 && req.Msg.GetGroup() != "" {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there are no satellites of a group %q", req.Msg.GetGroup()))
	}
	if math.IsInf(least, 1) {
		least = 0
	}
	if req.Msg.MinElevation != nil {
		least = req.Msg.GetMinElevation()
	}
	g := coverage.Grid{
		Rows: cmp.Or(int(req.Msg.GetRows()), 90), Columns: cmp.Or(int(req.Msg.GetColumns()), 180),
		From: from, To: to, Step: time.Minute, MinElevation: max(0, least) * orbit.Degree,
	}
	if d := req.Msg.GetStep(); d != nil {
		g.Step = d.AsDuration()
	}
	if err := g.Check(); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if g.Step < time.Second || req.Msg.GetStep() != nil && g.Step > to-from || g.Instants()*max(1, len(satellites)) > maxStates {
		return nil, invalid("a step of %v for %d satellites over %v: want at least 1 s, at most the time itself, and at most %d positions of satellites", g.Step, len(satellites), to-from, maxStates)
	}
	if g.Instants()*g.Rows*g.Columns > maxCells {
		return nil, invalid("%d rows, %d columns and %d instants: want at most %d cells in all; ask for larger ones, or for a longer step", g.Rows, g.Columns, g.Instants(), maxCells)
	}
	select {
	case s.mapping <- struct{}{}:
		defer func() { <-s.mapping }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	work, cancel := context.WithTimeout(ctx, planWithin)
	defer cancel()
	m, err := coverage.Of(work, satellites, g)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case work.Err() != nil:
		return nil, connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("the map takes longer than %v; ask for fewer cells, for a longer step, or for less time", planWithin))
	default:
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	return connect.NewResponse(&pb.GetCoverageResponse{
		Rows: int32(g.Rows), Columns: int32(g.Columns), MinElevation: g.MinElevation / orbit.Degree, Instants: int32(m.Instants),
		Share: floats(m.Share), Mean: floats(m.Mean), LongestGap: floats(m.Gap),
	}), nil
}

func floats(list []float32) []byte {
	out := make([]byte, 0, 4*len(list))
	for _, x := range list {
		out = appendFloat32(out, float64(x))
	}
	return out
}

// GetGaps implements the method of the schema.
func (s *Sky) GetGaps(ctx context.Context, req *connect.Request[pb.GetGapsRequest]) (*connect.Response[pb.GetGapsResponse], error) {
	a, err := s.shelf.find(req.Msg.GetPlan())
	if err != nil {
		return nil, err
	}
	from, to, err := interval(req.Msg.GetFrom(), req.Msg.GetTo(), time.Hour)
	if err != nil {
		return nil, err
	}
	list, err := contacts(ctx, a, from, to)
	if err != nil {
		return nil, err
	}
	p := a.Plan()
	out := new(pb.GetGapsResponse)
	for _, n := range coverage.Nodes(p, list, from, to) {
		if p.Nodes[n.Node].Kind != plan.Station {
			continue
		}
		m := &pb.StationGaps{
			Station: p.Nodes[n.Node].Name, Covered: n.Covered(to-from).Seconds() / (to - from).Seconds(),
			Longest: duration(n.Longest()), Contacts: int32(n.Contacts), MeanContacts: n.Sum.Seconds() / (to - from).Seconds(),
		}
		for _, g := range n.Gaps[:min(len(n.Gaps), maxGaps)] {
			m.Gaps = append(m.Gaps, &pb.Span{From: duration(g.From), To: duration(g.To)})
		}
		out.Stations = append(out.Stations, m)
	}
	return connect.NewResponse(out), nil
}

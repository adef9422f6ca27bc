package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/kube/pod"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/router"
)

// GetNode implements the method of the schema. The agent knows ports, routes and links; the daemon in
// the pod knows its neighbours.
func (s *Server) GetNode(ctx context.Context, req *connect.Request[pb.GetNodeRequest]) (*connect.Response[pb.GetNodeResponse], error) {
	name := req.Msg.GetName()
	a, err := s.agentOf(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := a.GetNode(ctx, connect.NewRequest(req.Msg))
	if err != nil {
		return nil, err
	}
	out := r.Msg
	if pods, err := s.cluster.Pods(ctx); err == nil && out.GetNode() != nil {
		out.Node.Processes = append(out.GetNode().GetProcesses(), processOf(name, pods[name]))
	}
	if out.GetNeighboursProblem() != "" {
		out.Neighbours, err = s.neighbours(ctx, name)
		out.NeighboursProblem = ""
		if err != nil {
			out.NeighboursProblem = err.Error()
		}
	}
	return connect.NewResponse(out), nil
}

// neighbours as the daemon in a node's pod says.
func (s *Server) neighbours(ctx context.Context, name string) ([]*pb.Neighbour, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var said, problem bytes.Buffer
	code, err := s.cluster.Exec(ctx, name, []string{"orrery", "node", "neighbours"}, node.Stdio{Out: &said, Err: &problem})
	if err != nil {
		return nil, err
	}
	if code != 0 {
		return nil, fmt.Errorf("the daemon in the pod does not say: %s", strings.TrimSpace(problem.String()))
	}
	var list []router.Adjacency
	if err := json.Unmarshal(said.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("what the pod says of neighbours cannot be read: %w", err)
	}
	return api.NeighbourMessages(list), nil
}

// Bounds of a log.
const (
	logLines   = 1000
	defaultLog = 64 << 10
	maxLog     = 1 << 20
)

// GetLog implements the method of the schema: a pod has one, whatever runs in it.
func (s *Server) GetLog(ctx context.Context, req *connect.Request[pb.GetLogRequest]) (*connect.Response[pb.GetLogResponse], error) {
	size := int(cmp.Or(req.Msg.GetBytes(), defaultLog))
	if size < 0 || size > maxLog {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d bytes of a log: want 1 to %d", size, maxLog))
	}
	if p := req.Msg.GetProcess(); p != podProcess {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("node %s has no process %q of its own: its log is that of the process %q", req.Msg.GetNode(), p, podProcess))
	}
	if _, err := s.agentOf(ctx, req.Msg.GetNode()); err != nil {
		return nil, err
	}
	text, err := s.cluster.Log(ctx, req.Msg.GetNode(), logLines)
	if err != nil {
		return nil, unavailable(err)
	}
	out := &pb.GetLogResponse{Truncated: strings.Count(text, "\n") >= logLines}
	if len(text) > size {
		out.Truncated = true
		text = text[len(text)-size:]
		_, text, _ = strings.Cut(text, "\n")
	}
	out.Text = strings.ToValidUTF8(text, "\uFFFD")
	return connect.NewResponse(out), nil
}

// GetLink implements the method of the schema. What the far end counts, its own agent knows.
func (s *Server) GetLink(ctx context.Context, req *connect.Request[pb.GetLinkRequest]) (*connect.Response[pb.GetLinkResponse], error) {
	name, _, err := api.NodePort(req.Msg.GetPort())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	near, err := s.agentOf(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := near.GetLink(ctx, connect.NewRequest(req.Msg))
	if err != nil {
		return nil, err
	}
	out := r.Msg
	peer, _, err := api.NodePort(out.GetLink().GetB())
	if !out.GetUp() || err != nil {
		return connect.NewResponse(out), nil
	}
	pods, err := s.cluster.Pods(ctx)
	if err != nil || pods[peer].Worker == pods[name].Worker { // one agent has counted both ends
		return connect.NewResponse(out), nil //nolint:nilerr // what is known is told
	}
	far, err := s.agentOf(ctx, peer)
	if err != nil {
		return connect.NewResponse(out), nil //nolint:nilerr // the same, while the far end has no pod
	}
	if r, err := far.GetLink(ctx, connect.NewRequest(&pb.GetLinkRequest{Port: out.GetLink().GetB()})); err == nil {
		out.BCounters, out.BBitsPerSecond = r.Msg.GetACounters(), r.Msg.GetABitsPerSecond()
		out.Utilisation = max(out.GetUtilisation(), r.Msg.GetUtilisation())
	}
	return connect.NewResponse(out), nil
}

// GetPair implements the method of the schema. No pairs are probed; the ways of the kernels are followed
// over all workers.
func (s *Server) GetPair(ctx context.Context, req *connect.Request[pb.GetPairRequest]) (*connect.Response[pb.GetPairResponse], error) {
	a, b := req.Msg.GetA(), req.Msg.GetB()
	r, err := forward(ctx, s, patience, req, Agent.GetPair)
	if err != nil {
		return nil, err
	}
	out := r.Msg
	if out.Kernel, err = s.way(ctx, a, b); err != nil {
		return nil, err
	}
	if out.KernelBack, err = s.way(ctx, b, a); err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

// ListEvents implements the method of the schema.
func (s *Server) ListEvents(ctx context.Context, req *connect.Request[pb.ListEventsRequest]) (*connect.Response[pb.ListEventsResponse], error) {
	said, workers, err := all(ctx, s, req, Agent.ListEvents)
	if err != nil {
		return nil, err
	}
	out := new(pb.ListEventsResponse)
	for i, a := range said {
		out.Truncated = out.GetTruncated() || a.value.GetTruncated()
		for _, e := range a.value.GetEvents() {
			if i == 0 || !common(e.GetKind()) { // the first tells of the plan and of failures
				out.Events = append(out.Events, ofWorker(e, a.worker, workers))
			}
		}
	}
	at := func(e *pb.Event) time.Duration { return e.GetAt().AsDuration() }
	slices.SortStableFunc(out.GetEvents(), func(x, y *pb.Event) int { return cmp.Compare(at(x), at(y)) })
	if limit := int(cmp.Or(req.Msg.GetLimit(), defaultEvents)); len(out.GetEvents()) > limit {
		// Between the last event that was recorded and the first that is planned it is now.
		i := slices.IndexFunc(out.GetEvents(), (*pb.Event).GetPlanned)
		if i < 0 {
			i = len(out.GetEvents()) - 1
		}
		out.Events, out.Truncated = api.Nearest(out.GetEvents(), at(out.GetEvents()[i]), limit), true
	}
	return connect.NewResponse(out), nil
}

// defaultEvents is the schema's default of how many are listed.
const defaultEvents = 1000

// ofWorker says on which of several workers something happened that is not of the plan, nor a failure that somebody made.
func ofWorker(e *pb.Event, worker string, workers int) *pb.Event {
	if workers > 1 && !common(e.GetKind()) {
		e.Text = worker + ": " + e.GetText()
	}
	return e
}

// MeasureThroughput implements the method of the schema.
func (s *Server) MeasureThroughput(ctx context.Context, req *connect.Request[pb.MeasureThroughputRequest]) (*connect.Response[pb.MeasureThroughputResponse], error) {
	from, err := s.endpoint(ctx, req.Msg.GetFrom())
	if err != nil {
		return nil, err
	}
	to, err := s.endpoint(ctx, req.Msg.GetTo())
	if err != nil {
		return nil, err
	}
	out, err := api.Throughput(ctx, mortal{s.cluster}, from, to, req.Msg)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

// mortal runs commands that end at last: what 'kubectl exec' has started lives on without it, such as a server
// that nobody came to. They have a place for files, too, which the root of a pod is not.
type mortal struct{ api.Executor }

const longest = "100" // seconds; a measurement takes 80 at most

func (m mortal) Exec(ctx context.Context, name string, argv []string, io node.Stdio) (int, error) {
	return m.Executor.Exec(ctx, name, append([]string{"env", "TMPDIR=" + pod.Dir, "timeout", longest}, argv...), io)
}

// endpoint is a node and its loopback address.
func (s *Server) endpoint(ctx context.Context, name string) (e api.Endpoint, err error) {
	a, err := s.agentOf(ctx, name)
	if err != nil {
		return e, err
	}
	r, err := a.ListNodes(ctx, connect.NewRequest(&pb.ListNodesRequest{Pattern: name}))
	if err != nil {
		return e, err
	}
	for _, n := range r.Msg.GetNodes() {
		if n.GetName() == name {
			address, err := netip.ParseAddr(n.GetLoopback())
			return api.Endpoint{Name: name, Loopback: address}, err
		}
	}
	return e, connect.NewError(connect.CodeNotFound, fmt.Errorf("the agent of %s knows no such node", name))
}

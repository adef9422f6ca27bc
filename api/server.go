// Package api serves a run's control API: the one way in which the command
// line, the web page and scripts look at a run and steer it.
package api

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/plan"
)

// Server answers for one run.
type Server struct {
	run     *emulation.Run
	sky     *Sky
	preview *Preview
	traffic traffic
	latest  latest

	stopOnce sync.Once
	stopping chan struct{} // closed when a client asks for the end
	stopped  chan struct{} // closed when the run has ended; then:
	left     string        // what of it could not be removed
}

var _ orreryv1alpha1connect.ControlServiceHandler = (*Server)(nil)

// NewServer serves a run that has been started.
func NewServer(run *emulation.Run) *Server {
	shelf := newShelf(run.Plan())
	return &Server{
		run: run, sky: newSky(shelf, true), preview: newPreview(shelf, run.Plan().Scenario.File()),
		traffic:  traffic{run: run},
		stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// StopRequested is closed when a client has asked for the run's end. The owner
// of the run then stops it and calls Stopped.
func (s *Server) StopRequested() <-chan struct{} { return s.stopping }

// Stopped tells the clients that asked for the end that the run has ended: that nothing
// is left of it, or, by the error, what is.
func (s *Server) Stopped(left error) {
	if left != nil {
		s.left = left.Error()
	}
	close(s.stopped)
}

// untilStopped is a context that also ends when nothing is left of the run.
func (s *Server) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-s.stopped:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// GetStatus implements the method of the schema.
func (s *Server) GetStatus(context.Context, *connect.Request[pb.GetStatusRequest]) (*connect.Response[pb.GetStatusResponse], error) {
	return connect.NewResponse(&pb.GetStatusResponse{Status: s.Status()}), nil
}

// ListNodes implements the method of the schema.
func (s *Server) ListNodes(_ context.Context, req *connect.Request[pb.ListNodesRequest]) (*connect.Response[pb.ListNodesResponse], error) {
	pattern := req.Msg.GetPattern()
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("pattern %q: %w", pattern, err))
	}
	processes := make(map[string][]*pb.Process)
	for _, p := range s.run.Nodes().Processes() {
		processes[p.Node] = append(processes[p.Node], process(p))
	}
	out := new(pb.ListNodesResponse)
	for i := range s.run.Plan().Nodes {
		n := &s.run.Plan().Nodes[i]
		if ok, _ := path.Match(pattern, n.Name); pattern != "" && !ok {
			continue
		}
		out.Nodes = append(out.Nodes, s.node(n, processes[n.Name]))
	}
	return connect.NewResponse(out), nil
}

// ListLinks implements the method of the schema.
func (s *Server) ListLinks(_ context.Context, req *connect.Request[pb.ListLinksRequest]) (*connect.Response[pb.ListLinksResponse], error) {
	only, err := s.optionalNode(req.Msg.GetNode())
	if err != nil {
		return nil, err
	}
	out := new(pb.ListLinksResponse)
	for _, c := range s.run.Links() {
		if only == nil || s.touches(c, only) {
			out.Links = append(out.Links, s.link(c))
		}
	}
	return connect.NewResponse(out), nil
}

// ListContacts implements the method of the schema.
func (s *Server) ListContacts(ctx context.Context, req *connect.Request[pb.ListContactsRequest]) (*connect.Response[pb.ListContactsResponse], error) {
	only, err := s.optionalNode(req.Msg.GetNode())
	if err != nil {
		return nil, err
	}
	from, to, err := interval(req.Msg.GetFrom(), req.Msg.GetTo(), 10*time.Minute)
	if err != nil {
		return nil, err
	}
	list, err := contacts(ctx, s.sky.shelf.own, from, to)
	if err != nil {
		return nil, err
	}
	out := new(pb.ListContactsResponse)
	for i := range list {
		if only == nil || s.touches(&list[i], only) {
			out.Contacts = append(out.Contacts, s.link(&list[i]))
		}
	}
	return connect.NewResponse(out), nil
}

func (s *Server) touches(c *plan.Contact, n *plan.Node) bool {
	p := s.run.Plan()
	return p.Port(c.A).Node == n.Index || p.Port(c.B).Node == n.Index
}

// GetPath implements the method of the schema.
func (s *Server) GetPath(ctx context.Context, req *connect.Request[pb.GetPathRequest]) (*connect.Response[pb.GetPathResponse], error) {
	from, err := s.findNode(req.Msg.GetFrom())
	if err != nil {
		return nil, err
	}
	to, err := s.findNode(req.Msg.GetTo())
	if err != nil {
		return nil, err
	}
	kernel := s.run.KernelPath(ctx, from.Index, to.Index)
	out := &pb.GetPathResponse{Kernel: s.path(&kernel), ScenarioTime: duration(s.run.Timeline().Now())}
	out.Oracle = s.oraclePath(from.Index, to.Index)
	return connect.NewResponse(out), nil
}

// Ping implements the method of the schema.
func (s *Server) Ping(ctx context.Context, req *connect.Request[pb.PingRequest], out *connect.ServerStream[pb.PingResponse]) error {
	from, err := s.findNode(req.Msg.GetFrom())
	if err != nil {
		return err
	}
	to, err := s.findNode(req.Msg.GetTo())
	if err != nil {
		return err
	}
	interval := time.Second
	if d := req.Msg.GetInterval(); d != nil {
		interval = d.AsDuration()
	}
	size := int(req.Msg.GetSize())
	if size == 0 {
		size = 56
	}
	if count := req.Msg.GetCount(); count < 0 || size < 0 || size > 65000 {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("count %d, size %d: want a count of 0 or more and at most 65000 bytes", count, size))
	}
	var seq int32
	err = s.run.Ping(ctx, from.Index, to.Index, int(req.Msg.GetCount()), size, interval, func(r emulation.RTT) error {
		seq++
		return out.Send(&pb.PingResponse{
			Sequence: seq, Lost: r.Lost, MeasuredRtt: duration(r.Measured),
			GeometricRtt: optional(r.Geometric), Hops: int32(r.Hops), Problem: r.Problem,
		})
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Pause implements the method of the schema.
func (s *Server) Pause(context.Context, *connect.Request[pb.PauseRequest]) (*connect.Response[pb.PauseResponse], error) {
	if err := s.run.Pause(); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return connect.NewResponse(&pb.PauseResponse{}), nil
}

// Resume implements the method of the schema.
func (s *Server) Resume(context.Context, *connect.Request[pb.ResumeRequest]) (*connect.Response[pb.ResumeResponse], error) {
	if err := s.run.Resume(); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return connect.NewResponse(&pb.ResumeResponse{}), nil
}

// SetSpeed implements the method of the schema.
func (s *Server) SetSpeed(_ context.Context, req *connect.Request[pb.SetSpeedRequest]) (*connect.Response[pb.SetSpeedResponse], error) {
	if err := s.run.SetSpeed(req.Msg.GetSpeed()); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return connect.NewResponse(&pb.SetSpeedResponse{}), nil
}

// Stop implements the method of the schema.
func (s *Server) Stop(ctx context.Context, _ *connect.Request[pb.StopRequest]) (*connect.Response[pb.StopResponse], error) {
	s.stopOnce.Do(func() { close(s.stopping) })
	select {
	case <-s.stopped:
		return connect.NewResponse(&pb.StopResponse{Problem: s.left}), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Server) findNode(name string) (*plan.Node, error) {
	n, ok := s.run.Plan().Node(name)
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no node %q; 'orrery nodes' lists them", name))
	}
	return n, nil
}

func (s *Server) optionalNode(name string) (*plan.Node, error) {
	if name == "" {
		return nil, nil
	}
	return s.findNode(name)
}

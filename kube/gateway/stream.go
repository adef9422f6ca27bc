package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/emulation"
)

// common tells whether an event is one that every agent has: of the plan, or of failures.
func common(kind string) bool {
	switch emulation.EventKind(kind) {
	case emulation.LinkUp, emulation.LinkDown, emulation.Injected, emulation.Undone:
		return true
	}
	return false
}

// WatchEvents implements the method of the schema.
func (s *Server) WatchEvents(ctx context.Context, req *connect.Request[pb.WatchEventsRequest], out *connect.ServerStream[pb.WatchEventsResponse]) error {
	workers, err := s.workers(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	events := make(chan *pb.WatchEventsResponse)
	for i, w := range workers {
		g.Go(func() error {
			a, err := s.cluster.Agent(ctx, w)
			if err != nil {
				return unavailable(silent(w, err))
			}
			stream, err := a.WatchEvents(ctx, connect.NewRequest(req.Msg))
			if err != nil {
				return err
			}
			defer func() { _ = stream.Close() }()
			for stream.Receive() {
				e := stream.Msg()
				if e.GetEvent() == nil || i > 0 && common(e.GetEvent().GetKind()) {
					continue
				}
				e.Event = ofWorker(e.GetEvent(), w, len(workers))
				select {
				case events <- e:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return stream.Err()
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	for number := uint64(0); ; {
		select {
		case e := <-events:
			e.Event.Sequence = number // each agent counts from 0
			number++
			if err := out.Send(e); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, context.Canceled) || connect.CodeOf(err) == connect.CodeCanceled {
				return nil
			}
			return err
		}
	}
}

// Ping implements the method of the schema. An agent does not know what kernels of
// other workers would do, so the geometry comes from here.
func (s *Server) Ping(ctx context.Context, req *connect.Request[pb.PingRequest], out *connect.ServerStream[pb.PingResponse]) error {
	from, to := req.Msg.GetFrom(), req.Msg.GetTo()
	a, err := s.agentOf(ctx, from)
	if err != nil {
		return err
	}
	stream, err := a.Ping(ctx, connect.NewRequest(req.Msg))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		m := stream.Msg()
		if !m.GetLost() && m.GetGeometricRtt() == nil {
			s.geometry(ctx, m, from, to)
		}
		if err := out.Send(m); err != nil {
			return err
		}
	}
	return stream.Err()
}

// geometry adds the delay along the kernels' ways there and back to an answer.
func (s *Server) geometry(ctx context.Context, m *pb.PingResponse, from, to string) {
	there, err := s.way(ctx, from, to)
	if err != nil || !there.GetComplete() {
		return
	}
	back, err := s.way(ctx, to, from)
	if err != nil || !back.GetComplete() {
		return
	}
	m.GeometricRtt = durationpb.New(there.GetDelay().AsDuration() + back.GetDelay().AsDuration())
	m.Hops = int32(len(there.GetHops()) - 1)
}

// Capture implements the method of the schema.
func (s *Server) Capture(ctx context.Context, req *connect.Request[pb.CaptureRequest], out *connect.ServerStream[pb.CaptureResponse]) error {
	a, err := s.agentOf(ctx, req.Msg.GetNode())
	if err != nil {
		return err
	}
	stream, err := a.Capture(ctx, connect.NewRequest(req.Msg))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		if err := out.Send(stream.Msg()); err != nil {
			return err
		}
	}
	return stream.Err()
}

// GetPath implements the method of the schema. The oracle's path is any agent's. The
// kernels' is followed from agent to agent: one says how far its own nodes lead.
func (s *Server) GetPath(ctx context.Context, req *connect.Request[pb.GetPathRequest]) (*connect.Response[pb.GetPathResponse], error) {
	from, to := req.Msg.GetFrom(), req.Msg.GetTo()
	r, err := forward(ctx, s, patience, req, Agent.GetPath)
	if err != nil {
		return nil, err
	}
	out := r.Msg
	if out.Kernel, err = s.way(ctx, from, to); err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

// maxHops is the kernel's default hop limit.
const maxHops = 64

// way follows the kernels' tables over all workers.
func (s *Server) way(ctx context.Context, from, to string) (*pb.Path, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pods, err := s.cluster.Pods(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	path := &pb.Path{}
	seen := make(map[string]bool)
	var delay time.Duration
	finish := func(problem string) (*pb.Path, error) {
		path.Delay, path.Problem, path.Complete = durationpb.New(delay), problem, problem == ""
		return path, nil
	}
	for at := from; ; {
		p := pods[at]
		if p.Worker == "" {
			path.Hops = append(path.Hops, &pb.Hop{Node: at})
			return finish(fmt.Sprintf("node %s has no pod on a worker", at))
		}
		a, err := s.cluster.Agent(ctx, p.Worker)
		if err != nil {
			return nil, unavailable(silent(p.Worker, err))
		}
		r, err := a.GetPath(ctx, connect.NewRequest(&pb.GetPathRequest{From: at, To: to}))
		if err != nil {
			return nil, err
		}
		stretch := r.Msg.GetKernel()
		hops := stretch.GetHops()
		if len(hops) == 0 {
			return finish(stretch.GetProblem())
		}
		last := hops[len(hops)-1]
		for _, h := range hops[:len(hops)-1] {
			if seen[h.GetNode()] {
				path.Hops = append(path.Hops, &pb.Hop{Node: h.GetNode()})
				return finish("the tables loop at " + h.GetNode())
			}
			seen[h.GetNode()] = true
			path.Hops = append(path.Hops, h)
			delay += h.GetDelay().AsDuration()
		}
		elsewhere := last.GetNode() != at && pods[last.GetNode()].Worker != p.Worker
		if stretch.GetComplete() || !elsewhere {
			path.Hops = append(path.Hops, last)
			return finish(stretch.GetProblem())
		}
		if len(path.GetHops()) >= maxHops {
			return finish(fmt.Sprintf("more than %d hops", maxHops))
		}
		at = last.GetNode()
	}
}

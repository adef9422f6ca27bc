package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/kube/failures"
)

// Failures are kept by the cluster, in the scenario: every agent hears of them there, also one that begins later, and
// makes its links be like that. Of a node that is down there is no pod.

const (
	// attempts to change a scenario that others, such as the operator, change at the same time.
	attempts = 5
	// settling is between two looks at whether agents have done what was asked.
	settling = 100 * time.Millisecond
)

// CheckFailure implements the method of the schema.
func (s *Server) CheckFailure(ctx context.Context, req *connect.Request[pb.CheckFailureRequest]) (*connect.Response[pb.CheckFailureResponse], error) {
	return forward(ctx, s, patience, req, Agent.CheckFailure)
}

// Inject implements the method of the schema. It returns when the agents of all workers have cut what is to be cut.
func (s *Server) Inject(ctx context.Context, req *connect.Request[pb.InjectRequest]) (*connect.Response[pb.InjectResponse], error) {
	checked, err := s.CheckFailure(ctx, connect.NewRequest(&pb.CheckFailureRequest{Failure: req.Msg.GetFailure()}))
	if err != nil {
		return nil, err
	}
	f := checked.Msg.GetFailure()
	err = s.change(ctx, func(list []*pb.Failure) []*pb.Failure {
		i := slices.IndexFunc(list, func(x *pb.Failure) bool { return x.GetId() == f.GetId() })
		switch {
		case i < 0:
			return append(list, f)
		case same(list[i], f):
			f = list[i] // as it is
		default:
			list[i] = f
		}
		return list
	})
	if err == nil {
		err = s.settle(ctx, func(list []*pb.Failure) bool {
			return slices.ContainsFunc(list, func(x *pb.Failure) bool { return same(x, f) })
		})
	}
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.InjectResponse{Failure: f}), nil
}

// same tells whether two failures are of one target and do the same to it.
func same(a, b *pb.Failure) bool {
	return a.GetId() == b.GetId() && a.GetLoss() == b.GetLoss() && a.GetDelay().AsDuration() == b.GetDelay().AsDuration()
}

// Undo implements the method of the schema. It returns when the agents of all workers have links again.
func (s *Server) Undo(ctx context.Context, req *connect.Request[pb.UndoRequest]) (*connect.Response[pb.UndoResponse], error) {
	out := new(pb.UndoResponse)
	concerned := func(f *pb.Failure) bool { return req.Msg.GetAll() || slices.Contains(req.Msg.GetIds(), f.GetId()) }
	err := s.change(ctx, func(list []*pb.Failure) []*pb.Failure {
		out.Undone = nil
		var rest []*pb.Failure
		for _, f := range list {
			if concerned(f) {
				out.Undone = append(out.Undone, f)
			} else {
				rest = append(rest, f)
			}
		}
		return rest
	})
	if err == nil {
		err = s.settle(ctx, func(list []*pb.Failure) bool { return !slices.ContainsFunc(list, concerned) })
	}
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

// ListFailures implements the method of the schema: those that the cluster keeps.
func (s *Server) ListFailures(ctx context.Context, _ *connect.Request[pb.ListFailuresRequest]) (*connect.Response[pb.ListFailuresResponse], error) {
	list, _, err := s.kept(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ListFailuresResponse{Failures: list}), nil
}

// kept are the failures that the cluster keeps, and the version of the scenario that has them.
func (s *Server) kept(ctx context.Context) (list []*pb.Failure, version string, err error) {
	text, version, err := s.cluster.Failures(ctx)
	if err != nil {
		return nil, "", unavailable(err)
	}
	if list, err = failures.Decode(text); err != nil {
		return nil, "", connect.NewError(connect.CodeFailedPrecondition, err)
	}
	for _, f := range list { // that somebody wrote by hand
		if known, err := api.FailureOf(f); err == nil {
			f.Id = known.ID()
		}
	}
	return list, version, nil
}

// change has the cluster keep other failures.
func (s *Server) change(ctx context.Context, to func([]*pb.Failure) []*pb.Failure) error {
	for attempt := 1; ; attempt++ {
		before, version, err := s.kept(ctx)
		if err != nil {
			return err
		}
		old, err := failures.Encode(before)
		if err != nil {
			return err
		}
		text, err := failures.Encode(to(before))
		if err != nil {
			return connect.NewError(connect.CodeFailedPrecondition, err)
		}
		if text == old {
			return nil
		}
		if err = s.cluster.SetFailures(ctx, text, version); err == nil {
			return nil
		}
		if !errors.Is(err, ErrChanged) || attempt == attempts {
			return unavailable(err)
		}
	}
}

// settle waits until the agents of all workers have such failures. A worker whose last node is down has none to have them.
func (s *Server) settle(ctx context.Context, have func([]*pb.Failure) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		workers, err := s.workers(ctx)
		if err != nil && !errors.Is(err, errNobody) {
			return err
		}
		var errs []error
		for _, a := range ask(ctx, s, workers, func(ctx context.Context, a Agent) (*connect.Response[pb.ListFailuresResponse], error) {
			return a.ListFailures(ctx, connect.NewRequest(&pb.ListFailuresRequest{}))
		}) {
			switch {
			case a.err != nil:
				errs = append(errs, silent(a.worker, a.err))
			case !have(a.value.Msg.GetFailures()):
				errs = append(errs, fmt.Errorf("worker %s has not done it yet", a.worker))
			}
		}
		if len(errs) == 0 {
			return nil
		}
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return connect.NewError(connect.CodeUnavailable, fmt.Errorf("it is written down, and will be done: %w", errors.Join(errs...)))
		}
	}
}

package api

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/emulation"
)

var failureKinds = map[pb.Failure_Kind]emulation.FailureKind{
	pb.Failure_KIND_CUT:          emulation.Cut,
	pb.Failure_KIND_KILL_PROCESS: emulation.KillProcess,
	pb.Failure_KIND_KILL_NODE:    emulation.KillNode,
	pb.Failure_KIND_IMPAIR:       emulation.Impair,
}

func failure(f *emulation.Failure) *pb.Failure {
	out := &pb.Failure{Id: f.ID(), A: f.A, B: f.B, Process: f.Process, Loss: f.Loss, Delay: optional(f.Delay), Since: duration(f.Since)}
	for kind, k := range failureKinds {
		if k == f.Kind {
			out.Kind = kind
		}
	}
	return out
}

func failures(list []emulation.Failure) (out []*pb.Failure) {
	for i := range list {
		out = append(out, failure(&list[i]))
	}
	return out
}

// FailureOf is what a message says. The error is one for who has sent it.
func FailureOf(m *pb.Failure) (emulation.Failure, error) {
	kind, ok := failureKinds[m.GetKind()]
	if !ok {
		return emulation.Failure{}, invalid("no kind of failure is given; want one of KIND_CUT, KIND_KILL_PROCESS, KIND_KILL_NODE and KIND_IMPAIR")
	}
	return emulation.Failure{
		Kind: kind, A: m.GetA(), B: m.GetB(), Process: m.GetProcess(), Loss: m.GetLoss(), Delay: m.GetDelay().AsDuration(), Since: m.GetSince().AsDuration(),
	}, nil
}

// Inject implements the method of the schema.
func (s *Server) Inject(ctx context.Context, req *connect.Request[pb.InjectRequest]) (*connect.Response[pb.InjectResponse], error) {
	wanted, err := FailureOf(req.Msg.GetFailure())
	if err != nil {
		return nil, err
	}
	// What has begun is finished, also for a client that has gone.
	f, err := s.run.Inject(context.WithoutCancel(ctx), wanted)
	if err != nil {
		return nil, failed(err)
	}
	return connect.NewResponse(&pb.InjectResponse{Failure: failure(&f)}), nil
}

// CheckFailure implements the method of the schema.
func (s *Server) CheckFailure(_ context.Context, req *connect.Request[pb.CheckFailureRequest]) (*connect.Response[pb.CheckFailureResponse], error) {
	f, err := FailureOf(req.Msg.GetFailure())
	if err != nil {
		return nil, err
	}
	if f, err = s.run.CheckFailure(f); err != nil {
		return nil, failed(err)
	}
	return connect.NewResponse(&pb.CheckFailureResponse{Failure: failure(&f)}), nil
}

// failed is the error of a failure that is not injected, or not wholly.
func failed(err error) error {
	if errors.Is(err, emulation.ErrFailure) {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return connect.NewError(connect.CodeFailedPrecondition, err)
}

// Undo implements the method of the schema.
func (s *Server) Undo(ctx context.Context, req *connect.Request[pb.UndoRequest]) (*connect.Response[pb.UndoResponse], error) {
	ids := req.Msg.GetIds()
	if req.Msg.GetAll() {
		ids = nil
		for _, f := range s.run.Failures() {
			ids = append(ids, f.ID())
		}
	}
	out := new(pb.UndoResponse)
	var errs []error
	for _, id := range ids {
		f, ok, err := s.run.Undo(context.WithoutCancel(ctx), id)
		if ok {
			out.Undone = append(out.Undone, failure(&f))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return connect.NewResponse(out), nil
}

// ListFailures implements the method of the schema.
func (s *Server) ListFailures(context.Context, *connect.Request[pb.ListFailuresRequest]) (*connect.Response[pb.ListFailuresResponse], error) {
	return connect.NewResponse(&pb.ListFailuresResponse{Failures: failures(s.run.Failures())}), nil
}

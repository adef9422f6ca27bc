package api

import (
	"context"
	"errors"
	"io"
	"sync"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/node"
)

// Exec implements the method of the schema.
func (s *Server) Exec(ctx context.Context, stream *connect.BidiStream[pb.ExecRequest, pb.ExecResponse]) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	if _, err := s.findNode(first.GetNode()); err != nil {
		return err
	}
	return Session(ctx, stream, first, s.run.Nodes())
}

// Session runs the command of the first request of Exec in a node, which is there.
func Session(ctx context.Context, stream *connect.BidiStream[pb.ExecRequest, pb.ExecResponse], first *pb.ExecRequest, in Executor) error {
	if len(first.GetArgv()) == 0 {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("no command is given"))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdin, feed := io.Pipe()
	defer func() { _ = stdin.Close() }()
	sizes := make(chan node.WindowSize, 1)
	if first.GetColumns() > 0 {
		sizes <- size(first)
	}
	go func() {
		defer func() { _ = feed.Close() }()
		for {
			m, err := stream.Receive()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					cancel() // the client has gone: so shall the command
				}
				return
			}
			if m.GetColumns() > 0 {
				resize(sizes, size(m))
			}
			if len(m.GetStdin()) > 0 {
				if _, err := feed.Write(m.GetStdin()); err != nil {
					return // the command has ended
				}
			}
			if m.GetStdinClosed() {
				return
			}
		}
	}()

	var mu sync.Mutex // one sender at a time
	send := func(m *pb.ExecResponse) error {
		mu.Lock()
		defer mu.Unlock()
		return stream.Send(m)
	}
	code, err := in.Exec(ctx, first.GetNode(), first.GetArgv(), node.Stdio{
		In:       stdin,
		Out:      sender(func(b []byte) error { return send(&pb.ExecResponse{Stdout: b}) }),
		Err:      sender(func(b []byte) error { return send(&pb.ExecResponse{Stderr: b}) }),
		Terminal: first.GetTerminal(), Resize: sizes,
	})
	if err != nil {
		return connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return send(&pb.ExecResponse{Exited: true, ExitCode: int32(code)})
}

func size(m *pb.ExecRequest) node.WindowSize {
	return node.WindowSize{Columns: uint16(min(m.GetColumns(), 10000)), Rows: uint16(min(m.GetRows(), 10000))}
}

// resize puts a size into the place of one that has not been seen yet: the last one counts.
// It is for one caller at a time, and a channel of one.
func resize(sizes chan node.WindowSize, s node.WindowSize) {
	select {
	case <-sizes:
	default:
	}
	sizes <- s
}

// sender is a Writer that sends each write as messages.
type sender func([]byte) error

func (s sender) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n := min(chunk, len(b)-done)
		if err := s(b[done : done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(b), nil
}

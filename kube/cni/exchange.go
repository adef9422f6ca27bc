package cni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrAway is wrapped by the errors of Ask if nobody listens on the socket.
var ErrAway = errors.New("the node agent does not run on this worker")

// Ask sends a request to the agent whose socket is at path, and waits for the answer
// until ctx ends. An error that the agent has answered is an *Error.
func Ask(ctx context.Context, path string, r Request) (Result, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return Result{}, fmt.Errorf("%w; see whether its pod is there: %w", ErrAway, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r.Version = Version
	if err = encode(c, &r); err == nil {
		err = c.(*net.UnixConn).CloseWrite()
	}
	var a *Answer
	if err == nil {
		a, err = DecodeAnswer(c)
	}
	switch {
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("the node agent at %s has not answered in time: %w", path, ctx.Err())
	case err != nil:
		return Result{}, fmt.Errorf("the node agent at %s: %w", path, err)
	case a.Error != nil:
		return Result{}, a.Error
	}
	return a.Result, nil
}

// Handler does what plugins ask for. All calls can be made again and at the same time.
// Errors that are no *Error are told with CodeInternal.
type Handler interface {
	// Add attaches a container.
	Add(ctx context.Context, r *Request) (Result, error)
	// Delete detaches one. One that is unknown is no error.
	Delete(ctx context.Context, r *Request) error
	// Check says whether an attachment is still as Add has made it.
	Check(ctx context.Context, r *Request) error
	// Collect detaches all containers of a network but the valid ones.
	Collect(ctx context.Context, r *Request) error
	// Status says whether Add can succeed.
	Status(ctx context.Context) error
}

const (
	// requestWithin is how long a plugin may take to send its request.
	requestWithin = 10 * time.Second
	// answerWithin is how long the agent may take for one.
	answerWithin = 2 * time.Minute
)

// Serve answers plugins until ctx ends, and closes the listener. It returns when the
// last one is answered.
func Serve(ctx context.Context, l net.Listener, h Handler) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("cni: the agent's socket: %w", err)
		}
		if err != nil { // as too many open files: others may be closed soon
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		group.Go(func() {
			defer c.Close()
			answer(ctx, c, h)
		})
	}
}

func answer(ctx context.Context, c net.Conn, h Handler) {
	_ = c.SetDeadline(time.Now().Add(requestWithin))
	a := Answer{Version: Version}
	r, err := DecodeRequest(c)
	if err != nil {
		a.Error = &Error{Code: CodeDecoding, Message: err.Error()}
	} else {
		// Not that of ctx: what was begun is brought to its end.
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
		_ = c.SetDeadline(time.Now().Add(answerWithin + requestWithin))
		a.Result, err = carryOut(within, r, h)
		cancel()
		a.Error = told(err)
	}
	_ = encode(c, &a) // whoever has hung up asks again
}

func carryOut(ctx context.Context, r *Request, h Handler) (Result, error) {
	switch r.Command {
	case Add:
		return h.Add(ctx, r)
	case Delete:
		return Result{}, h.Delete(ctx, r)
	case Check:
		return Result{}, h.Check(ctx, r)
	case GC:
		return Result{}, h.Collect(ctx, r)
	default: // no other is let through
		return Result{}, h.Status(ctx)
	}
}

// told is what a plugin hears of an error.
func told(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	code := CodeInternal
	if errors.Is(err, context.DeadlineExceeded) {
		code = CodeTryAgainLater
	}
	return &Error{Code: code, Message: err.Error()}
}

package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/socket"
)

// maxRequest bounds what a client may send in one message.
const maxRequest = 1 << 20

// Handler is the API as an HTTP handler: Connect, gRPC and gRPC-Web.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(orreryv1alpha1connect.NewControlServiceHandler(s, connect.WithReadMaxBytes(maxRequest)))
	return mux
}

// Serve answers on a unix socket that only its owner may use, until ctx ends.
// The socket is removed then.
func (s *Server) Serve(ctx context.Context, path string) error {
	l, err := socket.Listen(path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		Protocols:         protocols(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			srv.Close()
		}
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	<-done
	return nil
}

// protocols are HTTP/1.1 for curl and HTTP/2 without TLS for streams in both
// directions.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Dial is a client of the run whose control socket is at path.
func Dial(path string) orreryv1alpha1connect.ControlServiceClient {
	return DialBy(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
}

package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
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
	// The mode must be right from the first moment, so it is set by the mask
	// and not afterwards.
	old := unix.Umask(0o177)
	l, err := net.Listen("unix", path)
	unix.Umask(old)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	defer os.Remove(path)
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
	if err := srv.Serve(owned{l}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	<-done
	return nil
}

// owned is a listener of a unix socket that hangs up on whoever is not the user
// of this process. The file's mode keeps others away already; but a mode can be
// changed, and a descriptor passed on.
type owned struct{ net.Listener }

func (o owned) Accept() (net.Conn, error) {
	for {
		c, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(c); err == nil && uid == os.Geteuid() {
			return c, nil
		}
		_ = c.Close()
	}
}

// peer is the user at the other end, as this process's user namespace numbers
// users (unix(7), SO_PEERCRED).
func peer(c net.Conn) (uid int, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
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
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	hc := &http.Client{Transport: &http.Transport{
		Protocols: p,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
	return orreryv1alpha1connect.NewControlServiceClient(hc, "http://orrery")
}

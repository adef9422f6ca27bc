package api

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/socket"
)

// maxRequest bounds what a client may send in one message.
const maxRequest = 1 << 20

// Services are what an API answers with. What is nil is not there.
type Services struct {
	Control orreryv1alpha1connect.ControlServiceHandler
	Sky     orreryv1alpha1connect.SkyServiceHandler
	Preview orreryv1alpha1connect.PreviewServiceHandler
	// Download answers with a capture of the port that the path's values node and port name: see
	// Download. Terminal is one in the node of the query: see Terminal.
	Download, Terminal http.HandlerFunc
}

// Handler is the API as an HTTP handler: Connect, gRPC and gRPC-Web; captures and
// terminals.
func (s *Services) Handler() http.Handler {
	mux := http.NewServeMux()
	bounded := connect.WithReadMaxBytes(maxRequest)
	if s.Control != nil {
		mux.Handle(orreryv1alpha1connect.NewControlServiceHandler(s.Control, bounded))
	}
	if s.Sky != nil {
		mux.Handle(orreryv1alpha1connect.NewSkyServiceHandler(s.Sky, bounded))
	}
	if s.Preview != nil {
		mux.Handle(orreryv1alpha1connect.NewPreviewServiceHandler(s.Preview, bounded))
	}
	if s.Download != nil {
		mux.HandleFunc("GET "+capturePath+"{node}/{port}", s.Download)
	}
	if s.Terminal != nil {
		mux.HandleFunc("GET "+terminalPath, s.Terminal)
	}
	return mux
}

// Handler is the API of the run.
func (s *Server) Handler() http.Handler {
	return (&Services{Control: s, Sky: s.sky, Preview: s.preview, Download: s.download, Terminal: s.terminal}).Handler()
}

// PlanHandler is the part of the API that needs no run, for a plan, or for a scenario
// that has none yet: p may be nil. file is that of the scenario.
func PlanHandler(p *plan.Plan, file string) http.Handler {
	shelf := newShelf(p)
	return (&Services{Sky: newSky(shelf, false), Preview: newPreview(shelf, file)}).Handler()
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
		ReadHeaderTimeout: headerWithin,
		Protocols:         protocols(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	if err := serveUntil(ctx, srv, func() error { return srv.Serve(l) }); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// protocols are HTTP/1.1 for curl, and HTTP/2, with and without TLS, for streams in both
// directions.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Dial is a client of the run whose control socket is at path.
func Dial(path string) orreryv1alpha1connect.ControlServiceClient {
	return DialBy(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}).ControlServiceClient
}

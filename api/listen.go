package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"orrery.dev/orrery/api/access"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
)

// Bounds of what strangers can have a listener do.
const (
	maxConnections = 1024
	maxRequests    = 512 // at a time
	maxHeader      = 32 << 10
	maxBody        = 2 * maxRequest
	headerWithin   = 10 * time.Second
	bodyWithin     = 30 * time.Second
	writeWithin    = 30 * time.Second // each write of an answer
	idleFor        = 2 * time.Minute
)

// Listener serves the API, the page and figures over TCP.
type Listener struct {
	// Address to listen on, HOST:PORT.
	Address string
	Tokens  access.Tokens
	// Hosts are further names of this server: see access.Guard.
	Hosts []string
	// Certificate and Key are files in PEM; empty for no TLS.
	Certificate, Key string
	// Page is what is served at /; nil for none.
	Page fs.FS
	// Metrics answers at /metrics; nil for none.
	Metrics http.Handler
	Logger  *slog.Logger

	hosts []string // as the guard wants them
	tls   *tls.Config
	tcp   net.Listener
}

// Open begins to listen, so that what is wrong shows before anything else is made.
func (l *Listener) Open() error {
	if (l.Certificate == "") != (l.Key == "") {
		return errors.New("TLS needs both a certificate and its key")
	}
	if l.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(l.Certificate, l.Key)
		if err != nil {
			return fmt.Errorf("the certificate %s and its key %s cannot be used: %w", l.Certificate, l.Key, err)
		}
		l.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return fmt.Errorf("the address %q: want HOST:PORT, such as 127.0.0.1:8600: %w", l.Address, err)
	}
	l.hosts = nil
	for _, h := range append([]string{host}, l.Hosts...) {
		if h = access.Name(h); h != "" {
			l.hosts = append(l.hosts, h)
		}
	}
	if l.tcp, err = net.Listen("tcp", l.Address); err != nil {
		return fmt.Errorf("the API cannot listen: %w", err)
	}
	return nil
}

// Close a listener that is not served.
func (l *Listener) Close() error { return l.tcp.Close() }

// URL is what an owner opens in a browser. The token stands behind #, so that the
// browser keeps it to itself.
func (l *Listener) URL(token string) string {
	scheme := "http"
	if l.tls != nil {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(l.tcp.Addr().String())
	if asked, _, err := net.SplitHostPort(l.Address); err == nil && asked != "" {
		host = asked
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/#token=" + token
}

// Serve answers with the API of one run until ctx ends.
func (l *Listener) Serve(ctx context.Context, api http.Handler) error {
	return l.serve(ctx, l.guarded(api))
}

// ServeMany answers with the APIs of many runs until ctx ends, each below a path of its own with two parts, as in
// /NAMESPACE/SCENARIO/. Who may not look is refused before api is asked for a run's.
func (l *Listener) ServeMany(ctx context.Context, api func(namespace, scenario string) http.Handler) error {
	type name struct{ namespace, scenario string }
	type key struct{}
	run := l.guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := r.Context().Value(key{}).(name)
		api(n.namespace, n.scenario).ServeHTTP(w, r)
	}))
	return l.serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
		switch {
		case len(parts) == 3 && parts[0] != "" && parts[1] != "":
			r = r.WithContext(context.WithValue(r.Context(), key{}, name{parts[0], parts[1]}))
			http.StripPrefix("/"+parts[0]+"/"+parts[1], run).ServeHTTP(w, r)
		case len(parts) == 2 && parts[0] != "" && parts[1] != "" && r.Method == http.MethodGet:
			// Below itself: a page's links are relative. The path has no scheme and no host, whatever it says.
			http.Redirect(w, r, "/"+url.PathEscape(parts[0])+"/"+url.PathEscape(parts[1])+"/", http.StatusFound)
		default:
			http.Error(w, "the page of a scenario is at /NAMESPACE/SCENARIO/", http.StatusNotFound)
		}
	}))
}

// guarded is what the listener lets through of requests for a run.
func (l *Listener) guarded(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, prefix := range []string{
		"/" + orreryv1alpha1connect.ControlServiceName + "/", "/" + orreryv1alpha1connect.SkyServiceName + "/",
		"/" + orreryv1alpha1connect.PreviewServiceName + "/", capturePath, terminalPath,
	} {
		mux.Handle(prefix, api)
	}
	if l.Metrics != nil {
		mux.Handle(metricsPath, l.Metrics)
	}
	if l.Page != nil {
		mux.Handle("/", page(l.Page))
	}
	return timely(&access.Guard{Tokens: l.Tokens, Hosts: l.hosts, Needs: needs, Next: bounded(mux)}, bodyWithin, writeWithin)
}

func (l *Listener) serve(ctx context.Context, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		Protocols:         protocols(),
		TLSConfig:         l.tls,
	}
	if l.Logger != nil {
		srv.ErrorLog = slog.NewLogLogger(l.Logger.Handler(), slog.LevelDebug)
	}
	tcp := netutil.LimitListener(l.tcp, maxConnections)
	serve := func() error { return srv.Serve(tcp) }
	if l.tls != nil {
		serve = func() error { return srv.ServeTLS(tcp, "", "") }
	}
	return serveUntil(ctx, srv, serve)
}

// serveUntil serves until ctx ends, and gives requests a moment to end by themselves.
func serveUntil(ctx context.Context, srv *http.Server, serve func() error) error {
	done := make(chan struct{})
	stop, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		<-stop.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			srv.Close()
		}
	}()
	err := serve()
	cancel()
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// The paths beside those of services.
const (
	metricsPath  = "/metrics"
	capturePath  = "/capture/"
	terminalPath = "/terminal"
)

// viewing are the methods that change nothing and cost little: those that a viewer may
// call. Whatever is not listed is the owner's.
var viewing = map[string]bool{
	orreryv1alpha1connect.ControlServiceGetStatusProcedure:    true,
	orreryv1alpha1connect.ControlServiceWatchStatusProcedure:  true,
	orreryv1alpha1connect.ControlServiceWatchEventsProcedure:  true,
	orreryv1alpha1connect.ControlServiceListNodesProcedure:    true,
	orreryv1alpha1connect.ControlServiceListLinksProcedure:    true,
	orreryv1alpha1connect.ControlServiceListContactsProcedure: true,
	orreryv1alpha1connect.ControlServiceGetPathProcedure:      true,
	orreryv1alpha1connect.ControlServiceGetNodeProcedure:      true,
	orreryv1alpha1connect.ControlServiceGetLogProcedure:       true,
	orreryv1alpha1connect.ControlServiceGetLinkProcedure:      true,
	orreryv1alpha1connect.ControlServiceGetPairProcedure:      true,
	orreryv1alpha1connect.ControlServiceListEventsProcedure:   true,
	orreryv1alpha1connect.ControlServiceWatchTrafficProcedure: true,
	orreryv1alpha1connect.ControlServiceGetTrafficProcedure:   true,
	orreryv1alpha1connect.ControlServiceListFailuresProcedure: true,
	orreryv1alpha1connect.ControlServiceCheckFailureProcedure: true,
	orreryv1alpha1connect.SkyServiceGetInventoryProcedure:     true,
	orreryv1alpha1connect.SkyServiceGetPositionsProcedure:     true,
	orreryv1alpha1connect.SkyServiceGetContactsProcedure:      true,
	orreryv1alpha1connect.SkyServiceGetCoverageProcedure:      true,
	orreryv1alpha1connect.SkyServiceGetGapsProcedure:          true,
	orreryv1alpha1connect.PreviewServiceGetSchemaProcedure:    true,
}

// Viewing tells whether a path is a method that changes nothing and costs little.
func Viewing(path string) bool { return viewing[path] }

// needs is the least role for a path.
func needs(path string) access.Role {
	switch {
	case viewing[path] || path == metricsPath:
		return access.Viewer
	case strings.HasPrefix(path, "/orrery."), strings.HasPrefix(path, capturePath), strings.HasPrefix(path, terminalPath):
		return access.Owner
	}
	return access.Nobody // the page's own files
}

// page serves the page's files, which are for everybody, and tells browsers to keep to
// them: the page loads nothing from elsewhere, and is in nobody's frame.
func page(files fs.FS) http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "the page is only for reading", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws://"+r.Host+" wss://"+r.Host+
			"; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		server.ServeHTTP(w, r)
	})
}

// timely leaves clients that take too long to send the body of a request, or to read an
// answer. It stands before the guard: what a refused request leaves of its body, the
// server reads before it answers, and strangers could make that take for ever.
func timely(next http.Handler, body, write time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{w, http.NewResponseController(w), write}
		if r.Body != http.NoBody {
			_ = a.control.SetReadDeadline(time.Now().Add(body))
		}
		if r.URL.Path == terminalPath { // it takes the connection over, and has bounds of its own
			a.arm()
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(a, r)
		a.arm() // for what the server has still to send
	})
}

// bounded keeps requests from taking more than a share, in number and in size. The body
// of Exec is what somebody types: it may be long, and take its time.
func bounded(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprintln(w, `{"code":"resource_exhausted","message":"too many requests at a time; try again later"}`)
			return
		}
		control := http.NewResponseController(w)
		switch {
		case r.Body == http.NoBody:
		case r.URL.Path == orreryv1alpha1connect.ControlServiceExecProcedure:
			_ = control.SetReadDeadline(time.Time{})
		default:
			r.Body = &body{http.MaxBytesReader(w, r.Body, maxBody), control}
		}
		next.ServeHTTP(w, r)
	})
}

// body of a request that has to come in time.
type body struct {
	readCloser
	control *http.ResponseController
}

type readCloser interface {
	Read([]byte) (int, error)
	Close() error
}

// Read ends the deadline with the body: what comes after it may take its time.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.readCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// answer to a client that has to read in time. A deadline stands only while something is
// sent: over HTTP/2 it is a timer that resets the stream, also if nobody waits to send.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
}

func (a *answer) arm() { _ = a.control.SetWriteDeadline(time.Now().Add(a.within)) }

// disarm after what went well. What did not has ended the answer.
func (a *answer) disarm(err error) {
	if err == nil {
		_ = a.control.SetWriteDeadline(time.Time{})
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.arm()
	n, err := a.ResponseWriter.Write(b)
	a.disarm(err)
	return n, err
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is for http.ResponseController.
func (a *answer) FlushError() error {
	a.arm()
	err := a.control.Flush()
	a.disarm(err)
	return err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/reflect/protoreflect"

	"orrery.dev/orrery/api/access"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/node/nodetest"
)

// listen serves a run over doubles on a port of loopback.
func listen(t *testing.T, change func(*Listener)) (l *Listener, server *Server, nodes *nodetest.Engine) {
	t.Helper()
	server, _, _, nodes = serve(t)
	l = &Listener{
		Address: "127.0.0.1:0", Tokens: access.NewTokens(),
		Page:    fstest.MapFS{"index.html": {Data: []byte("<!doctype html>the page")}, "app.js": {Data: []byte("go()")}},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "figures") }),
	}
	if change != nil {
		change(l)
	}
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, server.Handler()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l, server, nodes
}

func (l *Listener) base() string {
	url, _, _ := strings.Cut(l.URL(""), "/#")
	return url
}

type ask struct {
	method, path, body, token, host, origin, kind string
}

func (l *Listener) ask(t *testing.T, a ask) (status int, body string, header http.Header) {
	t.Helper()
	if a.method == "" {
		a.method = http.MethodPost
	}
	r, err := http.NewRequest(a.method, l.base()+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if a.kind != "" {
		r.Header.Set("Content-Type", a.kind)
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.origin != "" {
		r.Header.Set("Origin", a.origin)
	}
	r.Host = a.host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

const (
	statusPath = "/orrery.v1alpha1.ControlService/GetStatus"
	pausePath  = "/orrery.v1alpha1.ControlService/Pause"
)

func TestWhoMayDoWhat(t *testing.T) {
	l, _, _ := listen(t, func(l *Listener) { l.Hosts = []string{"Sky.Example."} })
	owner, viewer := l.Tokens.Owner, l.Tokens.Viewer
	for name, c := range map[string]struct {
		ask
		status int
		text   string
	}{
		"the page for everybody":      {ask{method: "GET", path: "/"}, 200, "the page"},
		"a file of it":                {ask{method: "GET", path: "/app.js"}, 200, "go()"},
		"out of the page":             {ask{method: "GET", path: "/../access/access.go"}, 404, ""},
		"writing to the page":         {ask{path: "/", token: owner}, 405, "only for reading"},
		"no token":                    {ask{path: statusPath, body: "{}"}, 401, "a token is needed"},
		"a wrong token":               {ask{path: statusPath, body: "{}", token: owner + "x"}, 401, "unauthenticated"},
		"the viewer looks":            {ask{path: statusPath, body: "{}", token: viewer}, 200, `"name":"test"`},
		"the viewer pauses":           {ask{path: pausePath, body: "{}", token: viewer}, 403, "permission_denied"},
		"the owner pauses":            {ask{path: pausePath, body: "{}", token: owner}, 200, "{}"},
		"figures without a token":     {ask{method: "GET", path: "/metrics"}, 401, "unauthenticated"},
		"figures":                     {ask{method: "GET", path: "/metrics", token: viewer}, 200, "figures"},
		"the viewer captures":         {ask{method: "GET", path: "/capture/a/ant0", token: viewer}, 403, "permission_denied"},
		"what cannot capture":         {ask{method: "GET", path: "/capture/a/ant0", token: owner}, 503, "cannot capture"},
		"a port that is not there":    {ask{method: "GET", path: "/capture/a/x", token: owner}, 404, "it has [ant0]"},
		"the viewer's terminal":       {ask{method: "GET", path: "/terminal?node=a", token: viewer}, 403, "permission_denied"},
		"a foreign page":              {ask{path: pausePath, body: "{}", token: owner, origin: "https://evil.example"}, 403, "other origins"},
		"a name of its own":           {ask{path: statusPath, body: "{}", token: owner, host: "sky.example"}, 200, `"name":"test"`},
		"a stranger's name":           {ask{path: pausePath, body: "{}", token: owner, host: "evil.example"}, 421, "not called"},
		"a method that is not there":  {ask{path: "/orrery.v1alpha1.ControlService/Nonsense", body: "{}", token: owner}, 404, ""},
		"and the viewer asks for it":  {ask{path: "/orrery.v1alpha1.ControlService/Nonsense", body: "{}", token: viewer}, 403, ""},
		"another version, no token":   {ask{path: "/orrery.v2.ControlService/GetStatus", body: "{}"}, 401, ""},
		"no JSON":                     {ask{path: statusPath, body: "{", token: owner}, 400, "invalid_argument"},
		"a newer client's field":      {ask{path: statusPath, body: `{"nonsense":1}`, token: owner}, 200, `"name":"test"`},
		"no protobuf":                 {ask{path: "/orrery.v1alpha1.ControlService/ListNodes", body: "\xff\xff\xff", token: owner, kind: "application/proto"}, 400, "invalid_argument"},
		"another type":                {ask{path: statusPath, body: "a=b", token: owner, kind: "application/x-www-form-urlencoded"}, 415, ""},
		"a large message":             {ask{path: statusPath, body: `{"x":"` + strings.Repeat("a", maxRequest) + `"}`, token: owner}, 429, "resource_exhausted"},
		"a scenario that is too long": {ask{path: "/orrery.v1alpha1.PreviewService/Compile", body: `{"text":"` + strings.Repeat("a", maxText+1) + `"}`, token: owner}, 429, "at most"},
	} {
		status, body, header := l.ask(t, c.ask)
		if status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s: %d %q, want %d with %q", name, status, body, c.status, c.text)
		}
		if c.path == "/" && c.status == 200 && !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: it may load what it likes: %v", name, header)
		}
	}
}

// Each method of the schema is either for viewers, and then has no side effects, or
// is listed here.
func TestEveryMethodIsEitherForViewersOrForOwners(t *testing.T) {
	owners := map[string]bool{
		"Ping": true, "Exec": true, "Capture": true, "Pause": true, "Resume": true, "SetSpeed": true, "Stop": true,
		"MeasureThroughput": true, "Inject": true, "Undo": true, "Compile": true, "Complete": true, "GetScenario": true,
	}
	for _, file := range []protoreflect.FileDescriptor{
		pb.File_orrery_v1alpha1_control_proto, pb.File_orrery_v1alpha1_sky_proto, pb.File_orrery_v1alpha1_preview_proto,
	} {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for k := range methods.Len() {
				m := methods.Get(k)
				path := fmt.Sprintf("/%s/%s", services.Get(i).FullName(), m.Name())
				if forViewers := needs(path) == access.Viewer; forViewers == owners[string(m.Name())] {
					t.Errorf("%s: for viewers %v, listed as for owners %v", path, forViewers, owners[string(m.Name())])
				}
				if needs(path) == access.Nobody {
					t.Errorf("%s is for everybody", path)
				}
			}
		}
	}
}

func TestHeadersThatAreTooLong(t *testing.T) {
	l, _, _ := listen(t, nil)
	c, err := net.Dial("tcp", l.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\n", statusPath)
	for range 100 { // it may hang up before the end
		if _, err := fmt.Fprintf(c, "X-Long: %s\r\n", strings.Repeat("a", 1000)); err != nil {
			break
		}
	}
	_, _ = fmt.Fprint(c, "\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.Contains(line, " 431 ") {
		t.Errorf("answered %q", line)
	}
}

// envelope is a message of a stream in the Connect protocol.
func envelope(json string) string {
	n := len(json)
	return string([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + json
}

func (l *Listener) dial(t *testing.T, query, token, origin string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return websocket.Dial(ctx, l.base()+"/terminal?"+query, &websocket.DialOptions{
		Subprotocols: []string{terminalProtocol, access.TokenProtocol + token}, HTTPHeader: header,
	})
}

func TestTerminal(t *testing.T) {
	l, _, nodes := listen(t, nil)
	nodes.OnExec = func(name string, argv []string, stdio node.Stdio) (int, error) {
		if !stdio.Terminal {
			return 1, errors.New("no terminal")
		}
		size := <-stdio.Resize
		line, err := bufio.NewReader(stdio.In).ReadString('\n')
		if err != nil {
			return 1, err
		}
		next := <-stdio.Resize
		_, err = fmt.Fprintf(stdio.Out, "%s %v %dx%d %dx%d %s", name, len(argv), size.Columns, size.Rows, next.Columns, next.Rows, line)
		return 3, err
	}
	c, _, err := l.dial(t, "node=a&program=shell&columns=80&rows=24", l.Tokens.Owner, l.base())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if p := c.Subprotocol(); p != terminalProtocol {
		t.Errorf("subprotocol %q; the token must not come back", p)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, m := range []struct {
		kind websocket.MessageType
		text string
	}{{websocket.MessageBinary, "hel"}, {websocket.MessageBinary, "lo\n"}, {websocket.MessageText, `nonsense`}, {websocket.MessageText, `{"columns":100,"rows":30}`}} {
		if err := c.Write(ctx, m.kind, []byte(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	var shown bytes.Buffer
	for {
		kind, b, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("after %q: %v", shown.String(), err)
		}
		if kind == websocket.MessageBinary {
			shown.Write(b)
			continue
		}
		var m terminalSays
		if err := json.Unmarshal(b, &m); err != nil || m.ExitCode == nil || *m.ExitCode != 3 || shown.String() != "a 1 80x24 100x30 hello\n" {
			t.Fatalf("%s after %q, %v", b, shown.String(), err)
		}
		break
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("closed with %v", err)
	}
}

func TestTerminalsOfStrangers(t *testing.T) {
	l, _, nodes := listen(t, nil)
	nodes.OnExec = func(string, []string, node.Stdio) (int, error) {
		t.Error("a program was started")
		return 0, nil
	}
	for name, c := range map[string]struct {
		query, token, origin string
		status               int
	}{
		"no token":     {"node=a", "", "", 401},
		"a viewer":     {"node=a", l.Tokens.Viewer, "", 403},
		"a stranger":   {"node=a", l.Tokens.Owner, "http://evil.example", 403},
		"no such node": {"node=x", l.Tokens.Owner, "", 404},
		"no program":   {"node=a&program=rm", l.Tokens.Owner, "", 404},
	} {
		conn, res, err := l.dial(t, c.query, c.token, c.origin)
		if err == nil {
			_ = conn.CloseNow()
		}
		if res == nil || res.StatusCode != c.status {
			t.Errorf("%s: %v, %v, want %d", name, res, err, c.status)
		}
	}
}

// The program of a terminal ends with its client, also with one that types too much at once.
func TestTerminalsEndWithTheirClient(t *testing.T) {
	l, _, nodes := listen(t, nil)
	ended := make(chan struct{}, 2)
	nodes.OnExec = func(_ string, _ []string, stdio node.Stdio) (int, error) {
		_, _ = io.Copy(io.Discard, stdio.In)
		ended <- struct{}{}
		return 0, nil
	}
	leave, _, err := l.dial(t, "node=a", l.Tokens.Owner, "")
	if err != nil {
		t.Fatal(err)
	}
	_ = leave.CloseNow()
	shout, _, err := l.dial(t, "node=a", l.Tokens.Owner, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shout.CloseNow() }()
	_ = shout.Write(context.Background(), websocket.MessageBinary, make([]byte, 2*maxTyped))
	for range 2 {
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("a program goes on")
		}
	}
}

// certificate is one for 127.0.0.1, in files.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, pool
}

// Many runs have their pages and APIs below paths of their own, whose existence only those learn who may look.
func TestServeMany(t *testing.T) {
	server, _, _, _ := serve(t)
	l := &Listener{Address: "127.0.0.1:0", Tokens: access.NewTokens(), Page: fstest.MapFS{"index.html": {Data: []byte("<!doctype html>the page")}, "app.js": {Data: []byte("go()")}}}
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- l.ServeMany(ctx, func(namespace, scenario string) http.Handler {
			if namespace == "space" && scenario == "sky" {
				return server.Handler()
			}
			return http.NotFoundHandler()
		})
	}()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	const status = "/orrery.v1alpha1.ControlService/GetStatus"
	for _, w := range []struct {
		ask
		status int
		want   string
	}{
		{ask{method: "GET", path: "/space/sky/"}, http.StatusOK, "the page"},
		{ask{method: "GET", path: "/space/sky/app.js"}, http.StatusOK, "go()"},
		{ask{method: "GET", path: "/space/sky"}, http.StatusOK, "the page"}, // redirected
		{ask{path: "/space/sky" + status, body: "{}", token: l.Tokens.Viewer}, http.StatusOK, `"status"`},
		{ask{path: "/space/sky" + status, body: "{}"}, http.StatusUnauthorized, "token"},
		{ask{path: "/space/none" + status, body: "{}"}, http.StatusUnauthorized, "token"},
		{ask{path: "/space/none" + status, body: "{}", token: l.Tokens.Viewer}, http.StatusNotFound, ""},
		{ask{path: "/space/sky/orrery.v1alpha1.ControlService/Stop", body: "{}", token: l.Tokens.Viewer}, http.StatusForbidden, "only look"},
		{ask{path: "/space/sky" + status, body: "{}", token: l.Tokens.Owner, origin: "http://evil.example"}, http.StatusForbidden, "other origins"},
		{ask{method: "GET", path: "/"}, http.StatusNotFound, "/NAMESPACE/SCENARIO/"},
		{ask{method: "GET", path: "//sky/"}, http.StatusNotFound, "/NAMESPACE/SCENARIO/"},
		{ask{path: status, body: "{}", token: l.Tokens.Owner}, http.StatusNotFound, ""},
	} {
		if code, body, _ := l.ask(t, w.ask); code != w.status || !strings.Contains(body, w.want) {
			t.Errorf("%+v: %d %.200q, want %d and %q", w.ask, code, body, w.status, w.want)
		}
	}
}

// By TLS, streams in both directions work, too.
func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	l, _, _ := listen(t, func(l *Listener) { l.Certificate, l.Key = cert, key })
	if !strings.HasPrefix(l.URL("x"), "https://127.0.0.1:") || !strings.HasSuffix(l.URL("x"), "/#token=x") {
		t.Errorf("URL %s", l.URL("x"))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	stream := orreryv1alpha1connect.NewControlServiceClient(&http.Client{Transport: transport}, l.base()).Exec(context.Background())
	stream.RequestHeader().Set("Authorization", "Bearer "+l.Tokens.Owner)
	if err := stream.Send(&pb.ExecRequest{Node: "a", Argv: []string{"cat"}, Stdin: []byte("x"), StdinClosed: true}); err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.ExecRequest{StdinClosed: true}); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for {
		m, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetExited() {
			break
		}
	}
}

func TestListenersThatCannotBe(t *testing.T) {
	cert, _, _ := certificate(t)
	for text, l := range map[string]*Listener{
		"both a certificate":    {Address: "127.0.0.1:0", Certificate: cert},
		"cannot be used":        {Address: "127.0.0.1:0", Certificate: cert, Key: cert},
		"want HOST:PORT":        {Address: "8600"},
		"the API cannot listen": {Address: "127.0.0.1:99999"},
	} {
		if err := l.Open(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
}

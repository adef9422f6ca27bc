package operator

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/kube/failures"
	"orrery.dev/orrery/kube/gateway"
	"orrery.dev/orrery/kube/trust"
	"orrery.dev/orrery/kube/v1alpha1"
)

// watched is what an agent answers.
type watched struct {
	orreryv1alpha1connect.UnimplementedControlServiceHandler
	orreryv1alpha1connect.UnimplementedSkyServiceHandler
}

func (watched) GetStatus(context.Context, *connect.Request[pb.GetStatusRequest]) (*connect.Response[pb.GetStatusResponse], error) {
	return connect.NewResponse(&pb.GetStatusResponse{Status: &pb.Status{Name: "sky"}}), nil
}

func (watched) CheckFailure(_ context.Context, q *connect.Request[pb.CheckFailureRequest]) (*connect.Response[pb.CheckFailureResponse], error) {
	f := q.Msg.GetFailure()
	f.Id = "cut/" + f.GetA()
	return connect.NewResponse(&pb.CheckFailureResponse{Failure: f}), nil
}

func (watched) ListFailures(context.Context, *connect.Request[pb.ListFailuresRequest]) (*connect.Response[pb.ListFailuresResponse], error) {
	return connect.NewResponse(&pb.ListFailuresResponse{Failures: []*pb.Failure{{Id: "cut/oslo:x"}}}), nil
}

// agentAt serves an agent of loopback, to whom holds a key, and gives its port.
func agentAt(t *testing.T, key []byte) string {
	t.Helper()
	known, err := trust.Agent(key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetHTTP2(true)
	s := &http.Server{Handler: http.StripPrefix("/space/sky", (&api.Services{Control: watched{}, Sky: watched{}}).Handler()), TLSConfig: known, Protocols: p}
	go func() { _ = s.ServeTLS(l, "", "") }() // until it is closed
	t.Cleanup(func() { _ = s.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// The page of a scenario is there for who has a token, to look at or to steer, and asks agents who hold the key.
func TestPage(t *testing.T) {
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{v1alpha1.LabelScenario: "sky", v1alpha1.LabelNode: "oslo"}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		&v1alpha1.Scenario{ObjectMeta: metav1.ObjectMeta{Namespace: "space", Name: "sky"}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "space", Name: "sky--oslo", Labels: labels}, Spec: corev1.PodSpec{NodeName: "w1"},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}}},
	).Build()
	// Who comes second keeps the first one's key.
	ensuring := &underlay{client: c, namespace: "system", name: "underlay"}
	if err := ensuring.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	var shared corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "system", Name: "underlay"}, &shared); err != nil {
		t.Fatal(err)
	}
	at := make(chan string, 1)
	p := &page{
		cached: c, direct: c, agentPort: agentAt(t, shared.Data[UnderlayKey]), opened: func(url string) { at <- url }, log: func(text string, err error) { t.Errorf("%s: %v", text, err) },
		opts: Options{OperatorNamespace: "system", UnderlaySecret: "underlay", PageSecret: "page", PageAddress: "127.0.0.1:0"},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Start(ctx) }()
	base := <-at
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var secret corev1.Secret
	if err := c.Get(ctx, client.ObjectKey{Namespace: "system", Name: "page"}, &secret); err != nil {
		t.Fatal(err)
	}
	token, owner := string(secret.Data[PageViewer]), string(secret.Data[PageOwner])
	ask := func(method, path, token string) (int, string) {
		t.Helper()
		path, body, _ := strings.Cut(path, " ")
		r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(cmp.Or(body, "{}")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		text, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.StatusCode, string(text)
	}
	const control = "/orrery.v1alpha1.ControlService/"
	for _, w := range []struct {
		method, path, token string
		status              int
		want                string
	}{
		{"GET", "space/sky/", "", http.StatusOK, "<!doctype html>"},
		{"POST", "space/sky" + control + "GetStatus", token, http.StatusOK, `"name":"sky"`},
		{"POST", "space/sky" + control + "GetStatus", token + "x", http.StatusUnauthorized, "token"},
		{"POST", "space/none" + control + "GetStatus", "", http.StatusUnauthorized, "token"},
		{"POST", "space/none" + control + "GetStatus", token, http.StatusNotFound, "no scenario"},
		{"POST", "space/sky" + control + "Pause", token, http.StatusForbidden, "only look"},
		{"GET", "space/sky/terminal?node=oslo", token, http.StatusForbidden, "only look"},
		{"GET", "", token, http.StatusNotFound, "/NAMESPACE/SCENARIO/"},
		{"POST", "space/sky" + control + "Pause", owner, http.StatusOK, "{}"},
		{"POST", "space/sky" + control + `SetSpeed {"speed": 2.5}`, owner, http.StatusOK, "{}"},
		{"POST", "space/sky" + control + `Inject {"failure": {"kind": "KIND_CUT", "a": "oslo:x"}}`, token, http.StatusForbidden, "only look"},
		{"POST", "space/sky" + control + `Inject {"failure": {"kind": "KIND_CUT", "a": "oslo:x"}}`, owner, http.StatusOK, "cut/oslo:x"},
		{"POST", "space/sky" + control + `GetLog {"node": "oslo", "process": "pod"}`, owner, http.StatusServiceUnavailable, "may not enter pods"},
	} {
		if status, text := ask(w.method, w.path, w.token); status != w.status || !strings.Contains(strings.ToLower(text), strings.ToLower(w.want)) {
			t.Errorf("%s %s: %d %.200q, want %d and %q", w.method, w.path, status, text, w.status, w.want)
		}
	}

	var s v1alpha1.Scenario
	if err := c.Get(ctx, client.ObjectKey{Namespace: "space", Name: "sky"}, &s); err != nil {
		t.Fatal(err)
	}
	if s.Annotations[v1alpha1.AnnotationPaused] != "true" || string(s.Spec) != `{"speed":2.5}` || !strings.Contains(s.Annotations[failures.Annotation], "oslo:x") {
		t.Errorf("the owner has made of the scenario %v, %s", s.Annotations, s.Spec)
	}
	stale := &steward{page: p, namespace: "space", name: "sky"}
	if err := stale.SetFailures(ctx, "", "1"); !errors.Is(err, gateway.ErrChanged) {
		t.Errorf("a change of what is over: %v", err)
	}

	// An agent who holds another key is asked nothing.
	p.agentPort = agentAt(t, bytes.Repeat([]byte{8}, 32))
	if status, text := ask("POST", "space/sky"+control+"GetStatus", token); status != http.StatusServiceUnavailable || !strings.Contains(text, "does not hold the key") {
		t.Errorf("an agent with another key: %d %q", status, text)
	}
}

// A page for which something is lacking says what.
func TestPageLacksSomething(t *testing.T) {
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "short"}, Data: map[string][]byte{PageViewer: []byte("x")}},
	).Build()
	for _, w := range []struct{ page, underlay, want string }{
		{"short", "underlay", "has 1 bytes"}, {"page", "short", `no entry "key"`},
	} {
		p := &page{direct: c, opts: Options{OperatorNamespace: "system", UnderlaySecret: w.underlay, PageSecret: w.page, PageAddress: "127.0.0.1:0"}}
		if err := p.serve(t.Context()); err == nil || !strings.Contains(err.Error(), w.want) {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

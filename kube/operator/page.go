package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/api/access"
	"orrery.dev/orrery/kube/failures"
	"orrery.dev/orrery/kube/gateway"
	"orrery.dev/orrery/kube/trust"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/web"
)

// The entries of the page's Secret: tokens for steering and for looking.
const (
	PageOwner  = "owner"
	PageViewer = "viewer"
)

// page serves the page of each scenario at /NAMESPACE/SCENARIO/: to look at, and to steer by what a scenario's object
// says, as time and failures. The operator has no right to enter pods, and so has nobody by its page.
type page struct {
	cached client.Reader // pods, workers and scenarios
	direct client.Client // Secrets
	opts   Options
	// agentPort is that at which agents of all workers let the operator look.
	agentPort string
	log       func(text string, err error)
	// opened is told where the page is, without the token.
	opened func(url string)
}

// Start implements manager.Runnable. It tries until the Secrets are there and the page is served.
func (p *page) Start(ctx context.Context) error {
	persist(ctx, p.serve, func(err error) { p.log("the page is not served", err) })
	return nil
}

// serve until the context ends; an error says why it could not begin.
func (p *page) serve(ctx context.Context) error {
	tokens, err := p.tokens(ctx)
	if err != nil {
		return err
	}
	// Both begin at the same time.
	if err := (&underlay{client: p.direct, namespace: p.opts.OperatorNamespace, name: p.opts.UnderlaySecret}).ensure(ctx); err != nil {
		return err
	}
	key, err := p.secret(ctx, p.opts.UnderlaySecret, UnderlayKey)
	if err != nil {
		return err
	}
	known, err := trust.Operator(key)
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	agents := &http.Client{Transport: &http.Transport{TLSClientConfig: known, Protocols: protocols, IdleConnTimeout: time.Minute}}
	defer agents.CloseIdleConnections()
	l := api.Listener{Address: p.opts.PageAddress, Tokens: tokens, Hosts: p.opts.PageHosts, Page: web.Files(), Logger: slog.New(slog.DiscardHandler)}
	if err := l.Open(); err != nil {
		return err
	}
	p.opened(strings.TrimSuffix(l.URL(""), "#token="))
	return l.ServeMany(ctx, func(namespace, name string) http.Handler {
		var s v1alpha1.Scenario
		switch err := p.cached.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s); {
		case apierrors.IsNotFound(err):
			return refusal(http.StatusNotFound, "not_found", fmt.Sprintf("namespace %q has no scenario %q", namespace, name))
		case err != nil:
			return refusal(http.StatusServiceUnavailable, "unavailable", err.Error())
		}
		return gateway.New(&steward{page: p, agents: agents, namespace: namespace, name: name}).Handler()
	})
}

func refusal(status int, code, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { access.Refuse(w, status, code, text) })
}

// tokens are those in the page's Secret, which is made if it is not there. One that somebody has made with
// the viewer's alone lets nobody steer.
func (p *page) tokens(ctx context.Context) (access.Tokens, error) {
	fresh := access.NewTokens()
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.opts.OperatorNamespace, Name: p.opts.PageSecret, Labels: managedBy},
		Data:       map[string][]byte{PageOwner: []byte(fresh.Owner), PageViewer: []byte(fresh.Viewer)},
	}
	if err := p.direct.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
		return fresh, fmt.Errorf("make the Secret %s/%s: %w", s.Namespace, s.Name, err)
	}
	if err := p.direct.Get(ctx, client.ObjectKeyFromObject(s), s); err != nil {
		return fresh, fmt.Errorf("read the Secret %s/%s: %w", s.Namespace, s.Name, err)
	}
	kept := access.Tokens{Owner: string(s.Data[PageOwner]), Viewer: string(s.Data[PageViewer])}
	for name, value := range s.Data {
		if (name == PageOwner || name == PageViewer) && len(value) < minToken {
			return kept, fmt.Errorf("the token %s in the Secret %s/%s has %d bytes; delete the Secret, and the operator makes a better one", name, s.Namespace, s.Name, len(value))
		}
	}
	if kept == (access.Tokens{}) {
		return kept, fmt.Errorf("the Secret %s/%s has no entry %q or %q; delete it, and the operator makes one that has", s.Namespace, s.Name, PageOwner, PageViewer)
	}
	return kept, nil
}

// minToken is how long a token is at least, in bytes.
const minToken = 16

// secret is an entry of a Secret in the operator's namespace.
func (p *page) secret(ctx context.Context, name, entry string) ([]byte, error) {
	var s corev1.Secret
	if err := p.direct.Get(ctx, client.ObjectKey{Namespace: p.opts.OperatorNamespace, Name: name}, &s); err != nil {
		return nil, fmt.Errorf("read the Secret %s/%s: %w", p.opts.OperatorNamespace, name, err)
	}
	value, ok := s.Data[entry]
	if !ok {
		return nil, fmt.Errorf("the Secret %s/%s has no entry %q", p.opts.OperatorNamespace, name, entry)
	}
	return value, nil
}

// steward is a scenario as the operator knows it. Its agents let him look, and its object lets him steer; into pods
// he does not go.
type steward struct {
	page            *page
	agents          *http.Client
	namespace, name string
}

var _ gateway.Cluster = (*steward)(nil)

// Pods implements gateway.Cluster.
func (c *steward) Pods(ctx context.Context) (map[string]gateway.Pod, error) {
	var list corev1.PodList
	if err := c.page.cached.List(ctx, &list, client.InNamespace(c.namespace), client.MatchingLabels{v1alpha1.LabelScenario: c.name}); err != nil {
		return nil, err
	}
	pods := make(map[string]gateway.Pod, len(list.Items))
	for i := range list.Items {
		p := &list.Items[i]
		name, worker := p.Labels[v1alpha1.LabelNode], p.Spec.NodeName
		// A pod that is going and the one that comes after it have the same node.
		if old, ok := pods[name]; ok && old.Worker != "" && worker == "" {
			continue
		}
		pods[name] = gateway.Pod{Worker: worker, Ready: podReady(p), Reason: waiting(p)}
	}
	return pods, nil
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// waiting is why a container of a pod does not run.
func waiting(p *corev1.Pod) string {
	for i := range p.Status.ContainerStatuses {
		if w := p.Status.ContainerStatuses[i].State.Waiting; w != nil {
			return w.Reason
		}
	}
	return ""
}

// Agent implements gateway.Cluster.
func (c *steward) Agent(ctx context.Context, worker string) (gateway.Agent, error) {
	var n corev1.Node
	if err := c.page.cached.Get(ctx, client.ObjectKey{Name: worker}, &n); err != nil {
		return nil, err
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return api.NewClient(c.agents, "https://"+net.JoinHostPort(a.Address, c.page.agentPort)+"/"+c.namespace+"/"+c.name), nil
		}
	}
	return nil, fmt.Errorf("the cluster tells no address of worker %s", worker)
}

// errOutside is why the operator does nothing in pods.
var errOutside = errors.New("the operator may not enter pods; 'kubectl orrery page' serves a page by which you do what you may do in the cluster")

// Enters implements gateway.Cluster.
func (c *steward) Enters() bool { return false }

// Exec implements api.Executor.
func (c *steward) Exec(context.Context, string, []string, node.Stdio) (int, error) {
	return 0, errOutside
}

// Log implements gateway.Cluster.
func (c *steward) Log(context.Context, string, int) (string, error) { return "", errOutside }

// patch changes the scenario's object by a merge patch (RFC 7386).
func (c *steward) patch(ctx context.Context, text string) error {
	s := &v1alpha1.Scenario{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: c.name}}
	err := c.page.direct.Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(text)))
	if apierrors.IsConflict(err) {
		return fmt.Errorf("%w: %w", gateway.ErrChanged, err)
	}
	return err
}

// SetPaused implements gateway.Cluster.
func (c *steward) SetPaused(ctx context.Context, paused bool) error {
	return c.patch(ctx, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationPaused, strconv.FormatBool(paused)))
}

// SetSpeed implements gateway.Cluster.
func (c *steward) SetSpeed(ctx context.Context, speed float64) error {
	return c.patch(ctx, fmt.Sprintf(`{"spec":{"speed":%s}}`, strconv.FormatFloat(speed, 'f', -1, 64)))
}

// Failures implements gateway.Cluster.
func (c *steward) Failures(ctx context.Context) (list, version string, err error) {
	var s v1alpha1.Scenario
	err = c.page.direct.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: c.name}, &s)
	return s.Annotations[failures.Annotation], s.ResourceVersion, err
}

// SetFailures implements gateway.Cluster.
func (c *steward) SetFailures(ctx context.Context, list, version string) error {
	patch, err := failures.Patch(list, version)
	if err != nil {
		return err
	}
	return c.patch(ctx, patch)
}

package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/api/access"
	"orrery.dev/orrery/kube/gateway"
	"orrery.dev/orrery/kube/trust"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/web"
)

// PageToken is the entry of the page's Secret that has the token for looking.
const PageToken = "viewer"

// page serves the page of each scenario at /NAMESPACE/SCENARIO/, to look at: the operator has no right to
// enter pods or to change scenarios, and so has nobody by its page.
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
	token, err := p.token(ctx)
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
	l := api.Listener{Address: p.opts.PageAddress, Tokens: access.Tokens{Viewer: token}, Hosts: p.opts.PageHosts, Page: web.Files(), Logger: slog.New(slog.DiscardHandler)}
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
		return gateway.New(&onlooker{page: p, agents: agents, namespace: namespace, name: name}).Handler()
	})
}

func refusal(status int, code, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { access.Refuse(w, status, code, text) })
}

// token is the one in the page's Secret, which is made if it is not there.
func (p *page) token(ctx context.Context) (string, error) {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.opts.OperatorNamespace, Name: p.opts.PageSecret, Labels: managedBy},
		Data:       map[string][]byte{PageToken: []byte(access.NewTokens().Viewer)},
	}
	if err := p.direct.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("make the Secret %s/%s: %w", s.Namespace, s.Name, err)
	}
	value, err := p.secret(ctx, p.opts.PageSecret, PageToken)
	if err == nil && len(value) < 16 {
		err = fmt.Errorf("the token %s in the Secret %s/%s has %d bytes; delete the Secret, and the operator makes a better one", PageToken, s.Namespace, s.Name, len(value))
	}
	return string(value), err
}

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

// onlooker is a scenario as the operator knows it. Its agents let him look, and no more.
type onlooker struct {
	page            *page
	agents          *http.Client
	namespace, name string
}

var _ gateway.Cluster = (*onlooker)(nil)

// Pods implements gateway.Cluster.
func (c *onlooker) Pods(ctx context.Context) (map[string]gateway.Pod, error) {
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
func (c *onlooker) Agent(ctx context.Context, worker string) (gateway.Agent, error) {
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

// errLook is why the operator does nothing but look.
var errLook = errors.New("the operator's page is to look at; 'kubectl orrery page' serves one by which you do what you may do in the cluster")

// Exec implements api.Executor.
func (c *onlooker) Exec(context.Context, string, []string, node.Stdio) (int, error) {
	return 0, errLook
}

// Log implements gateway.Cluster.
func (c *onlooker) Log(context.Context, string, int) (string, error) { return "", errLook }

// SetPaused implements gateway.Cluster.
func (c *onlooker) SetPaused(context.Context, bool) error { return errLook }

// SetSpeed implements gateway.Cluster.
func (c *onlooker) SetSpeed(context.Context, float64) error { return errLook }

// Package operator makes pods of scenarios: one for each node, and a ConfigMap
// with the scenario for all of them.
//
//	Scenario ──design──▶ what is asked for ─┐
//	pods, workers ──────────────────────────┴─survey──▶ work ──carryOut──▶ pods
//	                                               └────conclude──▶ status
//
// What is asked for is a pure function of the scenario and its files, and so is
// what is to be done about it; a reconciler that is ended anywhere goes on when
// it is started again. Nothing here knows of contacts: while links move, the
// operator makes no request.
//
// # Caveats
//
// Addresses derive from a node's number, and satellites come before stations: a
// satellite that is added shifts the numbers of all stations, whose pods are then
// replaced.
package operator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	klabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"orrery.dev/orrery/kube/v1alpha1"
)

// gather is how long events of pods are gathered before a scenario is looked at:
// thousands of them come while it starts.
const gather = time.Second

// Options of an operator.
type Options struct {
	// Pods are its settings of pods.
	Pods PodOptions
	// MaxStarting is how many pods of a scenario may be starting at the same time;
	// 100 if zero.
	MaxStarting int
	// Namespace to look after; empty for all.
	Namespace string
	// MetricsAddress and HealthAddress are what to listen on; empty for neither.
	MetricsAddress, HealthAddress string
	// LeaderElection lets several operators run of which one works. It costs a
	// request every two seconds.
	LeaderElection bool
	// OperatorNamespace is where the lease of an election is, and UnderlaySecret.
	OperatorNamespace string
	// UnderlaySecret is the Secret with the key that agents share, which is made if
	// it is not there; empty: that is somebody else's affair.
	UnderlaySecret string
	// PageAddress is where the page of scenarios is served; empty for nowhere.
	// PageHosts are further names by which it may be called, and PageSecret is the Secret with the
	// tokens for it, which is made if it is not there.
	PageAddress string
	PageHosts   []string
	PageSecret  string
	// AgentPort is that of agents' --control-address.
	AgentPort int
	// WebhookAddress is where the API server's questions about scenarios are
	// answered; empty for nowhere. WebhookListen replaces it, for tests.
	WebhookAddress string
	WebhookListen  func() (net.Listener, error)
	// WebhookService is the service in OperatorNamespace that leads there, or an
	// address.
	WebhookService string
	// Now is the clock; nil for the host's.
	Now func() time.Time
}

// Scheme knows all objects that an operator deals with.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientscheme.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, v1alpha1.AddToScheme(s)
}

// New makes a manager in which the operator runs when it is started. The
// configuration's QPS and Burst bound its requests.
func New(config *rest.Config, o Options) (manager.Manager, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxStarting == 0 {
		o.MaxStarting = 100
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	mine, err := klabels.Parse(v1alpha1.LabelScenario)
	if err != nil {
		return nil, err
	}
	configMap := &metav1.PartialObjectMetadata{}
	configMap.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	caches := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:  {Label: mine, Transform: trim},
			configMap:      {Label: mine},
			&corev1.Node{}: {Transform: trimNode},
		},
	}
	if o.Namespace != "" {
		caches.DefaultNamespaces = map[string]cache.Config{o.Namespace: {}}
	}
	m, err := manager.New(config, manager.Options{
		Scheme: scheme, Cache: caches,
		Metrics:                metricsserver.Options{BindAddress: orNone(o.MetricsAddress)},
		HealthProbeBindAddress: orNone(o.HealthAddress),
		LeaderElection:         o.LeaderElection, LeaderElectionID: "orrery-operator", LeaderElectionNamespace: o.OperatorNamespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("the operator cannot be made: %w", err)
	}
	r := &reconciler{client: m.GetClient(), api: m.GetAPIReader(), opts: o, designs: map[client.ObjectKey]*cached{}}
	err = builder.ControllerManagedBy(m).Named("scenario").
		For(&v1alpha1.Scenario{}, builder.WithPredicates(asked)).
		Watches(&corev1.Pod{}, gathered(r.ofPod)).
		WatchesMetadata(&corev1.ConfigMap{}, gathered(r.ofPod)).
		Watches(&corev1.Node{}, gathered(r.ofWorker), builder.WithPredicates(answering)).
		WithOptions(controller.Options{SkipNameValidation: pointer(true)}).
		Complete(r)
	if err != nil {
		return nil, fmt.Errorf("the operator cannot be made: %w", err)
	}
	return m, errors.Join(addWebhook(m, scheme, config, o), addUnderlay(m, scheme, config, o), addPage(m, scheme, config, o), addChecks(m, o))
}

// addUnderlay makes the manager see to the agents' key.
func addUnderlay(m manager.Manager, scheme *runtime.Scheme, config *rest.Config, o Options) error {
	if o.UnderlaySecret == "" || o.OperatorNamespace == "" {
		return nil
	}
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	logger := m.GetLogger()
	return m.Add(&underlay{
		client: direct, namespace: o.OperatorNamespace, name: o.UnderlaySecret,
		log: func(text string, err error) { logger.Error(err, text) },
	})
}

// addPage makes the manager serve the page.
func addPage(m manager.Manager, scheme *runtime.Scheme, config *rest.Config, o Options) error {
	if o.PageAddress == "" {
		return nil
	}
	if o.OperatorNamespace == "" || o.UnderlaySecret == "" || o.PageSecret == "" {
		return errors.New("the page takes the operator's namespace, the Secret with the agents' key and one for its tokens; give their names, or an empty address of the page")
	}
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	logger := m.GetLogger()
	return m.Add(&page{
		cached: m.GetClient(), direct: direct, opts: o, agentPort: strconv.Itoa(o.AgentPort),
		log:    func(text string, err error) { logger.Error(err, text) },
		opened: func(url string) { logger.Info("the page of scenarios is served", "url", url, "token", o.PageSecret) },
	})
}

// webhookConfiguration is the object by which the API server finds the webhook.
const webhookConfiguration = "orrery-scenarios"

// addWebhook makes the manager answer the API server's questions.
func addWebhook(m manager.Manager, scheme *runtime.Scheme, config *rest.Config, o Options) error {
	if o.WebhookListen == nil {
		if o.WebhookAddress == "" {
			return nil
		}
		o.WebhookListen = func() (net.Listener, error) { return net.Listen("tcp", o.WebhookAddress) }
	}
	// It reads and writes one object now and then, for which no cache is needed.
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	hosts := []string{o.WebhookService}
	if net.ParseIP(o.WebhookService) == nil {
		hosts = []string{o.WebhookService + "." + o.OperatorNamespace + ".svc"}
	}
	logger := m.GetLogger()
	return m.Add(&webhook{
		listen: o.WebhookListen, handler: &reviewer{api: m.GetAPIReader()},
		keys: &keys{client: direct, configuration: webhookConfiguration, hosts: hosts, now: o.Now},
		log:  func(text string, err error) { logger.Error(err, text) },
	})
}

// addChecks makes the manager tell that it lives and that its caches are filled.
func addChecks(m manager.Manager, o Options) error {
	if o.HealthAddress == "" {
		return nil
	}
	return errors.Join(m.AddHealthzCheck("alive", healthz.Ping), m.AddReadyzCheck("ready", healthz.Ping))
}

func orNone(address string) string {
	if address == "" {
		return "0"
	}
	return address
}

// asked are changes of a scenario by its user: those of its spec and its
// annotations, and not those of its status, which are the operator's own.
var asked = predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})

// answering are changes of a worker's readiness.
var answering = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*corev1.Node)
		after, ok2 := e.ObjectNew.(*corev1.Node)
		return !ok1 || !ok2 || isReady(before) != isReady(after)
	},
}

func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// trimNode keeps of a worker what the operator looks at.
func trimNode(obj any) (any, error) {
	n, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil
	}
	n.ManagedFields, n.Annotations, n.Spec = nil, nil, corev1.NodeSpec{}
	n.Status = corev1.NodeStatus{Conditions: n.Status.Conditions, Addresses: n.Status.Addresses}
	return n, nil
}

// ofPod is the scenario that an object with its label belongs to.
func (r *reconciler) ofPod(_ context.Context, o client.Object) []types.NamespacedName {
	if name := o.GetLabels()[v1alpha1.LabelScenario]; name != "" {
		return []types.NamespacedName{{Namespace: o.GetNamespace(), Name: name}}
	}
	return nil
}

// ofWorker are the scenarios that have pods on a worker.
func (r *reconciler) ofWorker(ctx context.Context, o client.Object) []types.NamespacedName {
	var list v1alpha1.ScenarioList
	if err := r.client.List(ctx, &list); err != nil {
		return nil
	}
	var names []types.NamespacedName
	for i := range list.Items {
		for _, w := range list.Items[i].Status.Workers {
			if w.Name == o.GetName() {
				names = append(names, client.ObjectKeyFromObject(&list.Items[i]))
			}
		}
	}
	return names
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// gathered queues scenarios a little later, so that many events make one look.
func gathered(of func(context.Context, client.Object) []types.NamespacedName) handler.EventHandler {
	add := func(ctx context.Context, o client.Object, q queue) {
		for _, name := range of(ctx, o) {
			q.AddAfter(reconcile.Request{NamespacedName: name}, gather)
		}
	}
	return handler.Funcs{
		CreateFunc:  func(ctx context.Context, e event.CreateEvent, q queue) { add(ctx, e.Object, q) },
		UpdateFunc:  func(ctx context.Context, e event.UpdateEvent, q queue) { add(ctx, e.ObjectNew, q) },
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { add(ctx, e.Object, q) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { add(ctx, e.Object, q) },
	}
}

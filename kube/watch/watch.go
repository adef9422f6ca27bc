// Package watch is the agent's view of Kubernetes: which node each pod is, which worker it
// is on, and how scenarios stand. It lists and watches, and writes nothing.
//
// Pods and workers are watched by their metadata and what little of their spec and status is
// needed; the rest is dropped as it comes. A scenario's packed file is read once for each
// revision.
package watch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/kube/failures"
	"orrery.dev/orrery/kube/v1alpha1"
)

// Cluster implements agent.Cluster.
type Cluster struct {
	cache  cache.Cache
	api    client.Client // asks the API server itself
	synced atomic.Bool

	pending chan agent.ID // what has changed, as it comes
	changes chan agent.ID // each once in a while
}

var _ agent.Cluster = (*Cluster)(nil)

// gather is how long changes of one scenario are gathered before the agent is told: five
// hundred pods that start are not five hundred changes.
const gather = 200 * time.Millisecond

// New makes a view that is filled by Run.
func New(config *rest.Config) (*Cluster, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	mine, err := labels.Parse(v1alpha1.LabelScenario)
	if err != nil {
		return nil, err
	}
	c := &Cluster{pending: make(chan agent.ID, 1024), changes: make(chan agent.ID)}
	resources := known()
	c.cache, err = cache.New(config, cache.Options{
		Scheme: scheme, Mapper: resources, DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:  {Label: mine, Transform: trimPod},
			&corev1.Node{}: {Transform: trimNode},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	if c.api, err = client.New(config, client.Options{Scheme: scheme, Mapper: resources}); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return c, nil
}

// known are the resources that are watched. An agent that had to ask for them could not
// start while the API server is away.
func known() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(v1alpha1.GroupVersion.WithKind("Scenario"), meta.RESTScopeNamespace)
	m.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	m.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	m.Add(corev1.SchemeGroupVersion.WithKind("Node"), meta.RESTScopeRoot)
	return m
}

// trimPod keeps which node a pod is, where it runs, and whether it is to stay.
func trimPod(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, DeletionTimestamp: p.DeletionTimestamp,
			Labels: map[string]string{v1alpha1.LabelScenario: p.Labels[v1alpha1.LabelScenario], v1alpha1.LabelNode: p.Labels[v1alpha1.LabelNode]},
		},
		Spec:   corev1.PodSpec{NodeName: p.Spec.NodeName},
		Status: corev1.PodStatus{Phase: p.Status.Phase},
	}, nil
}

// trimNode keeps a worker's addresses and whether it answers.
func trimNode(obj any) (any, error) {
	n, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil
	}
	out := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion},
		Status:     corev1.NodeStatus{Addresses: n.Status.Addresses},
	}
	for _, k := range n.Status.Conditions {
		if k.Type == corev1.NodeReady {
			// Without its heartbeats, which come all the time.
			out.Status.Conditions = []corev1.NodeCondition{{Type: k.Type, Status: k.Status}}
		}
	}
	return out, nil
}

// Run watches until ctx ends.
func (c *Cluster) Run(ctx context.Context) error {
	note := func(id agent.ID) {
		select {
		case c.pending <- id:
		case <-ctx.Done():
		}
	}
	for _, w := range []struct {
		kind client.Object
		tell func(obj any)
	}{
		{&v1alpha1.Scenario{}, func(obj any) {
			if s, ok := obj.(*v1alpha1.Scenario); ok {
				note(agent.ID{Namespace: s.Namespace, Name: s.Name})
			}
		}},
		{&corev1.Pod{}, func(obj any) {
			if p, ok := obj.(*corev1.Pod); ok {
				note(agent.ID{Namespace: p.Namespace, Name: p.Labels[v1alpha1.LabelScenario]})
			}
		}},
		{&corev1.Node{}, func(any) { c.noteAll(ctx, note) }},
	} {
		informer, err := c.cache.GetInformer(ctx, w.kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: w.tell,
			UpdateFunc: func(before, after any) {
				if !same(before, after) {
					w.tell(after)
				}
			},
			DeleteFunc: func(obj any) {
				if last, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
					obj = last.Obj
				}
				w.tell(obj)
			},
		})
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	go func() { c.synced.Store(c.cache.WaitForCacheSync(ctx)) }()
	go c.gather(ctx)
	return c.cache.Start(ctx)
}

// same tells whether two versions of a worker differ in nothing that matters here: kubelets
// write their nodes all the time.
func same(before, after any) bool {
	a, ok1 := before.(*corev1.Node)
	b, ok2 := after.(*corev1.Node)
	return ok1 && ok2 && ready(a) == ready(b) && address(a) == address(b)
}

// noteAll tells of all scenarios.
func (c *Cluster) noteAll(ctx context.Context, note func(agent.ID)) {
	if !c.synced.Load() {
		return // each is told of anyway
	}
	var list v1alpha1.ScenarioList
	if c.cache.List(ctx, &list) != nil {
		return
	}
	for i := range list.Items {
		note(agent.ID{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name})
	}
}

// gather passes changes on, several of one scenario as one.
func (c *Cluster) gather(ctx context.Context) {
	waiting := make(map[agent.ID]bool)
	for {
		var due <-chan time.Time
		if len(waiting) > 0 {
			due = time.After(gather)
		}
		for open := true; open; {
			select {
			case id := <-c.pending:
				waiting[id] = true
				if due == nil {
					due = time.After(gather)
				}
			case <-due:
				open = false
			case <-ctx.Done():
				return
			}
		}
		for id := range waiting {
			select {
			case c.changes <- id:
				delete(waiting, id)
			case more := <-c.pending: // the agent is busy
				waiting[more] = true
			case <-ctx.Done():
				return
			}
		}
	}
}

// Changes implements agent.Cluster.
func (c *Cluster) Changes() <-chan agent.ID { return c.changes }

// Ready implements agent.Cluster.
func (c *Cluster) Ready() error {
	if !c.synced.Load() {
		return errors.New("the agent has not heard of the API server's pods yet; see whether the API server answers, and the agent's rights")
	}
	return nil
}

// Member implements agent.Cluster. The cache is asked first; a pod that it has not is asked
// for, since it may be a new one or none of a scenario.
func (c *Cluster) Member(ctx context.Context, namespace, name string) (agent.Member, error) {
	if namespace == "" || name == "" {
		return agent.Member{}, fmt.Errorf("the runtime names no pod: %w", agent.ErrNoMember)
	}
	var p corev1.Pod
	key := client.ObjectKey{Namespace: namespace, Name: name}
	err := c.Ready()
	if err == nil {
		err = c.cache.Get(ctx, key, &p)
	}
	if err != nil {
		p = corev1.Pod{}
		if err := c.api.Get(ctx, key, &p); err != nil {
			return agent.Member{}, fmt.Errorf("pod %s/%s: %w", namespace, name, err)
		}
	}
	m := agent.Member{Scenario: agent.ID{Namespace: namespace, Name: p.Labels[v1alpha1.LabelScenario]}, Node: p.Labels[v1alpha1.LabelNode]}
	if m.Scenario.Name == "" || m.Node == "" {
		return agent.Member{}, fmt.Errorf("pod %s/%s: %w", namespace, name, agent.ErrNoMember)
	}
	return m, nil
}

// Scenario implements agent.Cluster.
func (c *Cluster) Scenario(ctx context.Context, id agent.ID) (agent.Scenario, error) {
	if err := c.Ready(); err != nil {
		return agent.Scenario{}, err
	}
	var s v1alpha1.Scenario
	err := c.cache.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, &s)
	if apierrors.IsNotFound(err) || err == nil && (s.Status.Bundle == "" || s.Status.Timeline == nil) {
		return agent.Scenario{}, fmt.Errorf("scenario %s: %w", id, agent.ErrNoScenario)
	}
	if err != nil {
		return agent.Scenario{}, fmt.Errorf("scenario %s: %w", id, err)
	}
	t := s.Status.Timeline
	out := agent.Scenario{
		ID: id, UID: string(s.UID), Port: uint16(s.HeldUnderlayPort()), Revision: s.Status.Bundle,
		Failures: s.Annotations[failures.Annotation],
		Time:     agent.Time{At: t.At.Time, Scenario: t.Scenario.Duration, Speed: t.Speed, Paused: t.Paused},
		Workers:  make(map[string]string), Awaited: make(map[string]int), Addresses: make(map[string]netip.Addr),
	}
	var pods corev1.PodList
	if err := c.cache.List(ctx, &pods, client.InNamespace(id.Namespace), client.MatchingLabels{v1alpha1.LabelScenario: id.Name}); err != nil {
		return agent.Scenario{}, err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		switch {
		case p.Spec.NodeName == "":
		case p.Status.Phase == corev1.PodRunning:
			out.Workers[p.Labels[v1alpha1.LabelNode]] = p.Spec.NodeName
		case p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil:
			out.Awaited[p.Spec.NodeName]++
		}
	}
	var nodes corev1.NodeList
	if err := c.cache.List(ctx, &nodes); err != nil {
		return agent.Scenario{}, err
	}
	for i := range nodes.Items {
		// Nodes of a worker that does not answer are not there for anybody.
		if n := &nodes.Items[i]; ready(n) && address(n).IsValid() {
			out.Addresses[n.Name] = address(n)
		}
	}
	return out, nil
}

func ready(n *corev1.Node) bool {
	for _, k := range n.Status.Conditions {
		if k.Type == corev1.NodeReady {
			return k.Status == corev1.ConditionTrue
		}
	}
	return false
}

// address at which a worker is heard by the others.
func address(n *corev1.Node) netip.Addr {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			if at, err := netip.ParseAddr(a.Address); err == nil {
				return at
			}
		}
	}
	return netip.Addr{}
}

// Packed implements agent.Cluster: it is in a ConfigMap that the operator has made.
func (c *Cluster) Packed(ctx context.Context, s agent.Scenario) ([]byte, error) {
	var m corev1.ConfigMap
	if err := c.api.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.Revision}, &m); err != nil {
		return nil, fmt.Errorf("the packed scenario: %w", err)
	}
	return m.BinaryData[bundle.Key], nil
}

package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/kube/failures"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/scenario"
)

const (
	// wave is how many pods are made or deleted in one go, and atOnce how many
	// requests are under way meanwhile.
	wave, atOnce = 100, 16
	// again is when to look once more at what no event will tell of.
	again = 30 * time.Second
)

// reconciler makes the pods of scenarios be what the scenarios ask for. All of
// its work for one scenario is done by one goroutine at a time; names of pods
// are determined by the scenario, so that nothing has to be remembered, and one
// that begins anew in the middle goes on.
type reconciler struct {
	client client.Client // reads from caches
	api    client.Reader // asks the API server
	opts   Options

	mu      sync.Mutex // guards designs
	designs map[client.ObjectKey]*cached
}

// cached is a scenario's design by what it was made from.
type cached struct {
	uid        types.UID
	generation int64
	*desired
}

// Reconcile is called with the name of a scenario of which something has
// changed: itself, its pods, its ConfigMap, or a worker.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	s := &v1alpha1.Scenario{}
	err := r.client.Get(ctx, req.NamespacedName, s)
	if apierrors.IsNotFound(err) || err == nil && s.DeletionTimestamp != nil {
		r.forget(req.NamespacedName)
		return reconcile.Result{}, r.clear(ctx, req.NamespacedName)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	status := s.Status.DeepCopy()
	result, err := r.pursue(ctx, s, status)
	if invalid(err) {
		refuse(status, s.Generation, err)
		// A file that is missing may come without anybody telling.
		result, err = reconcile.Result{RequeueAfter: again}, nil
		if readsNoFiles(s) {
			result = reconcile.Result{}
		}
	}
	if !errors.Is(err, errOvertaken) {
		if toldErr := r.tell(ctx, s, status); err == nil {
			err = toldErr
		}
	}
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, errOvertaken):
		return reconcile.Result{RequeueAfter: gather}, nil
	}
	return reconcile.Result{}, err
}

var errOvertaken = errors.New("the scenario has changed, or has gone, since it was read")

// tell writes a scenario's status if it is another one, and makes both what it then is.
func (r *reconciler) tell(ctx context.Context, s *v1alpha1.Scenario, status *v1alpha1.ScenarioStatus) error {
	if equality.Semantic.DeepEqual(&s.Status, status) {
		return nil
	}
	next := s.DeepCopy()
	next.Status = *status.DeepCopy()
	// A status that was computed from an old one must not replace a newer one: a
	// scenario starts once.
	patch := client.MergeFromWithOptions(s, client.MergeFromWithOptimisticLock{})
	switch err := r.client.Status().Patch(ctx, next, patch); {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errOvertaken
	case err != nil:
		return fmt.Errorf("write the scenario's status: %w", err)
	}
	*s, *status = *next, *next.Status.DeepCopy()
	return nil
}

// readsNoFiles says whether a scenario is what it is without a ConfigMap.
func readsNoFiles(s *v1alpha1.Scenario) bool {
	parsed, err := s.Parse("")
	return err != nil || len(fileNames(parsed)) == 0
}

// pursue makes and deletes pods, and writes into status what it finds.
func (r *reconciler) pursue(ctx context.Context, s *v1alpha1.Scenario, status *v1alpha1.ScenarioStatus) (reconcile.Result, error) {
	d, err := r.design(ctx, s)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.keepBundle(ctx, s, d); err != nil {
		return reconcile.Result{}, err
	}
	var pods corev1.PodList
	if err := r.client.List(ctx, &pods, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelScenario: s.Name}); err != nil {
		return reconcile.Result{}, err
	}
	var nodes corev1.NodeList
	if err := r.client.List(ctx, &nodes); err != nil {
		return reconcile.Result{}, err
	}
	port, err := r.underlayPort(ctx, s)
	if err != nil {
		return reconcile.Result{}, err
	}
	now := r.opts.Now()
	list, err := failures.Decode(s.Annotations[failures.Annotation])
	w := survey(s, d, failures.Down(list), pods.Items, nodes.Items, now)
	w.illegible = err
	if status.UnderlayPort != port || status.Bundle != d.bundle {
		// Agents are to know of it before there are pods that want to be its nodes.
		status.UnderlayPort = port
		conclude(status, s, d, &w.tally, now)
		if err := r.tell(ctx, s, status); err != nil {
			return reconcile.Result{}, err
		}
	}
	again, err := r.carryOut(ctx, s, d, w)
	if err == nil {
		err = r.dropBundles(ctx, s, d, pods.Items)
	}
	conclude(status, s, d, &w.tally, now)
	return reconcile.Result{RequeueAfter: soonest(again, w.look, untilEnd(status, d, now))}, err
}

// design is the scenario's, computed anew for a new generation only.
func (r *reconciler) design(ctx context.Context, s *v1alpha1.Scenario) (*desired, error) {
	r.mu.Lock()
	c := r.designs[client.ObjectKeyFromObject(s)]
	r.mu.Unlock()
	if c != nil && c.uid == s.UID && c.generation == s.Generation {
		return c.desired, nil
	}
	files, err := readFiles(ctx, r.api, s)
	if err != nil {
		return nil, err
	}
	d, err := design(s, files)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.designs[client.ObjectKeyFromObject(s)] = &cached{s.UID, s.Generation, d}
	return d, nil
}

// forget drops the design of a scenario that is gone.
func (r *reconciler) forget(name client.ObjectKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.designs, name)
}

// keepBundle sees to the ConfigMap with the packed scenario. It is immutable,
// which spares kubelets from watching it, and named by its content.
func (r *reconciler) keepBundle(ctx context.Context, s *v1alpha1.Scenario, d *desired) error {
	var have metav1.PartialObjectMetadata
	have.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	err := r.client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: d.bundle}, &have)
	if err == nil && ownerOf(&have, s) == own || err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil && ownerOf(&have, s) == earlier {
		// The garbage collector is going to delete it.
		if err := r.client.Delete(ctx, &have, client.Preconditions{UID: pointer(have.UID)}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: d.bundle, Namespace: s.Namespace, Labels: labels(s.Name),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, v1alpha1.GroupVersion.WithKind(scenario.Kind))},
		},
		BinaryData: map[string][]byte{bundle.Key: d.packed},
		Immutable:  pointer(true),
	}
	if err := r.client.Create(ctx, m); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the ConfigMap %s: %w", d.bundle, err)
	}
	return nil
}

// dropBundles deletes the scenario's older ConfigMaps that no pod has mounted.
func (r *reconciler) dropBundles(ctx context.Context, s *v1alpha1.Scenario, d *desired, pods []corev1.Pod) error {
	have := &metav1.PartialObjectMetadataList{}
	have.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := r.client.List(ctx, have, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelScenario: s.Name}); err != nil {
		return err
	}
	used := map[string]bool{d.bundle: true}
	for i := range pods {
		for _, v := range pods[i].Spec.Volumes {
			if v.ConfigMap != nil {
				used[v.ConfigMap.Name] = true
			}
		}
	}
	for i := range have.Items {
		m := &have.Items[i]
		if used[m.Name] || ownerOf(m, s) != own || m.DeletionTimestamp != nil {
			continue
		}
		if err := r.client.Delete(ctx, m, client.Preconditions{UID: &m.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// work is what a survey finds to be done.
type work struct {
	tally
	missing   []int         // nodes without a pod, in order of the plan
	redundant []*corev1.Pod // pods to delete
	look      time.Duration // when to look again at what is only a matter of time
}

// survey compares pods with what is asked for. Nodes that are down are to have none.
func survey(s *v1alpha1.Scenario, d *desired, down map[string]bool, pods []corev1.Pod, nodes []corev1.Node, now time.Time) *work {
	w := &work{tally: tally{workers: map[string]*v1alpha1.Worker{}}}
	taken := make(map[string]bool, len(pods))
	answers := map[string]bool{}
	for i := range nodes {
		answers[nodes[i].Name] = slices.ContainsFunc(nodes[i].Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	}
	later := func(d time.Duration) { w.look = soonest(w.look, max(d, time.Second)) }
	for i := range pods {
		p := &pods[i]
		taken[p.Name] = true
		state, reason := stateOf(p, now)
		index, wanted := d.byPod[p.Name]
		switch whose := ownerOf(p, s); {
		case whose == foreign:
			if wanted {
				w.conflicts = append(w.conflicts, p.Name)
			}
			continue
		case state == leaving:
			continue
		case whose == earlier, !wanted, down[d.nodes[index].node], p.Annotations[v1alpha1.AnnotationDefinition] != d.nodes[index].definition:
			w.redundant = append(w.redundant, p)
			continue
		}
		w.pods++
		worker := w.worker(p.Spec.NodeName)
		switch state {
		case ready:
			w.ready++
			if worker != nil {
				worker.Ready++
			}
		case starting:
			w.starting++
			later(patience - now.Sub(p.CreationTimestamp.Time))
		case unready:
			if worker == nil || answers[worker.Name] {
				w.trouble(p.Name, reason)
			}
		case failed:
			w.trouble(p.Name, reason)
			if age := now.Sub(p.CreationTimestamp.Time); age >= failedFor {
				w.redundant = append(w.redundant, p)
			} else {
				later(failedFor - age)
			}
		}
	}
	for i := range d.nodes {
		switch {
		case down[d.nodes[i].node]:
			w.down++
		case !taken[d.nodes[i].pod]:
			w.missing = append(w.missing, i)
		}
	}
	for name, worker := range w.workers {
		if worker.Lost = !answers[name]; worker.Lost {
			w.lost = append(w.lost, name)
		}
	}
	slices.Sort(w.lost)
	return w
}

// worker counts a pod for the worker that it is on; nil if it is on none yet.
func (t *tally) worker(name string) *v1alpha1.Worker {
	if name == "" {
		return nil
	}
	w := t.workers[name]
	if w == nil {
		w = &v1alpha1.Worker{Name: name}
		t.workers[name] = w
	}
	w.Pods++
	return w
}

// carryOut does a wave of what is to be done, and says when to go on.
func (r *reconciler) carryOut(ctx context.Context, s *v1alpha1.Scenario, d *desired, w *work) (time.Duration, error) {
	next := time.Duration(0)
	gone := w.redundant[:min(len(w.redundant), wave)]
	if len(gone) < len(w.redundant) {
		next = gather
	}
	err := each(len(gone), func(i int) error {
		p := gone[i]
		return client.IgnoreNotFound(r.client.Delete(ctx, p, client.Preconditions{UID: &p.UID}))
	})
	if err != nil {
		return 0, fmt.Errorf("delete pods: %w", err)
	}
	// Pods that start at the same time take longer, all of them.
	room := max(0, min(len(w.missing), wave, r.opts.MaxStarting-w.starting))
	var mu sync.Mutex // guards w
	err = each(room, func(i int) error {
		m := &d.nodes[w.missing[i]]
		err := r.client.Create(ctx, renderPod(s, d, m, r.opts.Pods))
		conflict := false
		if apierrors.IsAlreadyExists(err) {
			conflict, err = r.isForeign(ctx, s, m.pod)
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case conflict:
			w.conflicts = append(w.conflicts, m.pod)
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			w.refused, err = err.Error(), nil // quota, pod security, a webhook of the cluster
		case err == nil:
			w.pods++
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("make pods: %w", err)
	}
	switch {
	case w.refused != "" || len(w.conflicts) > 0:
		next = soonest(next, again)
	case room < len(w.missing) && w.starting+room < r.opts.MaxStarting:
		next = gather
	}
	if w.refused == "" && room > 0 {
		log.FromContext(ctx).Info("made pods", "made", room, "missing", len(w.missing)-room)
	}
	return next, nil
}

// isForeign looks at a pod that the cache does not have, but whose name is
// taken.
func (r *reconciler) isForeign(ctx context.Context, s *v1alpha1.Scenario, name string) (bool, error) {
	var p metav1.PartialObjectMetadata
	p.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	if err := r.api.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, &p); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return ownerOf(&p, s) == foreign, nil
}

// each calls f for 0 … n-1, some at a time. After an error no more are begun.
func each(n int, f func(int) error) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range n {
		g.Go(func() error { return f(i) })
	}
	return g.Wait()
}

// clear deletes what is left of a scenario that is gone. The garbage collector
// would do it too, one object after the other.
func (r *reconciler) clear(ctx context.Context, name client.ObjectKey) error {
	var pods corev1.PodList
	ours := []client.ListOption{client.InNamespace(name.Namespace), client.MatchingLabels(labels(name.Name))}
	if err := r.client.List(ctx, &pods, ours...); err != nil {
		return err
	}
	alive := func(p corev1.Pod) bool { return p.DeletionTimestamp == nil }
	if slices.ContainsFunc(pods.Items, alive) {
		if err := r.client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(name.Namespace), client.MatchingLabels(labels(name.Name))); err != nil {
			return err
		}
	}
	maps := &metav1.PartialObjectMetadataList{}
	maps.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := r.client.List(ctx, maps, ours...); err != nil {
		return err
	}
	for i := range maps.Items {
		if err := r.client.Delete(ctx, &maps.Items[i], client.Preconditions{UID: &maps.Items[i].UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// soonest is the least of the delays that are given; 0 is none.
func soonest(delays ...time.Duration) time.Duration {
	least := time.Duration(0)
	for _, d := range delays {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// untilEnd is how long it takes until the scenario's duration is over.
func untilEnd(status *v1alpha1.ScenarioStatus, d *desired, now time.Time) time.Duration {
	over := d.scenario.Spec.Duration.Std()
	if over == 0 || status.Timeline == nil || !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.Running) {
		return 0
	}
	end, ok := status.Timeline.When(over)
	if !ok {
		return 0
	}
	return max(end.Sub(now), time.Millisecond)
}

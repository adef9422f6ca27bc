package operator

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"orrery.dev/orrery/kube/v1alpha1"
)

const (
	// patience is how long a pod may take to start before others need not wait for
	// it any longer.
	patience = 2 * time.Minute
	// failedFor is how long a pod that Kubernetes has given up is left before it is
	// made anew.
	failedFor = 10 * time.Second
)

// podState is where a pod is in its life, as far as the operator cares.
type podState uint8

const (
	starting podState = iota
	ready
	unready // it has been up, or takes too long, or something keeps it from starting
	failed  // it will not run again
	leaving // it is being deleted
)

// stateOf judges a pod; reason is what the cluster says of one that is not well.
func stateOf(p *corev1.Pod, now time.Time) (state podState, reason string) {
	switch {
	case p.DeletionTimestamp != nil:
		return leaving, ""
	case p.Status.Phase == corev1.PodFailed, p.Status.Phase == corev1.PodSucceeded:
		return failed, said(p.Status.Reason, p.Status.Message)
	}
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			return ready, ""
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			return unready, said(c.Reason, c.Message)
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return unready, said(w.Reason, w.Message)
		}
		if c.RestartCount > 0 {
			return unready, "its container has ended and was started again"
		}
	}
	if now.Sub(p.CreationTimestamp.Time) > patience {
		return unready, "it has not started for " + patience.String()
	}
	return starting, ""
}

// said is a reason with its message.
func said(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + message
}

// trim keeps of a pod what the operator looks at, so that ten thousand of them
// fit into a small memory. It is a transform of the cache.
func trim(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	bundle := bundleOf(p)
	p.ManagedFields = nil
	p.Spec = corev1.PodSpec{NodeName: p.Spec.NodeName, Volumes: bundle}
	p.Status = corev1.PodStatus{
		Phase: p.Status.Phase, Reason: p.Status.Reason, Message: p.Status.Message,
		Conditions: p.Status.Conditions, ContainerStatuses: p.Status.ContainerStatuses,
	}
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		*c = corev1.ContainerStatus{Name: c.Name, State: c.State, RestartCount: c.RestartCount}
	}
	return p, nil
}

// bundleOf is the volume of a pod's scenario.
func bundleOf(p *corev1.Pod) []corev1.Volume {
	i := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.ConfigMap != nil })
	if i < 0 {
		return nil
	}
	return p.Spec.Volumes[i : i+1]
}

// owner says whose a pod is.
type owner uint8

const (
	own     owner = iota
	earlier       // of a scenario of the same name that is gone
	foreign
)

func ownerOf(p metav1.Object, s *v1alpha1.Scenario) owner {
	switch ref := metav1.GetControllerOf(p); {
	case ref != nil && ref.UID == s.UID:
		return own
	case ref != nil && ref.Kind == "Scenario" && ref.APIVersion == v1alpha1.GroupVersion.String() && ref.Name == s.Name:
		return earlier
	}
	return foreign
}

// tally counts the pods of a scenario.
type tally struct {
	pods, ready, starting int
	down                  int // nodes that are to have no pod
	workers               map[string]*v1alpha1.Worker
	lost                  []string // workers
	troubles              []string // of single pods, some of them
	troubled              int
	conflicts             []string // names of pods that are somebody else's
	refused               string   // why the API server takes no pods
	illegible             error    // what is wrong with the list of failures
}

// trouble notes what is wrong with a pod.
func (t *tally) trouble(pod, reason string) {
	if t.troubled++; len(t.troubles) < 3 {
		t.troubles = append(t.troubles, fmt.Sprintf("pod %s: %s", pod, clipped(reason)))
	}
}

// clipped bounds the length of what others say.
func clipped(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

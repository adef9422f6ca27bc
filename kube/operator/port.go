package operator

import (
	"cmp"
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"orrery.dev/orrery/kube/v1alpha1"
)

// underlayPort is the port that a scenario is to have. It keeps the one that it has; one
// that has none is given it once, after a look at what the API server has of all
// scenarios, since a cache may not have what was written a moment ago. One goroutine does
// this for all scenarios, and writes a port before it chooses the next.
func (r *reconciler) underlayPort(ctx context.Context, s *v1alpha1.Scenario) (int32, error) {
	var list v1alpha1.ScenarioList
	if s.Status.UnderlayPort != 0 {
		if err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
			return 0, err
		}
		if keepsPort(s, list.Items) {
			return s.Status.UnderlayPort, nil
		}
	}
	list = v1alpha1.ScenarioList{}
	if err := r.api.List(ctx, &list); err != nil {
		return 0, fmt.Errorf("look for a free UDP port: %w", err)
	}
	port, err := choosePort(s, list.Items)
	if err == nil && port != s.PreferredUnderlayPort() {
		log.FromContext(ctx).Info("another scenario has the UDP port that follows from the UID", "port", s.PreferredUnderlayPort(), "instead", port)
	}
	return port, err
}

// choosePort is the port that a scenario keeps, else its preferred one, else the next that
// no other holds.
func choosePort(s *v1alpha1.Scenario, all []v1alpha1.Scenario) (int32, error) {
	if s.HeldUnderlayPort() != 0 && keepsPort(s, all) {
		return s.HeldUnderlayPort(), nil
	}
	taken := make(map[int32]bool)
	for i := range all {
		if o := &all[i]; o.UID != s.UID {
			taken[o.HeldUnderlayPort()] = true
		}
	}
	start := s.PreferredUnderlayPort() - v1alpha1.FirstUnderlayPort
	for i := range int32(v1alpha1.UnderlayPorts) {
		if port := v1alpha1.FirstUnderlayPort + (start+i)%v1alpha1.UnderlayPorts; !taken[port] {
			return port, nil
		}
	}
	return 0, fmt.Errorf("each of the %d UDP ports from %d on is another scenario's; delete one that is not needed any more", v1alpha1.UnderlayPorts, v1alpha1.FirstUnderlayPort)
}

// keepsPort says whether a scenario keeps the port that it holds. Where two hold the same,
// be it by an earlier operator or by two that ran at once, the one that comes later gives
// way.
func keepsPort(s *v1alpha1.Scenario, all []v1alpha1.Scenario) bool {
	for i := range all {
		if o := &all[i]; o.UID != s.UID && o.HeldUnderlayPort() == s.HeldUnderlayPort() && comesFirst(o, s) {
			return false
		}
	}
	return true
}

// comesFirst orders scenarios that hold the same port: what is written comes before what
// only follows from a UID, then the older one.
func comesFirst(a, b *v1alpha1.Scenario) bool {
	if w := a.Status.UnderlayPort != 0; w != (b.Status.UnderlayPort != 0) {
		return w
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID)) < 0
}

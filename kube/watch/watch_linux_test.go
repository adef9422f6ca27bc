package watch

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/test/cluster"
)

const spec = `{"stations": [{"name": "a", "position": {"lat": "0deg", "lon": "0deg"}}],
	"constellations": [{"name": "s", "walker": {"pattern": "delta", "planes": 1, "satellitesPerPlane": 1, "inclination": "0deg", "altitude": "500km"}}]}`

// What the agent hears of a real API server.
func TestClusterIsSeen(t *testing.T) {
	ctrl.SetLogger(klog.Background())
	kubernetes := cluster.Start(t, cluster.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), cluster.Patience)
	defer cancel()
	manifest, err := os.ReadFile(filepath.Join("../../deploy", "crd/scenarios.yaml"))
	if err == nil {
		err = kubernetes.Apply(ctx, string(manifest))
	}
	if err == nil {
		err = kubernetes.WaitFor(ctx, "condition=Established", "crd/scenarios.orrery.dev")
	}
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubernetes.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	api, err := client.New(config, client.Options{Scheme: c.api.Scheme()}) // finds resources by itself
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(running) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// No controllers run: what one of them does is done here.
	must(api.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}))
	id := agent.ID{Namespace: "default", Name: "demo"}
	doc := []byte(`{"apiVersion":"orrery.dev/v1alpha1","kind":"Scenario","metadata":{"name":"demo"},"spec":` + spec + `}`)
	packed, err := bundle.Pack(doc, nil)
	must(err)
	must(api.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo-1"}, BinaryData: map[string][]byte{bundle.Key: packed}}))
	s := &v1alpha1.Scenario{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}, Spec: v1alpha1.Document(spec)}
	must(api.Create(ctx, s))
	eventually(ctx, t, "it is in touch", func() bool { return c.Ready() == nil })
	if _, err := c.Scenario(ctx, id); !errors.Is(err, agent.ErrNoScenario) {
		t.Errorf("a scenario that is not accepted yet: %v", err)
	}
	began := metav1.NewMicroTime(time.Unix(1_800_000_000, 123_000))
	s.Status = v1alpha1.ScenarioStatus{Bundle: "demo-1", UnderlayPort: 21000, Timeline: &v1alpha1.Timeline{At: began, Scenario: metav1.Duration{Duration: time.Minute}, Speed: 2}}
	must(api.Status().Update(ctx, s))
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1"}}
	must(api.Create(ctx, n))
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "fd77::1"}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Test"}}
	must(api.Status().Update(ctx, n))
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo--a", Labels: map[string]string{v1alpha1.LabelScenario: "demo", v1alpha1.LabelNode: "a"}},
		Spec:       corev1.PodSpec{NodeName: "w1", Containers: []corev1.Container{{Name: "c", Image: "i"}}, AutomountServiceAccountToken: new(bool)},
	}
	must(api.Create(ctx, p))
	eventually(ctx, t, "a pod that is about to start is awaited", func() bool {
		s, err := c.Scenario(ctx, id)
		return err == nil && s.Awaited["w1"] == 1 && len(s.Workers) == 0
	})
	p.Status.Phase = corev1.PodRunning
	must(api.Status().Update(ctx, p))
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "plain"}, Spec: p.Spec}
	plain.Spec.NodeName = ""
	must(api.Create(ctx, plain))

	var seen agent.Scenario
	eventually(ctx, t, "scenario, pod and worker are seen", func() bool {
		for { // and told of
			select {
			case <-c.Changes():
				continue
			default:
			}
			break
		}
		seen, err = c.Scenario(ctx, id)
		return err == nil && seen.Workers["a"] == "w1" && seen.Addresses["w1"] == netip.MustParseAddr("fd77::1")
	})
	if seen.Port != 21000 || len(seen.Awaited) != 0 || seen.Revision != "demo-1" || seen.UID != string(s.UID) || !seen.Time.At.Equal(began.Time) || seen.Time.Scenario != time.Minute || seen.Time.Speed != 2 {
		t.Errorf("seen %+v", seen)
	}
	if m, err := c.Member(ctx, "default", "demo--a"); err != nil || m != (agent.Member{Scenario: id, Node: "a"}) {
		t.Errorf("a pod of a scenario: %+v, %v", m, err)
	}
	if _, err := c.Member(ctx, "default", "plain"); !errors.Is(err, agent.ErrNoMember) {
		t.Errorf("a pod of none: %v", err)
	}
	if got, err := c.Packed(ctx, seen); err != nil || !bytes.Equal(got, packed) {
		t.Errorf("its file, packed: %d bytes, %v; want %d", len(got), err, len(packed))
	}
	// The worker falls silent: its address is not there for anybody.
	must(api.Get(ctx, client.ObjectKeyFromObject(n), n))
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "Test"}}
	must(api.Status().Update(ctx, n))
	select {
	case got := <-c.Changes():
		if got != id {
			t.Errorf("told of %s", got)
		}
	case <-ctx.Done():
		t.Fatal("nobody tells of a worker that has fallen silent")
	}
	eventually(ctx, t, "the worker is gone", func() bool {
		seen, err = c.Scenario(ctx, id)
		return err == nil && len(seen.Addresses) == 0
	})
}

func eventually(ctx context.Context, t *testing.T, what string, f func() bool) {
	t.Helper()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not happen: " + what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

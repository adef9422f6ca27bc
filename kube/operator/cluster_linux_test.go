package operator

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/test/cluster"
)

// bench is an API server with the custom resource, and what tests do with it.
// There are no kubelets: play says what they would.
type bench struct {
	*cluster.Cluster
	config *rest.Config
	client client.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := newBenchOf(t, cluster.Options{})
	for _, name := range []string{"w1", "w2"} {
		b.addWorker(t, name)
	}
	return b
}

// newBenchOf is a bench on a cluster of the caller's choice.
func newBenchOf(t *testing.T, o cluster.Options) *bench {
	t.Helper()
	ctrl.SetLogger(klog.Background())
	b := &bench{Cluster: cluster.Start(t, o)}
	ctx := patient(t)
	for _, name := range []string{"crd/scenarios.yaml", "base/namespace.yaml", "operator/rbac.yaml"} {
		manifest, err := os.ReadFile(filepath.Join("../../deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Apply(ctx, string(manifest)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.WaitFor(ctx, "condition=Established", "crd/scenarios.orrery.dev"); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.config, err = clientcmd.BuildConfigFromFlags("", b.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	b.config.QPS, b.config.Burst = 1000, 1000
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = client.New(b.config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	return b
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cluster.Patience)
	t.Cleanup(cancel)
	return ctx
}

func (b *bench) addWorker(t *testing.T, name string) {
	t.Helper()
	if err := b.client.Create(patient(t), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	b.answer(t, name, true)
}

// answer makes a worker answer to the cluster, or not.
func (b *bench) answer(t *testing.T, name string, does bool) {
	t.Helper()
	var n corev1.Node
	if err := b.client.Get(patient(t), client.ObjectKey{Name: name}, &n); err != nil {
		t.Fatal(err)
	}
	value := corev1.ConditionUnknown
	if does {
		value = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: value, Reason: "Test"}}
	if err := b.client.Status().Update(patient(t), &n); err != nil {
		t.Fatal(err)
	}
}

// namespace is a new one, in which pods may be made.
func (b *bench) namespace(t *testing.T, name string) string {
	t.Helper()
	ctx := patient(t)
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}},
	} {
		if err := b.client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// counter counts requests to the API server but for those that wait for changes.
type counter struct {
	next http.RoundTripper
	mu   sync.Mutex // guards seen
	seen []string
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("watch") == "" {
		c.mu.Lock()
		c.seen = append(c.seen, r.Method+" "+r.URL.Path)
		c.mu.Unlock()
	}
	return c.next.RoundTrip(r)
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// operate runs an operator until stop is called, or the test ends.
func (b *bench) operate(t *testing.T, o Options) (requests *counter, stop func()) {
	t.Helper()
	requests = &counter{}
	config := rest.CopyConfig(b.config)
	// With the rights that its manifests give it, and no others.
	config.Impersonate.UserName = "system:serviceaccount:orrery-system:orrery-operator"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		requests.next = next
		return requests
	})
	if o.Pods.Image == "" {
		o.Pods.Image = "example.org/router:1"
	}
	m, err := New(config, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the operator ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return requests, stop
}

// play does what scheduler and kubelets do with pods of a namespace: it puts
// them on workers in turn, says that they are ready, and ends what is deleted.
func (b *bench) play(t *testing.T, namespace string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		next := 0
		for ctx.Err() == nil {
			var pods corev1.PodList
			if b.client.List(ctx, &pods, client.InNamespace(namespace)) == nil {
				for i := range pods.Items {
					b.advance(ctx, &pods.Items[i], &next)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// advance brings a pod one step further. A step that fails comes again.
func (b *bench) advance(ctx context.Context, p *corev1.Pod, next *int) {
	switch {
	case p.DeletionTimestamp != nil:
		_ = b.client.Delete(ctx, p, client.GracePeriodSeconds(0))
	case p.Spec.NodeName == "":
		*next++
		binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}, Target: corev1.ObjectReference{Kind: "Node", Name: fmt.Sprintf("w%d", 1+*next%2)}}
		_ = b.client.SubResource("binding").Create(ctx, p, binding)
	case p.Status.Phase == corev1.PodPending:
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		_ = b.client.Status().Update(ctx, p)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(cluster.Patience)
	for {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s: %s", what, state)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *bench) get(t *testing.T, namespace, name string) *v1alpha1.Scenario {
	t.Helper()
	s := &v1alpha1.Scenario{}
	if err := b.client.Get(patient(t), client.ObjectKey{Namespace: namespace, Name: name}, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// untilCondition waits for a condition of a scenario's present generation.
func (b *bench) untilCondition(t *testing.T, namespace, name, kind string, want metav1.ConditionStatus, reason string) *v1alpha1.Scenario {
	t.Helper()
	var s *v1alpha1.Scenario
	until(t, fmt.Sprintf("%s of %s is %s %s", kind, name, want, reason), func() (bool, string) {
		s = b.get(t, namespace, name)
		c := meta.FindStatusCondition(s.Status.Conditions, kind)
		return c != nil && c.Status == want && (reason == "" || c.Reason == reason) && c.ObservedGeneration == s.Generation, fmt.Sprintf("%+v", s.Status)
	})
	return s
}

func (b *bench) pods(t *testing.T, namespace string) map[string]*corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := b.client.List(patient(t), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	out := map[string]*corev1.Pod{}
	for i := range list.Items {
		out[list.Items[i].Name] = &list.Items[i]
	}
	return out
}

// apply applies a scenario file as a user does.
func (b *bench) apply(t *testing.T, namespace, text string) {
	t.Helper()
	if _, err := b.Kubectl(patient(t), []byte(text), "apply", "--namespace="+namespace, "--filename=-"); err != nil {
		t.Fatal(err)
	}
}

// grid is a scenario of so many planes of ten satellites, and stations.
func grid(name string, planes int, stations ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  constellations:
    - name: leo
      walker: {pattern: delta, planes: %d, satellitesPerPlane: 10, inclination: 53deg, altitude: 550km}
      links: {pattern: grid, properties: {loss: {probability: 0.01}}}
  groundLinks: [{name: user, minElevation: 10deg, properties: {loss: {probability: 1%%}}}]
  routing: [{protocol: ospf3}]
  stations:
`, name, planes)
	for i, s := range stations {
		fmt.Fprintf(&b, "    - {name: %s, position: {lat: %ddeg, lon: 10deg}}\n", s, 9*i)
	}
	return b.String()
}

// inControl listens in the control machine's network namespace, where the API
// server is.
func (b *bench) inControl(t *testing.T) (*net.TCPListener, string) {
	t.Helper()
	runtime.LockOSThread() // ended with the goroutine if it cannot come home
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	there, err := netns.GetFromPid(b.Machine("control").ID.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if back := netns.Set(home); back != nil {
		t.Fatal(back)
	}
	runtime.UnlockOSThread()
	if err != nil {
		t.Fatal(err)
	}
	return l.(*net.TCPListener), l.Addr().String()
}

func TestCluster(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"examples", testExamples}, {"schema", testSchema}, {"life", testLife}, {"restarts", testRestarts},
		{"admission", testAdmission}, {"files", testFiles}, {"conflict", testConflict}, {"worker", testWorker}, {"time", testTime}, {"underlay", testUnderlay}, {"ports", testPorts},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, b) })
	}
}

// Every example is taken by the API server as it is, with no field unknown.
func testExamples(t *testing.T, b *bench) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		if _, err := b.Kubectl(patient(t), nil, "apply", "--dry-run=server", "--validate=strict", "--filename="+file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The API server itself refuses what its schema tells, with a sentence.
func testSchema(t *testing.T, b *bench) {
	good := grid("schema", 1, "oslo")
	for _, c := range []struct{ from, to, want string }{
		{"altitude: 550km", "altitude: 550", "should be less than or equal to 0"},
		{"altitude: 550km", "altitude: 550miles", "altitude"},
		{"altitude: 550km", "altitude: 550km, height: 1km", "unknown field"},
		{"pattern: delta", "pattern: alpha", "Unsupported value"},
		{"walker:", "file: {path: x.tle}\n      walker:", "give exactly one of walker, elements and file"},
		{"position: {lat: 0deg, lon: 10deg}", "loop: true", "give exactly one of position and waypoints"},
		{"probability: 0.01", "probability: 2", "probability"},
		{"protocol: ospf3", "protocol: ospf2", "set network.ipv4: true"},
		{"protocol: ospf3", "protocol: static", "protocol static lacks routes"},
		{"name: oslo", "name: OSLO", "name"},
		{"metadata: {name: schema}", "metadata: {name: sche.ma}", "is not a DNS label"},
	} {
		bad := strings.Replace(good, c.from, c.to, 1)
		if bad == good {
			t.Fatalf("%q is not in the scenario", c.from)
		}
		_, err := b.Kubectl(patient(t), []byte(bad), "apply", "--dry-run=server", "--validate=strict", "--filename=-")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.to, err, c.want)
		}
	}
}

// A scenario becomes pods and time runs; a change of it makes and deletes the
// pods that it is about and no others; while nothing changes no request is made;
// after its deletion nothing is left.
func testLife(t *testing.T, b *bench) {
	ns := b.namespace(t, "life")
	requests, _ := b.operate(t, Options{Namespace: ns})
	b.play(t, ns)
	b.apply(t, ns, grid("sky", 3, "oslo", "rome"))
	b.apply(t, ns, grid("twin", 1, "oslo", "rome")) // the same names of nodes
	s := b.untilCondition(t, ns, "sky", v1alpha1.Running, metav1.ConditionTrue, "")
	b.untilCondition(t, ns, "twin", v1alpha1.Running, metav1.ConditionTrue, "")
	before := b.pods(t, ns)
	if len(before) != 32+12 || s.Status.Nodes != 32 || s.Status.Ready != 32 || len(s.Status.Workers) != 2 {
		t.Errorf("%d pods, status %+v", len(before), s.Status)
	}
	if before["sky--oslo"] == nil || before["twin--oslo"] == nil {
		t.Error("the pods of the scenarios' nodes oslo are not there")
	}
	started := s.Status.Timeline

	requests.take()
	time.Sleep(5 * time.Second) // in which links move, and nothing else does
	if got := requests.take(); len(got) > 0 {
		t.Errorf("requests while nothing changed: %q", got)
	}

	b.apply(t, ns, grid("sky", 3, "oslo", "rome", "bonn"))
	until(t, "there are 33 pods of sky", func() (bool, string) {
		s = b.get(t, ns, "sky")
		return s.Status.Ready == 33, fmt.Sprintf("%+v", s.Status)
	})
	after := b.pods(t, ns)
	for name, p := range before {
		if after[name] == nil || after[name].UID != p.UID {
			t.Errorf("the pod %s did not stay", name)
		}
	}
	if *s.Status.Timeline != *started {
		t.Errorf("the timeline was %+v and is %+v", started, s.Status.Timeline)
	}

	b.apply(t, ns, grid("sky", 3, "oslo", "bonn")) // bonn has rome's number, and its place in the sky
	until(t, "there are 32 pods of sky", func() (bool, string) {
		s = b.get(t, ns, "sky")
		return s.Status.ObservedGeneration == s.Generation && s.Status.Ready == 32 && s.Status.Pods == 32, fmt.Sprintf("%+v", s.Status)
	})
	after = b.pods(t, ns)
	if after["sky--rome"] != nil || len(after) != 32+12 {
		t.Errorf("%d pods after rome has left", len(after))
	}
	until(t, "only the ConfigMaps that pods use are left", func() (bool, string) {
		var maps corev1.ConfigMapList
		if err := b.client.List(patient(t), &maps, client.InNamespace(ns), client.MatchingLabels{v1alpha1.LabelScenario: "sky"}); err != nil {
			return false, err.Error()
		}
		// Pods that did not change have mounted the first one.
		return len(maps.Items) == 2, fmt.Sprint(len(maps.Items))
	})

	if _, err := b.Kubectl(patient(t), nil, "delete", "scenario", "--all", "--namespace="+ns); err != nil {
		t.Fatal(err)
	}
	until(t, "nothing is left", func() (bool, string) {
		var maps corev1.ConfigMapList
		if err := b.client.List(patient(t), &maps, client.InNamespace(ns)); err != nil {
			return false, err.Error()
		}
		return len(b.pods(t, ns)) == 0 && len(maps.Items) == 0, fmt.Sprintf("%d pods, %d ConfigMaps", len(b.pods(t, ns)), len(maps.Items))
	})
}

// An operator that is ended again and again while it makes 500 pods comes to the
// same end, with each pod made once.
func testRestarts(t *testing.T, b *bench) {
	ns := b.namespace(t, "restarts")
	b.apply(t, ns, grid("large", 49, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"))
	const nodes = 500
	made := 0
	for round, target := range []int{1, 120, 300} {
		requests, stop := b.operate(t, Options{Namespace: ns, MaxStarting: 1000})
		until(t, fmt.Sprintf("there are %d pods", target), func() (bool, string) {
			n := len(b.pods(t, ns))
			return n >= target, fmt.Sprint(n)
		})
		stop()
		made += created(requests.take())
		t.Logf("round %d: ended with %d pods", round, len(b.pods(t, ns)))
	}
	b.play(t, ns)
	requests, _ := b.operate(t, Options{Namespace: ns, MaxStarting: 1000})
	s := b.untilCondition(t, ns, "large", v1alpha1.Running, metav1.ConditionTrue, "")
	made += created(requests.take())
	if pods := b.pods(t, ns); len(pods) != nodes || s.Status.Ready != nodes {
		t.Errorf("%d pods, %d ready", len(pods), s.Status.Ready)
	}
	// Requests that were under way when an operator ended may have come through.
	if made > nodes+4*atOnce {
		t.Errorf("%d requests made %d pods", made, nodes)
	}
}

func created(requests []string) (n int) {
	for _, r := range requests {
		if strings.HasPrefix(r, "POST ") && strings.HasSuffix(r, "/pods") {
			n++
		}
	}
	return n
}

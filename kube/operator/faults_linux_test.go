package operator

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/scenario"
)

// messages are what scenario.Load says of a file, with the paths of fields in
// place of lines.
func messages(t *testing.T, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := scenario.Load(file)
	var problems scenario.Errors
	if !errors.As(err, &problems) {
		t.Fatalf("the scenario is accepted: %v", err)
	}
	var out []string
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%s: %s; %s", p.Path, p.What, p.Right))
	}
	return out
}

// What the schema cannot tell is refused by the webhook, in the words of the
// command line; with the webhook away it is said in the status.
func testAdmission(t *testing.T, b *bench) {
	ns := b.namespace(t, "admission")
	bad := strings.Replace(grid("bad", 2, "oslo"), "routing: [{protocol: ospf3}]", `
  routing: [{nodes: [osloo], protocol: ospf3, hello: 10s, dead: 5s}]
  commands: [{name: bird, nodes: ["*"], argv: [x, "${loopback:rome}"]}]`, 1)
	want := messages(t, bad)

	_, stop := b.operate(t, Options{Namespace: ns})
	b.apply(t, ns, bad) // there is no webhook yet
	s := b.untilCondition(t, ns, "bad", v1alpha1.Accepted, metav1.ConditionFalse, reasonInvalid)
	told := strings.Split(meta.FindStatusCondition(s.Status.Conditions, v1alpha1.Accepted).Message, "\n")
	slices.Sort(told) // the API server keeps fields in another order than the file
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("the status says\n%q\nwant\n%q", told, want)
	}
	stop()

	listener, address := b.inControl(t)
	manifest := fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %s}
webhooks:
  - name: scenarios.orrery.dev
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig: {url: "https://%s/validate"}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}
    rules: [{apiGroups: [orrery.dev], apiVersions: [v1alpha1], operations: [CREATE, UPDATE], resources: [scenarios]}]
`, webhookConfiguration, address, ns)
	if err := b.Apply(patient(t), manifest); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = b.client.DeleteAllOf(patient(t), &corev1.Pod{}, client.InNamespace(ns))
		if _, err := b.Kubectl(patient(t), nil, "delete", "validatingwebhookconfiguration", webhookConfiguration); err != nil {
			t.Error(err)
		}
	}()
	_, stop = b.operate(t, Options{Namespace: ns, WebhookListen: func() (net.Listener, error) { return listener, nil }, WebhookService: "127.0.0.1"})
	defer stop()
	var err error
	until(t, "the webhook answers", func() (bool, string) {
		_, err = b.Kubectl(patient(t), []byte(strings.ReplaceAll(bad, "name: bad", "name: worse")), "apply", "--namespace="+ns, "--filename=-")
		if err == nil {
			t.Fatal("an invalid scenario was stored")
		}
		return strings.Contains(err.Error(), "denied the request"), err.Error()
	})
	for _, m := range want {
		if !strings.Contains(err.Error(), m) {
			t.Errorf("refused with\n%v\nwhich lacks\n%s", err, m)
		}
	}
	b.apply(t, ns, grid("good", 1, "oslo"))
	b.untilCondition(t, ns, "good", v1alpha1.Accepted, metav1.ConditionTrue, "")
	out, err := b.Kubectl(patient(t), []byte(strings.Replace(grid("warned", 1, "oslo"), "{protocol: ospf3}", "{protocol: ospf3, metric: delay}", 1)), "apply", "--warnings-as-errors", "--namespace="+ns, "--filename=-")
	if err == nil || !strings.Contains(err.Error(), "costs do not follow delays") {
		t.Errorf("nobody was warned of metric delay: %s, %v", out, err)
	}
}

// tle is one satellite.
const tle = `ISS (ZARYA)
1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927
2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537
`

// Files come from a ConfigMap. One that is missing is said, and no file but
// those of the ConfigMap is ever read.
func testFiles(t *testing.T, b *bench) {
	ns := b.namespace(t, "files")
	text := `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: real}
spec:
  constellations: [{name: iss, file: {path: iss.tle}}]
  stations: [{name: oslo, position: {lat: 59deg, lon: 10deg}}]
  groundLinks: [{name: user, minElevation: 10deg}]
  kubernetes: {files: sky}
`
	_, _ = b.operate(t, Options{Namespace: ns})
	b.play(t, ns)
	b.apply(t, ns, text)
	s := b.untilCondition(t, ns, "real", v1alpha1.Accepted, metav1.ConditionFalse, reasonInvalid)
	if m := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.Accepted).Message; !strings.Contains(m, `there is no ConfigMap "sky"`) {
		t.Errorf("a missing ConfigMap is told as %q", m)
	}
	if err := b.client.Create(patient(t), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "sky"}, Data: map[string]string{"iss.tle": tle}}); err != nil {
		t.Fatal(err)
	}
	s = b.untilCondition(t, ns, "real", v1alpha1.Running, metav1.ConditionTrue, "") // by itself
	if b.pods(t, ns)["real--iss-25544"] == nil {
		t.Error("the satellite of the file has no pod")
	}

	// The ConfigMap that the operator made comes back.
	bundle := s.Status.Bundle
	if err := b.client.Delete(patient(t), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: bundle}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the operator's ConfigMap is there again", func() (bool, string) {
		err := b.client.Get(patient(t), client.ObjectKey{Namespace: ns, Name: bundle}, &corev1.ConfigMap{})
		return err == nil, fmt.Sprint(err)
	})

	// A scenario that names a file of the operator's own.
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, files := range []string{"", "  kubernetes: {files: sky}\n"} {
		name := "thief" + fmt.Sprint(len(files))
		b.apply(t, ns, strings.NewReplacer("name: real", "name: "+name, "iss.tle", secret, "  kubernetes: {files: sky}\n", files).Replace(text))
		s = b.untilCondition(t, ns, name, v1alpha1.Accepted, metav1.ConditionFalse, reasonInvalid)
		if m := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.Accepted).Message; !strings.Contains(m, "ConfigMap") {
			t.Errorf("a file of the operator's own is refused with %q", m)
		}
	}
}

// A pod of somebody else with the name of a node's stays as it is, and the others
// are made.
func testConflict(t *testing.T, b *bench) {
	ns := b.namespace(t, "conflict")
	stranger := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "sky--oslo"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "example.org/a:1"}}},
	}
	if err := b.client.Create(patient(t), stranger); err != nil {
		t.Fatal(err)
	}
	_, _ = b.operate(t, Options{Namespace: ns})
	b.play(t, ns)
	b.apply(t, ns, grid("sky", 1, "oslo", "rome"))
	s := b.untilCondition(t, ns, "sky", v1alpha1.Degraded, metav1.ConditionTrue, reasonConflict)
	until(t, "the others are ready", func() (bool, string) {
		s = b.get(t, ns, "sky")
		return s.Status.Ready == 11, fmt.Sprintf("%+v", s.Status)
	})
	if p := b.pods(t, ns)["sky--oslo"]; p == nil || p.UID != stranger.UID {
		t.Error("the other's pod did not stay")
	}
	if err := b.client.Delete(patient(t), stranger, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	b.untilCondition(t, ns, "sky", v1alpha1.Running, metav1.ConditionTrue, "")
	b.untilCondition(t, ns, "sky", v1alpha1.Degraded, metav1.ConditionFalse, "")
}

// A worker that does not answer is named, with its pods staying where they are;
// when it answers again all is well.
func testWorker(t *testing.T, b *bench) {
	ns := b.namespace(t, "worker")
	_, _ = b.operate(t, Options{Namespace: ns})
	b.play(t, ns)
	b.apply(t, ns, grid("sky", 1, "oslo", "rome"))
	b.untilCondition(t, ns, "sky", v1alpha1.Running, metav1.ConditionTrue, "")
	before := b.pods(t, ns)
	b.answer(t, "w2", false)
	s := b.untilCondition(t, ns, "sky", v1alpha1.Degraded, metav1.ConditionTrue, reasonLost)
	if m := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.Degraded).Message; !strings.Contains(m, "worker w2") {
		t.Errorf("it is told as %q", m)
	}
	b.answer(t, "w2", true)
	b.untilCondition(t, ns, "sky", v1alpha1.Degraded, metav1.ConditionFalse, "")
	for name, p := range b.pods(t, ns) {
		if before[name].UID != p.UID {
			t.Errorf("the pod %s was made anew", name)
		}
	}
}

// Scenario time can be stopped and made faster, and ends.
func testTime(t *testing.T, b *bench) {
	ns := b.namespace(t, "time")
	_, _ = b.operate(t, Options{Namespace: ns})
	b.play(t, ns)
	text := strings.Replace(grid("sky", 1, "oslo"), "spec:\n", "spec:\n  duration: 10h\n", 1)
	b.apply(t, ns, text)
	b.untilCondition(t, ns, "sky", v1alpha1.Running, metav1.ConditionTrue, "")
	annotate := func(value string) {
		if _, err := b.Kubectl(patient(t), nil, "annotate", "--overwrite", "--namespace="+ns, "scenario/sky", v1alpha1.AnnotationPaused+"="+value); err != nil {
			t.Fatal(err)
		}
	}
	annotate("true")
	paused := b.untilCondition(t, ns, "sky", v1alpha1.Running, metav1.ConditionFalse, reasonPaused)
	at := paused.Status.Timeline.Scenario.Duration
	annotate("false")
	b.apply(t, ns, strings.Replace(text, "spec:\n", "spec:\n  speed: 50000\n", 1))
	s := b.untilCondition(t, ns, "sky", v1alpha1.Running, metav1.ConditionFalse, reasonEnded)
	if at <= 0 || s.Status.Timeline.Scenario.Hours() != 10 || !s.Status.Started.Time.Equal(paused.Status.Started.Time) {
		t.Errorf("paused at %v, ended with %+v, started %v and %v", at, s.Status.Timeline, paused.Status.Started, s.Status.Started)
	}
}

// The agents' key is made once, by an operator that may not read it.
func testUnderlay(t *testing.T, b *bench) {
	const namespace, name = "orrery-system", "orrery-underlay"
	o := Options{Namespace: b.namespace(t, "underlay"), OperatorNamespace: namespace, UnderlaySecret: name}
	var first corev1.Secret
	for i := range 2 {
		_, stop := b.operate(t, o)
		var s corev1.Secret
		until(t, "there is a key", func() (bool, string) {
			err := b.client.Get(patient(t), client.ObjectKey{Namespace: namespace, Name: name}, &s)
			return err == nil, fmt.Sprint(err)
		})
		if len(s.Data[UnderlayKey]) != underlayKeyBytes {
			t.Errorf("the key has %d bytes", len(s.Data[UnderlayKey]))
		}
		// The second operator has found it when it does the rest of its work.
		b.apply(t, o.Namespace, grid(fmt.Sprint("sky", i), 1, "oslo"))
		b.untilCondition(t, o.Namespace, fmt.Sprint("sky", i), v1alpha1.Accepted, metav1.ConditionTrue, "")
		stop()
		if i == 0 {
			first = s
		} else if s.UID != first.UID || string(s.Data[UnderlayKey]) != string(first.Data[UnderlayKey]) {
			t.Error("the second operator has changed the key")
		}
	}
	out, err := b.Kubectl(patient(t), nil, "auth", "can-i", "get", "secrets", "--namespace="+namespace, "--as=system:serviceaccount:orrery-system:orrery-operator")
	if err == nil || strings.TrimSpace(string(out)) != "no" {
		t.Errorf("whether the operator may read secrets: %s, %v", out, err)
	}
}

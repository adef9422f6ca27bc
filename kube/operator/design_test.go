package operator

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

var update = flag.Bool("update", false, "write what is found as what is expected into testdata")

// object is a scenario file as an object.
func object(t testing.TB, text string) *v1alpha1.Scenario {
	t.Helper()
	s := &v1alpha1.Scenario{}
	if err := yaml.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	s.Namespace, s.UID, s.Generation = "default", "u1", 1
	return s
}

func mustDesign(t testing.TB, text string) (*v1alpha1.Scenario, *desired) {
	t.Helper()
	s := object(t, text)
	d, err := design(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

// Names of pods are labels, and no two nodes have the same.
func TestPodNames(t *testing.T) {
	label := rapid.StringMatching(`[a-b]([-ab]{0,5}[ab])?|[a-b][-ab]{29,61}b`)
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string][2]string{}
		for range 20 {
			key := [2]string{label.Draw(t, "scenario"), label.Draw(t, "node")}
			name := PodName(key[0], key[1])
			if !scenarioLabel(name) {
				t.Fatalf("%q is the pod of %q, and no label", name, key)
			}
			if other, ok := seen[name]; ok && other != key {
				t.Fatalf("%q is the pod of %q and of %q", name, key, other)
			}
			seen[name] = key
		}
	})
	if got := PodName("iridium", "tempe"); got != "iridium--tempe" {
		t.Errorf("the pod of tempe is %q", got)
	}
}

func scenarioLabel(s string) bool {
	return len(s) > 0 && len(s) <= scenario.MaxNodeName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-' && s[len(s)-1] != '-'
}

// Pods as they are made, by testdata. What they may do stands there.
func TestPodsGolden(t *testing.T) {
	text := strings.Replace(grid("sky", 1, "oslo", "rome"), "routing: [{protocol: ospf3}]", `
  routing:
    - {nodes: [oslo], protocol: isis}
    - {nodes: [rome], protocol: oracle}
    - {protocol: ospf3}
  kubernetes:
    pods:
      - nodes: [rome]
        image: example.org/other:2
        imagePullPolicy: Never
        requests: {cpu: 1m, memory: 4Mi}
        limits: {memory: 8Mi}
        nodeSelector: {kubernetes.io/arch: amd64}
        tolerations: [{key: example.org/emulation, operator: Exists, effect: NoSchedule}]
        spread: none
`, 1)
	s, d := mustDesign(t, text)
	d.bundle = "sky-0123456789" // that of a compressor may differ between versions of Go
	for _, c := range []struct {
		node string
		o    PodOptions
	}{
		{"leo-p01s01", PodOptions{Image: "example.org/router:1", Networks: "orrery-system/orrery"}}, // BIRD
		{"oslo", PodOptions{Image: "example.org/router:1", UserNamespaces: true}},                   // FRR
		{"rome", PodOptions{Image: "example.org/router:1"}},                                         // no daemon
	} {
		m := &d.nodes[d.byPod[PodName("sky", c.node)]]
		got, err := yaml.Marshal(renderPod(s, d, m, c.o))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", c.node+".yaml")
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is\n%s\nand %s says\n%s", c.node, got, file, want)
		}
	}
}

// definitions are the hashes of a scenario's pods by node.
func definitions(t testing.TB, text string) map[string]string {
	t.Helper()
	_, d := mustDesign(t, text)
	out := map[string]string{}
	for _, m := range d.nodes {
		out[m.node] = m.definition
	}
	return out
}

// Of a change only the pods that it is about have another definition.
func TestDefinitions(t *testing.T) {
	base := grid("sky", 2, "oslo", "rome", "bonn")
	before := definitions(t, base)
	if len(before) != 23 {
		t.Fatalf("%d nodes", len(before))
	}
	for _, c := range []struct {
		name, from, to string
		differ         int // of the nodes that are in both
	}{
		{"another station at the end", "    - {name: bonn", "    - {name: nome, position: {lat: 1deg, lon: 1deg}}\n    - {name: bonn", 1}, // bonn's number
		{"another orbit", "550km", "560km", 0},
		{"another speed", "spec:", "spec:\n  speed: 3", 0},
		{"another link", "minElevation: 10deg", "minElevation: 12deg", 0},
		{"another protocol of one", "routing: [", "routing: [{nodes: [oslo], protocol: isis}, ", 1},
		{"another timer", "{protocol: ospf3}", "{protocol: ospf3, hello: 5s}", 23},
		{"one more antenna", "minElevation: 10deg", "minElevation: 10deg, antennas: 2", 3},
		{"another MTU", "spec:", "spec:\n  network: {mtu: 1400}", 23},
		{"a command on one", "spec:", "spec:\n  commands: [{name: x, nodes: [rome], argv: [x]}]", 1},
		{"another image of one", "spec:", "spec:\n  kubernetes: {pods: [{nodes: [rome], image: a}]}", 1},
		{"a name of a file", "spec:", "spec:\n  kubernetes: {files: a}", 0},
	} {
		changed := strings.Replace(base, c.from, c.to, 1)
		if changed == base {
			t.Fatalf("%s: %q is not there", c.name, c.from)
		}
		differ := 0
		for node, hash := range definitions(t, changed) {
			if before[node] != "" && before[node] != hash {
				differ++
			}
		}
		if differ != c.differ {
			t.Errorf("%s: %d pods are replaced, want %d", c.name, differ, c.differ)
		}
	}
}

// The definitions of pods that run. A change of one of these hashes replaces pods of all
// networks when their operator is upgraded: there has to be a reason for that, and a note
// in CHANGELOG.md.
func TestDefinitionsStay(t *testing.T) {
	got := definitions(t, strings.Replace(grid("sky", 1, "oslo", "rome", "bonn"), "routing: [{protocol: ospf3}]", `
  network: {ipv4: true, mtu: 9000}
  routing:
    - {nodes: [oslo], protocol: isis, bfd: {}}
    - {nodes: [rome], protocol: oracle}
    - {protocol: ospf3, hello: 5s, dead: 20s}
  commands: [{name: probe, nodes: [bonn], argv: [probe, "${loopback:rome}"], env: {A: b}, start: 10s, restart: always}]
  kubernetes: {pods: [{nodes: [rome], requests: {cpu: 1m}, tolerations: [{key: example.org/a}]}]}
`, 1))
	for node, want := range map[string]string{
		"leo-p01s01": "68695f913a73d3807157", "oslo": "cce86eca6697118e70f0", "rome": "fb51c899e34c9a0d4201", "bonn": "e15489a53ef2b50bcc92",
	} {
		if got[node] != want {
			t.Errorf("the definition of %s is %s, and was %s", node, got[node], want)
		}
	}
}

// A field that a later version adds, and that is not set or has its default, changes no
// hash; one that is set does.
func TestNewFieldsChangeNoDefinition(t *testing.T) {
	type routing struct {
		scenario.Routing
		Later   int                `json:"later"`
		Usual   string             `json:"usual,omitempty" default:"so" enum:"so,otherwise"`
		Further *scenario.Duration `json:"further,omitempty" default:"100ms"`
	}
	type laterDefinition struct {
		definition
		Routing routing
		Ports   []struct {
			router.Link
			More []string
		}
		More map[string]string
	}
	entry := scenario.Routing{Protocol: "ospf3", Daemon: "bird", Metric: "hops", BFD: &scenario.BFD{Interval: scenario.Duration(100 * time.Millisecond), Multiplier: 4}}
	thin, err := sparse(entry)
	if err != nil || thin.Metric != "" || thin.BFD.Interval != 0 || thin.BFD.Multiplier != 4 || entry.BFD.Interval == 0 {
		t.Fatalf("%+v, %+v, %v", thin, entry, err)
	}
	now := definition{Index: 3, Ports: []router.Link{{Name: "fore", Role: "isl"}}, MTU: 1500, Routing: thin}
	usual := scenario.Duration(100 * time.Millisecond)
	after, err := sparse(routing{Routing: entry, Usual: "so", Further: &usual})
	if err != nil {
		t.Fatal(err)
	}
	later := laterDefinition{definition: now, Routing: after}
	later.Ports = append(later.Ports, struct {
		router.Link
		More []string
	}{Link: now.Ports[0]})
	a, err1 := hash(&now)
	b, err2 := hash(&later)
	later.Routing.Usual = "otherwise"
	c, err3 := hash(&later)
	if err := errors.Join(err1, err2, err3); err != nil || a != b || a == c {
		t.Errorf("now %s, later %s, with another value %s, %v", a, b, c, err)
	}
}

// Ten thousand nodes are one small ConfigMap: the file and not its expansion.
func TestBundleIsSmall(t *testing.T) {
	large := strings.Replace(grid("large", 999, "oslo"), "satellitesPerPlane: 10", "satellitesPerPlane: 11", 1)
	_, d := mustDesign(t, large)
	if len(d.nodes) < 10_000 {
		t.Fatalf("%d nodes", len(d.nodes))
	}
	if len(d.packed) > 4<<10 {
		t.Errorf("%d nodes are packed in %d bytes", len(d.nodes), len(d.packed))
	}
	t.Logf("%d nodes in %d bytes", len(d.nodes), len(d.packed))
}

func status(phase corev1.PodPhase, conditions ...corev1.PodCondition) corev1.PodStatus {
	return corev1.PodStatus{Phase: phase, Conditions: conditions}
}

// A survey finds what is missing and what is too many, from any mixture of pods.
func TestSurvey(t *testing.T) {
	s, d := mustDesign(t, grid("sky", 1, "oslo"))
	now := time.Unix(1e9, 0)
	isReady := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	rapid.Check(t, func(t *rapid.T) {
		var pods []corev1.Pod
		want := work{}
		for i := range d.nodes {
			p := renderPod(s, d, &d.nodes[i], PodOptions{})
			p.UID, p.CreationTimestamp = "p", metav1.NewTime(now.Add(-30*time.Second))
			switch rapid.SampledFrom([]string{"none", "ready", "starting", "failed", "leaving", "other definition", "earlier", "foreign", "stuck"}).Draw(t, "pod") {
			case "none":
				want.missing = append(want.missing, i)
				continue
			case "ready":
				p.Status = status(corev1.PodRunning, isReady)
				want.pods, want.ready = want.pods+1, want.ready+1
			case "starting":
				p.Status = status(corev1.PodPending)
				want.pods, want.starting = want.pods+1, want.starting+1
			case "failed":
				p.Status = status(corev1.PodFailed)
				want.pods, want.troubled = want.pods+1, want.troubled+1
				want.redundant = append(want.redundant, nil)
			case "leaving":
				p.DeletionTimestamp = &metav1.Time{Time: now}
			case "other definition":
				p.Annotations[v1alpha1.AnnotationDefinition] = "x"
				p.Status = status(corev1.PodRunning, isReady)
				want.redundant = append(want.redundant, nil)
			case "earlier":
				p.OwnerReferences[0].UID = "u0"
				want.redundant = append(want.redundant, nil)
			case "foreign":
				p.OwnerReferences = nil
				want.conflicts = append(want.conflicts, p.Name)
			case "stuck":
				p.Status = status(corev1.PodPending)
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}}}
				want.pods, want.troubled = want.pods+1, want.troubled+1
			}
			pods = append(pods, *p)
		}
		got := survey(s, d, nil, pods, nil, now)
		type summary struct {
			missing, redundant, conflicts, pods, ready, starting, troubled int
		}
		of := func(w *work) summary {
			return summary{len(w.missing), len(w.redundant), len(w.conflicts), w.pods, w.ready, w.starting, w.troubled}
		}
		if of(got) != of(&want) || fmt.Sprint(got.missing) != fmt.Sprint(want.missing) {
			t.Fatalf("found %+v, want %+v", of(got), of(&want))
		}
	})
}

// Nodes that are down have no pod, and nobody waits for one.
func TestDown(t *testing.T) {
	s, d := mustDesign(t, grid("sky", 2, "oslo"))
	now := time.Now()
	var pods []corev1.Pod
	for i := range d.nodes {
		p := renderPod(s, d, &d.nodes[i], PodOptions{})
		p.Status = status(corev1.PodRunning, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		pods = append(pods, *p)
	}
	down := map[string]bool{d.nodes[0].node: true}
	w := survey(s, d, down, pods, nil, now)
	if len(w.redundant) != 1 || w.redundant[0].Name != d.nodes[0].pod || len(w.missing) != 0 {
		t.Errorf("redundant are %v, missing %v", w.redundant, w.missing)
	}
	w = survey(s, d, down, pods[1:], nil, now)
	var told v1alpha1.ScenarioStatus
	conclude(&told, s, d, &w.tally, now)
	c := meta.FindStatusCondition(told.Conditions, v1alpha1.PodsReady)
	if len(w.redundant)+len(w.missing) != 0 || c == nil || c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "1 nodes are down") {
		t.Errorf("redundant are %v, missing %v; %+v", w.redundant, w.missing, c)
	}
	if w = survey(s, d, nil, pods[1:], nil, now); len(w.missing) != 1 {
		t.Errorf("missing are %v, want the one that is up again", w.missing)
	}
	w.illegible = errors.New("it cannot be read")
	conclude(&told, s, d, &w.tally, now)
	if c := meta.FindStatusCondition(told.Conditions, v1alpha1.Degraded); c.Status != metav1.ConditionTrue || c.Reason != reasonIllegible {
		t.Errorf("%+v", c)
	}
}

// What the operator keeps of a pod is enough for what it looks at.
func TestTrim(t *testing.T) {
	s, d := mustDesign(t, grid("sky", 1, "oslo"))
	p := renderPod(s, d, &d.nodes[0], PodOptions{})
	p.Spec.NodeName, p.Status = "w1", status(corev1.PodRunning, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	before := survey(s, d, nil, []corev1.Pod{*p.DeepCopy()}, nil, time.Now())
	kept, err := trim(p)
	if err != nil {
		t.Fatal(err)
	}
	after := survey(s, d, nil, []corev1.Pod{*kept.(*corev1.Pod)}, nil, time.Now())
	if fmt.Sprint(before.tally.pods, before.ready, before.lost, before.redundant) != fmt.Sprint(after.tally.pods, after.ready, after.lost, after.redundant) {
		t.Errorf("of the whole pod %+v, of what is kept %+v", before, after)
	}
	if p.Spec.Containers != nil || len(p.Spec.Volumes) != 1 || p.Spec.Volumes[0].ConfigMap.Name != d.bundle {
		t.Errorf("kept: %+v", p.Spec)
	}
}

package operator

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"orrery.dev/orrery/images"
	"orrery.dev/orrery/images/release"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/test/cluster"
)

// routerImage is the archive of the router's image, with this tree's programs.
func routerImage(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to keep Debian's packages: %v", err)
	}
	dir := t.TempDir()
	build := exec.CommandContext(patient(t), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir+"/", "orrery.dev/orrery/cmd/orrery", "orrery.dev/orrery/cmd/orrery-init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	image, err := release.Router(patient(t), "test", filepath.Join(dir, "orrery"), filepath.Join(cache, "orrery", "packages"))
	if err != nil {
		t.Skipf("cannot have Debian's packages: %v", err)
	}
	built, err := image.Build(time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "router.tar")
	if err := images.Write(archive, image.Name, built); err != nil {
		t.Fatal(err)
	}
	return archive
}

// On a real kubelet pods of all kinds come up with the rights that they are
// given, do what their scenario says, and are gone with it to the last sandbox.
//
//	leo-p01s01  BIRD        the daemon alone
//	oslo        FRR         orrery-init, zebra, isisd
//	rome        no daemon   sleeps
//	bonn        a command   orrery-init, sleep
func TestKubelet(t *testing.T) {
	o := cluster.Options{Workers: 1}
	if reason := cluster.Missing(o); reason != "" {
		t.Skip(reason)
	}
	o.Images = []string{routerImage(t)}
	b := newBenchOf(t, o)
	_, _ = b.operate(t, Options{Pods: PodOptions{Image: release.Repository + "orrery-router:test", PullPolicy: corev1.PullNever}})
	b.apply(t, "default", strings.Replace(grid("sky", 1, "oslo", "rome", "bonn"), "routing: [{protocol: ospf3}]", `
  routing:
    - {nodes: [oslo], protocol: isis}
    - {nodes: [rome, bonn], protocol: oracle}
    - {protocol: ospf3}
  commands: [{name: wait, nodes: [bonn], argv: [sleep, "1000"], env: {WHO: "${node}"}}]`, 1))
	s := b.untilCondition(t, "default", "sky", v1alpha1.Running, metav1.ConditionTrue, "")
	if s.Status.Ready != 13 || len(s.Status.Workers) != 1 || s.Status.Workers[0].Ready != 13 {
		t.Errorf("the status is %+v", s.Status)
	}
	for _, c := range []struct{ node, command, want string }{
		{"leo-p01s01", "cat /proc/1/comm", "bird"},
		{"leo-p01s01", "birdc -s /run/orrery/bird.ctl show ospf", "ospf6"},
		{"leo-p01s01", "hostname; ls /proc | grep -c '^[1-9]'", "leo-p01s01"},
		{"leo-p01s01", "cat /var/run/secrets/kubernetes.io/serviceaccount/token 2>&1 || touch /x 2>&1", "Read-only file system"},
		{"oslo", "cat /proc/1/comm; ps", "isisd"},
		{"oslo", "vtysh --vty_socket /run/orrery -c 'show running-config isisd'", "router isis"},
		{"rome", "cat /proc/1/cmdline", "sleep"},
		{"bonn", "cat /proc/1/comm; tr '\\0' '\\n' < /proc/$(pidof sleep || pgrep sleep || ps | grep -v grep | grep 'sleep 1000' | sed 's/^ *//' | cut -d' ' -f1)/environ", "WHO=bonn"},
	} {
		out, err := b.Exec(patient(t), "default", PodName("sky", c.node), "sh", "-c", c.command)
		if !strings.Contains(out, c.want) {
			t.Errorf("%s: %s gives %q, %v; want %q in it", c.node, c.command, out, err, c.want)
		}
	}
	b.broken(t)
	if _, err := b.Kubectl(patient(t), nil, "delete", "scenario", "--all"); err != nil {
		t.Fatal(err)
	}
	until(t, "the last pod is gone", func() (bool, string) {
		n := len(b.pods(t, "default"))
		return n == 0, fmt.Sprint(n)
	})
	if err := b.WaitEmpty(patient(t)); err != nil {
		t.Error(err)
	}
}

// broken: of a scenario two nodes have images that cannot start. It says which and why, the
// others start, and all is well when the images are others.
func (b *bench) broken(t *testing.T) {
	t.Helper()
	good := grid("broken", 1, "oslo", "rome")
	b.apply(t, "default", good+`
  kubernetes:
    pods:
      - {nodes: [oslo], image: "example.org/none:1", imagePullPolicy: Never}
  commands: [{name: absent, nodes: [rome], argv: [no-such-program]}]
`)
	s := b.untilCondition(t, "default", "broken", v1alpha1.Degraded, metav1.ConditionTrue, reasonTrouble)
	until(t, "both nodes are named, and the others are ready", func() (bool, string) {
		s = b.get(t, "default", "broken")
		message := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.Degraded).Message
		return strings.Contains(message, "pod broken--oslo: ErrImageNeverPull") && strings.Contains(message, "pod broken--rome: ") && s.Status.Ready == 10, fmt.Sprintf("%+v", s.Status)
	})
	if meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.Running) {
		t.Error("scenario time runs though two nodes have not started")
	}
	b.apply(t, "default", good)
	b.untilCondition(t, "default", "broken", v1alpha1.Running, metav1.ConditionTrue, "")
	b.untilCondition(t, "default", "broken", v1alpha1.Degraded, metav1.ConditionFalse, "")
}

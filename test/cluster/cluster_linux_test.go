package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// A control plane alone takes objects, refuses strangers, and leaves nothing.
func TestControlPlane(t *testing.T) {
	c := Start(t, Options{})
	ctx := patient(t)
	seen := observe(t, c)
	if err := c.Apply(ctx, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "c"}}`); err != nil {
		t.Fatal(err)
	}
	out, err := c.Kubectl(ctx, nil, "get", "configmap", "a", "--output=jsonpath={.data.b}")
	if err != nil || string(out) != "c" {
		t.Fatalf("read back %q, %v", out, err)
	}
	if err := c.get(ctx, "/api/v1/namespaces/default/configmaps/a"); err != nil {
		t.Fatal(err)
	}
	stranger := *c
	other, err := newAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := other.issue("admin", adminSubject, nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger.Certificate, stranger.Key = forged.cert, forged.key
	if err := stranger.get(ctx, "/api/v1/namespaces/default/configmaps/a"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a certificate of another authority: got %v, want 401", err)
	}
	if err := c.Down(); err != nil {
		t.Fatal(err)
	}
	seen.wantGone(t)
}

// The topology: each pod has eth0 from the default network, and more.
//
//	w1                                       w2
//	┌──────────────────────────────────┐     ┌─────────┐
//	│ a ═ net1, lan, net3..net5        │     │ c       │
//	│ b ═ net1, lan, net3..net5        │     │         │
//	└──────────────────────────────────┘     └─────────┘
//	net1: a bridge on w1; the others: pairs of veth devices
var networks = definition("default", "bridged", `
    {"cniVersion": "1.0.0", "type": "bridge", "bridge": "br-test",
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "fd00:aaaa::/64"}], [{"subnet": "10.240.0.0/24"}]]}}`) +
	pair(2) + pair(3) + pair(4) + pair(5)

// pair is a network of pairs of veth devices. It has no name of its own.
func pair(n int) string {
	return definition("kube-system", fmt.Sprint("pair", n), fmt.Sprintf(`
    {"cniVersion": "1.0.0", "plugins": [
      {"type": "ptp", "ipam": {"type": "host-local", "subnet": "fd00:bbbb:%d::/64"}},
      {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}]}`, n))
}

func definition(namespace, name, config string) string {
	return fmt.Sprintf(`
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: %s, namespace: %s}
spec:
  config: |%s
`, name, namespace, config)
}

func pod(name, node, networks string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Pod
metadata:
  name: %s
  annotations: {k8s.v1.cni.cncf.io/networks: %q}
spec:
  nodeName: %s
  containers: [{name: main, image: %s, imagePullPolicy: Never, securityContext: {capabilities: {add: [NET_RAW]}}}] # for ping
`, name, networks, node, BusyboxImage)
}

// The same works with other runtimes, if they were built before: that takes some
// minutes more.
func TestRuntimes(t *testing.T) {
	for _, r := range []Runtime{Containerd2, CRIO} {
		t.Run(string(r), func(t *testing.T) {
			if _, _, out, err := r.program().place(t.Context()); err != nil {
				t.Fatal(err)
			} else if _, err := os.Stat(out); err != nil {
				t.Skipf("%s is not built; build it with: go run ./test/cluster/ctl build -runtime %s", r, r)
			}
			testPodsWithNetworks(t, Options{Workers: 2, Multus: true, IPv6: true, Runtime: r})
		})
	}
}

// Pods with five more interfaces run on two workers and reach each other; after
// their deletion and the cluster's end nothing is left.
func TestPodsWithNetworks(t *testing.T) {
	for _, o := range []Options{
		{Workers: 2, Multus: true, IPv6: true},
		{Workers: 2, Multus: true},
	} {
		name := "IPv4"
		if o.IPv6 {
			name = "IPv6"
		}
		t.Run(name, func(t *testing.T) { testPodsWithNetworks(t, o) })
	}
}

func testPodsWithNetworks(t *testing.T, o Options) {
	c := Start(t, o)
	ctx := patient(t)
	const five = "bridged, kube-system/pair2@lan, kube-system/pair3, kube-system/pair4, kube-system/pair5"
	if err := c.Apply(ctx, networks+pod("a", "w1", five)+pod("b", "w1", five)+pod("c", "w2", "")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := c.WaitRunning(ctx, "default", "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	t.Logf("three pods, two of them with six interfaces, run after %.1f s", time.Since(began).Seconds())
	seen := observe(t, c)
	if n, err := c.Sandboxes(); err != nil || n != 3 {
		t.Errorf("%d network namespaces of pods, %v; want 3", n, err)
	}
	status := map[string][]networkStatus{}
	for _, name := range []string{"a", "b", "c"} {
		status[name] = readStatus(t, c, name)
	}
	for _, name := range []string{"a", "b"} {
		var got []string
		for _, s := range status[name] {
			got = append(got, s.Name+" "+s.Interface)
		}
		want := []string{"default eth0", "default/bridged net1", "kube-system/pair2 lan", "kube-system/pair3 net3", "kube-system/pair4 net4", "kube-system/pair5 net5"}
		if !slices.Equal(got, want) {
			t.Errorf("pod %s has networks %q, want %q", name, got, want)
		}
	}
	// The first family of the cluster is that of the pod's address.
	out, err := c.Kubectl(ctx, nil, "get", "pod", "c", "--output=jsonpath={.status.podIP}")
	if err != nil {
		t.Fatal(err)
	}
	if address, err := netip.ParseAddr(string(out)); err != nil || address.Is6() != o.IPv6 {
		t.Errorf("pod c has the address %q, %v", out, err)
	}
	for _, target := range []struct {
		name string
		ips  []string
	}{
		{"b on the same worker, by the bridge", status["b"][1].IPs},
		{"c on the other worker", status["c"][0].IPs},
		{"the other worker", []string{c.Workers()[1].IPv4.String(), c.Workers()[1].IPv6.String()}},
	} {
		if len(target.ips) != 2 {
			t.Errorf("%s has the addresses %q, want one of each family", target.name, target.ips)
		}
		for _, ip := range target.ips {
			if out, err := c.Exec(ctx, "default", "a", "ping", "-c", "1", "-w", "30", ip); err != nil {
				t.Errorf("ping %s at %s: %v\n%s", target.name, ip, err, out)
			}
		}
	}
	// Pods find the apiserver at the service's address.
	if out, err := c.Exec(ctx, "default", "c", "sh", "-c", "nc -w 30 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo reached"); err != nil || !strings.Contains(out, "reached") {
		t.Errorf("from a pod to the apiserver: %q, %v", out, err)
	}

	began = time.Now()
	if _, err := c.Kubectl(ctx, nil, "delete", "pod", "a", "b", "c", "--grace-period=1"); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitEmpty(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("their last network namespace is gone after %.1f s", time.Since(began).Seconds())
	for _, w := range c.workers {
		var kept []string
		for _, files := range []string{"*", "results/*"} {
			found, err := filepath.Glob(w.path("/var/lib/cni/multus/" + files))
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, found...)
		}
		if kept = slices.DeleteFunc(kept, func(file string) bool { return filepath.Base(file) == "results" }); len(kept) > 0 {
			t.Errorf("%s keeps networks of containers that are gone: %q", w.Name, kept)
		}
	}
	if err := c.Down(); err != nil {
		t.Fatal(err)
	}
	seen.wantGone(t)
}

type networkStatus struct {
	Name, Interface string
	IPs             []string
	Default         bool
}

func readStatus(t *testing.T, c *Cluster, pod string) []networkStatus {
	t.Helper()
	out, err := c.Kubectl(patient(t), nil, "get", "pod", pod, "--output=json")
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Metadata struct{ Annotations map[string]string }
	}
	if err := json.Unmarshal(out, &object); err != nil {
		t.Fatal(err)
	}
	var all []networkStatus
	if err := json.Unmarshal([]byte(object.Metadata.Annotations["k8s.v1.cni.cncf.io/network-status"]), &all); err != nil {
		t.Fatalf("network status of pod %s: %v\n%s", pod, err, out)
	}
	return all
}

// A plug-in that cannot do what it should leaves the pod without a network, and
// the reason is on the pod.
func TestPluginThatFails(t *testing.T) {
	o := Options{Workers: 1, Multus: true, Plugins: []string{failingPlugin(t)}}
	c := Start(t, o)
	ctx := patient(t)
	broken := definition("default", "broken", `
    {"cniVersion": "1.0.0", "type": "failing"}`)
	if err := c.Apply(ctx, broken+pod("a", "w1", "broken")); err != nil {
		t.Fatal(err)
	}
	err := c.wait(ctx, "the pod's events tell of the plugin", func(ctx context.Context) (bool, error) {
		out, err := c.Kubectl(ctx, nil, "get", "events", "--field-selector=reason=FailedCreatePodSandBox", "--output=json")
		return bytes.Contains(out, []byte("attach net1 to network default/broken")) && bytes.Contains(out, []byte("out of order")), err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, nil, "delete", "pod", "a", "--grace-period=0", "--force"); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitEmpty(ctx); err != nil {
		t.Fatal(err)
	}
}

// failingPlugin is a CNI plugin that refuses ADD.
func failingPlugin(t *testing.T) string {
	t.Helper()
	name := t.TempDir() + "/failing"
	script := `#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{"cniVersion": "1.0.0", "code": 100, "msg": "out of order"}'
exit 1
`
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

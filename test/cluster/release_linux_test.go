package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/images"
	"orrery.dev/orrery/images/release"
	"orrery.dev/orrery/test/cluster"
)

// The images of the project are the same each time that they are built, and
// what is in them runs in pods.
func TestReleaseImages(t *testing.T) {
	o := cluster.Options{Workers: 1}
	if reason := cluster.Missing(o); reason != "" {
		t.Skip(reason)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to keep Debian's packages: %v", err)
	}
	cache = filepath.Join(cache, "orrery", "packages")
	ctx, cancel := context.WithTimeout(context.Background(), cluster.Patience)
	defer cancel()
	binary := filepath.Join(t.TempDir(), "orrery")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -X main.version=test", "-o", filepath.Dir(binary)+"/", "orrery.dev/orrery/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build orrery: %v\n%s", err, out)
	}
	router, err := release.Router(ctx, "test", binary, cache)
	if err != nil {
		t.Skipf("cannot have Debian's packages: %v", err)
	}

	dir := t.TempDir()
	write := func(name string, image images.Image) string {
		built, err := image.Build(time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(dir, name)
		if err := images.Write(archive, image.Name, built); err != nil {
			t.Fatal(err)
		}
		return archive
	}
	again, err := release.Router(ctx, "test", binary, cache)
	if err != nil {
		t.Fatal(err)
	}
	o.Images = []string{write("router.tar", router), write("orrery.tar", release.Orrery("test", binary))}
	if a, b := read(t, o.Images[0]), read(t, write("again.tar", again)); !bytes.Equal(a, b) {
		t.Error("the same packages and program give two images")
	}
	for _, archive := range o.Images {
		t.Logf("%s: %.1f MB", filepath.Base(archive), float64(len(read(t, archive)))/1e6)
	}

	c := cluster.Start(t, o)
	if err := c.Apply(ctx, pods); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitFor(ctx, "jsonpath={.status.phase}=Succeeded", "pod/orrery"); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Kubectl(ctx, nil, "logs", "orrery"); err != nil || !strings.Contains(string(out), "test") {
		t.Errorf("orrery version: %q, %v", out, err)
	}
	if err := c.WaitRunning(ctx, "default", "router"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ command, want string }{
		{"orrery version", "test"},
		{"cat /usr/share/orrery/packages", "frr "},
		{"echo 'router id 10.0.0.1; protocol device {}' >/run/bird.conf; bird -c /run/bird.conf -s /run/bird.ctl; birdc -s /run/bird.ctl show status", "Daemon is up and running"},
		{"mkdir -p /run/frr; chown frr:frr /run/frr; cd /run/frr; for d in zebra staticd isisd ospf6d ospfd bgpd bfdd; do /usr/lib/frr/$d -d -f /dev/null -i $d.pid -z zserv.api --vty_socket . -A 127.0.0.1 -P 0 || { echo $d; exit 1; }; done; vtysh --vty_socket /run/frr -c 'show version'", "FRRouting"},
		{"vtysh --vty_socket /run/frr -c 'show interface brief'", "eth0"},
		{"ip -6 route show table all | head -3; ss -lnx | head -3", "fd6f"},
	} {
		out, err := c.Exec(ctx, "default", "router", "sh", "-c", step.command)
		if err != nil || !strings.Contains(out, step.want) {
			t.Errorf("%s: %v\n%s", step.command, err, out)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// The router's daemons want what they have on a host.
var pods = fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: orrery}
spec:
  restartPolicy: Never
  containers: [{name: main, image: %[1]sorrery:test, imagePullPolicy: Never, args: [version]}]
---
apiVersion: v1
kind: Pod
metadata: {name: router}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: %[1]sorrery-router:test
    imagePullPolicy: Never
    command: [sleep, "2147483647"]
    securityContext: {capabilities: {add: [NET_ADMIN, NET_RAW, SYS_ADMIN]}}
`, release.Repository)

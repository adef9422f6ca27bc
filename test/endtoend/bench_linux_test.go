package endtoend

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

// bench is a cluster in which this tree's deploy/ is installed.
type bench struct {
	*cluster.Cluster
	bin string // directory with this tree's programs
}

// tag of the images: not latest, which Kubernetes would want to pull.
const tag = "test"

// install starts a cluster and applies deploy/multus, as docs/kubernetes.md says.
func install(t *testing.T, o cluster.Options) *bench {
	t.Helper()
	if reason := cluster.Missing(o); reason != "" {
		t.Skip(reason)
	}
	b := &bench{bin: t.TempDir()}
	o.Images = b.build(t)
	b.Cluster = cluster.Start(t, o)
	ctx := patient(t)
	script := fmt.Sprintf("#!/bin/sh\nKUBECONFIG=%s exec %s kubectl \"$@\"\n", b.Kubeconfig, b.Kube())
	if err := os.WriteFile(filepath.Join(b.bin, "kubectl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Kubectl(ctx, nil, "apply", "--kustomize="+overlay(t)); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"deployment/orrery-operator", "daemonset/orrery-agent"} {
		if _, err := b.Kubectl(ctx, nil, "--namespace=orrery-system", "rollout", "status", what, "--timeout="+cluster.Patience.String()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cluster.Patience)
	t.Cleanup(cancel)
	return ctx
}

// build makes this tree's programs and images.
func (b *bench) build(t *testing.T) []string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to keep Debian's packages: %v", err)
	}
	ctx := patient(t)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -X main.version="+tag, "-o", b.bin+"/", "orrery.dev/orrery/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	binary := filepath.Join(b.bin, "orrery")
	router, err := release.Router(ctx, tag, binary, filepath.Join(cache, "orrery", "packages"))
	if err != nil {
		t.Skipf("cannot have Debian's packages: %v", err)
	}
	var archives []string
	for i, image := range []images.Image{release.Orrery(tag, binary), router} {
		built, err := image.Build(time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(b.bin, fmt.Sprintf("%d.tar", i))
		if err := images.Write(archive, image.Name, built); err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive)
	}
	return archives
}

// overlay is a directory with a kustomization: deploy/multus with the images of
// this tree.
func overlay(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	deploy, err := filepath.Abs("../../deploy/multus")
	if err == nil {
		deploy, err = filepath.EvalSymlinks(deploy)
	}
	if err == nil {
		deploy, err = filepath.Rel(dir, deploy)
	}
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%[1]s]
images: [{name: orrery.dev/orrery, newTag: %[2]s}]
patches:
  - target: {kind: Deployment, name: orrery-operator}
    patch: |
      - {op: replace, path: /spec/template/spec/containers/0/args/0, value: "--node-image=orrery.dev/orrery-router:%[2]s"}
`, deploy, tag)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// orrery runs kubectl-orrery as kubectl does, and gives what it printed.
func (b *bench) orrery(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "kubectl-orrery"), args...)
	cmd.Env = append(os.Environ(), "PATH="+b.bin+":"+os.Getenv("PATH"))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("kubectl orrery %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), err
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
		time.Sleep(200 * time.Millisecond)
	}
}

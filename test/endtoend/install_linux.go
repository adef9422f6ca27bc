package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"orrery.dev/orrery/images"
	"orrery.dev/orrery/images/release"
	"orrery.dev/orrery/test/cluster"
)

// Programs are this tree's, in a directory, with the images that are made of them.
type Programs struct {
	Dir    string
	Images []string // archives
}

// tag of the images: not latest, which Kubernetes would want to pull.
const tag = "test"

// ErrPackages is wrapped where Debian's packages cannot be had.
var ErrPackages = errors.New("cannot have Debian's packages")

// Build makes this tree's programs and images in a directory.
func Build(ctx context.Context, dir string) (*Programs, error) {
	p := &Programs{Dir: dir}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -X main.version="+tag, "-o", dir+"/", "orrery.dev/orrery/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("%w: no place to keep them: %w", ErrPackages, err)
	}
	binary := filepath.Join(dir, "orrery")
	router, err := release.Router(ctx, tag, binary, filepath.Join(cache, "orrery", "packages"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPackages, err)
	}
	for i, image := range []images.Image{release.Orrery(tag, binary), router} {
		built, err := image.Build(time.Unix(0, 0))
		if err != nil {
			return nil, err
		}
		archive := filepath.Join(dir, fmt.Sprintf("%d.tar", i))
		if err := images.Write(archive, image.Name, built); err != nil {
			return nil, err
		}
		p.Images = append(p.Images, archive)
	}
	return p, nil
}

// Installed is a cluster in which deploy/multus is installed.
type Installed struct {
	*cluster.Cluster
	programs *Programs
}

// Install applies deploy/multus to a cluster that has the images, as docs/kubernetes.md
// says, and waits until its parts are ready.
func Install(ctx context.Context, c *cluster.Cluster, p *Programs) (*Installed, error) {
	script := fmt.Sprintf("#!/bin/sh\nKUBECONFIG=%s exec %s kubectl \"$@\"\n", c.Kubeconfig, c.Kube())
	if err := os.WriteFile(filepath.Join(p.Dir, "kubectl"), []byte(script), 0o700); err != nil {
		return nil, err
	}
	dir, err := overlay(ctx, p.Dir, c.Group("realtime"))
	if err != nil {
		return nil, err
	}
	if _, err := c.Kubectl(ctx, nil, "apply", "--kustomize="+dir); err != nil {
		return nil, err
	}
	for _, what := range []string{"deployment/orrery-operator", "daemonset/orrery-agent"} {
		if _, err := c.Kubectl(ctx, nil, "--namespace=orrery-system", "rollout", "status", what, "--timeout="+cluster.Patience.String()); err != nil {
			return nil, err
		}
	}
	return &Installed{c, p}, nil
}

// overlay makes a directory with a kustomization: deploy/multus with the images of this
// tree, and a control group for agents that goes with the cluster.
func overlay(ctx context.Context, below, group string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "orrery.dev/orrery").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	deploy, err := filepath.EvalSymlinks(filepath.Join(strings.TrimSpace(string(root)), "deploy", "multus"))
	if err != nil {
		return "", err
	}
	if below, err = filepath.EvalSymlinks(below); err != nil {
		return "", err
	}
	dir := filepath.Join(below, "overlay")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if deploy, err = filepath.Rel(dir, deploy); err != nil { // kustomize takes no other
		return "", err
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
  - target: {kind: DaemonSet, name: orrery-agent}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: "--realtime-group=%[3]s"}
`, deploy, tag, group)
	return dir, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600)
}

// Orrery runs kubectl-orrery as kubectl does, and gives what it printed.
func (i *Installed) Orrery(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(i.programs.Dir, "kubectl-orrery"), args...)
	cmd.Env = append(os.Environ(), "PATH="+i.programs.Dir+":"+os.Getenv("PATH"))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("kubectl orrery %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), err
}

// Agents are the names of the agents' pods by worker.
func (i *Installed) Agents(ctx context.Context) (map[string]string, error) {
	out, err := i.Kubectl(ctx, nil, "--namespace=orrery-system", "get", "pods", "--selector=app.kubernetes.io/name=orrery-agent",
		`--output=jsonpath={range .items[*]}{.spec.nodeName} {.metadata.name}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}
	agents := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 {
			agents[f[0]] = f[1]
		}
	}
	return agents, nil
}

// Figures are a pod's metrics by name and labels, as Prometheus reads them.
func (i *Installed) Figures(ctx context.Context, pod string, port int) (map[string]float64, error) {
	out, err := i.Kubectl(ctx, nil, "get", fmt.Sprintf("--raw=/api/v1/namespaces/orrery-system/pods/%s:%d/proxy/metrics", pod, port))
	if err != nil {
		return nil, err
	}
	return Figures(string(out)), nil
}

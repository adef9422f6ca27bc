package cluster

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Kubectl runs kubectl as the administrator, with the given standard input, and
// returns its standard output. An error has what it complained of.
func (c *Cluster) Kubectl(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.kube, append([]string{"kubectl"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "KUBECACHEDIR="+filepath.Join(c.Dir, "kubectl"), "HOME="+c.Dir)
	cmd.Stdin = bytes.NewReader(stdin)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}

// Apply makes or changes objects by manifests in YAML or JSON.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	_, err := c.Kubectl(ctx, []byte(manifests), "apply", "--filename=-")
	return err
}

// Exec runs a command in a pod's first container, and returns its output.
func (c *Cluster) Exec(ctx context.Context, namespace, pod string, args ...string) (string, error) {
	out, err := c.Kubectl(ctx, nil, append([]string{"exec", "--namespace=" + namespace, pod, "--"}, args...)...)
	return string(out), err
}

// WaitFor waits until objects are as said, in the words of kubectl wait: a
// condition as "condition=Ready", "delete", "create", or
// "jsonpath={.status.phase}=Running", and objects as "pod/a" or "node", "--all".
func (c *Cluster) WaitFor(ctx context.Context, condition string, objects ...string) error {
	what := strings.Join(objects, " ") + ": " + condition
	// A component's end is noticed while kubectl waits.
	return c.wait(ctx, what, func(ctx context.Context) (bool, error) {
		const turn = 5 * time.Second
		left := turn
		if deadline, ok := ctx.Deadline(); ok {
			left = min(turn, time.Until(deadline))
		}
		seconds := max(1, int(math.Ceil(left.Seconds())))
		args := append([]string{"wait", "--for=" + condition, fmt.Sprintf("--timeout=%ds", seconds)}, objects...)
		_, err := c.Kubectl(ctx, nil, args...)
		return err == nil, nil
	})
}

// WaitRunning waits until pods run.
func (c *Cluster) WaitRunning(ctx context.Context, namespace string, pods ...string) error {
	objects := []string{"--namespace=" + namespace}
	for _, pod := range pods {
		objects = append(objects, "pod/"+pod)
	}
	return c.WaitFor(ctx, "condition=Ready", objects...)
}

// Sandboxes says how many pods' network namespaces there are on all workers.
func (c *Cluster) Sandboxes() (int, error) {
	n := 0
	for _, w := range c.workers {
		names, err := filepath.Glob(w.path(c.containers.networkNamespaces()))
		if err != nil {
			return 0, err
		}
		n += len(names)
	}
	return n, nil
}

// WaitEmpty waits until the last pod's network namespace is gone from all
// workers. That is long after the last pod has gone from the apiserver, if pods
// were deleted without grace.
func (c *Cluster) WaitEmpty(ctx context.Context) error {
	return c.wait(ctx, "no pod's network namespace is left", func(context.Context) (bool, error) {
		n, err := c.Sandboxes()
		return n == 0, err
	})
}

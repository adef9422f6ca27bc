package cluster

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/test/cluster/machine"
)

// Cluster is a cluster that runs.
type Cluster struct {
	// Dir is the directory with its state.
	Dir string
	// Server is the apiserver's URL for the process that started the cluster
	// and for its children; CA, Certificate and Key, in PEM, are the authority
	// of the apiserver and the administrator's identity.
	Server               string
	CA, Certificate, Key []byte
	// Kubeconfig is a file with the same.
	Kubeconfig string

	options    Options
	state      state
	images     []string
	kube       string // paths of programs
	containers containers

	ca         *authority
	tokens     identity
	control    *machine.Machine
	controlNet *network
	forwarder  *forwarder
	workers    []*worker
	gone       bool // Down has succeeded
}

//go:embed multus.yaml
var multusManifest []byte

// Up starts a cluster and returns when it is ready: the apiserver answers, all
// nodes are Ready, and pods can be made. If it fails, nothing is left. The
// caller must call Down. The context is for starting only.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	c := &Cluster{options: o}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	err := c.startControl(ctx)
	if err == nil && o.Workers > 0 {
		o.Log("the control plane answers after %.1f s", time.Since(began).Seconds())
		err = c.startWorkers(ctx)
	}
	if err != nil {
		// What the logs say is gone with the directory.
		err = fmt.Errorf("%w\n%s", err, c.Logs(20))
		return nil, errors.Join(err, c.Down())
	}
	o.Log("the cluster is ready after %.1f s", time.Since(began).Seconds())
	return c, nil
}

// prepare finds and builds programs, and makes the directory.
func (c *Cluster) prepare(ctx context.Context) error {
	if reason := Missing(c.options); reason != "" {
		return errors.New(reason)
	}
	dir, err := kubernetes.get(ctx, c.options.Log)
	if err != nil {
		return err
	}
	c.kube = filepath.Join(dir, "kubernetes")
	if c.options.Workers > 0 {
		if c.containers, err = c.newContainers(ctx); err != nil {
			return err
		}
	}
	if err := c.makeDir(); err != nil {
		return err
	}
	if err := buildOwn(ctx, filepath.Join(c.Dir, "bin")); err != nil {
		return errors.Join(err, c.Down())
	}
	return nil
}

// makeDir makes the directory and writes the first state.
func (c *Cluster) makeDir() (err error) {
	c.Dir = c.options.Dir
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "orrery-cluster-"); err != nil {
			return err
		}
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose another directory, or end the cluster that is in there", c.Dir)
	}
	id := make([]byte, 4)
	_, _ = rand.Read(id) // never fails, since Go 1.24
	c.state = state{Cgroup: cgroupPrefix + hex.EncodeToString(id), Machines: map[string]machine.ID{}}
	if err := c.state.write(c.Dir); err != nil {
		return err
	}
	for _, sub := range []string{"conf", "logs"} {
		if err := os.Mkdir(filepath.Join(c.Dir, sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) startMachine(name string, shown map[string]string) (*machine.Machine, error) {
	m, err := machine.Start(filepath.Join(c.Dir, "bin", "init"), machine.Spec{Name: name, Dir: filepath.Join(c.Dir, name), Shown: shown})
	if err != nil {
		return nil, err
	}
	c.state.Machines[name] = m.ID
	if err := c.state.write(c.Dir); err != nil {
		return nil, errors.Join(err, m.Kill())
	}
	return m, nil
}

// startWorkers starts everything that a control plane alone does not have.
func (c *Cluster) startWorkers(ctx context.Context) error {
	if err := c.startControllers(); err != nil {
		return err
	}
	specs := make([]Worker, c.options.Workers)
	for i := range specs {
		specs[i] = c.options.worker(i + 1)
		if len(specs[i].PodCIDRs) == 0 {
			return fmt.Errorf("worker %s has no prefix for pods", specs[i].Name)
		}
	}
	if err := makeCgroups(c.state.Cgroup, specs); err != nil {
		return err
	}
	base, err := writeBaseImages(filepath.Join(c.Dir, "images"))
	if err != nil {
		return err
	}
	c.images = slices.Concat(base, c.options.Images)
	for _, spec := range specs {
		if _, err := c.startWorkerMachine(spec); err != nil {
			return err
		}
	}
	if err := setPodRoutes(c.controlNet, specs); err != nil {
		return err
	}
	var all errgroup.Group
	for _, w := range c.workers {
		all.Go(func() error {
			others := slices.DeleteFunc(slices.Clone(specs), func(o Worker) bool { return o.Name == w.Name })
			if err := setPodRoutes(w.network, others); err != nil {
				return err
			}
			if err := c.startContainers(ctx, w); err != nil {
				return err
			}
			return c.startKubelet(ctx, w)
		})
	}
	if c.options.Multus {
		all.Go(func() error {
			_, err := c.Kubectl(ctx, multusManifest, "apply", "--filename=-")
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if err := c.WaitFor(ctx, "condition=Ready", "node", "--all"); err != nil {
		return err
	}
	if c.options.Multus {
		if err := c.WaitFor(ctx, "condition=Established", "crd/network-attachment-definitions.k8s.cni.cncf.io"); err != nil {
			return err
		}
	}
	// Pods are refused until their namespace has this account.
	return c.WaitFor(ctx, "create", "serviceaccount/default", "--namespace=default")
}

// Kube is the program that holds those of Kubernetes; its first argument is the
// name of the one to run, as "kubectl".
func (c *Cluster) Kube() string {
	return c.kube
}

// Workers are the nodes.
func (c *Cluster) Workers() []Worker {
	var all []Worker
	for _, w := range c.workers {
		all = append(all, w.Worker)
	}
	return all
}

// Machine is the machine of a worker, or of the control plane, by name:
// "control", "w1", "w2". Nil if there is none.
func (c *Cluster) Machine(name string) *machine.Machine {
	if name == "control" {
		return c.control
	}
	for _, w := range c.workers {
		if w.Name == name {
			return w.machine
		}
	}
	return nil
}

func (c *Cluster) machines() []*machine.Machine {
	var all []*machine.Machine
	for _, w := range c.workers {
		all = append(all, w.machine)
	}
	if c.control != nil {
		all = append(all, c.control)
	}
	return all
}

// Down ends the cluster and removes all that is left of it. It can be called
// again, and does what it could not do before.
func (c *Cluster) Down() error {
	if c.gone {
		return nil
	}
	var problems []error
	if c.forwarder != nil {
		c.forwarder.close()
	}
	for _, w := range c.workers {
		w.network.close()
	}
	if c.controlNet != nil {
		c.controlNet.close()
	}
	for _, m := range c.machines() {
		problems = append(problems, m.Kill())
	}
	c.forwarder, c.controlNet, c.control, c.workers = nil, nil, nil, nil
	err := errors.Join(append(problems, Down(c.Dir))...)
	c.gone = err == nil
	return err
}

// log is the file with the output of a component.
func (c *Cluster) log(name string) string {
	return filepath.Join(c.Dir, "logs", name+".log")
}

// Logs are the last lines of each component's output, with its name before.
func (c *Cluster) Logs(lines int) string {
	var out strings.Builder
	files, _ := filepath.Glob(c.log("*"))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fmt.Fprintf(&out, "--- %s\n%s\n", strings.TrimSuffix(filepath.Base(name), ".log"), tail(string(text), lines))
	}
	return out.String()
}

// wait calls done until it says so, or an error comes, or the context ends. It
// fails at once if a component of the cluster has ended, since what is waited
// for will hardly come then.
func (c *Cluster) wait(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	for {
		ok, err := done(ctx)
		if ok && err == nil {
			return nil
		}
		if err == nil {
			err = c.broken()
		}
		if err != nil {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// broken says which component has ended.
func (c *Cluster) broken() error {
	for _, m := range c.machines() {
		for name, how := range m.Ended() {
			return fmt.Errorf("%s on machine %s %s; its log tells why", name, m.Spec.Name, how)
		}
	}
	return nil
}

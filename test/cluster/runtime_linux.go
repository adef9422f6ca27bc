package cluster

import (
	"context"
	"fmt"
	"os"
)

// Runtime is what makes containers on the workers.
type Runtime string

// The runtimes.
const (
	Containerd  Runtime = "containerd"  // Debian's
	Containerd2 Runtime = "containerd2" // containerd 2, built from its module
	CRIO        Runtime = "cri-o"       // CRI-O, built from its module but for Debian's conmon
)

// UnmarshalText makes a Runtime of its name.
func (r *Runtime) UnmarshalText(text []byte) error {
	switch name := Runtime(text); name {
	case Containerd, Containerd2, CRIO:
		*r = name
		return nil
	}
	return fmt.Errorf("there is no runtime %q: choose %s, %s or %s", text, Containerd, Containerd2, CRIO)
}

// MarshalText is the name.
func (r Runtime) MarshalText() ([]byte, error) { return []byte(r), nil }

// program is what the runtime is built from; nil if it is the host's.
func (r Runtime) program() *program {
	switch r {
	case Containerd2:
		return &containerd2
	case CRIO:
		return &crio
	}
	return nil
}

// containers are the containers of a cluster's workers.
type containers interface {
	// socket is where on a worker the kubelet finds the runtime.
	socket() string
	// networkNamespaces matches the files on a worker that keep those of pods.
	networkNamespaces() string
	// start starts the runtime on a worker and returns when it answers.
	start(ctx context.Context, w *worker) error
	// load gives a worker the images of an archive.
	load(ctx context.Context, w *worker, archive string) error
}

// newContainers finds and builds the runtime's programs.
func (c *Cluster) newContainers(ctx context.Context) (containers, error) {
	var dir string
	var err error
	if p := c.options.runtime().program(); p != nil {
		if dir, err = p.get(ctx, c.options.Log); err != nil {
			return nil, err
		}
	}
	if c.options.runtime() == CRIO {
		return newCRIO(c, dir)
	}
	return newContainerd(c, dir)
}

// startContainers writes the networks' configuration, starts the runtime and
// gives it the images.
func (c *Cluster) startContainers(ctx context.Context, w *worker) error {
	if err := c.installNetwork(w); err != nil {
		return err
	}
	if err := c.containers.start(ctx, w); err != nil {
		return err
	}
	for _, image := range c.images {
		if err := c.containers.load(ctx, w, image); err != nil {
			return err
		}
	}
	return nil
}

// Import gives an archive of images (docker save, or an OCI layout) to the
// runtime of every worker.
func (c *Cluster) Import(ctx context.Context, archive string) error {
	for _, w := range c.workers {
		if err := c.containers.load(ctx, w, archive); err != nil {
			return err
		}
	}
	return nil
}

// pass runs a command on a worker that reads an archive from its standard input, since not every path of the host is on the worker.
func pass(ctx context.Context, w *worker, archive string, args ...string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := w.machine.Command(ctx, args...)
	cmd.Stdin = f
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s on %s: %w: %s", archive, w.Name, err, tail(string(output), 10))
	}
	return nil
}

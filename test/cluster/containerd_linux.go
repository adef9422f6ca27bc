package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"orrery.dev/orrery/test/cluster/machine"
)

// containerd is the host's, or containerd 2.
type containerd struct {
	cluster           *Cluster
	daemon, ctr, runc string // paths
}

// newContainerd takes the programs from a directory, or the host's.
func newContainerd(c *Cluster, dir string) (*containerd, error) {
	d := &containerd{cluster: c, daemon: filepath.Join(dir, "containerd"), ctr: filepath.Join(dir, "ctr")}
	var err error
	if dir == "" {
		if d.daemon, err = find("containerd"); err != nil {
			return nil, err
		}
		if d.ctr, err = find("ctr"); err != nil {
			return nil, err
		}
	}
	d.runc, err = find("runc")
	return d, err
}

func (*containerd) socket() string { return "/run/containerd/containerd.sock" }

func (*containerd) networkNamespaces() string { return "/run/netns/cni-*" }

func (d *containerd) start(ctx context.Context, w *worker) error {
	c := d.cluster
	file := filepath.Join(c.Dir, "conf", w.Name+"-containerd.toml")
	if err := os.WriteFile(file, containerdConfig(d.runc), 0o600); err != nil {
		return err
	}
	process := machine.Process{
		Name: "containerd", Log: c.log(w.Name + "-containerd"),
		Args: []string{d.daemon, "--config", file},
	}
	path := filepath.Dir(d.daemon) + ":" + sbinPath
	shims, err := c.quietShim(path)
	if err != nil {
		return err
	}
	process.Env = []string{"PATH=" + shims + ":" + path} // where the shim is looked for
	if err := w.machine.Run(process); err != nil {
		return err
	}
	return c.wait(ctx, "containerd of "+w.Name+" answers", func(ctx context.Context) (bool, error) {
		return w.machine.Command(ctx, d.ctr, "version").Run() == nil, nil
	})
}

func (d *containerd) load(ctx context.Context, w *worker, archive string) error {
	return pass(ctx, w, archive, d.ctr, "--namespace", "k8s.io", "images", "import", "-")
}

// shim is what containerd starts for each pod.
const shim = "containerd-shim-runc-v2"

// quietShim makes a directory with a shim that does not collect its garbage every two minutes, as a program in Go does that has nothing else to do:
// that took 1,550 shims nine tenths of a core. It does when it has grown to three times what it begins with.
func (c *Cluster) quietShim(path string) (dir string, err error) {
	real := ""
	for _, d := range filepath.SplitList(path) {
		if _, err := os.Stat(filepath.Join(d, shim)); err == nil {
			real = filepath.Join(d, shim)
			break
		}
	}
	if real == "" {
		return "", fmt.Errorf("there is no %s in %s", shim, path)
	}
	dir = filepath.Join(c.Dir, "shims")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	text := "#!/bin/sh\nexport GOGC=off GOMEMLIMIT=24MiB\nexec " + real + " \"$@\"\n"
	return dir, os.WriteFile(filepath.Join(dir, shim), []byte(text), 0o755)
}

// containerdConfig is in the form of containerd 1, which containerd 2 reads
// too. All paths are the defaults.
//
// Without CAP_SYS_RESOURCE, containers cannot have an oom_score_adj below
// their parent's, so that is restricted. AppArmor's profiles would have to be
// loaded into the host's kernel. The snapshotters that are off need devices or
// file systems that are not there, and would complain.
func containerdConfig(runc string) []byte {
	return fmt.Appendf(nil, `version = 2
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
  "io.containerd.nri.v1.nri",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = %q
        SystemdCgroup = false
`, PauseImage, pluginDir, networkDir, runc)
}

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"orrery.dev/orrery/images"
	"orrery.dev/orrery/test/cluster/machine"
)

// crioRuntime is CRI-O. Beside each container it keeps a process of C (conmon), which writes the log itself, and no container that pauses; of a pod that
// runs it holds three descriptors, of namespaces.
type crioRuntime struct {
	cluster                       *Cluster
	daemon, pinns, conmon, skopeo string // paths
}

func newCRIO(c *Cluster, dir string) (*crioRuntime, error) {
	r := &crioRuntime{cluster: c, daemon: filepath.Join(dir, "crio"), pinns: filepath.Join(dir, crio.c)}
	for name, path := range map[string]*string{"conmon": &r.conmon, "skopeo": &r.skopeo} {
		var err error
		if *path, err = find(name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (*crioRuntime) socket() string { return "/run/crio/crio.sock" }

func (*crioRuntime) networkNamespaces() string { return "/run/netns/*" }

// Where on a worker images and containers are.
const (
	storageRoot = "/var/lib/containers/storage"
	storageRun  = "/run/containers/storage"
)

func (r *crioRuntime) start(ctx context.Context, w *worker) error {
	c := r.cluster
	policy := filepath.Join(c.Dir, "conf", w.Name+"-policy.json")
	if err := os.WriteFile(policy, []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o600); err != nil {
		return err
	}
	file := filepath.Join(c.Dir, "conf", w.Name+"-crio.toml")
	if err := os.WriteFile(file, r.config(policy), 0o600); err != nil {
		return err
	}
	err := w.machine.Run(machine.Process{
		Name: "crio", Log: c.log(w.Name + "-crio"),
		Args: []string{r.daemon, "--config", file, "--config-dir", ""},
		Env:  []string{"PATH=" + sbinPath},
	})
	if err != nil {
		return err
	}
	return c.wait(ctx, "CRI-O of "+w.Name+" answers", func(ctx context.Context) (bool, error) {
		return w.machine.Command(ctx, r.daemon, "status", "--socket", r.socket(), "info").Run() == nil, nil
	})
}

// config has the defaults' paths. AppArmor's profiles would have to be loaded
// into the host's kernel.
func (r *crioRuntime) config(policy string) []byte {
	return fmt.Appendf(nil, `[crio]
root = %q
runroot = %q
storage_driver = "overlay"
version_file = "/run/crio/version"
clean_shutdown_file = "/var/lib/crio/clean.shutdown"
[crio.api]
listen = %q
[crio.runtime]
default_runtime = "runc"
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
apparmor_profile = "unconfined"
pinns_path = %q
enable_criu_support = false
[crio.runtime.runtimes.runc]
runtime_path = %q
runtime_root = "/run/runc"
monitor_path = %q
monitor_cgroup = "pod"
[crio.image]
pause_image = %q
signature_policy = %q
[crio.network]
network_dir = %q
plugin_dirs = [%q]
[crio.nri]
enable_nri = false
`, storageRoot, storageRun, r.socket(), r.pinns, filepath.Join(r.cluster.Dir, "bin", "modest"), r.conmon, PauseImage, policy, networkDir, pluginDir)
}

// load takes what docker save makes.
func (r *crioRuntime) load(ctx context.Context, w *worker, archive string) error {
	archived, err := images.Names(archive)
	if err != nil {
		return err
	}
	for i, names := range archived {
		for _, name := range names {
			err := pass(ctx, w, archive, r.skopeo, "--insecure-policy", "copy", "--quiet",
				fmt.Sprintf("docker-archive:/dev/stdin:@%d", i),
				fmt.Sprintf("containers-storage:[overlay@%s+%s]%s", storageRoot, storageRun, name))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

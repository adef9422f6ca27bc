package cluster

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// programs of Debian that a cluster runs, and the packages that have them.
var programs = []struct {
	name, pkg string
	workers   bool      // needed only if there are any
	runtimes  []Runtime // needed only by these; by all if nil
}{
	{"etcd", "etcd-server", false, nil},
	{"nsenter", "util-linux", false, nil},
	{"containerd", "containerd", true, []Runtime{Containerd}},
	{"ctr", "containerd", true, []Runtime{Containerd}},
	{"runc", "runc", true, nil},
	{"conmon", "conmon", true, []Runtime{CRIO}},
	{"skopeo", "skopeo", true, []Runtime{CRIO}},
	{"gcc", "gcc", true, []Runtime{CRIO}},
	{"busybox", "busybox-static", true, nil},
	{"iptables", "iptables", true, nil},
	{"conntrack", "conntrack", true, nil},
}

// Missing says why such a cluster cannot run on this host, and what to do about
// it; "" if nothing is known to be missing.
func Missing(o Options) string {
	if os.Geteuid() != 0 {
		return "clusters need root, for namespaces, mounts and cgroups; run the test as root"
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "there is no go command, with which Kubernetes is built; add it to PATH"
	}
	for _, p := range programs {
		if p.workers && o.Workers == 0 || p.runtimes != nil && !slices.Contains(p.runtimes, o.runtime()) {
			continue
		}
		if _, err := find(p.name); err != nil {
			return fmt.Sprintf("there is no %s, which is in Debian's package %s; install it with scripts/deps.sh cluster", p.name, p.pkg)
		}
	}
	if o.Workers == 0 {
		return ""
	}
	if _, err := os.Stat(filepath.Join(stockPlugins, "ptp")); err != nil {
		return fmt.Sprintf("there are no CNI plugins in %s, which are in Debian's package containernetworking-plugins; install them with scripts/deps.sh cluster", stockPlugins)
	}
	if err := static(busybox()); err != nil {
		return fmt.Sprintf("%v; install Debian's package busybox-static with scripts/deps.sh cluster", err)
	}
	if reason := storage(o.Dir); reason != "" {
		return reason
	}
	hierarchies, err := findCgroups()
	if err != nil {
		return err.Error()
	}
	return hierarchies.missing()
}

// storage says why a cluster's state cannot be in a directory.
func storage(dir string) string {
	for dir != "" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	if dir == "" {
		dir = os.TempDir()
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Sprintf("%s: %v", dir, err)
	}
	if fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Sprintf("%s is on an overlay, as in a container, on which containerd can have no overlays; set TMPDIR to a directory on another file system", dir)
	}
	filesystems, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err.Error()
	}
	if !strings.Contains(string(filesystems), "\toverlay\n") {
		return "the kernel has no file system \"overlay\", of which containerd makes containers; load its module with modprobe overlay"
	}
	return ""
}

// find is the path of a program, also of one that ordinary users do not have on
// their PATH.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s on this host", program)
}

func busybox() string {
	path, err := find("busybox")
	if err != nil {
		return "/bin/busybox"
	}
	return path
}

// static fails if a program needs shared libraries.
func static(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New(path + " is not a static program, as images without libraries need it")
		}
	}
	return nil
}

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupPrefix begins the names of clusters' cgroups. One of them holds one
// cgroup per worker, in which the kubelet makes those of pods.
const cgroupPrefix = "orrery-cluster-"

// mountPoint is a line of /proc/self/mountinfo, see proc_pid_mountinfo(5).
type mountPoint struct {
	root, at, kind string
	options        []string // of the mount and of the file system
}

func mounts() ([]mountPoint, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(text)), nil
}

func parseMounts(mountinfo string) []mountPoint {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var all []mountPoint
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		b, a := strings.Fields(before), strings.Fields(after)
		if !ok || len(b) < 6 || len(a) < 2 {
			continue
		}
		m := mountPoint{root: unescape.Replace(b[3]), at: unescape.Replace(b[4]), kind: a[0], options: strings.Split(b[5], ",")}
		if len(a) > 2 {
			m.options = append(m.options, strings.Split(a[2], ",")...)
		}
		all = append(all, m)
	}
	return all
}

// cgroups are the mounted hierarchies.
type cgroups []mountPoint

func findCgroups() (cgroups, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(m mountPoint) bool { return m.kind != "cgroup" && m.kind != "cgroup2" }), nil
}

// unified says whether version 2 has all controllers.
func (c cgroups) unified() bool {
	return slices.ContainsFunc(c, func(m mountPoint) bool { return m.kind == "cgroup2" && m.at == "/sys/fs/cgroup" })
}

// missing says why the kubelet cannot work with these hierarchies, "" if it
// can.
func (c cgroups) missing() string {
	if len(c) == 0 {
		return "no cgroup hierarchy is mounted; mount one at /sys/fs/cgroup"
	}
	for _, m := range c {
		if slices.Contains(m.options, "ro") {
			return fmt.Sprintf("the cgroup hierarchy at %s is mounted read-only, as in an unprivileged container; use the host", m.at)
		}
		if m.root != "/" {
			return fmt.Sprintf("%s shows only the part %s of a cgroup hierarchy, as in a container; use the host", m.at, m.root)
		}
	}
	have := func(controller string) bool {
		return slices.ContainsFunc(c, func(m mountPoint) bool { return m.kind == "cgroup" && slices.Contains(m.options, controller) })
	}
	if c.unified() {
		text, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
		if err != nil {
			return err.Error()
		}
		have = func(controller string) bool { return slices.Contains(strings.Fields(string(text)), controller) }
	}
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !have(controller) {
			return fmt.Sprintf("no cgroup hierarchy has the controller %q, which the kubelet needs", controller)
		}
	}
	return ""
}

// makeCgroups makes name/worker in each hierarchy.
func makeCgroups(name string, workers []Worker) error {
	hierarchies, err := findCgroups()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		top := filepath.Join(h.at, name)
		dirs := []string{top}
		for _, w := range workers {
			dirs = append(dirs, filepath.Join(top, w.Name))
		}
		for _, dir := range dirs {
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if err := inherit(h, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit gives a new cgroup what its parent has.
func inherit(h mountPoint, dir string) error {
	parent := filepath.Dir(dir)
	if h.kind == "cgroup2" {
		available, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for _, controller := range strings.Fields(string(available)) {
			if !slices.Contains([]string{"cpu", "cpuset", "memory", "pids", "hugetlb", "io"}, controller) {
				continue
			}
			if err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
				return fmt.Errorf("enable the controller %s in %s: %w", controller, parent, err)
			}
		}
		return nil
	}
	if !slices.Contains(h.options, "cpuset") {
		return nil
	}
	// A new cpuset is empty, and no process can be in it.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), bytes.TrimSpace(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// Group is the name of a cgroup that the cluster's pods may make at the root of a
// hierarchy: Down removes it with the cluster's own.
func (c *Cluster) Group(name string) string { return c.state.Cgroup + "-" + name }

// removeCgroups removes the cgroup of that name and all below it, and those that
// Group names, in each hierarchy. Their processes have ended already, but the
// kernel may take a while to notice.
func removeCgroups(name string) error {
	hierarchies, err := findCgroups()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, h := range hierarchies {
		own, err := filepath.Glob(filepath.Join(h.at, name+"-*"))
		if err != nil {
			return err
		}
		for _, dir := range append(own, filepath.Join(h.at, name)) {
			for {
				err := removeCgroup(dir)
				if err == nil {
					break
				}
				if ctx.Err() != nil || !errors.Is(err, unix.EBUSY) {
					return err
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	return nil
}

// removeCgroup removes a cgroup and those below it, deepest first.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	// Not RemoveAll: the files of a cgroup cannot be removed, and need not be.
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}

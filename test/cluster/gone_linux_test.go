package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/test/cluster/machine"
)

// traces are what a cluster is made of while it runs: everything by which it
// could still be noticed when it is gone.
type traces struct {
	dir, cgroup string
	processes   []machine.ID
	namespaces  map[string]bool // as "net:[4026532177]"
}

// observe looks at all processes of a cluster.
func observe(t *testing.T, c *Cluster) *traces {
	t.Helper()
	var roots []int
	for _, m := range c.machines() {
		roots = append(roots, m.ID.PID)
	}
	return observeProcesses(t, c.Dir, c.state.Cgroup, roots)
}

func observeProcesses(t *testing.T, dir, cgroup string, roots []int) *traces {
	t.Helper()
	seen := &traces{dir: dir, cgroup: cgroup, namespaces: map[string]bool{}}
	own := namespacesOf(os.Getpid())
	parents := map[int]int{}
	for _, pid := range pids(t) {
		parents[pid] = parentOf(pid)
	}
	for pid := range parents {
		above := pid
		for above > 1 && !slices.Contains(roots, above) {
			above = parents[above]
		}
		if above <= 1 {
			continue
		}
		id, err := machine.Identify(pid)
		if err != nil {
			continue // it has just ended
		}
		seen.processes = append(seen.processes, id)
		for _, n := range namespacesOf(pid) {
			if !slices.Contains(own, n) {
				seen.namespaces[n] = true
			}
		}
	}
	if len(seen.processes) < len(roots) || len(seen.namespaces) < 5*len(roots) {
		t.Fatalf("a cluster of %d machines has only %d processes and %d namespaces", len(roots), len(seen.processes), len(seen.namespaces))
	}
	return seen
}

// wantGone fails the test for each trace that is still there.
func (seen *traces) wantGone(t *testing.T) {
	t.Helper()
	for _, id := range seen.processes {
		if id.Alive() {
			t.Errorf("process %d still runs", id.PID)
		}
	}
	// Numbers of namespaces are given again, so processes that began later
	// may have the same ones by chance.
	var newest uint64
	for _, id := range seen.processes {
		newest = max(newest, id.Start)
	}
	for _, pid := range pids(t) {
		id, err := machine.Identify(pid)
		// One that has ended and waits for its parent still has a PID namespace.
		if err != nil || id.Start > newest || !id.Alive() {
			continue
		}
		for _, n := range namespacesOf(pid) {
			if seen.namespaces[n] {
				t.Errorf("process %d is still in the cluster's namespace %s", pid, n)
			}
		}
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if err != nil {
			continue
		}
		if strings.Contains(string(mounts), seen.dir) {
			t.Errorf("process %d still sees a mount of %s", pid, seen.dir)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && seen.namespaces[to] {
			t.Errorf("descriptor %s of this process still holds %s", fd.Name(), to)
		}
	}
	hierarchies, err := findCgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hierarchies {
		if _, err := os.Stat(filepath.Join(h.at, seen.cgroup)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the cgroup %s is still in %s (%v)", seen.cgroup, h.at, err)
		}
	}
	if _, err := os.Stat(seen.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", seen.dir, err)
	}
}

func pids(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

func namespacesOf(pid int) []string {
	var all []string
	for _, kind := range []string{"net", "mnt", "pid", "ipc", "uts"} {
		if name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil {
			all = append(all, name)
		}
	}
	return all
}

func parentOf(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "PPid:"); ok {
			parent, _ := strconv.Atoi(strings.TrimSpace(rest))
			return parent
		}
	}
	return 0
}

// childVariable makes this test's program start a cluster in the directory that
// it names, instead of running tests.
const childVariable = "ORRERY_TEST_CLUSTER_CHILD"

// child starts a cluster with a pod, says so, and waits to be killed.
func child(dir string) int {
	ctx := context.Background()
	c, err := Up(ctx, Options{Workers: 1, Dir: dir})
	if err == nil {
		err = c.Apply(ctx, pod("a", "w1", ""))
	}
	if err == nil {
		err = c.WaitRunning(ctx, "default", "a")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready")
	select {}
}

// A cluster whose test was killed ends by itself, and Down with its directory
// removes the rest.
func TestKilled(t *testing.T) {
	if reason := Missing(Options{Workers: 1}); reason != "" {
		t.Skip(reason)
	}
	if err := Build(context.Background(), t.Logf, Containerd); err != nil {
		t.Skipf("cannot build what a cluster runs: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		_ = cmd.Process.Kill()
		t.Fatalf("the child said %q, %v, %v", line, err, cmd.Wait())
	}
	s, err := readState(dir)
	if err != nil {
		t.Fatal(err)
	}
	var roots []int
	for _, id := range s.Machines {
		roots = append(roots, id.PID)
	}
	seen := observeProcesses(t, dir, s.Cgroup, roots)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	deadline := time.Now().Add(Patience)
	alive := func(id machine.ID) bool { return id.Alive() }
	for slices.ContainsFunc(seen.processes, alive) {
		if time.Now().After(deadline) {
			t.Fatal("processes of the cluster outlive the one that started it")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := Down(dir); err != nil {
		t.Fatal(err)
	}
	seen.wantGone(t)
}

func TestDownRefuses(t *testing.T) {
	empty := t.TempDir()
	if err := Down(empty); err == nil || !strings.Contains(err.Error(), "holds no state of a cluster") {
		t.Errorf("an empty directory: %v", err)
	}
	for _, cgroup := range []string{"", "system.slice", cgroupPrefix + "../a", cgroupPrefix + "a/b"} {
		dir := t.TempDir()
		if err := (state{Cgroup: cgroup}).write(dir); err != nil {
			t.Fatal(err)
		}
		if err := Down(dir); err == nil || !strings.Contains(err.Error(), "is no cgroup of a test cluster") {
			t.Errorf("cgroup %q: %v", cgroup, err)
		}
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("cgroup %q: the directory is gone", cgroup)
		}
	}
}

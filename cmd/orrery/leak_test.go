package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"orrery.dev/orrery/router"
)

// busyScenario has everything that could stay behind: four satellites in a ring
// over two stations, daemons that stay root (BIRD), daemons that do not (FRR),
// and a command that leaves its parent, its session and its process group.
//
//	ground a ── s1 ── s2
//	             │     │
//	            s4 ── s3 ── ground b
const busyScenario = `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: busy}
spec:
  epoch: 2026-01-01T00:00:00Z
  constellations:
    - name: sat
      walker:
        pattern: delta
        planes: 1
        satellitesPerPlane: 4
        phasing: 0
        inclination: 0deg
        altitude: 20000km
      links: {pattern: ring, maxRange: 60000km}
      groundPorts: 2
  stations:
    - name: ground-a
      position: {lat: 0deg, lon: 0deg}
    - name: ground-b
      position: {lat: 0deg, lon: 90deg}
  groundLinks:
    - name: user
      minElevation: 5deg
  routing:
    - %s
  commands:
    - name: runaway
      nodes: [ground-a]
      argv: [sh, -c, "setsid sleep 3600 & sleep 3600"]
`

// snapshot is what a run could leave on a host.
type snapshot struct {
	namespaces, mounts, links, processes, sockets map[string]string
}

// takeSnapshot looks at the whole host but reports, of processes and sockets,
// only what belongs to a run below root or to its namespaces: others work here too.
func takeSnapshot(t *testing.T, root string) snapshot {
	t.Helper()
	s := snapshot{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, root) {
			s.mounts[strings.Fields(line)[4]] = line
		}
	}
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		s.links[e.Name()] = e.Name()
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		cwd, _ := os.Readlink(dir + "/cwd")
		argv, _ := os.ReadFile(dir + "/cmdline")
		command := string(bytes.ReplaceAll(argv, []byte{0}, []byte{' '}))
		environment, _ := os.ReadFile(dir + "/environ")
		if strings.HasPrefix(cwd, root) || strings.Contains(command, root) || bytes.Contains(environment, []byte("ORRERY_RUNTIME_DIR="+root)) {
			s.processes[filepath.Base(dir)] = command
		}
		if ns, err := os.Readlink(dir + "/ns/net"); err == nil {
			s.namespaces[ns] = command
		}
	}
	unix, err := os.Open("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for lines := bufio.NewScanner(unix); lines.Scan(); {
		if strings.Contains(lines.Text(), root) {
			f := strings.Fields(lines.Text())
			s.sockets[f[len(f)-1]] = lines.Text()
		}
	}
	return s
}

// more is what this snapshot has beyond another. Processes, namespaces and
// sockets of the run's own only; links are the host's.
func (s snapshot) more(before snapshot, namespaces map[string]bool) []string {
	var out []string
	for what, pair := range map[string][2]map[string]string{
		"mount": {s.mounts, before.mounts}, "link": {s.links, before.links},
		"process": {s.processes, before.processes}, "socket": {s.sockets, before.sockets},
	} {
		for k, v := range pair[0] {
			if _, ok := pair[1][k]; !ok {
				out = append(out, what+" "+k+": "+v)
			}
		}
	}
	for ns, command := range s.namespaces {
		if namespaces[ns] {
			out = append(out, "namespace "+ns+" of "+command)
		}
	}
	slices.Sort(out)
	return out
}

// namespacesOf are the namespaces of a run's nodes, by the inodes of their bindings.
func namespacesOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*", "netns", "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]bool)
	for _, f := range files {
		var st syscall.Stat_t
		if err := syscall.Stat(f, &st); err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprintf("net:[%d]", st.Ino)] = true
	}
	return out
}

// run is a foreground emulator and what it says.
type foregroundRun struct {
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan error
	root string
}

func startForeground(t *testing.T, scenario string) *foregroundRun {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	// Short, and passable for daemons that drop root.
	root, err := os.MkdirTemp("", "orr")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end(t, file, filepath.Join(root, "r"))
		_ = os.RemoveAll(root)
	})
	path := filepath.Join(t.TempDir(), "busy.yaml")
	if err := os.WriteFile(path, []byte(scenario), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &foregroundRun{cmd: exec.Command(file, "up", path, "--plain"), out: new(bytes.Buffer), done: make(chan error, 1), root: filepath.Join(root, "r")}
	r.cmd.Env = append(os.Environ(), "ORRERY_RUNTIME_DIR="+r.root, "ORRERY_STATE_DIR="+filepath.Dir(r.root))
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	return r
}

func (r *foregroundRun) start(t *testing.T) {
	t.Helper()
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait() }()
}

// wait for the emulator's end.
func (r *foregroundRun) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(2 * time.Minute):
		_ = r.cmd.Process.Kill()
		t.Fatalf("the emulator does not end; it says:\n%s", <-r.text())
		return nil
	}
}

// text is what the emulator said, once it has ended.
func (r *foregroundRun) text() <-chan string {
	c := make(chan string, 1)
	go func() { <-r.done; c <- r.out.String() }()
	return c
}

// orrery runs a verb on the run.
func (r *foregroundRun) orrery(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(r.cmd.Path, args...)
	cmd.Env = r.cmd.Env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// until polls a condition for two minutes.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s", what)
		}
	}
}

// However a run ends, the host is as it was before.
func TestNothingIsLeft(t *testing.T) {
	needKernel(t)
	type ending struct {
		name string
		do   func(t *testing.T, r *foregroundRun)
	}
	signalled := func(sig syscall.Signal) func(*testing.T, *foregroundRun) {
		return func(t *testing.T, r *foregroundRun) {
			if err := r.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := r.wait(t); err != nil {
				t.Errorf("after %v: %v\n%s", sig, err, r.out)
			}
		}
	}
	endings := []ending{
		{"interrupt", signalled(syscall.SIGINT)},
		{"terminate", signalled(syscall.SIGTERM)},
		{"down", func(t *testing.T, r *foregroundRun) {
			if out, err := r.orrery(t, "down"); err != nil {
				t.Errorf("orrery down: %v\n%s", err, out)
			}
			if err := r.wait(t); err != nil {
				t.Errorf("after down: %v\n%s", err, r.out)
			}
		}},
		{"kill and down", func(t *testing.T, r *foregroundRun) {
			if err := r.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = r.wait(t) // it says that it was killed
			if out, err := r.orrery(t, "down"); err != nil || !strings.Contains(out, "its emulator was gone") {
				t.Errorf("orrery down: %v\n%s", err, out)
			}
		}},
	}
	for _, suite := range []struct{ name, routing string }{
		{router.BIRD, "protocol: ospf3\n      daemon: bird"},
		{router.FRR, "protocol: isis\n      daemon: frr"},
	} {
		t.Run(suite.name, func(t *testing.T) {
			if _, err := router.Version(t.Context(), suite.name); err != nil {
				t.Skip(err)
			}
			for _, e := range endings {
				t.Run(e.name, func(t *testing.T) {
					r := startForeground(t, fmt.Sprintf(busyScenario, suite.routing))
					before := takeSnapshot(t, r.root)
					r.start(t)
					processes := map[string]int{router.BIRD: 6, router.FRR: 12}[suite.name]
					until(t, "all up", func() bool {
						select {
						case err := <-r.done:
							t.Fatalf("up: %v\n%s", err, r.out)
						default:
						}
						// The command and its child beside the daemons and the emulator.
						return len(takeSnapshot(t, r.root).processes) >= processes+3
					})
					during := takeSnapshot(t, r.root)
					own := namespacesOf(t, r.root)
					if len(own) != 6 || len(during.more(before, own)) < processes+3+6 {
						t.Fatalf("the test sees too little of the run: %d namespaces, %v", len(own), during.more(before, own))
					}
					e.do(t, r)
					nothingLeft(t, r, before, own, maps.Keys(during.processes))
				})
			}
		})
	}
}

// A run that is interrupted while it comes up leaves nothing either, however far
// it has come.
func TestNothingIsLeftOfBringUp(t *testing.T) {
	needKernel(t)
	routing := "protocol: ospf3\n      daemon: bird"
	if _, err := router.Version(t.Context(), router.BIRD); err != nil {
		routing = "protocol: oracle"
	}
	for _, after := range []time.Duration{0, 20, 60, 120, 300} {
		t.Run(fmt.Sprint(after*time.Millisecond), func(t *testing.T) {
			r := startForeground(t, fmt.Sprintf(busyScenario, routing))
			before := takeSnapshot(t, r.root)
			r.start(t)
			time.Sleep(after * time.Millisecond)
			own := namespacesOf(t, r.root)
			if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = r.wait(t) // before it listens for signals, one ends it; later it ends as it should
			nothingLeft(t, r, before, own, nil)
		})
	}
}

func nothingLeft(t *testing.T, r *foregroundRun, before snapshot, namespaces map[string]bool, processes func(func(string) bool)) {
	t.Helper()
	// The kernel takes what was killed apart in its own time.
	var left []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if left = takeSnapshot(t, r.root).more(before, namespaces); len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("left on the host:\n%s\nthe emulator said:\n%s", strings.Join(left, "\n"), r.out)
	}
	if processes != nil {
		for pid := range processes {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n)); err == nil && !bytes.Contains(stat, []byte(") Z ")) {
				t.Errorf("process lives: %s", stat)
			}
		}
	}
	if err := filepath.WalkDir(r.root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			t.Errorf("file left: %s", path)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

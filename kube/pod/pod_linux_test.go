package pod

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/router"
)

const nodeVariable = "ORRERY_TEST_POD"

// The test's own program stands for a pod's process when it is told to.
func TestMain(m *testing.M) {
	dir := os.Getenv(nodeVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	l, err := Prepare(Options{Node: os.Getenv(NodeKey), Bundle: filepath.Join(dir, bundle.Key), Dir: filepath.Join(dir, "run")})
	if err == nil {
		err = l.Become()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

const sky = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: sky}
spec:
  constellations:
    - name: leo
      walker: {pattern: delta, planes: 2, satellitesPerPlane: 3, inclination: 53deg, altitude: 550km}
      links: {pattern: grid}
    - {name: iss, file: {path: iss.tle}}
  stations:
    - {name: oslo, position: {lat: 59.9deg, lon: 10.7deg}}
    - {name: rome, position: {lat: 41.9deg, lon: 12.5deg}}
    - {name: bonn, position: {lat: 50.7deg, lon: 7.1deg}}
  groundLinks:
    - {name: user, minElevation: 10deg}
  routing:
    - {nodes: [oslo], protocol: isis}
    - {nodes: [rome, bonn], protocol: oracle}
    - {protocol: ospf3, nice: 5}
  commands:
    - {name: hello, nodes: [bonn], argv: [sh, -c, "echo $A; exec sleep 300", sh], env: {A: "${node} ${loopback:oslo}"}}
    - {name: absent, nodes: [rome], argv: [orrery-no-such-program]}
  kubernetes: {files: sky}
`

const tle = `ISS (ZARYA)
1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927
2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537
`

// packed puts the scenario where a pod finds it.
func packed(t *testing.T) string {
	t.Helper()
	b, err := bundle.Pack([]byte(sky), map[string][]byte{"iss.tle": []byte(tle)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // FRR's user looks into it
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, bundle.Key), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPrepareRefuses(t *testing.T) {
	dir := packed(t)
	o := Options{Node: "paris", Bundle: filepath.Join(dir, bundle.Key), Dir: filepath.Join(dir, "run")}
	if _, err := Prepare(o); err == nil || !strings.Contains(err.Error(), `no node "paris"`) {
		t.Errorf("a node that is not there: %v", err)
	}
	o.Node = "rome"
	if _, err := Prepare(o); err == nil || !strings.Contains(err.Error(), "the image lacks its program") {
		t.Errorf("a program that is not there: %v", err)
	}
	o.Bundle = filepath.Join(dir, "none")
	if _, err := Prepare(o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no scenario: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(o.Dir, "scenario-*")); err != nil || left != nil {
		t.Errorf("unpacked files are left: %v, %v", left, err)
	}
}

// start runs a node's process in a network namespace of its own.
func start(t *testing.T, dir, node string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root; run the test as root")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeVariable+"="+dir, NodeKey+"="+node)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It is the first of its process namespace: all others end with it.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s", text)
		}
	})
	return cmd
}

func untilReady(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := Ready(filepath.Join(dir, "run"))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// terminate asks a pod's process to end until it does: what the first process of a
// PID namespace is sent before it handles it is lost (pid_namespaces(7)), and a daemon
// listens before it handles signals.
func terminate(cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
	}
}

// comm is the name of the program that a process is.
func comm(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// A node with one daemon becomes it, with its priority; a signal ends it.
func TestOneDaemon(t *testing.T) {
	if _, err := exec.LookPath("bird"); err != nil {
		t.Skip("there is no bird; install it with scripts/deps.sh run")
	}
	dir := packed(t)
	cmd := start(t, dir, "leo-p01s01")
	untilReady(t, dir)
	if got := comm(t, cmd.Process.Pid); got != "bird" {
		t.Errorf("the process is %q, not bird", got)
	}
	if nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, cmd.Process.Pid); err != nil || nice != 20-5 { // see getpriority(2)
		t.Errorf("its priority is %d, %v", nice, err)
	}
	if err := terminate(cmd); err != nil {
		t.Errorf("it ended with %v", err)
	}
	files, err := os.ReadDir(filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".tle") || f.IsDir() {
			t.Errorf("%s is left in memory", f.Name())
		}
	}
}

// buildInit puts orrery-init beside the test's own program.
func buildInit(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	init := filepath.Join(filepath.Dir(self), Init)
	build := exec.Command("go", "build", "-o", init, "orrery.dev/orrery/cmd/orrery-init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { os.Remove(init) })
}

// A node with several daemons becomes orrery-init, which starts again what ends.
func TestSeveralDaemons(t *testing.T) {
	if _, err := exec.LookPath("/usr/lib/frr/isisd"); err != nil || router.Usable(router.FRR) != nil {
		t.Skip("there is no FRR; install it with scripts/deps.sh run")
	}
	buildInit(t)
	dir := packed(t)
	cmd := start(t, dir, "oslo")
	untilReady(t, dir)
	if got := comm(t, cmd.Process.Pid); got != Init {
		t.Errorf("the process is %q, not %s", got, Init)
	}
	before := children(t, cmd.Process.Pid)
	if _, ok := before["zebra"]; !ok || before["isisd"] == 0 {
		t.Fatalf("its children are %v", before)
	}
	if err := syscall.Kill(before["isisd"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		now := children(t, cmd.Process.Pid)
		if now["isisd"] != 0 && now["isisd"] != before["isisd"] && now["zebra"] == before["zebra"] {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("its children were %v and are %v", before, now)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := terminate(cmd); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// children of a process by the names of their programs.
func children(t *testing.T, pid int) map[string]int {
	t.Helper()
	out := map[string]int{}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // each thread has its own
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, list := range lists {
		b, _ := os.ReadFile(list) // threads end
		all = append(all, b...)
	}
	for _, f := range strings.Fields(string(all)) {
		child := 0
		if _, err := fmt.Sscan(f, &child); err == nil {
			if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); err == nil {
				out[strings.TrimSpace(string(name))] = child
			}
		}
	}
	return out
}

// Commands get names and addresses; a node without any process sleeps.
func TestCommands(t *testing.T) {
	buildInit(t)
	dir := packed(t)
	o := Options{Node: "bonn", Bundle: filepath.Join(dir, bundle.Key), Dir: filepath.Join(dir, "run")}
	l, err := Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(l.Argv[0]) != Init || len(l.Argv) != 2 {
		t.Errorf("it becomes %q", l.Argv)
	}
	b, err := os.ReadFile(l.Argv[1])
	if err != nil || !strings.Contains(string(b), `"A=bonn fd00:`) || strings.Contains(string(b), "loopback") {
		t.Errorf("the processes are %s, %v", b, err)
	}
}

func TestNothingToRun(t *testing.T) {
	l, err := launch(nil, t.TempDir())
	if err != nil || !slices.Equal(l.Argv[1:], []string{forever}) || filepath.Base(l.Argv[0]) != "sleep" {
		t.Errorf("it becomes %q, %v", l.Argv, err)
	}
}

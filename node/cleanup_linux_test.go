package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asEmulator, in the environment, makes the test binary an emulator that is
// about to be killed.
const asEmulator = "ORRERY_TEST_EMULATOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asEmulator); dir != "" {
		emulate(dir)
	}
	os.Exit(m.Run())
}

// emulate makes nodes and processes and then waits for its end.
func emulate(dir string) {
	ctx := context.Background()
	l, err := NewLinux(Config{RunDir: dir})
	if err == nil {
		err = l.Create(ctx, specs(4, 2))
	}
	for i, script := range []string{"sleep 1000", "trap '' TERM; while :; do sleep 0.05; done", "setsid -f sleep 1000; sleep 1000"} {
		if err == nil {
			err = l.Start(ctx, fmt.Sprintf("n%d", i), Process{Name: "p", Argv: []string{"sh", "-c", script}})
		}
		if err == nil {
			err = l.Start(ctx, fmt.Sprintf("n%d", i), Process{Name: "private", Argv: []string{"sh", "-c", script}, Private: true})
		}
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready", err)
	select {}
}

// residents are the processes in the namespaces of a run.
func residents(dir string) []processID {
	inodes := map[uint64]bool{}
	names, _ := os.ReadDir(filepath.Join(dir, namespaceDir))
	for _, n := range names {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(dir, namespaceDir, n.Name()), &st) == nil {
			inodes[st.Ino] = true
		}
	}
	return inhabitants(inodes)
}

func TestCleanupAfterSIGKILL(t *testing.T) {
	needLinux(t)
	t.Run("journal", func(t *testing.T) { cleanupAfterSIGKILL(t, false) })
	// What runs in the run's namespaces is found without one, too.
	t.Run("no journal", func(t *testing.T) { cleanupAfterSIGKILL(t, true) })
}

func cleanupAfterSIGKILL(t *testing.T, journalLost bool) {
	dir := filepath.Join(t.TempDir(), "run")
	emulator := exec.Command(os.Args[0])
	emulator.Env = append(os.Environ(), asEmulator+"="+dir)
	emulator.Stderr = os.Stderr
	out, err := emulator.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := emulator.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "ready <nil>\n" {
		t.Fatalf("the emulator says %q", line)
	}

	// While it lives nobody else may touch its run.
	if err := Cleanup(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("cleaning up a living run: %v", err)
	}
	if err := Preflight(Config{RunDir: dir}, specs(1, 1)); !errors.Is(err, ErrInUse) {
		t.Errorf("preflight in a living run: %v", err)
	}
	before := residents(dir)
	if len(before) < 4 {
		t.Fatalf("%d processes run in the nodes", len(before))
	}
	if err := emulator.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = emulator.Wait()

	if len(traces(t, dir)) == 0 {
		t.Error("killed, and nothing is left: the test shows nothing")
	}
	if err := Preflight(Config{RunDir: dir}, specs(1, 1)); !errors.Is(err, ErrLeftOver) {
		t.Errorf("preflight after the kill: %v", err)
	}
	if journalLost {
		if err := os.Remove(filepath.Join(dir, journalFile)); err != nil {
			t.Fatal(err)
		}
		if !Remains(dir) {
			t.Error("nodes remain, and are not seen without a journal")
		}
	}
	for range 2 {
		if err := Cleanup(dir); err != nil {
			t.Fatal(err)
		}
	}
	if left := traces(t, dir); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	// One that is dying has left its namespace before it is gone.
	for deadline := time.Now().Add(20 * time.Second); slices.ContainsFunc(before, processID.alive); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of %v some live", before)
		}
	}
	if err := Preflight(Config{RunDir: dir}, specs(1, 1)); err != nil {
		t.Errorf("preflight after the clean-up: %v", err)
	}
}

// A kill may come at any moment of Create: whatever there is, is found.
func TestCleanupAfterKillHalfWay(t *testing.T) {
	needLinux(t)
	for i := range 6 {
		dir := filepath.Join(t.TempDir(), "run")
		emulator := exec.Command(os.Args[0])
		emulator.Env = append(os.Environ(), asEmulator+"="+dir)
		if err := emulator.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 12 * time.Millisecond)
		_ = emulator.Process.Kill()
		_ = emulator.Wait()
		if err := Cleanup(dir); err != nil {
			t.Error(err)
		}
		if left := traces(t, dir); len(left) > 0 {
			t.Errorf("killed in step %d, left behind:\n%s", i, strings.Join(left, "\n"))
		}
	}
}

func TestPreflight(t *testing.T) {
	needLinux(t)
	cfg := Config{RunDir: filepath.Join(t.TempDir(), "run")}
	change := func(f func(*Spec)) []Spec {
		list := specs(2, 2)
		f(&list[1])
		return list
	}
	for name, c := range map[string]struct {
		list []Spec
		want error
	}{
		"fine":            {specs(2, 2), nil},
		"same name":       {change(func(s *Spec) { s.Name = "n0" }), ErrSpec},
		"no name":         {change(func(s *Spec) { s.Name = "" }), ErrSpec},
		"slash":           {change(func(s *Spec) { s.Name = "../n0" }), ErrSpec},
		"long port":       {change(func(s *Spec) { s.Ports[0].Name = "sixteen-bytes-it" }), ErrSpec},
		"same port":       {change(func(s *Spec) { s.Ports[0].Name = s.Ports[1].Name }), ErrSpec},
		"loopback's name": {change(func(s *Spec) { s.Ports[0].Name = "lo" }), ErrSpec},
		"small MTU":       {change(func(s *Spec) { s.Ports[0].MTU = 576 }), ErrSpec},
	} {
		if err := Preflight(cfg, c.list); !errors.Is(err, c.want) || strings.Contains(fmt.Sprint(err), "\n") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := os.Stat(cfg.RunDir); err == nil {
		t.Error("a preflight made the run directory")
	}
}

// In a process of its own, whose limit of open files is lowered for good.
func TestPreflightCountsDescriptors(t *testing.T) {
	needLinux(t)
	const key = "ORRERY_TEST_LIMIT"
	if os.Getenv(key) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestPreflightCountsDescriptors$")
		c.Env = append(os.Environ(), key+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	// Without CAP_SYS_RESOURCE, so that the limit cannot be raised again.
	lower := unix.Rlimit{Cur: 500, Max: 500}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	cfg := Config{RunDir: filepath.Join(t.TempDir(), "run")}
	if err := Preflight(cfg, specs(10, 2)); err != nil {
		t.Errorf("30 descriptors of 500: %v", err)
	}
	have, err := effective()
	if err != nil {
		t.Fatal(err)
	}
	if have&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		t.Skip("CAP_SYS_RESOURCE lets the limit be raised")
	}
	if err := Preflight(cfg, specs(100, 5)); !errors.Is(err, ErrDescriptors) || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("600 descriptors of 500: %v", err)
	}
}

package thread

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownGroup is the directory of the test's own group, by a mount of the test's own.
func ownGroup(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: control groups are made")
	}
	options, err := hierarchy()
	if err != nil {
		t.Skip(err)
	}
	root, err := mount(options)
	if err != nil {
		t.Skipf("control groups cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = root.Close() })
	dir := filepath.Join(fmt.Sprintf("/proc/self/fd/%d", root.Fd()), groupOf(t, "self"))
	if have, err := microseconds(dir, runtimeFile); err != nil || have == 0 {
		t.Skipf("the test's own control group %s has no real-time: %v", groupOf(t, "self"), err)
	}
	return dir
}

// groupOf is a process's or thread's group in the hierarchy of the CPUs.
func groupOf(t *testing.T, process string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + process + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); strings.Contains(","+f[1]+",", ",cpu,") {
			return f[2]
		}
	}
	t.Fatalf("%s is in no group of the CPUs", process)
	return ""
}

// A thread below a group without real-time gets it by going into another, alone; what it
// forks goes with it; and nothing is left.
//
//	the test's own ── orrery-test ─┬─ pods ── container    no real-time
//	                               ├─ taken                a third
//	                               └─ rt                   the rest, but for a twentieth
func TestGroup(t *testing.T) {
	outer := filepath.Join(ownGroup(t), fmt.Sprintf("orrery-test-%d", os.Getpid()))
	container := filepath.Join(outer, "pods", "container")
	taken := filepath.Join(outer, "taken")
	for _, dir := range []string{container, taken} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, dir := range []string{taken, container, filepath.Dir(container), outer} {
			if err := unix.Rmdir(dir); err != nil {
				t.Errorf("rmdir %s: %v", dir, err)
			}
		}
	})
	if err := os.WriteFile(filepath.Join(outer, runtimeFile), []byte("300000"), 0); err != nil {
		t.Skipf("the test's own control group has no real-time to spare: %v", err)
	}
	if err := os.WriteFile(filepath.Join(taken, runtimeFile), []byte("100000"), 0); err != nil {
		t.Fatal(err)
	}
	inContainer := func(f func() error) {
		t.Helper()
		ended := make(chan int, 1)
		err := Do(func() error {
			ended <- unix.Gettid()
			if err := os.WriteFile(filepath.Join(container, "tasks"), []byte("0"), 0); err != nil {
				return err
			}
			return f()
		})
		if err != nil {
			t.Error(err)
		}
		for id := <-ended; unix.Tgkill(unix.Getpid(), id, 0) == nil; {
			runtime.Gosched() // until the thread has left its group
		}
	}
	inContainer(func() error {
		if RealTime() {
			return errors.New("a thread has real-time in a group that has none")
		}
		return nil
	})
	g, err := NewGroup(outer, "rt")
	if err != nil {
		t.Fatal(err)
	}
	if g.Runtime > 200*time.Millisecond || g.Runtime < 150*time.Millisecond || g.Period != time.Second {
		t.Errorf("the group has %v of %v; want what is left of 200 ms", g.Runtime, g.Period)
	}
	second, err := NewGroup(outer, "rt")
	if err != nil || second.Runtime != g.Runtime {
		t.Fatalf("the same again has %+v, %v", second, err)
	}
	g.Use()
	here := groupOf(t, "self")
	inContainer(func() error {
		if !RealTime() {
			return errors.New("no real-time for a thread with a group in use")
		}
		if got := groupOf(t, "thread-self"); filepath.Base(got) != "rt" {
			return fmt.Errorf("the thread is in group %s", got)
		}
		return nil
	})
	inContainer(func() error {
		if !RealTimeForks() {
			return errors.New("no real-time for a thread that forks")
		}
		sleep := exec.Command("sleep", "60")
		if err := sleep.Start(); err != nil {
			return err
		}
		got := groupOf(t, fmt.Sprint(sleep.Process.Pid))
		attr, err := unix.SchedGetAttr(sleep.Process.Pid, 0)
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
		if err != nil || filepath.Base(got) != "rt" || attr.Policy != unix.SCHED_FIFO {
			return fmt.Errorf("what it forks is in group %s with policy %d, %w", got, attr.Policy, err)
		}
		return nil
	})
	if now := groupOf(t, "self"); now != here {
		t.Errorf("the process was in group %s, and is in %s", here, now)
	}
	if err := errors.Join(g.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(outer, "rt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group is there after the end: %v", err)
	}
	inContainer(func() error {
		if RealTime() {
			return errors.New("a group that is closed is used")
		}
		return nil
	})
	// Nothing is left to be had.
	if err := os.WriteFile(filepath.Join(taken, runtimeFile), []byte("300000"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := NewGroup(outer, "rt"); err == nil || !strings.Contains(err.Error(), "other control groups have all") {
		t.Errorf("a group where there is no room: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outer, "rt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a group without real-time is left: %v", err)
	}
}

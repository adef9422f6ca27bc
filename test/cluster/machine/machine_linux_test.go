package machine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain is also the machine's program.
func TestMain(m *testing.M) {
	if os.Getpid() == 1 {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

func start(t *testing.T) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("machines need root, for their namespaces; run the test as root")
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		t.Skip("there is no nsenter, which is in Debian's package util-linux; install it")
	}
	m, err := Start("/proc/self/exe", Spec{Name: "m1", Dir: t.TempDir(), Shown: map[string]string{"/proc/sys/vm/overcommit_memory": "shown\n"}})
	if err != nil {
		if strings.Contains(err.Error(), "mount overlay") {
			t.Skipf("a machine needs an overlay over /etc, which this directory or kernel cannot have: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A machine has its own files, name, processes and settings, and the host keeps
// its own.
func TestPrivate(t *testing.T) {
	m := start(t)
	before, err := os.ReadFile("/proc/sys/kernel/panic")
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Command(context.Background(), "sh", "-c", `
hostname
echo $(ls -d /proc/[0-9]* | wc -l) processes
for f in /run/a /var/lib/a /var/log/a /opt/a /etc/orrery-test-a; do echo $f >$f || exit 1; done
echo 7 >/proc/sys/kernel/panic || echo protected
echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward
head -1 /etc/passwd
cat /proc/sys/vm/overcommit_memory
`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"m1\n", "protected\n", "\n1\n", "root:", "shown\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	for _, file := range []string{"/run/a", "/var/lib/a", "/var/log/a", "/opt/a", "/etc/orrery-test-a"} {
		if text, err := os.ReadFile(Path(m.Spec.Dir, file)); err != nil || strings.TrimSpace(string(text)) != file {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	if _, err := os.Stat("/etc/orrery-test-a"); err == nil {
		t.Error("the host's /etc has a file of the machine")
	}
	if after, err := os.ReadFile("/proc/sys/kernel/panic"); err != nil || string(after) != string(before) {
		t.Errorf("the host's setting was %q and is %q, %v", before, after, err)
	}
}

// Processes run with their output in a file, their end is told, and orphans are
// reaped.
func TestProcesses(t *testing.T) {
	m := start(t)
	log := filepath.Join(t.TempDir(), "log")
	if err := m.Run(Process{Name: "a", Args: []string{"/bin/sh", "-c", "(exit 0 & exit 0) & echo $X; exit 3"}, Env: []string{"X=out"}, Log: log}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a has ended", func() bool { return m.Ended()["a"] != "" })
	if got := m.Ended()["a"]; got != "ended with code 3" {
		t.Errorf("a %s", got)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != "out\n" {
		t.Errorf("log %q, %v", text, err)
	}
	if err := m.Run(Process{Name: "b", Args: []string{"/bin/sh", "-c", "kill -9 $$"}, Log: log}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has ended", func() bool { return m.Ended()["b"] == "was ended by signal 9 (killed)" })
	if err := m.Run(Process{Name: "c", Args: []string{"/nonexistent"}, Log: log}); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("a program that is not there: %v", err)
	}
	eventually(t, "no zombie is left", func() bool {
		out, err := m.Command(context.Background(), "sh", "-c", "cat /proc/[0-9]*/status").Output()
		return err == nil && !strings.Contains(string(out), "Z (zombie)")
	})
}

// Everything on a machine ends with it, whatever it does to stay.
func TestEnd(t *testing.T) {
	m := start(t)
	const stubborn = `trap "" TERM INT HUP; setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' & while :; do sleep 1000; done`
	if err := m.Run(Process{Name: "a", Args: []string{"/bin/sh", "-c", stubborn}, Log: filepath.Join(t.TempDir(), "log")}); err != nil {
		t.Fatal(err)
	}
	var ids []ID
	eventually(t, "four processes run", func() bool {
		ids = nil
		namespace, err := os.Readlink("/proc/" + strconv.Itoa(m.ID.PID) + "/ns/pid")
		if err != nil {
			return false
		}
		all, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return false
		}
		for _, dir := range all {
			if at, err := os.Readlink(dir + "/ns/pid"); err == nil && at == namespace {
				if id, err := identify(filepath.Base(dir)); err == nil {
					ids = append(ids, id)
				}
			}
		}
		return len(ids) >= 5
	})
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if id.Alive() {
			t.Errorf("process %d still runs", id.PID)
		}
	}
	if err := m.Kill(); err != nil {
		t.Errorf("ended again: %v", err)
	}
	if err := m.Run(Process{Name: "b", Args: []string{"/bin/true"}}); err == nil {
		t.Error("a machine that ended runs something")
	}
}

// A number that was given to another process is no identity.
func TestID(t *testing.T) {
	self, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.Alive() {
		t.Error("this process does not run")
	}
	other := ID{PID: self.PID, Start: self.Start + 1}
	if other.Alive() {
		t.Error("an earlier process of the same number runs")
	}
	if err := other.Kill(); err != nil {
		t.Errorf("ending an earlier process: %v", err)
	}
	if (ID{}).Alive() || (ID{}).Kill() != nil {
		t.Error("no process is taken for one")
	}
}

func TestPath(t *testing.T) {
	for path, want := range map[string]string{
		"/run/x/y": "/d/run/x/y", "/var/lib/x": "/d/var-lib/x", "/etc/cni/net.d": "/d/etc/cni/net.d", "/usr/x": "/usr/x", "/runner": "/runner",
	} {
		if got := Path("/d", path); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
}

func identify(number string) (ID, error) {
	pid, err := strconv.Atoi(number)
	if err != nil {
		return ID{}, err
	}
	return Identify(pid)
}

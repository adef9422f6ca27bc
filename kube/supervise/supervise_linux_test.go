package supervise

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const childVariable = "ORRERY_TEST_SUPERVISE"

// The test's own program supervises when it is told to, since Run takes in all
// children of its process.
func TestMain(m *testing.M) {
	file := os.Getenv(childVariable)
	if file == "" {
		os.Exit(m.Run())
	}
	list, err := Read(file)
	if err != nil {
		println(err.Error())
		os.Exit(2)
	}
	os.Exit(Main(list))
}

// supervise runs a list of processes in a process of its own.
func supervise(t *testing.T, list []Process) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "list")
	if err := Write(file, list); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it ends its children
		_ = cmd.Wait()
	})
	return cmd
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// count is how many lines a file has.
func count(file string) int {
	b, _ := os.ReadFile(file)
	return strings.Count(string(b), "\n")
}

func shell(name, script, restart string) Process {
	return Process{Name: name, Argv: []string{"/bin/sh", "-c", script}, Restart: restart}
}

// What ends is started again as its policy says.
func TestPolicies(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	cmd := supervise(t, []Process{
		shell("always", "echo >> "+at("always"), Always),
		shell("fails", "echo >> "+at("fails")+"; exit 3", OnFailure),
		shell("well", "echo >> "+at("well"), OnFailure),
		shell("once", "echo >> "+at("once")+"; exit 3", Never),
		{Name: "absent", Argv: []string{at("absent")}, Restart: Never},
	})
	until(t, "two have been started three times", func() bool { return count(at("always")) >= 3 && count(at("fails")) >= 3 })
	if count(at("well")) != 1 || count(at("once")) != 1 {
		t.Errorf("the others were started %d and %d times", count(at("well")), count(at("once")))
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after a signal it ended with %v", err)
	}
}

// When there is nothing left to run, the end says whether all could be started.
func TestEnd(t *testing.T) {
	if err := supervise(t, []Process{shell("a", "exit 0", Never), shell("b", "exit 1", Never)}).Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if err := supervise(t, []Process{{Name: "absent", Argv: []string{"/absent"}, Restart: Never}}).Wait(); err == nil {
		t.Error("a program that is not there is no failure")
	}
}

// A process that is to come after another waits for its socket.
func TestAfter(t *testing.T) {
	dir := t.TempDir()
	socket, file := filepath.Join(dir, "socket"), filepath.Join(dir, "second")
	supervise(t, []Process{
		{Name: "first", Argv: []string{"/bin/sleep", "300"}, Socket: socket, Restart: Always},
		{Name: "second", Argv: []string{"/bin/sh", "-c", "echo >> " + file + "; exec sleep 300"}, After: "first", Restart: Always},
		shell("third", "echo >> "+filepath.Join(dir, "third")+"; exec sleep 300", Always),
	})
	until(t, "the third runs", func() bool { return count(filepath.Join(dir, "third")) == 1 })
	if count(file) != 0 {
		t.Error("the second runs although nothing listens yet")
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	until(t, "the second runs", func() bool { return count(file) == 1 })
}

// A signal reaches also what a process has started.
func TestSignal(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "told")
	ready := filepath.Join(dir, "ready")
	cmd := supervise(t, []Process{shell("a", "(trap 'echo >> "+file+"; exit' TERM; echo >> "+ready+"; while :; do sleep 0.05; done) & trap 'wait; exit' TERM; wait", Always)})
	until(t, "the grandchild runs", func() bool { return count(ready) == 1 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if count(file) != 1 {
		t.Error("the grandchild was not told")
	}
}

func TestReadRefuses(t *testing.T) {
	for want, list := range map[string][]Process{
		"no program":         {{Name: "a"}},
		"there twice":        {{Name: "a", Argv: []string{"x"}}, {Name: "a", Argv: []string{"x"}}},
		"to come after":      {{Name: "a", Argv: []string{"x"}, After: "b"}},
		"there are no proce": {},
	} {
		file := filepath.Join(t.TempDir(), "list")
		if err := Write(file, list); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

package userns

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the test binary does when it is started as the program.
const (
	taskKey = "ORRERY_TEST_TASK"
	waitFor = 20 * time.Second
)

func TestMain(m *testing.M) {
	Init()
	switch task := os.Getenv(taskKey); {
	case task == "":
		os.Exit(m.Run())
	case Inside():
		os.Exit(program(task))
	default:
		// The user's process, as a main function has it.
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		code, err := Run(ctx, Options{Args: os.Args[1:], Env: []string{"EXTRA=given"}, Squash: []string{"daemon"}})
		stop()
		if err != nil {
			fmt.Println(err)
			code = 99
		}
		os.Exit(code)
	}
}

// program is what runs in the namespaces.
func program(task string) int {
	switch task {
	case "look":
		uidMap, _ := os.ReadFile("/proc/self/uid_map")
		passwd, _ := os.ReadFile("/etc/passwd")
		daemon := ""
		for line := range strings.Lines(string(passwd)) {
			if strings.HasPrefix(line, "daemon:") {
				daemon = strings.Join(strings.Split(line, ":")[:4], ":")
			}
		}
		fmt.Println(os.Getpid(), os.Getppid(), os.Geteuid(), strings.Fields(string(uidMap)), daemon, os.Getenv("EXTRA"), os.Args[1:], os.Getenv(squashKey) == "")
		if err := syscall.Sethostname(nil); err == nil {
			fmt.Println("it may change the host's name")
		}
	case "code":
		return 42
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "orphans":
		// Each sh dies before its child does; the first process takes the children.
		for range 5 {
			if err := exec.Command("sh", "-c", "sleep 0.05 & exit").Run(); err != nil {
				fmt.Println(err)
			}
		}
		for deadline := time.Now().Add(waitFor); ; time.Sleep(10 * time.Millisecond) {
			out, _ := exec.Command("sh", "-c", "cat /proc/[0-9]*/stat").Output()
			if !bytes.Contains(out, []byte("(sleep)")) {
				return 0
			}
			if time.Now().After(deadline) {
				fmt.Printf("%s", out)
				return 1
			}
		}
	case "wait":
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		// One that does not end with its parent.
		if err := exec.Command("setsid", "-f", "sleep", "1234").Run(); err != nil {
			fmt.Println(err)
		}
		fmt.Println("ready")
		<-asked
		return 7
	}
	return 0
}

// start starts the user's process for a task.
func start(t *testing.T, task string) (cmd *exec.Cmd, out *bufio.Reader) {
	t.Helper()
	if err := Available(t.Context()); err != nil {
		t.Skip(err)
	}
	cmd = exec.Command(os.Args[0], "an", "argument")
	cmd.Env = append(os.Environ(), taskKey+"="+task)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewReader(pipe)
}

// exitCode waits for the end.
func exitCode(t *testing.T, cmd *exec.Cmd, out io.Reader) (int, string) {
	t.Helper()
	said, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), string(said)
}

func TestProgramIsRootInside(t *testing.T) {
	cmd, out := start(t, "look")
	code, said := exitCode(t, cmd, out)
	fields := strings.SplitN(strings.TrimSpace(said), " ", 3)
	want := fmt.Sprintf("0 [0 %d 1] daemon:x:0:0 given [an argument] true", os.Geteuid())
	if b, err := os.ReadFile("/etc/passwd"); err != nil || !bytes.Contains(b, []byte("\ndaemon:x:")) {
		want = strings.Replace(want, "daemon:x:0:0", "", 1)
	}
	if code != 0 || len(fields) != 3 || fields[1] != "1" || fields[0] == "1" || fields[2] != want {
		t.Errorf("exit code %d; it says %q, want a process below the first one and %q", code, said, want)
	}
}

func TestExitCodes(t *testing.T) {
	for task, want := range map[string]int{"code": 42, "die": 128 + int(syscall.SIGKILL), "orphans": 0} {
		cmd, out := start(t, task)
		if code, said := exitCode(t, cmd, out); code != want {
			t.Errorf("%s: exit code %d, want %d; it says %q", task, code, want, said)
		}
	}
}

// What ends the user's process ends the program: asked, it is asked too; killed,
// the kernel ends all that is in the namespaces.
func TestEndIsPassedOn(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGTERM: 7, syscall.SIGKILL: -1} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, out := start(t, "wait")
			if line, err := out.ReadString('\n'); line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			// The pipe ends when the last process that holds it does, the one that
			// has left its parent among them.
			ended := make(chan int, 1)
			go func() {
				code, _ := exitCode(t, cmd, out)
				ended <- code
			}()
			select {
			case code := <-ended:
				if code != want {
					t.Errorf("exit code %d, want %d", code, want)
				}
			case <-time.After(waitFor):
				t.Error("some process lives on")
			}
		})
	}
}

func TestInsideIsNotOutside(t *testing.T) {
	if Inside() {
		t.Error("this process was not started by Run")
	}
}

// What the kernel refuses is told with what to do about it.
func TestRemedy(t *testing.T) {
	for _, c := range []struct{ sysctl, value, want string }{
		{"user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"},
		{"kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor"},
		{"kernel/apparmor_restrict_unprivileged_userns", "0", "containers"},
		{"user/max_user_namespaces", "96365", "containers"},
	} {
		got := remedy(func(path string) string {
			if path == c.sysctl {
				return c.value
			}
			return ""
		})
		if !strings.Contains(got, c.want) {
			t.Errorf("%s is %s: %q, want %q", c.sysctl, c.value, got, c.want)
		}
	}
	err := explain(syscall.EPERM)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.EPERM) || !strings.HasPrefix(err.Error(), "run as root, or ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// status waits until a process is as it should be.
func status(t *testing.T, l *Linux, name string, good func(ProcessStatus) bool) ProcessStatus {
	t.Helper()
	var s ProcessStatus
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, s = range l.Processes() {
			if s.Name == name && good(s) {
				return s
			}
		}
	}
	t.Fatalf("process %s: %+v", name, l.Processes())
	return s
}

func is(state ProcessState) func(ProcessStatus) bool {
	return func(s ProcessStatus) bool { return s.State == state }
}

func TestSupervision(t *testing.T) {
	l := start(t, specs(1, 1))
	ctx := context.Background()
	run := func(p Process) error { return l.Start(ctx, "n0", p) }
	sh := func(name, script string, r RestartPolicy) Process {
		return Process{Name: name, Argv: []string{"sh", "-c", script}, Restart: r, Env: []string{"GREETING=hello"}}
	}

	t.Run("crash", func(t *testing.T) {
		if err := run(sh("crash", "echo last words >&2; exit 3", Never)); err != nil {
			t.Fatal(err)
		}
		if s := status(t, l, "crash", is(Failed)); s.Reason != "exit status 3: last words" || s.Restarts != 0 || s.PID != 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("signal", func(t *testing.T) {
		if err := run(sh("signal", "kill -SEGV $$", OnFailure)); err != nil {
			t.Fatal(err)
		}
		s := status(t, l, "signal", func(s ProcessStatus) bool { return s.Restarts >= 2 })
		if !strings.HasPrefix(s.Reason, "killed by SIGSEGV") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("end", func(t *testing.T) {
		if err := run(sh("end", "echo $GREETING from $(hostname) $ORRERY_NODE in $PWD", OnFailure)); err != nil {
			t.Fatal(err)
		}
		s := status(t, l, "end", is(Exited))
		b, err := os.ReadFile(s.Log)
		if want := fmt.Sprintf("hello from n0 n0 in %s\n", l.Dir("n0")); err != nil || string(b) != want {
			t.Errorf("log is %q, %v, want %q", b, err, want)
		}
		if err := run(sh("end", "exit 0", Never)); err != nil {
			t.Errorf("the name of an ended process: %v", err)
		}
	})
	t.Run("always", func(t *testing.T) {
		if err := run(sh("always", "exit 0", Always)); err != nil {
			t.Fatal(err)
		}
		status(t, l, "always", func(s ProcessStatus) bool { return s.Restarts >= 2 })
		if err := l.Stop(ctx, "n0", "always"); err != nil {
			t.Fatal(err)
		}
		for _, s := range l.Processes() {
			if s.Name == "always" {
				t.Errorf("stopped and still listed: %+v", s)
			}
		}
		if err := l.Stop(ctx, "n0", "always"); err == nil {
			t.Error("stopped twice")
		}
	})
	t.Run("twice", func(t *testing.T) {
		if err := run(sh("twice", "sleep 1000", Never)); err != nil {
			t.Fatal(err)
		}
		if err := run(sh("twice", "sleep 1000", Never)); err == nil {
			t.Error("two processes of one name")
		}
		s := status(t, l, "twice", is(Running))
		if err := unix.Kill(s.PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if s := status(t, l, "twice", is(Failed)); s.Reason != "killed by SIGKILL" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("stubborn", func(t *testing.T) {
		if err := run(sh("stubborn", "trap '' TERM; sleep 1000 & while :; do sleep 0.05; done", Always)); err != nil {
			t.Fatal(err)
		}
		s := status(t, l, "stubborn", is(Running))
		if err := l.Stop(ctx, "n0", "stubborn"); err != nil {
			t.Fatal(err)
		}
		// Orphans are zombies until init has taken them.
		for deadline := time.Now().Add(5 * time.Second); unix.Kill(-s.PID, 0) == nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("some of its group live")
			}
		}
	})
	t.Run("missing", func(t *testing.T) {
		if err := run(Process{Name: "missing", Argv: []string{"no-such-program"}}); err == nil || !strings.Contains(err.Error(), "not found in") {
			t.Errorf("error %v", err)
		}
		status(t, l, "missing", is(Failed))
	})
	t.Run("order", func(t *testing.T) {
		ready := make(chan struct{})
		second := sh("second", "sleep 1000", Never)
		second.After = "first"
		if err := run(second); err != nil {
			t.Fatal(err)
		}
		first := sh("first", "sleep 1000", Never)
		first.Ready = func(context.Context) error {
			select {
			case <-ready:
				return nil
			default:
				return errors.New("not yet")
			}
		}
		if err := run(first); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if s := status(t, l, "second", is(Starting)); s.PID != 0 {
			t.Errorf("it runs before the other is up: %+v", s)
		}
		close(ready)
		status(t, l, "second", is(Running))
	})
}

func TestNeverReady(t *testing.T) {
	needLinux(t)
	l, err := NewLinux(Config{RunDir: filepath.Join(t.TempDir(), "run"), ReadyWithin: time.Second, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Create(context.Background(), specs(1, 0)); err != nil {
		t.Fatal(err)
	}
	defer l.Destroy(context.Background())
	p := Process{Name: "p", Argv: []string{"sleep", "1000"}, Ready: func(context.Context) error { return errors.New("socket is silent") }}
	if err := l.Start(context.Background(), "n0", p); err != nil {
		t.Fatal(err)
	}
	pid := status(t, l, "p", is(Starting)).PID
	if s := status(t, l, "p", is(Failed)); s.Reason != "not ready within 1s: socket is silent" {
		t.Errorf("%+v", s)
	}
	if unix.Kill(pid, 0) == nil {
		t.Error("the process lives on")
	}
}

func TestExec(t *testing.T) {
	l := start(t, specs(2, 1))
	for _, c := range []struct {
		argv     []string
		in       string
		code     int
		out, err string // what the output begins with, what the error contains
	}{
		{argv: []string{"true"}},
		{argv: []string{"sh", "-c", "exit 42"}, code: 42},
		{argv: []string{"sh", "-c", "kill -KILL $$"}, code: 137},
		{argv: []string{"no-such-program"}, code: 127, err: "not found"},
		{argv: []string{"/no/such/program"}, code: 127, err: "no such file"},
		{argv: []string{"/etc/passwd"}, code: 126, err: "permission denied"},
		{argv: nil, code: 127, err: "no command"},
		{argv: []string{"cat"}, in: "text", out: "text"},
		{argv: []string{"hostname"}, out: "n1\n"},
		{argv: []string{"sh", "-c", "sleep 1000 & echo early"}, out: "early\n"}, // output stays open
		{argv: []string{"ip", "-br", "link", "show", "isl0"}, out: "isl0 "},
	} {
		var out, errs bytes.Buffer
		stdio := Stdio{Out: &out, Err: &errs}
		if c.in != "" {
			stdio.In = strings.NewReader(c.in)
		}
		code, err := l.Exec(context.Background(), "n1", c.argv, stdio)
		if code != c.code || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(out.String(), c.out) {
			t.Errorf("%q: exit code %d, error %v, output %q, %q", c.argv, code, err, out.String(), errs.String())
		}
	}
	if code, err := l.Exec(context.Background(), "none", []string{"true"}, Stdio{}); code != 126 || err == nil {
		t.Errorf("in a node that is not there: %d, %v", code, err)
	}
	// Much output comes whole.
	var n counter
	if code, err := l.Exec(context.Background(), "n0", []string{"head", "-c", "10000000", "/dev/zero"}, Stdio{Out: &n}); code != 0 || err != nil || n != 10000000 {
		t.Errorf("%d bytes, exit code %d, %v", n, code, err)
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func TestExecIsCancelled(t *testing.T) {
	l := start(t, specs(1, 0))
	for script, want := range map[string]int{
		"echo ready; exec sleep 1000":                                  128 + int(unix.SIGTERM),
		"trap '' TERM; echo ready; while :; do sleep 0.05; done":       128 + int(unix.SIGKILL),
		"trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done": 5,
	} {
		ctx, cancel := context.WithCancel(context.Background())
		out := new(lockedBuffer)
		go func() {
			for out.String() == "" {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		code, err := l.Exec(ctx, "n0", []string{"sh", "-c", script}, Stdio{Out: out})
		if code != want || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: exit code %d, want %d; %v", script, code, want, err)
		}
		cancel()
	}
}

// lockedBuffer can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestTerminal(t *testing.T) {
	l := start(t, specs(1, 0))
	in, keys := io.Pipe()
	sizes := make(chan WindowSize, 1)
	sizes <- WindowSize{Columns: 132, Rows: 43}
	var out lockedBuffer
	done := make(chan struct{})
	var code int
	var err error
	go func() {
		defer close(done)
		code, err = l.Exec(context.Background(), "n0", []string{"sh", "-c", `tty; stty size; until [ "$(stty size)" = "24 80" ]; do sleep 0.02; done; read line; echo "got $line"; stty size; exit 7`},
			Stdio{In: in, Out: &out, Terminal: true, Resize: sizes})
	}()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "43 132"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no first size in %q", out.String())
		}
	}
	sizes <- WindowSize{Columns: 80, Rows: 24}
	if _, err := io.WriteString(keys, "word\n"); err != nil {
		t.Fatal(err)
	}
	<-done
	keys.Close()
	text := strings.ReplaceAll(out.String(), "\r", "")
	if code != 7 || err != nil || !strings.HasPrefix(text, "/dev/pts/") || !strings.Contains(text, "43 132\n") || !strings.Contains(text, "got word\n24 80\n") {
		t.Errorf("exit code %d, %v, output %q", code, err, text)
	}
}

// Who is killed cannot say goodbye, is not started again, and can be started anew.
func TestKill(t *testing.T) {
	l := start(t, specs(1, 1))
	ctx := context.Background()
	goodbye := filepath.Join(l.Dir("n0"), "goodbye")
	p := Process{Name: "polite", Argv: []string{"sh", "-c", "trap 'echo > " + goodbye + "; exit' TERM; touch ready; while :; do sleep 0.01; done"}, Restart: Always,
		Ready: func(context.Context) error { _, err := os.Stat(filepath.Join(l.Dir("n0"), "ready")); return err }}
	for range 2 {
		if err := l.Start(ctx, "n0", p); err != nil {
			t.Fatal(err)
		}
		pid := status(t, l, "polite", is(Running)).PID
		if err := l.Kill(ctx, "n0", "polite"); err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("process %d: %v", pid, err)
		}
		if list := l.Processes(); len(list) != 0 {
			t.Errorf("it is listed: %+v", list)
		}
		if _, err := os.Stat(goodbye); err == nil {
			t.Error("it was asked to end")
		}
	}
	if err := l.Kill(ctx, "n0", "polite"); err == nil {
		t.Error("killed twice")
	}
}

package node

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// privately makes nodes whose commands are private, and a directory of the
// host's /tmp that they are shown.
func privately(t *testing.T, n int) (l *Linux, shown string) {
	t.Helper()
	needLinux(t)
	shown = t.TempDir()
	l, err := NewLinux(Config{RunDir: filepath.Join(t.TempDir(), "run"), Grace: time.Second, Shown: []string{shown}})
	if err != nil {
		t.Fatal(err)
	}
	list := specs(n, 1)
	for i := range list {
		list[i].Private = true
	}
	if err := l.Create(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l, shown
}

// in runs a script in a node and returns its output, whatever its exit code.
func in(t *testing.T, l *Linux, node, script string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := l.Exec(t.Context(), node, []string{"sh", "-c", "exec 2>&1; " + script}, Stdio{Out: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

const commands = `cat /proc/[0-9]*/cmdline | tr '\0' ' '`

// A node's private commands see each other and nothing of another node:
//
//	n0: sleep 1001, exec      n1: sleep 1002, exec
func TestPrivateView(t *testing.T) {
	l, shown := privately(t, 2)
	for node, seconds := range map[string]string{"n0": "1001", "n1": "1002"} {
		p := Process{Name: "p", Argv: []string{"sh", "-c", "echo secret of " + node + " | tee file /tmp/file /run/file; exec sleep " + seconds}, Private: true}
		if err := l.Start(t.Context(), node, p); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the command of "+node+" has got to its sleep", func() bool { return strings.Contains(in(t, l, node, commands), "sleep "+seconds) })
	}
	t.Run("processes", func(t *testing.T) {
		if got := in(t, l, "n0", commands); !strings.Contains(got, "sleep 1001") || strings.Contains(got, "1002") || strings.Contains(got, filepath.Base(os.Args[0])) {
			t.Errorf("n0 sees %q", got)
		}
		var pid string
		for _, s := range l.Processes() {
			if s.Node == "n1" {
				pid = strconv.Itoa(s.PID)
			}
		}
		if got := in(t, l, "n0", "kill -9 "+pid+" && echo done"); strings.Contains(got, "done") {
			t.Errorf("n0 kills a process of n1: %s", got)
		}
	})
	t.Run("files", func(t *testing.T) {
		if got := in(t, l, "n0", "cat file /tmp/file /run/file; pwd"); got != strings.Repeat("secret of n0\n", 3)+l.Dir("n0")+"\n" {
			t.Errorf("n0 reads of its own files %q", got)
		}
		if got := in(t, l, "n0", "cat "+l.Dir("n1")+"/file; ls -A "+filepath.Dir(l.Dir("n1"))); strings.Contains(got, "secret") || !strings.HasSuffix(got, "\nn0\n") {
			t.Errorf("n0 sees of the nodes' files %q", got)
		}
		if got := in(t, l, "n0", "ls -A "+l.cfg.RunDir); got != "nodes\n" {
			t.Errorf("n0 sees in the run directory %q", got)
		}
		if got := in(t, l, "n0", "grep -c "+l.cfg.RunDir+"/netns /proc/self/mountinfo"); got != "0\n" {
			t.Errorf("n0 has mounts of namespaces: %q", got)
		}
		if b, err := os.ReadFile(filepath.Join(l.Dir("n0"), "file")); err != nil || string(b) != "secret of n0\n" {
			t.Errorf("from outside the file is %q, %v", b, err)
		}
		if _, err := os.Stat("/run/file"); err == nil {
			t.Error("the node wrote to the host's /run")
		}
	})
	t.Run("shown", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(shown, "data"), []byte("data"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := in(t, l, "n0", "cat "+shown+"/data; ls -A /tmp"); !strings.HasPrefix(got, "data") || strings.Contains(got, "go-build") {
			t.Errorf("n0 sees %q", got)
		}
	})
	t.Run("sockets", func(t *testing.T) {
		const name = "@orrery-test-of-views"
		var server net.Listener
		if err := l.Do("n1", func() (err error) { server, err = net.Listen("unix", name); return err }); err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		for node, want := range map[string]bool{"n0": false, "n1": true} {
			_ = l.Do(node, func() error {
				c, err := net.Dial("unix", name)
				if err == nil {
					c.Close()
				}
				if (err == nil) != want {
					t.Errorf("%s reaches the abstract socket of n1: %v", node, err)
				}
				return nil
			})
		}
		if got := in(t, l, "n0", "cat /proc/net/unix"); strings.Contains(got, name) {
			t.Error("n0 sees the socket of n1")
		}
	})
	t.Run("devices", func(t *testing.T) {
		if got := in(t, l, "n0", "ls /sys/class/net"); got != "isl0\nlo\n" {
			t.Errorf("n0 sees the devices %q", got)
		}
	})
	t.Run("name and terminal", func(t *testing.T) {
		var out bytes.Buffer
		code, err := l.Exec(t.Context(), "n1", []string{"sh", "-c", "hostname; tty"}, Stdio{Out: &out, Terminal: true})
		if code != 0 || err != nil || !strings.HasPrefix(out.String(), "n1\r\n/dev/pts/") {
			t.Errorf("%d, %v, %q", code, err, out.String())
		}
	})
}

// Private processes are supervised as others are.
func TestPrivateSupervision(t *testing.T) {
	l, _ := privately(t, 1)
	start := func(name, script string, r RestartPolicy) {
		t.Helper()
		if err := l.Start(t.Context(), "n0", Process{Name: name, Argv: []string{"sh", "-c", script}, Restart: r, Private: true}); err != nil {
			t.Fatal(err)
		}
	}
	start("crash", "echo last words >&2; exit 3", Never)
	if s := status(t, l, "crash", is(Failed)); s.Reason != "exit status 3: last words" {
		t.Errorf("%+v", s)
	}
	start("killed", "exec sleep 1000", Never)
	pid := status(t, l, "killed", is(Running)).PID
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := status(t, l, "killed", is(Failed)); s.Reason != "killed by SIGKILL" {
		t.Errorf("%+v", s)
	}
	start("asked", "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done", Never)
	log := status(t, l, "asked", is(Running)).Log
	eventually(t, "the trap is set", func() bool { b, _ := os.ReadFile(log); return string(b) == "ready\n" })
	if err := l.Stop(t.Context(), "n0", "asked"); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(log); !strings.HasSuffix(string(b), "asked\n") {
		t.Errorf("the log of a process that was asked to end: %q", b)
	}

	// Orphans are taken by the first process, which leaves no zombies.
	in(t, l, "n0", "for i in 1 2 3; do (sleep 0.1 & sleep 0.2 &) & done; wait")
	eventually(t, "no process but the keeper's and the one that looks", func() bool {
		return in(t, l, "n0", `cat /proc/[0-9]*/stat | grep -c sleep; cat /proc/[0-9]*/stat | grep -c ') Z '`) == "0\n0\n"
	})

	// Whoever ends the first process ends all; the next start makes a new view.
	start("always", "exec sleep 1000", Always)
	first := status(t, l, "always", is(Running))
	in(t, l, "n0", "kill -9 $(pidof cat)")
	status(t, l, "always", func(s ProcessStatus) bool { return s.State == Running && s.PID != first.PID })
	if got := in(t, l, "n0", commands); !strings.Contains(got, "sleep 1000") {
		t.Errorf("after a new view was made its commands see %q", got)
	}
}

// What is not there in a view says why.
func TestPrivateViewLacksTheHostsFiles(t *testing.T) {
	l, _ := privately(t, 1)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	code, err := l.Exec(t.Context(), "n0", []string{script}, Stdio{})
	if code != exitNotFound || err == nil || !strings.Contains(err.Error(), "private view") {
		t.Errorf("%d, %v", code, err)
	}
}

// The node's own processes that are not private are as ever: of the host's view.
func TestOthersAreNotPrivate(t *testing.T) {
	l, _ := privately(t, 1)
	if err := l.Start(t.Context(), "n0", Process{Name: "p", Argv: []string{"readlink", "/proc/self/ns/pid", "/proc/self/ns/mnt"}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(status(t, l, "p", is(Exited)).Log)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := os.Readlink("/proc/self/ns/pid")
	mnt, _ := os.Readlink("/proc/self/ns/mnt")
	if want := pid + "\n" + mnt + "\n"; string(b) != want {
		t.Errorf("its namespaces are %q, want %q", b, want)
	}
}

// Destroy ends what runs in views: asked first, as everywhere.
func TestDestroyEndsViews(t *testing.T) {
	l, shown := privately(t, 2)
	file := filepath.Join(shown, "file")
	ready := filepath.Join(shown, "ready")
	done := make(chan int)
	go func() {
		code, _ := l.Exec(context.Background(), "n0", []string{"sh", "-c", "trap 'echo asked >" + file + "; exit 7' TERM; touch " + ready + "; while :; do sleep 0.05; done"}, Stdio{})
		done <- code
	}()
	eventually(t, "the trap is set", func() bool { _, err := os.Stat(ready); return err == nil })
	in(t, l, "n1", "setsid -f sleep 1000 >/dev/null 2>&1")
	inside := residents(l.cfg.RunDir)
	if len(inside) < 6 { // two keepers and their children, the script, the orphan
		t.Fatalf("%d processes are in the nodes", len(inside))
	}
	if err := l.Destroy(context.Background()); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 7 {
		t.Errorf("the command's exit code is %d, want its own", code)
	}
	if b, err := os.ReadFile(file); string(b) != "asked\n" {
		t.Errorf("the command was not asked to end: %q, %v", b, err)
	}
	for _, p := range inside {
		eventually(t, "process "+strconv.Itoa(p.PID)+" is gone", func() bool { return !p.alive() })
	}
}

// What isolation costs a command: in a node that is not private, in a view that
// is there, and in one that has to be made.
func BenchmarkExec(b *testing.B) {
	for _, kind := range []string{"open", "private", "first"} {
		b.Run(kind, func(b *testing.B) {
			list := specs(1, 4)
			list[0].Private = kind != "open"
			l := start(b, list)
			n, _ := l.node("n0")
			run := func() {
				if code, err := l.Exec(b.Context(), "n0", []string{"true"}, Stdio{}); code != 0 || err != nil {
					b.Fatal(code, err)
				}
			}
			run()
			for b.Loop() {
				if kind == "first" {
					b.StopTimer()
					gone := n.view.v.gone
					n.view.v.close()
					<-gone
					n.view.v = nil
					b.StartTimer()
				}
				run()
			}
		})
	}
}

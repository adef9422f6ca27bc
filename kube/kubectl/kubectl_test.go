package kubectl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/kube/gateway"
	"orrery.dev/orrery/node"
)

// script stands in for kubectl: it writes down how it was called, and prints what is
// said for the kind of thing that is asked for.
func script(t *testing.T, body string) (Program, func() string) {
	t.Helper()
	dir := t.TempDir()
	log, path := filepath.Join(dir, "log"), filepath.Join(dir, "kubectl")
	text := "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'" + log + "'\n" + body
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return Program{Path: path, Flags: []string{"--context=c"}}, func() string {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestPods(t *testing.T) {
	p, calls := script(t, `case "$*" in
*orrery-agent*) printf 'w1\tagent-x\tRunning\nw2\tagent-y\tPending\n' ;;
*) printf 'oslo\tw1\tTrue\t\nrome\tw2\tFalse\tImagePullBackOff\nbonn\t\t\t\n' ;;
esac
`)
	s := Open(t.Context(), p, "space", "sky", "system")
	pods, err := s.Pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]gateway.Pod{"oslo": {Worker: "w1", Ready: true}, "rome": {Worker: "w2", Reason: "ImagePullBackOff"}, "bonn": {}}
	for node, w := range want {
		if pods[node] != w {
			t.Errorf("%s is %+v, want %+v", node, pods[node], w)
		}
	}
	if _, err := s.Agent(t.Context(), "w1"); err != nil {
		t.Error(err)
	}
	if _, err := s.Agent(t.Context(), "w2"); err == nil || !strings.Contains(err.Error(), "no pod of the agent runs there") {
		t.Errorf("an agent that does not run: %v", err)
	}
	got := calls()
	if n := strings.Count(got, "\n"); n != 2 {
		t.Errorf("kubectl was called %d times, want 2:\n%s", n, got)
	}
	for _, want := range []string{"--context=c --namespace=space get pods --selector=orrery.dev/scenario=sky", "--namespace=system get pods"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestTime(t *testing.T) {
	p, calls := script(t, "")
	s := Open(t.Context(), p, "space", "sky", "system")
	if err := s.SetPaused(t.Context(), true); err != nil {
		t.Error(err)
	}
	if err := s.SetSpeed(t.Context(), 0.5); err != nil {
		t.Error(err)
	}
	if err := s.SetSpeed(t.Context(), -1); err == nil {
		t.Error("a negative speed is taken")
	}
	for _, want := range []string{"annotate --overwrite scenarios.orrery.dev sky orrery.dev/paused=true", `patch scenarios.orrery.dev sky --type=merge --patch={"spec":{"speed":0.5}}`} {
		if got := calls(); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// Failures are an annotation, which is written only if the scenario is the one that was read.
func TestFailures(t *testing.T) {
	p, calls := script(t, `case "$*" in
*"get scenarios"*) printf '17\t{"failures":[]}' ;;
*'"resourceVersion":"16"'*) echo 'Error from server (Conflict): the object has been modified' >&2; exit 1 ;;
esac
`)
	s := Open(t.Context(), p, "space", "sky", "system")
	list, version, err := s.Failures(t.Context())
	if err != nil || list != `{"failures":[]}` || version != "17" {
		t.Errorf("%q, %q, %v", list, version, err)
	}
	if err := s.SetFailures(t.Context(), "", version); err != nil {
		t.Error(err)
	}
	if err := s.SetFailures(t.Context(), "x", "16"); !errors.Is(err, gateway.ErrChanged) {
		t.Errorf("a version that is over: %v", err)
	}
	for _, want := range []string{`{.metadata.annotations.orrery\.dev/failures}`, `--type=merge --patch={"metadata":{"annotations":{"orrery.dev/failures":null},"resourceVersion":"17"}}`} {
		if got := calls(); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// What kubectl complains of is what the user is told.
func TestComplaint(t *testing.T) {
	p, _ := script(t, "echo 'error: no such context' >&2; exit 1\n")
	if _, err := p.Scenarios(t.Context(), "space"); err == nil || err.Error() != "kubectl get: error: no such context" {
		t.Errorf("got %v", err)
	}
}

func TestExec(t *testing.T) {
	p, _ := script(t, "case \"$*\" in *node=oslo*) echo pod/sky--oslo ;; esac\n")
	cmd, err := p.Exec(t.Context(), "space", "sky", "oslo", true, "ip", "-6", "route")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(cmd.Args[1:], " "); got != "--context=c --namespace=space exec --stdin --tty pod/sky--oslo --container=node -- ip -6 route" {
		t.Errorf("kubectl is run as %q", got)
	}
	if _, err := p.Exec(t.Context(), "space", "sky", "rome", false, "ip"); err == nil || !strings.Contains(err.Error(), `no pod of a node "rome"`) {
		t.Errorf("a node that is not there: %v", err)
	}
}

// A command has its streams and its exit code, and a terminal with the sizes that it is told.
func TestCommand(t *testing.T) {
	p, calls := script(t, `case "$*" in
*node=oslo*) echo pod/sky--oslo ;;
*--tty*) stty size; while [ "$(stty size)" = '30 100' ]; do sleep 0.02; done; stty size; read -r line; echo "it reads $line"; exit 5 ;;
*exec*) cat; echo trouble >&2; exit 4 ;;
*logs*) echo 'from the pod' ;;
esac
`)
	s := Open(t.Context(), p, "space", "sky", "system")
	var out, complaint bytes.Buffer
	code, err := s.Exec(t.Context(), "oslo", []string{"ip", "route"}, node.Stdio{In: strings.NewReader("typed"), Out: &out, Err: &complaint})
	if err != nil || code != 4 || out.String() != "typed" || complaint.String() != "trouble\n" {
		t.Errorf("exit code %d, %v, %q, %q", code, err, &out, &complaint)
	}
	out.Reset()
	sizes := make(chan node.WindowSize, 1)
	sizes <- node.WindowSize{Columns: 100, Rows: 30}
	in, typed := io.Pipe()
	defer in.Close()
	resized := &once{Writer: &out, then: func() {
		sizes <- node.WindowSize{Columns: 120, Rows: 40}
		_, _ = typed.Write([]byte("hello\n"))
	}}
	within, end := context.WithTimeout(t.Context(), time.Minute) // or a size that does not come is waited for
	defer end()
	code, err = s.Exec(within, "oslo", []string{"vtysh"}, node.Stdio{In: in, Out: resized, Err: &out, Terminal: true, Resize: sizes})
	if got := strings.ReplaceAll(out.String(), "\r", ""); err != nil || code != 5 || !strings.HasPrefix(got, "30 100\n") || !strings.Contains(got, "40 120\n") || !strings.HasSuffix(got, "it reads hello\n") {
		t.Errorf("on a terminal: exit code %d, %v, %q", code, err, got)
	}
	if text, err := s.Log(t.Context(), "oslo", 9); err != nil || text != "from the pod\n" {
		t.Errorf("the log is %q, %v", text, err)
	}
	if got := calls(); !strings.Contains(got, "logs pod/sky--oslo --container=node --tail=9\n") {
		t.Errorf("kubectl was called with\n%s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Exec(ctx, "oslo", []string{"ip"}, node.Stdio{}); err == nil {
		t.Error("a command runs after its end")
	}
}

// once does something after the first write.
type once struct {
	io.Writer
	then func()
}

func (o *once) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if o.then != nil {
		go o.then()
		o.then = nil
	}
	return n, err
}

// Output of kubectl that is none is an error and no crash.
func FuzzColumns(f *testing.F) {
	f.Add("oslo\tw1\tTrue\t\n")
	f.Add("\n\t")
	f.Fuzz(func(t *testing.T, out string) {
		pods, err := parsePods(out)
		if err == nil && len(pods) > strings.Count(out, "\n")+1 {
			t.Errorf("%d pods of %q", len(pods), out)
		}
		_, _ = parseAgents(out)
	})
}

// A connection carries bytes both ways, ends with the process, and says why.
func TestConnection(t *testing.T) {
	shell := func(text string) func() *exec.Cmd {
		return func() *exec.Cmd { return exec.CommandContext(t.Context(), "sh", "-c", text) }
	}
	c, err := dialer(shell("cat"))(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = c.Write([]byte("hello")) }()
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	c, err = dialer(shell("echo 'this worker carries no node' >&2; exit 1"))(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(b); err == nil || !strings.Contains(err.Error(), "this worker carries no node") {
		t.Errorf("the end of a process that complains: %v", err)
	}
	if _, err := dialer(func() *exec.Cmd { return exec.CommandContext(t.Context(), filepath.Join(t.TempDir(), "none")) })(context.Background()); err == nil {
		t.Error("a program that is not there is started")
	}
}

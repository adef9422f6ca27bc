package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/fidelity"
	"orrery.dev/orrery/kube/kubectl"
)

// stage puts stand-ins for kubectl and orrery on the path. What orrery was called with, and
// what it found, is in the file that is returned.
func stage(t *testing.T, scenarios string) (seen func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	for name, text := range map[string]string{
		"kubectl": `case "$*" in
*scenarios.orrery.dev*) printf '` + scenarios + `' ;;
*node=oslo*) echo pod/sky--oslo ;;
*exec*) echo "$*" >'` + log + `'; exit 7 ;;
esac`,
		"orrery": `{ echo "$*"; cd "$ORRERY_RUNTIME_DIR" && find . -type s; } >'` + log + `'; exit 5`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("ORRERY_RUNTIME_DIR", "") // restored when the test ends
	t.Setenv("TMPDIR", dir)
	return func() string {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "orrery-*")); left != nil {
			t.Errorf("%v is left", left)
		}
		return string(b)
	}
}

// Scenarios are runs to orrery, whose exit code is the plugin's; nothing is left.
func TestForward(t *testing.T) {
	seen := stage(t, `sky\ntwin\n`)
	err := run(t.Context(), []string{"-n", "space", "ping", "oslo", "rome", "-n", "5"})
	if code := exitCode(0); !errors.As(err, &code) || code != 5 {
		t.Errorf("it ends with %v, want orrery's exit code 5", err)
	}
	got := seen()
	for _, want := range []string{"ping oslo rome -n 5\n", "./sky/control/sock\n", "./twin/control/sock\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestExec(t *testing.T) {
	seen := stage(t, `sky\n`)
	err := run(t.Context(), []string{"--context=c", "-n", "space", "exec", "-t", "oslo", "--", "ip", "-6", "route"})
	if code := exitCode(0); !errors.As(err, &code) || code != 7 {
		t.Errorf("it ends with %v, want kubectl's exit code 7", err)
	}
	if got, want := seen(), "--context=c --namespace=space exec --stdin --tty pod/sky--oslo --container=node -- ip -6 route\n"; got != want {
		t.Errorf("kubectl was called with %q, want %q", got, want)
	}
}

func TestCommandLineIsRefused(t *testing.T) {
	stage(t, `sky\ntwin\n`)
	for _, c := range []struct {
		args  []string
		usage bool
		want  string
	}{
		{[]string{"up", "x.yaml"}, true, `no verb "up"`},
		{[]string{"--nonsense", "status"}, true, "nonsense"},
		{[]string{"exec", "oslo"}, true, "exec NODE -- COMMAND"},
		{[]string{"shell", "oslo", "rome"}, true, "shell NODE"},
		{[]string{"workers", "a", "b"}, true, "workers [SCENARIO]"},
		{[]string{"exec", "oslo", "--", "ip"}, false, "2 scenarios; name one: sky, twin"},
		{[]string{"shell", "-r", "sky", "rome"}, false, `no pod of a node "rome"`},
	} {
		if err := run(t.Context(), append([]string{"-n", "space"}, c.args...)); err == nil || errors.Is(err, errUsage) != c.usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q in it, an error of usage: %v", c.args, err, c.want, c.usage)
		}
	}
}

func TestWorkersAreShown(t *testing.T) {
	var b bytes.Buffer
	peer := kubectl.Peer{Name: "w2", Up: true, Offset: -8 * time.Microsecond, Uncertainty: 90 * time.Microsecond, Lost: 3}
	err := printWorkers(&b, []kubectl.Worker{
		{Name: "w1", Nodes: 12, Verdict: fidelity.Degraded, Peers: []kubectl.Peer{peer, {Name: "w3"}, {Name: "w4", Differs: "release"}}},
		{Name: "w2", Err: errors.New("no pod of the agent runs there")},
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{"CLOCK AHEAD", "-0.008 ms ± 0.090 ms", "does not answer", "refused: another release", "no pod of the agent runs there"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, lines[i], want)
		}
	}
	if at := strings.Index(lines[1], "w2 "); at < 0 || strings.Index(lines[2], "w3") != at {
		t.Errorf("the peers do not stand below each other:\n%s", b.String())
	}
}

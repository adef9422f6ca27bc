package api

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The examples of docs/api.md are run as they stand there, but for where the token and
// the address come from. A line "# answers TEXT" says what the command before it prints.
func TestExamplesOfThePage(t *testing.T) {
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	l, _, _ := listen(t, nil)
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		command := ""
		for line := range strings.Lines(block[1]) {
			want, ok := strings.CutPrefix(line, "# answers ")
			if !ok {
				command += line
				continue
			}
			run++
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
			cmd.Env = append(os.Environ(), "TOKEN="+l.Tokens.Owner, "URL="+l.base(), "no_proxy=*")
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil || !strings.Contains(string(out), strings.TrimSpace(want)) {
				t.Errorf("%s: %v, %s; want %s", command, err, out, want)
			}
			command = ""
		}
	}
	if run < 6 {
		t.Errorf("%d examples were found", run)
	}
}

func TestPythonClient(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	l, _, _ := listen(t, nil)
	client := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "python3", append([]string{"../examples/client.py", l.base()}, args...)...).CombinedOutput()
		return string(out), err
	}
	for text, args := range map[string][]string{
		"test: PHASE_":                      {l.Tokens.Viewer, "status"},
		"2 to the ground":                   {l.Tokens.Viewer, "status"},
		"0.000 link-up a:ant0 sat-one:gnd0": {l.Tokens.Viewer, "events", "2"},
		"sat-one                     0.000": {l.Tokens.Viewer, "positions"},
		"b                           0.993": {l.Tokens.Viewer, "positions"},
	} {
		if out, err := client(args...); err != nil || !strings.Contains(out, text) {
			t.Errorf("%v: %v, %s; want %q", args, err, out, text)
		}
	}
	for text, args := range map[string][]string{
		"client.py: a token is needed": {"wrong", "status"},
		"how it is":                    {l.Tokens.Viewer, "nonsense"},
	} {
		if out, err := client(args...); err == nil || !strings.Contains(out, text) {
			t.Errorf("%v: %v, %s; want %q", args, err, out, text)
		}
	}
}

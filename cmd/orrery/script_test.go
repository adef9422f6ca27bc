package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"orrery.dev/orrery/node"
	"orrery.dev/orrery/tap"
)

// binary is the program, built once for all tests. It cannot be the test's own
// binary, since it starts itself again for --detach.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "orrery-test-")
	if err != nil {
		return "", err
	}
	built = dir
	if err := os.Chmod(dir, 0o755); err != nil { // also for other users
		return "", err
	}
	file := filepath.Join(dir, "orrery")
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return file, nil
})

var built string // directory to remove at the end

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// needKernel skips a test that cannot make nodes here.
func needKernel(t testing.TB) {
	t.Helper()
	if err := node.Permitted(); err != nil {
		t.Skip(err)
	}
	if err := tap.Available(); err != nil {
		t.Skip(err)
	}
}

// Scripts need neither root nor Linux's devices.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

// Scripts of the kernel folder run real networks.
func TestKernelScripts(t *testing.T) {
	needKernel(t)
	runScripts(t, "testdata/kernel")
}

func runScripts(t *testing.T, dir string) {
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(file)+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("EXAMPLES", examples)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			// Short: a unix socket's path has 107 bytes at most.
			run, err := os.MkdirTemp("", "orr")
			if err != nil {
				return err
			}
			e.Setenv("ORRERY_RUNTIME_DIR", filepath.Join(run, "r"))
			e.Defer(func() {
				end(t, file, filepath.Join(run, "r"))
				_ = os.RemoveAll(run)
			})
			e.Setenv("RUN", filepath.Join(run, "r"))
			server := httptest.NewServer(http.HandlerFunc(elementSets))
			e.Defer(server.Close)
			e.Setenv("SERVER", server.URL)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if program, ok := strings.CutPrefix(name, "has:"); ok {
				_, err := exec.LookPath(program)
				return err == nil, nil
			}
			return false, fmt.Errorf("no condition is called %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitStatus, "eventually": eventually,
		},
	})
}

// end removes what a script that failed has left running.
func end(t testing.TB, file, root string) {
	if entries, err := os.ReadDir(root); err != nil || len(entries) == 0 {
		return
	}
	cmd := exec.Command(file, "down", "--all")
	cmd.Env = append(os.Environ(), "ORRERY_RUNTIME_DIR="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("orrery down --all: %v\n%s", err, out)
	}
}

// elementSets answers as CelesTrak does, for one group.
func elementSets(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("GROUP") != "stations" {
		fmt.Fprintf(w, `Invalid query: "%s" (GROUP "%s" not found)`, r.URL.RawQuery, r.URL.Query().Get("GROUP"))
		return
	}
	fmt.Fprint(w, `[{"OBJECT_NAME":"ISS (ZARYA)","OBJECT_ID":"1998-067A","EPOCH":"2026-01-01T12:00:00.000000","MEAN_MOTION":15.5,`+
		`"ECCENTRICITY":0.0003,"INCLINATION":51.63,"RA_OF_ASC_NODE":80.1,"ARG_OF_PERICENTER":300.2,"MEAN_ANOMALY":59.8,"EPHEMERIS_TYPE":0,`+
		`"CLASSIFICATION_TYPE":"U","NORAD_CAT_ID":25544,"ELEMENT_SET_NO":999,"REV_AT_EPOCH":54321,"BSTAR":0.0001,"MEAN_MOTION_DOT":0.0001,"MEAN_MOTION_DDOT":0}]`)
}

// exitStatus runs a program that must end with a code: status CODE PROGRAM ARG….
// Its output is left for stdout and stderr as with exec.
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if e := new(exec.ExitError); errors.As(err, &e) {
		code = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// eventually repeats a program until its output has a pattern: eventually
// PATTERN PROGRAM ARG….
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN PROGRAM ARG…")
	}
	pattern := regexp.MustCompile(args[0])
	deadline := time.Now().Add(2 * time.Minute)
	for {
		_ = ts.Exec(args[1], args[2:]...)
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never saw %q", args[0])
		}
		time.Sleep(200 * time.Millisecond)
	}
}

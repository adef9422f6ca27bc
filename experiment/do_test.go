package experiment_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/experiment/experimenttest"
	"orrery.dev/orrery/record"
)

const file = `apiVersion: orrery.dev/v1alpha1
kind: Experiment
metadata: {name: question}
spec:
  scenario: small.yaml
  repetitions: 2
  warmUp: 10s
  span: 100s
  variants:
    - name: isis
    - name: ospf
      set: {"spec.routing[0].protocol": ospf3}
`

const small = `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  stations: [{name: north, position: {lat: 60deg, lon: 0deg}}]
  routing: [{protocol: isis}]
`

// load puts the files into a directory and loads the experiment.
func load(t *testing.T, text string) *experiment.Experiment {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"small.yaml": small, "question.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e, err := experiment.Load(filepath.Join(dir, "question.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func launcher() *experimenttest.Launcher {
	return &experimenttest.Launcher{Behaviours: map[string]experimenttest.Behaviour{
		"isis": {Repair: time.Second, Stretch: 1.1}, "ospf": {Repair: 3 * time.Second, Stretch: 1.1},
	}}
}

// Two runs share the host: the first one to end has no successor until the other one has ended.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, testAtOnce)
}

func testAtOnce(t *testing.T) {
	e, out := load(t, file), filepath.Join(t.TempDir(), "out")
	failed := errors.New("no record is made: what compresses it cannot be in a bubble")
	var begun atomic.Int32
	l := &experimenttest.Launcher{Fail: map[string]error{"isis": failed, "ospf": failed}, Meanwhile: func() {
		nth := begun.Add(1)
		time.Sleep(time.Duration(nth) * time.Minute)
		if n := begun.Load(); n != (nth+1)/2*2 {
			t.Errorf("when run %d ends, %d have begun", nth, n)
		}
	}}
	told := make(map[experiment.State]int)
	err := e.Do(t.Context(), experiment.Options{Out: out, AtOnce: 2, Launcher: l, Tell: func(s experiment.Step) { told[s.State]++ }})
	if !errors.Is(err, experiment.ErrFailed) || len(l.Launched) != 4 || told[experiment.Started] != 4 || told[experiment.Failed] != 4 {
		t.Errorf("launched %v, told %v: %v", l.Launched, told, err)
	}
}

// Runs that share the host are done like others.
func TestAtOnceAllAreDone(t *testing.T) {
	e, l := load(t, file), launcher()
	told := make(map[experiment.State]int)
	err := e.Do(t.Context(), experiment.Options{Out: filepath.Join(t.TempDir(), "out"), AtOnce: 2, Launcher: l, Tell: func(s experiment.Step) { told[s.State]++ }})
	if err != nil || len(l.Launched) != 4 || told[experiment.Started] != 4 || told[experiment.Done] != 4 {
		t.Errorf("launched %v, told %v: %v", l.Launched, told, err)
	}
}

// Each run begins when it is its turn, and none any more when all has ended.
func TestTurns(t *testing.T) {
	e, out := load(t, file), filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(t.Context())
	l := launcher()
	l.Meanwhile = cancel
	first := make(chan struct{}, 1)
	first <- struct{}{}
	turn := func(ctx context.Context) error {
		select {
		case <-first:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	if err := e.Do(ctx, experiment.Options{Out: out, AtOnce: 2, Turn: turn, Launcher: l}); !errors.Is(err, context.Canceled) || len(l.Launched) != 1 {
		t.Errorf("launched are %v: %v", l.Launched, err)
	}
}

// A crash loses the run that goes on, and nothing else.
func TestContinueAfterCrash(t *testing.T) {
	e, out := load(t, file), filepath.Join(t.TempDir(), "out")
	l := launcher()
	ctx, cancel := context.WithCancel(t.Context())
	l.Crash, l.Kill = 3, cancel
	if err := e.Do(ctx, experiment.Options{Out: out, Launcher: l}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the crash gives %v", err)
	}
	before, err := os.Stat(filepath.Join(out, "runs/isis/1/pairs.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	l = launcher()
	var states []string
	err = e.Do(t.Context(), experiment.Options{Out: out, Launcher: l, Tell: func(s experiment.Step) {
		if s.State != experiment.Started {
			states = append(states, s.Run.String()+" "+string(s.State))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(states, ", "); got != "isis 1 kept, ospf 1 kept, isis 2 done, ospf 2 done" {
		t.Errorf("the second call: %s", got)
	}
	if after, err := os.Stat(filepath.Join(out, "runs/isis/1/pairs.parquet")); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the first run was touched: %v", err)
	}
	d, err := record.Open(filepath.Join(out, "runs/isis/2"))
	if err != nil || d.Run.Outcome.State != record.Complete || d.Run.Labels["repetition"] != "2" {
		t.Errorf("the run that had crashed: %+v, %v", d, err)
	}
}

func TestTooManyRuns(t *testing.T) {
	e, l := load(t, file), launcher()
	out := filepath.Join(t.TempDir(), "out")
	err := e.Do(t.Context(), experiment.Options{Out: out, MaxRuns: 3, Launcher: l})
	const want = "question asks for too many runs: 2 variants × 2 repetitions are 4, and --max-runs allows 3; raise it, or narrow the matrix"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := os.Stat(out); err == nil || len(l.Launched) > 0 {
		t.Error("something was done")
	}
}

// A variant that cannot be run does not keep the others from being run.
func TestFailure(t *testing.T) {
	e, l := load(t, file), launcher()
	l.Fail = map[string]error{"isis": errors.New("FRR's isisd is missing")}
	out := t.TempDir()
	err := e.Do(t.Context(), experiment.Options{Out: out, Launcher: l})
	if !errors.Is(err, experiment.ErrFailed) || !strings.HasPrefix(err.Error(), "2 of 4 runs could not be done") {
		t.Errorf("got %v", err)
	}
	m, err := experiment.ReadManifest(out)
	if err != nil || len(m.Failures) != 2 || m.Failures["isis 2"] != "FRR's isisd is missing" {
		t.Errorf("the manifest: %+v, %v", m, err)
	}
	if _, err := record.Open(filepath.Join(out, "runs/ospf/2")); err != nil {
		t.Error(err)
	}
}

// Complete runs of something else are not replaced unless asked for, and those of
// a newer version never.
func TestNothingCompleteIsLost(t *testing.T) {
	out := t.TempDir()
	if err := load(t, file).Do(t.Context(), experiment.Options{Out: out, Launcher: launcher()}); err != nil {
		t.Fatal(err)
	}
	files := func() string { // as they describe what is there
		text, err := os.ReadFile(filepath.Join(out, "experiment.yaml"))
		manifest, err2 := os.ReadFile(filepath.Join(out, "experiment.json"))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return string(text) + string(manifest)
	}
	before := files()
	changed := load(t, strings.Replace(file, "ospf3}", `ospf3, "spec.routing[0].hello": 2s}`, 1))
	l := launcher()
	if err := changed.Do(t.Context(), experiment.Options{Out: out, Launcher: l}); !errors.Is(err, experiment.ErrOther) || len(l.Launched) > 0 {
		t.Errorf("another scenario: %v after %v", err, l.Launched)
	}
	if files() != before {
		t.Error("the refused experiment has replaced the files that describe what is there")
	}
	if err := changed.Do(t.Context(), experiment.Options{Out: out, Launcher: l, Again: true}); err != nil || len(l.Launched) != 2 {
		t.Errorf("again: %v after %v", err, l.Launched)
	}
	path := filepath.Join(out, "runs/isis/1/run.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var run map[string]any
	if err := json.Unmarshal(b, &run); err != nil {
		t.Fatal(err)
	}
	run["format"] = 99
	if b, err = json.Marshal(run); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	before = files()
	if err := load(t, file).Do(t.Context(), experiment.Options{Out: out, Launcher: l, Again: true}); !errors.Is(err, record.ErrNewer) || files() != before {
		t.Errorf("a newer record: %v", err)
	}
}

// A file that the scenario names is part of what a run is made of.
func TestNamedFilesAreLookedAt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("small.yaml", strings.Replace(small, "{protocol: isis}", "{protocol: isis, daemon: frr, template: frr.conf}", 1))
	one, _, _ := strings.Cut(file, "    - name: ospf")
	write("question.yaml", one)
	do := func(template string) error {
		write("frr.conf", template)
		e, err := experiment.Load(filepath.Join(dir, "question.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return e.Do(t.Context(), experiment.Options{Out: filepath.Join(dir, "out"), Launcher: launcher()})
	}
	for i, template := range []string{"hostname a", "hostname a", "hostname b"} {
		if err := do(template); errors.Is(err, experiment.ErrOther) != (i == 2) || err != nil && i < 2 {
			t.Errorf("with %q: %v", template, err)
		}
	}
}

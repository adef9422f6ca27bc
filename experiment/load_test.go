package experiment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const small = `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  stations:
    - name: north
      position: {lat: 60deg, lon: 0deg}
    - name: south
      position: {lat: -60deg, lon: 0deg}
  routing:
    - protocol: isis
      hello: 1s
`

const question = `apiVersion: orrery.dev/v1alpha1
kind: Experiment
metadata: {name: question}
spec:
  title: Which one?
  scenario: small.yaml
  set:
    spec.network.mtu: 9000
  repetitions: 2
  warmUp: 10s
  span: 5m
  variants:
    - name: isis
      title: IS-IS
    - name: ospf
      set:
        spec.routing[0].protocol: ospf3
        spec.routing[0].daemon: bird
  matrix:
    - name: bfd
      values:
        - name: plain
        - name: bfd
          title: with BFD
          set:
            spec.routing[0].bfd: {interval: 100ms}
  without: [ospf-bfd]
`

// write puts an experiment and its scenario into a directory of the test.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"small.yaml": small, "question.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "question.yaml")
}

func TestVariants(t *testing.T) {
	e, err := Load(write(t, question))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range e.Variants() {
		names = append(names, v.Name)
	}
	if got := strings.Join(names, " "); got != "isis-plain isis-bfd ospf-plain" {
		t.Errorf("the variants are %s", got)
	}
	if v := e.Variants()[1]; v.Title != "IS-IS, with BFD" || v.Scenario.Spec.Routing[0].BFD == nil || v.Values["bfd"] != "bfd" || v.Scenario.Spec.Network.MTU != 9000 ||
		strings.Join(v.Changes, "; ") != "spec.routing[0].bfd: {interval: 100ms}" {
		t.Errorf("%+v", v)
	}
	if v := e.Variants()[2]; v.Scenario.Spec.Routing[0].Protocol != "ospf3" || v.Scenario.Spec.Routing[0].BFD != nil {
		t.Errorf("%+v", v.Scenario.Spec.Routing)
	}
	var order []string
	for _, r := range e.Runs() {
		order = append(order, r.String())
	}
	if got := strings.Join(order, ", "); got != "isis-plain 1, isis-bfd 1, ospf-plain 1, isis-plain 2, isis-bfd 2, ospf-plain 2" {
		t.Errorf("the runs are %s", got)
	}
}

// Each mistake gives its place and what would be right.
func TestBadFiles(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"repetitions: 2", "repetition: 2", `question.yaml:9:3: "repetition" is not a field of spec; did you mean repetitions?`},
		{"daemon: bird", "daemon: brid", `variant ospf-plain: DIR/question.yaml:18:33: daemon is "brid"; did you mean bird?`},
		{"spec.routing[0].daemon: bird", "spec.routing[0].deamon: bird", `variant ospf-plain: DIR/question.yaml:18:9: "deamon" is not a field of spec.routing[0]; did you mean daemon?`},
		{"without: [ospf-bfd]", "without: [opsf-bfd]", `question.yaml:27:13: no variant is named opsf-bfd; did you mean ospf-bfd?`},
		{"without: [ospf-bfd]", `without: ["*"]`, `all variants are left out; keep at least one`},
		{"span: 5m", "span: 0s", `question.yaml:11:9: span 0s is out of range; write at least 1s`},
		{"title: Which", "baseline: isis\n  title: Which", `no variant is named isis; `},
		{"- name: ospf\n", "- name: isis\n", `a second one is named isis; give each a name of its own`},
		{"scenario: small.yaml", "scenario: smaller.yaml", `there is no scenario DIR/smaller.yaml; name a file, relative to the experiment's`},
		{"kind: Experiment", "kind: Scenario", `the kind is "Scenario", not Experiment`},
		{"  span: 5m\n", "", `spec lacks span; add "span: 15s"`},
	} {
		text := strings.Replace(question, c.from, c.to, 1)
		if text == question {
			t.Fatalf("%q is not in the file", c.from)
		}
		file := write(t, text)
		_, err := Load(file)
		if err == nil {
			t.Errorf("%s: accepted", c.to)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), filepath.Dir(file), "DIR"); !strings.Contains(got, c.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.to, got, c.want)
		}
	}
}

// The experiments that ship with the project are valid.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/experiments/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d examples found (%v)", len(files), err)
	}
	for _, file := range files {
		e, err := Load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(file), ".yaml"); e.Metadata.Name != want {
			t.Errorf("metadata.name is %q, the file %q", e.Metadata.Name, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(question)
	f.Add("kind: Experiment\nspec: {matrix: [{name: a, values: [{name: b, set: {spec: null}}]}]}")
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "small.yaml"), []byte(small), 0o644); err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(dir, "question.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		e, err := Load(file)
		if err != nil {
			return
		}
		if len(e.Variants()) == 0 || e.Baseline() == "" {
			t.Errorf("an experiment of nothing: %q", text)
		}
		for _, v := range e.Variants() {
			if _, err := (Run{Variant: v, Seed: 1}).scenario(); err != nil {
				t.Error(err)
			}
		}
	})
}

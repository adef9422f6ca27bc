package index

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/record"
)

// write makes the record of a run.
func write(t *testing.T, dir, variant, level string) {
	t.Helper()
	run := record.Run{
		Orrery: "test", Started: time.Date(2026, 1, 1, 0, 0, len(filepath.Base(dir)), 0, time.UTC), Labels: map[string]string{"variant": variant, `a"b`: "c"},
		Scenario: record.Scenario{Name: "iridium", Speed: 2, Seed: 1<<64 - 1, Satellites: 66, Routing: []string{"isis/frr"}},
		Span:     record.Span{From: 10e6, To: 70e6},
	}
	w, err := record.Create(dir, []byte("kind: Scenario\n"), run)
	if err != nil {
		t.Fatal(err)
	}
	run.Outcome.State, run.Fidelity.Level = record.Complete, level
	if err := w.Finish(run); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *Index {
	t.Helper()
	i, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i
}

func list(t *testing.T, i *Index, f Filter) string {
	t.Helper()
	runs, err := i.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range runs {
		name := filepath.Base(r.Dir)
		if r.Gone {
			name += " gone"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func TestIndex(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "state dir?", "runs.sqlite")
	dir := func(name string) string { return filepath.Join(root, "runs", name) }
	write(t, dir("a"), "ospf", record.Faithful)
	write(t, dir("bb"), "isis", record.Overloaded)
	write(t, dir("ccc"), "isis", record.Faithful)
	i := open(t, path)
	for _, name := range []string{"a", "bb", "ccc", "bb"} {
		if err := i.Add(t.Context(), dir(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "ccc, bb, a"},
		{Filter{Trusted: true}, "ccc, a"},
		{Filter{Labels: map[string]string{"variant": "isis"}}, "ccc, bb"},
		{Filter{Labels: map[string]string{"variant": "isis", `a"b`: "c"}, Trusted: true}, "ccc"},
		{Filter{Labels: map[string]string{"variant": "' or 1=1 --"}}, ""},
		{Filter{Scenario: "iridium", State: record.Complete, Below: filepath.Join(root, "runs")}, "ccc, bb, a"},
		{Filter{Below: filepath.Join(root, "run")}, ""},
		{Filter{State: record.Failed}, ""},
	} {
		if got := list(t, i, c.filter); got != c.want {
			t.Errorf("%+v: %s, not %s", c.filter, got, c.want)
		}
	}
	runs, err := open(t, path).List(t.Context(), Filter{}) // a second one at the same time
	if err != nil || runs[0].Seed != 1<<64-1 || runs[0].Span != time.Minute || runs[0].Speed != 2 || runs[1].Trusted() {
		t.Errorf("%+v, %v", runs, err)
	}
	if err := os.RemoveAll(dir("bb")); err != nil {
		t.Fatal(err)
	}
	if got := list(t, i, Filter{}); got != "ccc, bb gone, a" {
		t.Error(got)
	}
	if n, err := i.Forget(t.Context()); n != 1 || err != nil || list(t, i, Filter{}) != "ccc, a" {
		t.Errorf("%d, %v", n, err)
	}
}

// The index is made anew from the directories, those that cannot be read left out.
func TestRebuild(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "runs.sqlite")
	write(t, filepath.Join(root, "a"), "ospf", record.Faithful)
	write(t, filepath.Join(root, "bb"), "ospf", record.Faithful)
	if err := os.WriteFile(filepath.Join(root, "bb", "run.json"), []byte(`{"format": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	i := open(t, path)
	n, problems, err := i.Rebuild(t.Context(), []string{filepath.Join(root, "a"), filepath.Join(root, "bb")})
	if n != 1 || len(problems) != 1 || err != nil || list(t, i, Filter{}) != "a" {
		t.Errorf("%d, %v, %v", n, problems, err)
	}
}

func TestDamagedIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.sqlite")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no index", 500)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "make it anew with \"orrery runs --rebuild DIR\"") {
		t.Errorf("got %v", err)
	}
	path = filepath.Join(t.TempDir(), "newer.sqlite")
	i := open(t, path)
	if _, err := i.db.Exec("pragma user_version = 7"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v", err)
	}
}

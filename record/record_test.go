package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"
)

func created(t *testing.T) *Writer {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "run"), []byte("kind: Scenario\n"), Run{Orrery: "test", Scenario: Scenario{Name: "sky"}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func opened(t *testing.T, dir string) *Dir {
	t.Helper()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sameRows compares what rows say, by their JSON.
func sameRows[T any](t rapid.TB, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		a, _ := json.Marshal(&got[i])
		b, _ := json.Marshal(&want[i])
		if !bytes.Equal(a, b) {
			t.Fatalf("row %d: %s, want %s", i, a, b)
		}
	}
}

// roundTrip writes rows and reads them, from lines and from Parquet.
func roundTrip[T any](s Stream[T]) func(*rapid.T, string) {
	return func(t *rapid.T, dir string) {
		rows := rapid.SliceOfN(rapid.Make[T](), 1, 20).Draw(t, "rows")
		w, err := Create(dir, nil, Run{})
		if err != nil {
			t.Fatal(err)
		}
		s.Write(w, rows...)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		d, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(d)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, got, rows)
		if err := w.Finish(Run{Outcome: Outcome{State: Complete}}); err != nil {
			t.Fatal(err)
		}
		if exists(d.file(s.name+linesSuffix)) || !exists(d.file(s.name+parquetSuffix)) {
			t.Fatal("the lines are there, or the Parquet file is not")
		}
		if got, err = s.Read(d); err != nil {
			t.Fatal(err)
		}
		sameRows(t, got, rows)
		if d, err = Open(dir); err != nil || d.Run.Rows[s.name] != int64(len(rows)) || d.Run.Outcome.State != Complete {
			t.Fatalf("run.json says %+v (%v)", d, err)
		}
	}
}

func TestRowsComeBackAsTheyWereWritten(t *testing.T) {
	kinds := []func(*rapid.T, string){
		roundTrip(Events), roundTrip(Routes), roundTrip(Pairs), roundTrip(Convergences), roundTrip(Outages),
		roundTrip(RoundTrips), roundTrip(Probes), roundTrip(Flows), roundTrip(Controls), roundTrip(Resources), roundTrip(Fidelities),
	}
	if len(kinds) != len(streams) {
		t.Fatalf("%d streams are tried, and there are %d", len(kinds), len(streams))
	}
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		rapid.SampledFrom(kinds).Draw(t, "stream")(t, filepath.Join(dir, "run"))
	})
}

// Wherever a crash cuts a file of lines, every whole line is kept, and the cut is
// told once, also when the rest is recovered.
func TestCutLines(t *testing.T) {
	w := created(t)
	rows := []Event{{At: 1, Kind: "note", Text: "a"}, {At: 2, Kind: "note"}, {At: 3, Kind: "link-up", A: "x:a", B: "y:b"}}
	Events.Write(w, rows...)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.Dir(), "events.jsonl")
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(all) {
		if err := os.WriteFile(path, all[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := bytes.Count(all[:cut], []byte{'\n'})
		d := opened(t, w.Dir())
		for range 2 {
			got, err := Events.Read(d)
			if err != nil {
				t.Fatal(err)
			}
			sameRows(t, got, rows[:whole])
		}
		inside := cut > 0 && all[cut-1] != '\n'
		if n := d.Notes(); (len(n) == 1) != inside || len(n) > 1 {
			t.Fatalf("cut at %d: notes %q", cut, n)
		}
	}
	d, err := Recover(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Events.Read(opened(t, w.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, got, rows[:2])
	if len(d.Notes()) != 1 || exists(path) || d.Run.Rows["events"] != 2 || d.Run.Outcome.State != Going {
		t.Errorf("recovered: notes %q, run %+v", d.Notes(), d.Run)
	}
}

// Files of older records lack the columns that were added since; what these hold is absent.
func TestColumnsThatOlderFilesLack(t *testing.T) {
	type older struct {
		From int64  `parquet:"t_us"`
		To   int64  `parquet:"to_us"`
		By   string `parquet:"by,dict"`
		Open bool   `parquet:"open"`
	}
	w := created(t)
	var rows []older
	for i := range int64(3000) {
		rows = append(rows, older{i, i + 5, "tables", i%2 == 0})
	}
	if err := parquet.WriteFile(filepath.Join(w.Dir(), "outages.parquet"), rows); err != nil {
		t.Fatal(err)
	}
	got, err := Outages.Read(opened(t, w.Dir()))
	if err != nil || len(got) != len(rows) {
		t.Fatalf("%d rows (%v)", len(got), err)
	}
	for i, o := range got {
		if want := (Outage{From: int64(i), To: int64(i) + 5, By: "tables", Open: i%2 == 0}); o != want {
			t.Fatalf("row %d: %+v, want %+v", i, o, want)
		}
	}
}

// However a Parquet file is damaged, reading says so in a sentence, and takes the
// lines if they are still there.
func TestDamagedParquet(t *testing.T) {
	w := created(t)
	var rows []PairState
	for i := range 100 {
		rows = append(rows, PairState{At: int64(i), Source: "a", Destination: "b", State: PairReachable, Path: []string{"a", "b"}})
	}
	Pairs.Write(w, rows...)
	if err := w.Finish(Run{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.Dir(), "pairs.parquet")
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := opened(t, w.Dir())
	for cut := 0; cut < len(all); cut += 7 {
		if err := os.WriteFile(path, all[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Pairs.Read(d)
		if !errors.Is(err, errDamaged) || !strings.HasPrefix(err.Error(), path) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	lines := filepath.Join(w.Dir(), "pairs.jsonl")
	if err := os.WriteFile(lines, []byte(`{"t_us":5,"source":"a","destination":"b","state":"loop"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Pairs.Read(d); err != nil || len(got) != 1 || got[0].At != 5 {
		t.Errorf("with the lines beside it: %v (%v)", got, err)
	}
}

func TestRefusals(t *testing.T) {
	w := created(t)
	if _, err := Create(w.Dir(), nil, Run{}); err == nil {
		t.Error("a record was begun over another one")
	}
	path := filepath.Join(w.Dir(), "run.json")
	for text, want := range map[string]string{
		`{"format": 2, "orrery": "v9", "labels": 7}`: "is of a newer format, 2, and this Orrery reads up to 1: read it with Orrery v9 or later",
		`{"format": `: "is no description of a run",
		`{}`:          "says no format",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(w.Dir())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("an empty directory: %v", err)
	}
}

// A file of lines whose conversion was cut short is converted again.
func TestRecoverAfterHalfAConversion(t *testing.T) {
	w := created(t)
	Events.Write(w, Event{At: 1, Kind: "note"})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Dir(), "events.parquet.part"), []byte("PAR1 half"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Recover(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Events.Read(d); err != nil || len(got) != 1 {
		t.Errorf("%v (%v)", got, err)
	}
}

// docs/record.md has every column of every stream, and no others.
func TestDocumentationNamesColumns(t *testing.T) {
	text, err := os.ReadFile("../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n### ")[1:]
	if len(parts) != len(streams) {
		t.Fatalf("%d streams are described, want %d", len(parts), len(streams))
	}
	for i, s := range streams {
		title, body, _ := strings.Cut(parts[i], "\n")
		if title != s.Name() {
			t.Errorf("the part %q describes stream %s", title, s.Name())
		}
		want := map[string]bool{}
		for _, c := range s.columns() {
			want[c] = true
		}
		for line := range strings.Lines(body) {
			cells := strings.Split(line, "|")
			if len(cells) < 3 || !strings.Contains(cells[1], "`") {
				continue
			}
			for n, name := range strings.Split(cells[1], "`") {
				if n%2 == 0 {
					continue
				}
				if !want[name] {
					t.Errorf("%s: column %s is described and not there, or twice", s.Name(), name)
				}
				delete(want, name)
			}
		}
		for c := range want {
			t.Errorf("%s: column %s is not described", s.Name(), c)
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"t_us\":1,\"kind\":\"note\"}\n{\"t_us\":"))
	f.Add([]byte("\n\n{}\nnull\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "events.jsonl")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := eachLine(path, func(*Event) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParquet(f *testing.F) {
	dir := f.TempDir()
	w, err := Create(filepath.Join(dir, "run"), nil, Run{})
	if err != nil {
		f.Fatal(err)
	}
	Routes.Write(w, RouteChange{At: 1, Node: "a", Op: "set", Hops: []Hop{{Port: "b"}}})
	if err := w.Finish(Run{}); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(w.Dir(), "routes.parquet"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "routes.parquet")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := eachRow(path, func(*RouteChange) error { return nil }); err != nil && !errors.Is(err, errDamaged) {
			t.Fatal(err)
		}
	})
}

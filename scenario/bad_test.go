package scenario

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is found as what is expected into testdata")

// TestBad reads the cases of testdata/bad. Each is an archive: a comment that
// says what is wrong, scenario.yaml with files beside it, and the problems.
func TestBad(t *testing.T) {
	cases, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases in testdata/bad: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			want, at := "", -1
			for i, f := range archive.Files {
				if f.Name == "problems" {
					want, at = string(f.Data), i
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err = Load(filepath.Join(dir, "scenario.yaml"))
			if err == nil {
				t.Fatal("the scenario was accepted")
			}
			got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n"
			got = strings.ReplaceAll(got, dir, ".")
			if *update {
				if at < 0 {
					archive.Files = append(archive.Files, txtar.File{Name: "problems"})
					at = len(archive.Files) - 1
				}
				archive.Files[at].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%swant\n%s(go test ./scenario -run TestBad -update writes what is found)", got, want)
			}
		})
	}
}

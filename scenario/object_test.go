package scenario

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// An object has the problems of the file, told by the paths of fields alone.
func TestObjectsHaveTheSameProblems(t *testing.T) {
	cases, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases in testdata/bad: %v", err)
	}
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name != "scenario.yaml" {
				continue
			}
			_, asFile := Parse("scenario.yaml", f.Data)
			_, asObject := ParseObject("", f.Data)
			var file, object Errors
			if errors.As(asFile, &file) != errors.As(asObject, &object) || len(file) != len(object) {
				t.Errorf("%s: as a file %v\nas an object %v", name, asFile, asObject)
				continue
			}
			for i, p := range object {
				if p.File != "" || p.Line != 0 || p.Column != 0 || p.Excerpt != "" || p.Path != file[i].Path || p.Right != file[i].Right && !strings.Contains(file[i].Right, "line ") {
					t.Errorf("%s: as a file %v\nas an object %v", name, file[i], p)
				}
			}
		}
	}
}

package web

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// reference finds what HTML, style sheets and modules load.
var reference = regexp.MustCompile(`(?:src|href)="([^"]+)"|from"(\.[^"]+)"|import\("(\.[^"]+)"\)|url\(([^)]+)\)`)

// TestWhole says that every file that the page loads is there, and that it loads none
// from elsewhere.
func TestWhole(t *testing.T) {
	files := Files()
	loaded := map[string]bool{"index.html": true}
	found := 0
	for name := range walk(t, files) {
		if !strings.HasSuffix(name, ".html") && !strings.HasSuffix(name, ".css") && !strings.HasPrefix(name, "assets/index") {
			continue
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reference.FindAllStringSubmatch(string(text), -1) {
			target := strings.Trim(m[1]+m[2]+m[3]+m[4], `"'`)
			if strings.HasPrefix(target, "data:") || strings.HasPrefix(target, "#") || strings.Contains(target, "${") {
				continue
			}
			if strings.Contains(target, "//") {
				t.Errorf("%s loads %s from elsewhere", name, target)
				continue
			}
			target = path.Join(path.Dir(name), target)
			if _, err := fs.Stat(files, target); err != nil {
				t.Errorf("%s loads %s, which is not there: make web", name, target)
			}
			loaded[target] = true
			found++
		}
	}
	if found < 4 {
		t.Errorf("the page loads %d files; want its script, its style and its icon at least", found)
	}
	if !loaded["assets/index.js"] {
		t.Error("index.html does not load assets/index.js")
	}
}

// TestNothingOfNode says that no part of a build machine got into the bundle.
func TestNothingOfNode(t *testing.T) {
	files := Files()
	for name := range walk(t, files) {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, unwanted := range []string{"/node_modules/", "sourceMappingURL="} {
			if strings.Contains(string(text), unwanted) {
				t.Errorf("%s has %q in it", name, unwanted)
			}
		}
	}
}

func walk(t *testing.T, files fs.FS) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

package release

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/images"
	"orrery.dev/orrery/images/debian"
)

func TestOrrery(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "orrery")
	for _, path := range []string{binary, binary + "-operator", binary + "-agent", binary + "-cni"} {
		if err := os.WriteFile(path, []byte("program"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	image := Orrery("1.2", binary)
	if image.Name != "orrery.dev/orrery:1.2" {
		t.Errorf("the image is called %s", image.Name)
	}
	built, err := image.Build(time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if layers, err := built.Layers(); err != nil || len(layers) != 1 {
		t.Errorf("%d layers, %v", len(layers), err)
	}
}

func TestList(t *testing.T) {
	packages := []debian.Package{{Name: "a", Version: "1", SHA256: "x"}, {Name: "b", Version: "2", SHA256: "y"}, {Name: "c", Version: "3", SHA256: "z"}}
	if got, want := string(list(packages, []string{"a", "c"})), "a 1 x\nc 3 z\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The users' and groups' files have the form of passwd(5) and group(5), and the
// users that router.Users names.
func TestBase(t *testing.T) {
	var names []string
	for _, c := range []struct {
		text   string
		fields int
	}{{passwd, 7}, {group, 4}} {
		for line := range strings.Lines(c.text) {
			fields := strings.Split(strings.TrimSpace(line), ":")
			if len(fields) != c.fields {
				t.Errorf("%q has %d fields, want %d", line, len(fields), c.fields)
			}
			names = append(names, fields[0])
		}
	}
	for _, name := range []string{"frr", "frrvty", "bird"} {
		if !slices.Contains(names, name) {
			t.Errorf("there is no user or group %s", name)
		}
	}
	if _, err := (images.Image{Layers: [][]images.File{base(nil)}}).Build(time.Unix(0, 0)); err != nil {
		t.Error(err)
	}
}

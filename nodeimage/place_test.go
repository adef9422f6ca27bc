package nodeimage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery.dev/orrery/provision/manifest"
)

// An image takes the place of nothing, of an empty directory and of an older image, and of nothing that a user has.
func TestPlace(t *testing.T) {
	image := func(dir string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		m := &manifest.Manifest{Format: manifest.Format, Version: "v1", Architecture: "x86-64", Kernel: "6.1", Packages: []string{}}
		for name, to := range map[string]*manifest.File{"boot.efi": &m.Boot, "root.squashfs": &m.Root} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := manifest.Of(name, strings.NewReader(name))
			if err != nil {
				t.Fatal(err)
			}
			*to = f
		}
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, manifest.Name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		there func(dir string)
		err   string
	}{
		{"nothing", func(string) {}, ""},
		{"an empty directory", func(dir string) { _ = os.Mkdir(dir, 0o755) }, ""},
		{"an older image", image, ""},
		{"an image and notes", func(dir string) { image(dir); _ = os.WriteFile(dir+"/notes.txt", []byte("mine"), 0o644) }, "notes.txt beside it"},
		{"somebody's project", func(dir string) {
			_ = os.Mkdir(dir, 0o755)
			_ = os.WriteFile(dir+"/manifest.json", []byte("{}"), 0o644)
		}, "is no image"},
		{"a file", func(dir string) { _ = os.WriteFile(dir, []byte("mine"), 0o644) }, "not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			made, at := filepath.Join(dir, "made"), filepath.Join(dir, "at")
			image(made)
			if err := os.WriteFile(made+"/new", nil, 0o644); err != nil {
				t.Fatal(err)
			}
			c.there(at)
			before, _ := os.ReadDir(at)
			err := place(made, at)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("%v, want %q", err, c.err)
			}
			_, missing := os.Stat(at + "/new")
			if after, _ := os.ReadDir(at); err != nil && len(after) != len(before) || (missing == nil) != (err == nil) {
				t.Errorf("there were %v, and are %v", before, after)
			}
			if left, _ := os.ReadDir(dir); err == nil && len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

package rundir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery.dev/orrery/rundir"
)

func TestRoot(t *testing.T) {
	for _, c := range []struct{ own, xdg, want string }{
		{"/some/where", "/run/user/1", "/some/where"},
		{"", "/run/user/1", "/run/user/1/orrery"},
		{"", "", filepath.Join(os.TempDir(), "orrery-")},
	} {
		t.Setenv(rundir.RootKey, c.own)
		t.Setenv("XDG_RUNTIME_DIR", c.xdg)
		want := c.want
		if os.Geteuid() == 0 && c.own == "" {
			want = "/run/orrery"
		}
		if got := rundir.Root(); !strings.HasPrefix(got, want) {
			t.Errorf("with %+v the root is %s, want %s", c, got, want)
		}
	}
}

// A run's directory can be passed through, its control directory cannot be
// looked into, whatever the mask; and both are made good if they are there.
func TestMake(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	t.Setenv(rundir.RootKey, root)
	for range 2 {
		dir, err := rundir.Make("run")
		if err != nil || dir != filepath.Join(root, "run") {
			t.Fatalf("%q, %v", dir, err)
		}
		for path, want := range map[string]fs.FileMode{dir: 0o711, filepath.Dir(rundir.Socket("run")): 0o700} {
			st, err := os.Stat(path)
			if err != nil || st.Mode().Perm() != want {
				t.Errorf("%s: %v, mode %o, want %o", path, err, st.Mode().Perm(), want)
			}
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	if names, err := rundir.List(); err != nil || len(names) != 1 || names[0] != "run" {
		t.Errorf("%v, %v", names, err)
	}
	if err := rundir.Remove("run"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the root is left: %v", err)
	}
}

// Where the root cannot be, the error says how to choose another one.
func TestMakeFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(rundir.RootKey, filepath.Join(file, "below"))
	if _, err := rundir.Make("run"); err == nil || !strings.Contains(err.Error(), rundir.RootKey) {
		t.Errorf("%v", err)
	}
}

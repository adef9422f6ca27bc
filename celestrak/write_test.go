package celestrak

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	for _, text := range []string{"first, which is longer", "second"} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("a.json", link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := WriteFile(link, []byte("through the link")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "through the link" {
		t.Errorf("%q, %v", got, err)
	}
	if s, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && s.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", s.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func TestWriteFileErrors(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"no folder", WriteFile(filepath.Join(dir, "no", "file"), nil), "does not exist; make it first"},
		{"folder", WriteFile(dir, nil), "is a folder; name a file in it"},
		{"disk", explain("f", 7, &fs.PathError{Op: "write", Path: "g", Err: syscall.ENOSPC}), "f cannot be written: no space left on device; make room for 7 bytes"},
		{"permission", explain("f", 7, fmt.Errorf("x: %w", &fs.PathError{Op: "open", Path: "g", Err: fs.ErrPermission})), "f cannot be written: permission denied; choose a folder of your own"},
		{"other", explain("f", 7, fs.ErrClosed), "f cannot be written: file already closed"},
	} {
		if c.err == nil || !strings.Contains(strings.Replace(c.err.Error(), "There is not enough space on the disk.", "no space left on device", 1), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, c.err, c.want)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// A device that is always full, as Linux has it.
func TestWriteFileFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	err := WriteFile("/dev/full", []byte("x"))
	if err == nil || !strings.Contains(err.Error(), "make room for 1 bytes") {
		t.Errorf("got %v", err)
	}
}

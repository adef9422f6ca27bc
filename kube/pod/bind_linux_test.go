package pod

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A pod sees its node's directory in the place of others, and nobody else does.
func TestBindOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mount namespaces need root; run the test as root")
	}
	root := t.TempDir()
	dir, there, absent := filepath.Join(root, "dir"), filepath.Join(root, "there"), filepath.Join(root, "a", "b")
	for _, d := range []string{dir, there} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, and its namespace with it
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
				return err
			}
			for range 2 {
				if err := bindOver(dir, []string{there, absent}); err != nil {
					return err
				}
			}
			for _, place := range []string{there, absent} {
				if _, err := os.Stat(filepath.Join(place, "mine")); err != nil {
					return err
				}
			}
			mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
			if n := strings.Count(string(mounts), " "+there+" "); err == nil && n != 1 {
				t.Errorf("it is mounted %d times", n)
			}
			return err
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(there, "mine")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("others see it, too: %v", err)
	}
	if err := bindOver(dir, nil); err != nil {
		t.Errorf("with nothing to do: %v", err)
	}
}

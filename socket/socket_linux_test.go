package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// folder is a directory with a short name: a socket's path has 107 bytes at most.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Who sees the file is never refused.
func TestWhatIsSeenListens(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "sock")
	for range 200 {
		dialled := make(chan error)
		go func() {
			for {
				c, err := net.Dial("unix", path)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err == nil {
					err = c.Close()
				}
				dialled <- err
				return
			}
		}()
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-dialled; err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
	}
}

// Files that are made beside have the modes that their makers gave them: a daemon's configuration must not be
// closed to the daemon's user since a socket was made at that moment.
func TestModesOfOthers(t *testing.T) {
	dir := folder(t)
	sockets := make(chan error)
	go func() {
		for range 500 {
			l, err := Listen(filepath.Join(dir, "sock"))
			if err == nil {
				err = l.Close()
			}
			if err != nil {
				sockets <- err
				return
			}
		}
		close(sockets)
	}()
	path := filepath.Join(dir, "file")
	for {
		select {
		case err := <-sockets:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o644 {
			t.Errorf("a file made beside has mode %v", info.Mode())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListen(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "sock")
	// A server that was killed between its two steps leaves the first name.
	if err := os.WriteFile(filepath.Join(dir, "~ock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: want mode 600", st.Mode(), err)
	}
	if _, err := Listen(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second listener: %v, want that the file exists", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a second Close removed another's file: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, "~")); err == nil {
		t.Error("a name with a tilde was taken")
	}
}

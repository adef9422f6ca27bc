package router

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"orrery.dev/orrery/scenario"
)

func TestVersion(t *testing.T) {
	for _, daemon := range []string{BIRD, FRR} {
		v, err := Version(context.Background(), daemon)
		if errors.Is(err, ErrMissing) {
			t.Logf("%v", err) // said in one sentence, as it should
			continue
		}
		if err != nil || v == "" || v[0] < '0' || v[0] > '9' {
			t.Errorf("%s: %q, %v", daemon, v, err)
		}
	}
	if _, err := Version(context.Background(), "gated"); err == nil {
		t.Error("a daemon that does not exist has a version")
	}
}

func TestPreflightFindsWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Preflight([]scenario.Routing{{Protocol: Oracle}, {Protocol: OSPF3}})
	if !errors.Is(err, ErrMissing) || err.Error() != "routing: protocol ospf3 needs bird, which is not there; install it with `apt-get install bird2`: not installed" {
		t.Errorf("without BIRD: %v", err)
	}
	if err := Preflight([]scenario.Routing{{Protocol: Oracle}, {Protocol: None}}); err != nil {
		t.Errorf("without need: %v", err)
	}
}

// A daemon's user can read its configuration, whatever mask of modes the emulator was started with.
func TestWriteWhateverTheMask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	if err := Write(dir, Output{Daemon: BIRD, Files: []File{{Name: "bird.conf"}}}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bird.conf")); err != nil || info.Mode() != 0o644 {
		t.Errorf("it has mode %v: %v", info.Mode(), err)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, Output{Daemon: BIRD, Files: []File{{Name: "bird.conf", Content: []byte("x\n")}}}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "bird.conf")); err != nil || string(b) != "x\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// FRR's daemons become another user, which has to get to its directory.
func TestReachable(t *testing.T) {
	top := t.TempDir()
	if real, err := filepath.EvalSymlinks(top); err != nil {
		t.Fatal(err)
	} else {
		top = real
	}
	closed := filepath.Join(top, "closed")
	dir := filepath.Join(closed, "run", "node")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	stranger := owner{uid: 54321, gid: 54321}
	if err := reachable(dir, stranger); err != nil {
		t.Skipf("temporary directories are closed here: %v", err)
	}
	self := owner{uid: os.Getuid(), gid: 54321}
	group := owner{uid: 54321, gid: os.Getgid()}
	for _, x := range []struct {
		mode fs.FileMode
		open []owner
	}{
		{0o755, []owner{stranger, self, group}}, {0o711, []owner{stranger, self, group}}, {0o701, []owner{stranger, self}},
		{0o750, []owner{self, group}}, {0o700, []owner{self}}, {0o644, nil},
	} {
		if err := os.Chmod(closed, x.mode); err != nil {
			t.Fatal(err)
		}
		if os.Getuid() != 0 && x.mode&0o100 == 0 {
			continue // below it nothing can be seen by this test either
		}
		for _, o := range []owner{stranger, self, group} {
			err := reachable(dir, o)
			if want := slices.Contains(x.open, o); (err == nil) != want {
				t.Errorf("mode %o, %+v: %v", x.mode, o, err)
			}
			if err != nil && !strings.Contains(err.Error(), "`chmod o+x "+closed+"`") {
				t.Errorf("it does not say what to do: %v", err)
			}
		}
	}
	if err := os.Chmod(closed, 0o755); err != nil {
		t.Fatal(err)
	}
}

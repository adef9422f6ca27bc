// Package rundir says where runs live on this host: one directory each, which
// holds the control socket, the nodes' files and the journal from which what
// is left of a dead run can be removed.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

// ErrNoRun is wrapped by the error for a run that does not exist.
var ErrNoRun = errors.New("no such run")

// RootKey is the environment variable that Root obeys before all else.
const RootKey = "ORRERY_RUNTIME_DIR"

// Root is the directory of all runs of this user: ORRERY_RUNTIME_DIR, else
// /run/orrery for root, else orrery below XDG_RUNTIME_DIR, else orrery-UID below
// the temporary directory.
func Root() string {
	dir, _ := root()
	return dir
}

// root also tells whether the directory lies where anybody may make one.
func root() (dir string, public bool) {
	if d := os.Getenv(RootKey); d != "" {
		return d, false
	}
	if os.Geteuid() == 0 {
		return "/run/orrery", false
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "orrery"), false
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("orrery-%d", os.Geteuid())), true
}

// MakeRoot makes the directory of all runs. An ordinary user's is for that user
// alone; through root's others can pass, since daemons that drop root must.
func MakeRoot() error {
	dir, public := root()
	mode := fs.FileMode(0o755)
	if os.Geteuid() != 0 {
		mode = 0o700
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("run directory: %w; set %s to a directory that you may write to", err, RootKey)
	}
	if !public {
		return nil
	}
	// Somebody else may have been there first. Only the owner can change a mode.
	st, err := os.Lstat(dir)
	if err == nil && !st.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	if err == nil {
		err = os.Chmod(dir, mode)
	}
	if err != nil {
		return fmt.Errorf("run directory: %w; set %s to a directory of your own", err, RootKey)
	}
	return nil
}

// Dir of a run.
func Dir(name string) string { return filepath.Join(Root(), name) }

// controlDir holds the control socket. Only the owner may look into it.
const controlDir = "control"

// Socket is the control socket of a run.
func Socket(name string) string { return filepath.Join(Dir(name), controlDir, "sock") }

// Log is what a detached emulator writes.
func Log(name string) string { return filepath.Join(Dir(name), "orrery.log") }

// Make makes the directory of a run. Others can pass through it, since daemons
// that drop root must reach their node's directory, but not look around.
func Make(name string) (string, error) {
	if err := MakeRoot(); err != nil {
		return "", err
	}
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{{Dir(name), 0o711}, {filepath.Join(Dir(name), controlDir), 0o700}} {
		err := os.MkdirAll(d.path, d.mode)
		if err == nil {
			err = os.Chmod(d.path, d.mode) // whatever the mask
		}
		if err != nil {
			return "", fmt.Errorf("run directory: %w", err)
		}
	}
	return Dir(name), nil
}

// Remove removes the directory of a run, and the root if that was the last.
func Remove(name string) error {
	if err := os.RemoveAll(Dir(name)); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	_ = os.Remove(Root()) // fails while there are other runs
	return nil
}

// List names all runs, living or dead, in order.
func List() ([]string, error) {
	entries, err := os.ReadDir(Root())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// Choose is the run of the given name or, if that is empty, the only run there is.
func Choose(name string) (string, error) {
	names, err := List()
	if err != nil {
		return "", err
	}
	if name == "" {
		switch len(names) {
		case 0:
			return "", fmt.Errorf("%w: nothing is running; start something with 'orrery up FILE'", ErrNoRun)
		case 1:
			return names[0], nil
		default:
			return "", fmt.Errorf("%w: there are several, name one with --run: %v", ErrNoRun, names)
		}
	}
	for _, n := range names {
		if n == name {
			return name, nil
		}
	}
	return "", fmt.Errorf("%w as %q below %s; 'orrery status' lists what runs", ErrNoRun, name, Root())
}

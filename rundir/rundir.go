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

// Root is the directory of all runs of this user: ORRERY_RUNTIME_DIR, else
// /run/orrery for root, else orrery below XDG_RUNTIME_DIR, else below the
// temporary directory.
func Root() string {
	if d := os.Getenv("ORRERY_RUNTIME_DIR"); d != "" {
		return d
	}
	if os.Geteuid() == 0 {
		return "/run/orrery"
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "orrery")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("orrery-%d", os.Geteuid()))
}

// Dir of a run.
func Dir(name string) string { return filepath.Join(Root(), name) }

// Socket is the control socket of a run.
func Socket(name string) string { return filepath.Join(Dir(name), "control.sock") }

// Log is what a detached emulator writes.
func Log(name string) string { return filepath.Join(Dir(name), "orrery.log") }

// Make makes the directory of a run. Others can pass through it, since daemons
// that drop root must reach their node's directory, but not look around.
func Make(name string) (string, error) {
	if err := os.MkdirAll(Root(), 0o755); err != nil {
		return "", fmt.Errorf("run directory: %w; set ORRERY_RUNTIME_DIR to a directory that you may write to", err)
	}
	err := os.Mkdir(Dir(name), 0o711)
	if err == nil {
		err = os.Chmod(Dir(name), 0o711) // whatever the mask
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("run directory: %w", err)
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

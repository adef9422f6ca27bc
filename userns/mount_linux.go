package userns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// furnish makes the mounts of the new namespaces. It runs in their first process.
func furnish(squash []string) error {
	// What the host unmounts goes from here as well, and nothing goes there.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("let mounts come from outside only: %w", err)
	}
	if err := squashUsers(squash); err != nil {
		return err
	}
	// It shows the processes of the namespace of whoever mounts it.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// squashUsers covers the lists of users and groups with ones that say that those
// named are root.
func squashUsers(names []string) error {
	type file struct {
		path string
		text []byte
	}
	var changed []file
	for _, path := range []string{"/etc/passwd", "/etc/group"} {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if text, ok := Squash(b, names); ok {
			changed = append(changed, file{path, text})
		}
	}
	if len(changed) == 0 {
		return nil
	}
	// The files live in a file system that is mounted while they are bound only.
	const place = "/tmp"
	// Not of the name that node gives its mounts: those are taken from what daemons see.
	if err := unix.Mount("users", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for _, f := range changed {
		source := filepath.Join(place, filepath.Base(f.path))
		if err := os.WriteFile(source, f.text, 0o644); err != nil {
			return err
		}
		if err := unix.Mount(source, f.path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover %s: %w", f.path, err)
		}
	}
	if err := unix.Unmount(place, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount a tmpfs: %w", err)
	}
	return nil
}

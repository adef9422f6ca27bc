package nodeimage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"orrery.dev/orrery/provision/manifest"
)

// vacant says whether an image may be put at a path: nothing is there, or an empty directory, or an older image and
// nothing beside it.
func vacant(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w; name another directory", path, err)
	case len(entries) == 0:
		return nil
	}
	text, err := os.ReadFile(filepath.Join(path, manifest.Name))
	if err != nil {
		return fmt.Errorf("%s is there and is no image; name another directory", path)
	}
	m, err := manifest.Decode(text)
	if err != nil {
		return fmt.Errorf("%s is there and is no image: %w; name another directory", path, err)
	}
	known := []string{manifest.Name, manifest.Signature, m.Boot.Name, m.Root.Name}
	if m.Disk != nil {
		known = append(known, m.Disk.Name)
	}
	for _, s := range m.Slots {
		known = append(known, s.Name)
	}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			return fmt.Errorf("%s has an image, and %s beside it, which would be lost; move that, or name another directory", path, e.Name())
		}
	}
	return nil
}

// place puts a directory at a path that is vacant; what was there is removed once the new one is.
func place(made, path string) error {
	if err := vacant(path); err != nil {
		return err
	}
	old := made + ".old"
	switch err := os.Rename(path, old); {
	case err == nil:
		defer os.RemoveAll(old)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.Rename(made, path); err != nil {
		if e := os.Rename(old, path); e != nil && !errors.Is(e, os.ErrNotExist) {
			return errors.Join(err, e)
		}
		return err
	}
	return nil
}

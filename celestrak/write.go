package celestrak

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// WriteFile makes data the content of a file, wholly or not at all: it writes
// a temporary file beside it and renames that. What is not a regular file, as
// a pipe, is written directly. Symbolic links are followed.
func WriteFile(path string, data []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	mode := fs.FileMode(0o666) // less the umask
	if there, err := os.Stat(path); err == nil {
		if there.IsDir() {
			return fmt.Errorf("%s is a folder; name a file in it", path)
		}
		if !there.Mode().IsRegular() {
			return explain(path, len(data), os.WriteFile(path, data, mode))
		}
		mode = there.Mode().Perm()
	}
	temporary := filepath.Join(filepath.Dir(path),
		fmt.Sprintf(".%s.%d-%d.tmp", filepath.Base(path), os.Getpid(), temporaries.Add(1)))
	if err := write(temporary, data, mode); err != nil {
		os.Remove(temporary)
		return explain(path, len(data), err)
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return explain(path, len(data), err)
	}
	return nil
}

// temporaries numbers the temporary files of this process.
var temporaries atomic.Uint64

func write(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	// Else a crash after the renaming could leave an empty file.
	return f.Sync()
}

// explain says what to do about the faults that users can mend.
func explain(path string, size int, err error) error {
	var of *fs.PathError
	cause := err
	if errors.As(err, &of) {
		cause = of.Err
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s cannot be written: %w; make room for %d bytes", path, cause, size)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be written: the folder %s does not exist; make it first", path, filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be written: %w; choose a folder of your own", path, cause)
	}
	return fmt.Errorf("%s cannot be written: %w", path, cause)
}

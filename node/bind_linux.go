package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// binding shows a process its node's directory in the place of others, in a
// mount namespace that is the process's own.
type binding struct {
	template *os.File // the mount namespace that it is made from
	dir      string
	over     []string
}

// bindingOf a node, nil if there is nothing to bind.
func (l *Linux) bindingOf(n *linuxNode, over []string) (*binding, error) {
	if len(over) == 0 {
		return nil, nil
	}
	for _, place := range over {
		if !filepath.IsAbs(place) {
			return nil, fmt.Errorf("bind over %s: the path is not absolute", place)
		}
	}
	template, err := l.viewTemplate()
	if err != nil {
		return nil, err
	}
	return &binding{template, n.dir, over}, nil
}

// enter takes the calling thread to a new mount namespace with the binding, and
// leave takes it back. Should that fail, the thread starts no more processes: it
// does not find the namespaces of nodes.
func (b *binding) enter() (leave func(), err error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return nil, err
	}
	home, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/proc/thread-self/ns/mnt", Err: err}
	}
	leave = func() {
		_ = unix.Setns(home, unix.CLONE_NEWNS)
		_ = unix.Close(home)
	}
	if err = unix.Setns(int(b.template.Fd()), unix.CLONE_NEWNS); err != nil {
		err = fmt.Errorf("enter the mount namespace: %w", err)
	} else {
		err = b.make()
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// make gives the calling thread a copy of its mount namespace, and the copy the
// binding. Places that are not there appear in an empty file system over what is
// there of their path, so that the host's files stay as they are.
func (b *binding) make() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	covers, err := b.covers()
	if err != nil {
		return err
	}
	places := slices.Clone(b.over)
	if below(b.dir, covers) {
		places = append(places, b.dir)
	}
	// Taken before anything is covered.
	trees := make([]int, 0, len(places))
	defer func() {
		for _, fd := range trees {
			_ = unix.Close(fd)
		}
	}()
	for range places {
		fd, err := unix.OpenTree(unix.AT_FDCWD, b.dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return &os.PathError{Op: "open_tree", Path: b.dir, Err: err}
		}
		trees = append(trees, fd)
	}
	for _, dir := range covers {
		if err := cover(dir, "mode=0755"); err != nil {
			return err
		}
	}
	for i, place := range places {
		if err := os.MkdirAll(place, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(trees[i], "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS); err != nil {
			return fmt.Errorf("bind %s over %s: %w", b.dir, place, err)
		}
	}
	return nil
}

// covers lists the directories that have to be covered to make places that are
// not there, none of them below another.
func (b *binding) covers() ([]string, error) {
	var list []string
	for _, place := range b.over {
		dir := filepath.Clean(place)
		for {
			_, err := os.Stat(dir)
			if err == nil {
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			dir = filepath.Dir(dir)
		}
		switch dir {
		case filepath.Clean(place):
		case "/":
			return nil, fmt.Errorf("bind over %s: nothing of its path is there", place)
		default:
			list = append(list, dir)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(slices.Clone(list), func(dir string) bool { return below(dir, list) }), nil
}

// below tells whether a path is below one of some directories.
func below(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(path, d+"/") })
}

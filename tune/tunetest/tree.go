// Package tunetest has sysctls that exist in memory only.
package tunetest

import (
	"io/fs"
	"maps"
)

// Tree implements tune.Sysctls.
type Tree struct {
	Values map[string]string
	// Before, if set, is asked before each Read and Write. Its error becomes the
	// call's, and nothing is done. A panic in it stands for the death of the
	// process.
	Before func(verb, sysctl, value string) error
	// Clamp, if set, is what the kernel makes of a value.
	Clamp func(sysctl, value string) string
}

// New has a copy of these values.
func New(values map[string]string) *Tree { return &Tree{Values: maps.Clone(values)} }

// Read implements tune.Sysctls.
func (t *Tree) Read(sysctl string) (string, error) {
	if err := t.before("read", sysctl, ""); err != nil {
		return "", err
	}
	value, ok := t.Values[sysctl]
	if !ok {
		return "", &fs.PathError{Op: "open", Path: sysctl, Err: fs.ErrNotExist}
	}
	return value, nil
}

// Write implements tune.Sysctls.
func (t *Tree) Write(sysctl, value string) error {
	if err := t.before("write", sysctl, value); err != nil {
		return err
	}
	if _, ok := t.Values[sysctl]; !ok {
		return &fs.PathError{Op: "open", Path: sysctl, Err: fs.ErrNotExist}
	}
	if t.Clamp != nil {
		value = t.Clamp(sysctl, value)
	}
	t.Values[sysctl] = value
	return nil
}

func (t *Tree) before(verb, sysctl, value string) error {
	if t.Before == nil {
		return nil
	}
	return t.Before(verb, sysctl, value)
}

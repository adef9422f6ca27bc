package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := install(dir); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(filepath.Join(dir, name))
	if err != nil || st.Mode().Perm() != 0o755 || st.Size() == 0 {
		t.Errorf("installed %v: %v", st, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("the directory has %v: %v", list, err)
	}
	if err := install(filepath.Join(dir, "none")); err == nil {
		t.Error("it installs into a directory that there is not")
	}
}

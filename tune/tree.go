package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Setting is a sysctl and the value that it should have.
type Setting struct {
	Sysctl string `json:"sysctl"` // as sysctl(8) writes it: net.core.rmem_max
	Value  string `json:"value"`
}

// Sysctls are a kernel's parameters. Implementations are Dir, for Linux, and
// tunetest.Tree, in memory.
type Sysctls interface {
	// Read the value; the error wraps fs.ErrNotExist if there is no such sysctl.
	Read(sysctl string) (string, error)
	// Write the value.
	Write(sysctl, value string) error
}

// Dir are the sysctls below a directory, each a file.
type Dir string

// Proc is this host's.
const Proc Dir = "/proc/sys"

var _ Sysctls = Proc

// Read implements Sysctls.
func (d Dir) Read(sysctl string) (string, error) {
	b, err := os.ReadFile(d.file(sysctl))
	return normal(string(b)), err
}

// Write implements Sysctls. The kernel takes a value in one call only.
func (d Dir) Write(sysctl, value string) error {
	f, err := os.OpenFile(d.file(sysctl), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value + "\n")
	return errors.Join(err, f.Close())
}

func (d Dir) file(sysctl string) string {
	return filepath.Join(string(d), filepath.FromSlash(strings.ReplaceAll(sysctl, ".", "/")))
}

// normal has one space between the words of a value, where the kernel has tabs.
func normal(value string) string { return strings.Join(strings.Fields(value), " ") }

// name keeps what is no sysctl from becoming a path.
var name = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)+$`)

func (s Setting) check() error {
	if !name.MatchString(s.Sysctl) {
		return fmt.Errorf("tune: %q is no name of a sysctl, such as net.core.rmem_max", s.Sysctl)
	}
	if s.Value != normal(s.Value) || s.Value == "" {
		return fmt.Errorf("tune: %s: %q is no value", s.Sysctl, s.Value)
	}
	return nil
}

// reason is why a sysctl cannot be read or written, in words.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

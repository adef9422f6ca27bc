package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// private are the directories that a machine has for itself, by their names
// below its Dir.
var private = []struct{ below, at string }{
	{"run", "/run"},
	{"var-lib", "/var/lib"},
	{"var-log", "/var/log"},
	{"opt", "/opt"},
}

// Path says where on the host the file is that the machine sees at path: what
// is below /run, /var/lib, /var/log, /opt or /etc is below dir, a machine's
// Dir. A file in /etc is there only if it was written by or for the machine.
func Path(dir, path string) string {
	for _, p := range private {
		if rest, ok := strings.CutPrefix(path, p.at+"/"); ok {
			return filepath.Join(dir, p.below, rest)
		}
	}
	if rest, ok := strings.CutPrefix(path, "/etc/"); ok {
		return filepath.Join(dir, "etc", rest)
	}
	return path
}

// furnish makes the namespaces of the calling process, which are fresh, those
// of the machine.
func furnish(spec Spec) error {
	if err := unix.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("set the host name %q: %w", spec.Name, err)
	}
	// First cut off from the host: nothing mounted here may appear there.
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, p := range private {
		if strings.HasPrefix(spec.Dir+"/", p.at+"/") {
			return fmt.Errorf("%s lies in %s, which a machine has for itself; choose a directory elsewhere", spec.Dir, p.at)
		}
		if err := bind(filepath.Join(spec.Dir, p.below), p.at); err != nil {
			return err
		}
	}
	if err := overlay("/etc", filepath.Join(spec.Dir, "etc"), filepath.Join(spec.Dir, "etc-work")); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	// All but the network namespace's own settings are the host's.
	if err := protect("/proc/sys", true); err != nil {
		return err
	}
	if err := protect("/proc/sys/net", false); err != nil {
		return err
	}
	if err := show(spec); err != nil {
		return err
	}
	// Volumes are propagated from the kubelet's mounts into containers.
	if err := mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return err
	}
	for _, s := range []struct{ file, value string }{
		{"ipv4/ip_forward", "1"},
		{"ipv6/conf/all/forwarding", "1"},
		{"ipv6/conf/default/forwarding", "1"},
		// An address is usable at once, not after a second of looking for
		// duplicates that there cannot be.
		{"ipv6/conf/all/accept_dad", "0"},
		{"ipv6/conf/default/accept_dad", "0"},
	} {
		if err := os.WriteFile(filepath.Join("/proc/sys/net", s.file), []byte(s.value), 0); err != nil {
			return err
		}
	}
	return nil
}

// show puts other files over those that are there.
func show(spec Spec) error {
	for path, content := range spec.Shown {
		file := filepath.Join(spec.Dir, "shown", path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
		if err := mount(file, path, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

func bind(dir, at string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return mount(dir, at, "", unix.MS_BIND, "")
}

// overlay makes what is written below at go to upper.
func overlay(at, upper, work string) error {
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if strings.ContainsAny(upper+work, `,:\`) {
		return fmt.Errorf("%s: an overlay cannot be mounted from a path with commas, colons or backslashes", upper)
	}
	return mount("overlay", at, "overlay", 0, "lowerdir="+at+",upperdir="+upper+",workdir="+work)
}

// protect makes what is at a path a mount of its own, read-only or not.
func protect(at string, readOnly bool) error {
	if err := mount(at, at, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	return mount("", at, "", flags, "")
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s at %s: %w", orNothing(source), target, err)
	}
	return nil
}

func orNothing(source string) string {
	if source == "" {
		return "(new flags)"
	}
	return source
}

package nodeimage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"orrery.dev/orrery/provision/firstboot"
)

// tree has what an image adds to the packages.
//
//go:embed all:root
var tree embed.FS

// links are made in the root: services that run, and those that must not. Routing daemons of the
// host would follow the ports of every run.
var links = map[string]string{
	"etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "/lib/systemd/system/systemd-networkd.service",
	"etc/systemd/system/multi-user.target.wants/orrery-node.service":      "/etc/systemd/system/orrery-node.service",
	"etc/systemd/system/frr.service":                                      "/dev/null",
	"etc/systemd/system/bird.service":                                     "/dev/null",
	"etc/systemd/system/systemd-firstboot.service":                        "/dev/null",
	"etc/systemd/system/apt-daily.timer":                                  "/dev/null",
	"etc/systemd/system/apt-daily-upgrade.timer":                          "/dev/null",
	"etc/systemd/system/dpkg-db-backup.timer":                             "/dev/null",
	"etc/systemd/system/e2scrub_all.timer":                                "/dev/null",
	"etc/systemd/system/e2scrub_reap.service":                             "/dev/null",
	"etc/systemd/system/systemd-pcrphase.service":                         "/dev/null",
	"etc/systemd/system/fstrim.timer":                                     "/dev/null",
}

// random are patterns of files that no two builds have the same, or that no two nodes may.
var random = []string{
	"etc/machine-id", "var/lib/dbus/machine-id", "etc/ssh/ssh_host_*", "etc/hostname", "etc/resolv.conf",
	"var/log/*", "var/cache/*/*", "var/lib/apt/lists/*", "etc/*-", "var/lib/dpkg/*-old", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret",
	"boot/*", "var/lib/ucf/*",
}

// files adds Orrery and its settings to the root, and removes what is random.
func (b *build) files(context.Context) error {
	for _, pattern := range random {
		found, err := filepath.Glob(filepath.Join(b.root, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	err := fs.WalkDir(tree, "root", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := tree.ReadFile(path)
		if err != nil {
			return err
		}
		return b.put(strings.TrimPrefix(path, "root/"), data, 0o644)
	})
	if err != nil {
		return err
	}
	for name, from := range map[string]string{"usr/bin/orrery": b.Orrery, "usr/lib/orrery/orrery-boot": b.Boot} {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := b.put(name, data, 0o755); err != nil {
			return err
		}
	}
	if err := b.put(strings.TrimPrefix(firstboot.ExampleFile, "/"), b.Example, 0o644); err != nil {
		return err
	}
	if b.Authority != "" {
		data, err := os.ReadFile(b.Authority)
		if err != nil {
			return err
		}
		if err := b.put(strings.TrimPrefix(firstboot.AuthorityFile, "/"), data, 0o644); err != nil {
			return err
		}
	}
	// An empty one says that this is no first boot of systemd's.
	if err := b.put("etc/machine-id", nil, 0o444); err != nil {
		return err
	}
	for name, target := range links {
		path := filepath.Join(b.root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), os.Symlink(target, path)); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file of the root. A link that a package has at its place is replaced, not followed.
func (b *build) put(name string, data []byte, mode fs.FileMode) error {
	path := filepath.Join(b.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), os.WriteFile(path, data, mode), os.Chmod(path, mode)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

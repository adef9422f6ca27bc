package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Package is a package's file on this host.
type Package struct {
	Name, Version string
	File          string
	SHA256        string // of the file, in hexadecimal
}

// Fetch downloads packages and everything that they depend on into a directory,
// unless they are there already. They are the versions that apt would install
// now. It needs apt's lists ("apt-get update"), but not root, and changes
// nothing outside of the directory.
func Fetch(ctx context.Context, dir string, names ...string) ([]Package, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		return nil, err
	}
	// An empty list of installed packages makes apt fetch all.
	none := filepath.Join(dir, "installed")
	if err := os.WriteFile(none, nil, 0o644); err != nil {
		return nil, err
	}
	options := []string{
		"-q", "--yes", "--no-install-recommends",
		"-o", "Dir::State::status=" + none, "-o", "Dir::State::extended_states=" + none,
		"-o", "Dir::Cache::archives=" + dir, "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
		"-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=true", "-o", "Acquire::Retries=3",
	}
	planned, err := run(ctx, "apt-get", append(append(slices.Clone(options), "--simulate", "install"), names...)...)
	if err != nil {
		return nil, fmt.Errorf("find packages %s: %w; does \"apt-get update\" help?", strings.Join(names, " "), err)
	}
	if _, err := run(ctx, "apt-get", append(append(slices.Clone(options), "--download-only", "install"), names...)...); err != nil {
		return nil, fmt.Errorf("download packages %s: %w", strings.Join(names, " "), err)
	}
	wanted, err := parsePlan(planned)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return nil, err
	}
	for i := range wanted {
		p := &wanted[i]
		// name_version_architecture.deb, where a version's colon is %3a.
		prefix := p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_"
		at := slices.IndexFunc(files, func(f string) bool { return strings.HasPrefix(filepath.Base(f), prefix) })
		if at < 0 {
			return nil, fmt.Errorf("apt downloaded no file %s*.deb into %s", prefix, dir)
		}
		p.File = files[at]
		if p.SHA256, err = sum(p.File); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}

// parsePlan reads what "apt-get --simulate install" would unpack, in lines as
//
//	Inst bird2 (2.0.12-7 Debian:12.5/stable [amd64])
//	Inst libc6 [2.36-9] (2.36-9+deb12u4 Debian:12.5/stable [amd64])
func parsePlan(text string) ([]Package, error) {
	var all []Package
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Inst ")
		if !ok {
			continue
		}
		name, rest, _ := strings.Cut(rest, " ")
		_, rest, ok = strings.Cut(rest, "(")
		version, _, ok2 := strings.Cut(rest, " ")
		if !ok || !ok2 || name == "" || version == "" {
			return nil, fmt.Errorf("cannot read apt's line %q", strings.TrimSpace(line))
		}
		name, _, _ = strings.Cut(name, ":") // an architecture may follow
		all = append(all, Package{Name: name, Version: version})
	}
	if len(all) == 0 {
		return nil, errors.New("apt plans to install nothing")
	}
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func sum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaint.String()))
	}
	return string(out), nil
}

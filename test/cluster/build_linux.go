package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// program is built from a Go module of its own, once for each version of its
// sources, and kept below the user's cache directory.
type program struct {
	name   string   // of the directory below test/cluster that holds the module
	module string   // whose version is the program's
	args   []string // for "go build", with VERSION in place of the version
	c      string   // a directory of the module; its src/*.c become a static program of that name; "" for none
}

// kubernetes is one binary, since five would take five times the space and
// most of the time; its first argument is the name of the program.
var kubernetes = program{
	name:   "kubernetes",
	module: "k8s.io/kubernetes",
	args: []string{
		"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=VERSION -X k8s.io/component-base/version.gitMajor=MAJOR" +
			" -X k8s.io/component-base/version.gitMinor=MINOR -X k8s.io/component-base/version.gitTreeState=clean" +
			" -X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z",
		".",
	},
}

var containerd2 = program{
	name:   "containerd",
	module: "github.com/containerd/containerd/v2",
	args: []string{
		"-tags=netgo,osusergo,no_btrfs,no_devmapper,no_zfs,no_aufs,no_tracing",
		"-ldflags=-s -w -X github.com/containerd/containerd/v2/version.Version=VERSION",
		"github.com/containerd/containerd/v2/cmd/containerd",
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		"github.com/containerd/containerd/v2/cmd/ctr",
	},
}

// crio needs a program in C beside it, which pins namespaces.
var crio = program{
	name:   "crio",
	module: "github.com/cri-o/cri-o",
	args: []string{
		"-tags=netgo,osusergo,containers_image_openpgp,exclude_graphdriver_btrfs",
		"-ldflags=-s -w",
		"github.com/cri-o/cri-o/cmd/crio",
	},
	c: "pinns",
}

// Build builds what clusters need and the cache does not have: Kubernetes, and
// the runtime if it is none of the host's. It takes some minutes, and gigabytes
// of the Go build cache; later it takes no time. Processes that build at the
// same time wait for each other.
func Build(ctx context.Context, log func(format string, args ...any), r Runtime) error {
	if _, err := kubernetes.get(ctx, log); err != nil {
		return err
	}
	if p := r.program(); p != nil {
		_, err := p.get(ctx, log)
		return err
	}
	return nil
}

// place says where the sources are, which version they are, and which
// directory holds the built program, or will.
func (p program) place(ctx context.Context) (source, version, out string, err error) {
	source, err = sources(ctx)
	if err != nil {
		return "", "", "", err
	}
	source = filepath.Join(source, p.name)
	version, err = run(ctx, source, "go", "list", "-m", "-f", "{{.Version}}", p.module)
	if err != nil {
		return "", "", "", fmt.Errorf("find the version of %s: %w", p.module, err)
	}
	hash, err := p.hash(source)
	if err != nil {
		return "", "", "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", "", fmt.Errorf("no place to keep %s: %w", p.name, err)
	}
	out = filepath.Join(cache, "orrery", fmt.Sprintf("%s-%s-%.12x", p.name, strings.TrimPrefix(version, "v"), hash))
	return source, version, out, nil
}

// get says which directory holds the built program, and builds it if it is not
// there.
func (p program) get(ctx context.Context, log func(format string, args ...any)) (string, error) {
	source, version, out, err := p.place(ctx)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	cache := filepath.Dir(out)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(cache, p.name+".lock"), func() { log("waiting for another build of %s", p.name) })
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(out); err == nil {
		return out, nil // built while we waited
	}
	log("building %s %s, which takes some minutes the first time", p.name, version)
	began := time.Now()
	next := out + ".next"
	if err := errors.Join(os.RemoveAll(next), os.Mkdir(next, 0o755)); err != nil {
		return "", err
	}
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o", next + "/"}, p.args...)
	major, minor, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	for i := range args {
		args[i] = strings.NewReplacer("VERSION", version, "MAJOR", major, "MINOR", minor).Replace(args[i])
	}
	if _, err := run(ctx, source, "go", args...); err != nil {
		_ = os.RemoveAll(next)
		return "", fmt.Errorf("build %s %s: %w", p.name, version, err)
	}
	if err := p.compile(ctx, source, next, version); err != nil {
		_ = os.RemoveAll(next)
		return "", err
	}
	if err := os.Rename(next, out); err != nil {
		return "", err
	}
	log("built %s %s in %v", p.name, version, time.Since(began).Round(time.Second))
	return out, nil
}

// compile makes the program in C.
func (p program) compile(ctx context.Context, source, out, version string) error {
	if p.c == "" {
		return nil
	}
	dir, err := run(ctx, source, "go", "list", "-m", "-f", "{{.Dir}}", p.module)
	if err != nil {
		return fmt.Errorf("find the sources of %s: %w", p.module, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, p.c, "src", "*.c"))
	if err != nil {
		return err
	}
	if _, err := run(ctx, source, "gcc", append([]string{"-Os", "-static", "-s", `-DVERSION="` + version + `"`, "-o", filepath.Join(out, p.c)}, files...)...); err != nil {
		return fmt.Errorf("compile %s of %s %s: %w", p.c, p.name, version, err)
	}
	return nil
}

// hash is that of everything that the program is made of: go.sum holds the
// hashes of all modules.
func (p program) hash(source string) ([]byte, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %q\n", runtime.Version(), runtime.GOARCH, p.args)
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	for _, name := range append(files, filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum")) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "%s\n", filepath.Base(name))
		_, err = io.Copy(h, f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return h.Sum(nil), nil
}

// sources is where this package's own sources are. Tests run in the directory
// of their package, so go finds them.
func sources(ctx context.Context) (string, error) {
	dir, err := run(ctx, "", "go", "list", "-f", "{{.Dir}}", "orrery.dev/orrery/test/cluster")
	if err != nil {
		return "", fmt.Errorf("find the sources of test/cluster: %w", err)
	}
	return dir, nil
}

// buildOwn builds the programs of this module that run in a cluster.
func buildOwn(ctx context.Context, out string) error {
	source, err := sources(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	_, err = run(ctx, source, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out+"/", "./machine/init", "./modest", "./multus")
	return err
}

// run runs a command of the build and returns its output; an error has what it
// complained of.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, tail(complaint.String(), 20))
	}
	return strings.TrimSpace(string(out)), nil
}

// lock takes a lock that all processes of the host respect, and calls wait once
// if it is taken.
func lock(ctx context.Context, file string, wait func()) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for waited := false; ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			_ = f.Close()
			return nil, &fs.PathError{Op: "lock", Path: file, Err: err}
		}
		if !waited {
			waited = true
			wait()
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

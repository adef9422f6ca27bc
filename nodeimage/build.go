package nodeimage

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"orrery.dev/orrery/provision/manifest"
)

// Options of a build.
type Options struct {
	Out string // directory of the image; it must not exist yet, or be one of an image
	// Orrery and Boot are the programs orrery and orrery-boot, Example the scenario of the check.
	Orrery, Boot string
	Example      []byte
	Version      string // of Orrery
	// Suite is a release of Debian, Mirror where it comes from: a URL or a sources.list file, empty for
	// mmdebstrap's own.
	Suite, Mirror string
	// Kernel is the package of the kernel, Include further packages.
	Kernel  string
	Include []string
	// Kubernetes adds containerd and what kubelet needs.
	Kubernetes bool
	Cmdline    string // of the kernel
	// Disk adds an image of a whole disk, for installing.
	Disk bool
	// PrivateKey signs the manifest, and has its public half built in; empty for an unsigned image. Authority
	// is a file of certificates that the server's must be signed with.
	PrivateKey, Authority string
	// SecureBootKey and SecureBootCertificate sign boot.efi with sbsign; both or none.
	SecureBootKey, SecureBootCertificate string
	Epoch                                int64 // seconds since 1970 that no file is newer than
	Log                                  io.Writer
}

// DefaultCmdline has the console on the first serial port too; consoles that are not there are no harm.
const DefaultCmdline = "console=tty0 console=ttyS0,115200 panic=30 quiet loglevel=5 systemd.show_status=0"

// base are the packages of every image. Iproute2 and procps are for people.
var base = []string{
	"systemd-sysv", "udev", "dbus", "kmod", "netbase", "ca-certificates", "passwd", "e2fsprogs",
	"openssh-server", "iproute2", "iputils-ping", "procps", "bird2", "frr",
}

var kubernetes = []string{"containerd", "runc", "containernetworking-plugins", "conntrack", "iptables", "ebtables", "socat", "ethtool", "util-linux"}

// programs that a build calls, and the packages that have them.
var programs = [][2]string{{"mmdebstrap", "mmdebstrap"}, {"mksquashfs", "squashfs-tools"}, {"objcopy", "binutils"}, {"dpkg-deb", "dpkg"}, {"depmod", "kmod"}, {"sfdisk", "fdisk"}, {"mkfs.fat", "dosfstools"}, {"mcopy", "mtools"}}

// stubs of systemd by architecture of Go, and what the architecture is called in manifests.
var stubs = map[string][2]string{
	"amd64": {"/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "x86-64"},
	"arm64": {"/usr/lib/systemd/boot/efi/linuxaa64.efi.stub", "arm64"},
}

// ErrMissing is wrapped by the error for a host that cannot build.
var ErrMissing = errors.New("images cannot be built here")

// Probe says what this host lacks for building.
func Probe() error {
	var lacks []string
	for _, p := range programs {
		if _, err := exec.LookPath(p[0]); err != nil {
			lacks = append(lacks, p[1])
		}
	}
	stub, ok := stubs[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("%w: there is no boot stub for %s", ErrMissing, runtime.GOARCH)
	}
	if _, err := os.Stat(stub[0]); err != nil {
		lacks = append(lacks, "systemd-boot-efi")
	}
	if len(lacks) > 0 {
		return fmt.Errorf("%w: Debian's packages %s are missing; \"scripts/deps.sh vm\" installs them", ErrMissing, strings.Join(lacks, ", "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: files of a root have owners, so this takes root", ErrMissing)
	}
	return nil
}

// Build makes an image.
func Build(ctx context.Context, o Options) (*manifest.Manifest, error) {
	if err := Probe(); err != nil {
		return nil, err
	}
	if (o.SecureBootKey == "") != (o.SecureBootCertificate == "") {
		return nil, errors.New("signing for Secure Boot takes a key and a certificate")
	}
	key, err := signer(o.PrivateKey)
	if err != nil {
		return nil, err
	}
	if o.Out, err = filepath.Abs(o.Out); err != nil { // "." cannot be renamed
		return nil, err
	}
	if err := vacant(o.Out); err != nil { // not only after minutes
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Out), 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(o.Out), ".image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	b := &build{Options: o, key: key, work: work, root: filepath.Join(work, "root"), out: filepath.Join(work, "out")}
	if err := os.Mkdir(b.out, 0o755); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"packages", b.packages}, {"kernel", b.kernel}, {"files", b.files}, {"root", b.squash}, {"boot file", b.bootFile}, {"disk", b.disk},
	} {
		fmt.Fprintf(o.Log, "%s ...\n", step.name)
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("building an image, %s: %w", step.name, err)
		}
	}
	return b.finish()
}

// signer reads the key that signs the manifest; it is nil where none is named.
func signer(path string) (ed25519.PrivateKey, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := manifest.PrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// build is one build in its working directory.
type build struct {
	Options
	key             ed25519.PrivateKey // nil for an image that is not signed
	work, root, out string

	release  string   // of the kernel
	vmlinuz  string   // path of the kernel
	packaged []string // "name version" of each package, in order
}

// run calls a program; its output is shown if it fails.
func (b *build) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(b.Epoch, 10), "LC_ALL=C.UTF-8", "TZ=UTC")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(problems.String() + out.String())
		lines := strings.Split(text, "\n")
		return "", fmt.Errorf("%s: %w:\n%s", name, err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return out.String(), nil
}

// download has the host's apt fetch the kernel's package, without installing it: its scripts would
// make an initial file system of their own.
const download = `set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir "$1/.kernel"
cd "$1/.kernel"
real=$(apt-cache depends --important "$0" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
apt-get -q -o APT::Sandbox::User=root download "${real:-$0}"`

// packages unpacks the packages into the root.
func (b *build) packages(ctx context.Context) error {
	include := slices.Concat(base, b.Include)
	if b.Kubernetes {
		include = append(include, kubernetes...)
	}
	args := []string{
		"--variant=essential", "--mode=root", "--format=directory", "--include=" + strings.Join(include, ","),
		`--aptopt=Acquire::Languages "none"`, `--aptopt=APT::Install-Recommends "false"`, `--aptopt=Acquire::Retries "5"`,
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/info/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=force-unsafe-io",
		"--customize-hook=" + hook(download, b.Kernel),
		b.Suite, b.root,
	}
	if b.Mirror != "" {
		args = append(args, b.Mirror)
	}
	if _, err := b.run(ctx, "mmdebstrap", args...); err != nil {
		return err
	}
	list, err := b.run(ctx, "dpkg-query", "--admindir="+b.root+"/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n")
	if err != nil {
		return err
	}
	b.packaged = strings.Split(strings.TrimSpace(list), "\n")
	slices.Sort(b.packaged)
	return nil
}

// hook is a script as a hook of mmdebstrap, which has a shell read it with the root's path as $1.
func hook(script, argument string) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	return "sh -c " + quote(script) + " " + quote(argument) + ` "$1"`
}

// kernel unpacks the kernel's package: its modules belong to the root.
func (b *build) kernel(ctx context.Context) error {
	found, err := filepath.Glob(b.root + "/.kernel/*.deb")
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%s is not one package of a kernel: %q", b.Kernel, found)
	}
	dir := filepath.Join(b.work, "kernel")
	if _, err := b.run(ctx, "dpkg-deb", "--extract", found[0], dir); err != nil {
		return err
	}
	version, err := b.run(ctx, "dpkg-deb", "--show", "--showformat=${Package} ${Version}", found[0])
	if err != nil {
		return err
	}
	b.packaged = append(b.packaged, version)
	slices.Sort(b.packaged)
	kernels, err := filepath.Glob(dir + "/boot/vmlinuz-*")
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("%s has %d kernels", filepath.Base(found[0]), len(kernels))
	}
	b.vmlinuz = kernels[0]
	b.release = strings.TrimPrefix(filepath.Base(b.vmlinuz), "vmlinuz-")
	if err := os.RemoveAll(b.root + "/.kernel"); err != nil {
		return err
	}
	modules := "/usr/lib/modules"
	if err := os.MkdirAll(b.root+modules, 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "lib/modules", b.release), filepath.Join(b.root, modules, b.release)); err != nil {
		return err
	}
	_, err = b.run(ctx, "depmod", "--basedir", b.root+"/usr", b.release)
	return err
}

// squash makes the root's file system.
func (b *build) squash(ctx context.Context) error {
	_, err := b.run(ctx, "mksquashfs", b.root, filepath.Join(b.out, "root.squashfs"),
		"-comp", "zstd", "-Xcompression-level", "9", "-b", "262144", "-noappend", "-no-progress", "-quiet", "-no-exports", "-xattrs",
		"-wildcards", "-e", "dev/*", "proc/*", "sys/*", "run/*", "tmp/*")
	return err
}

// finish writes the manifest and puts the image where it belongs.
func (b *build) finish() (*manifest.Manifest, error) {
	m := &manifest.Manifest{
		Format: manifest.Format, Version: b.Version, Architecture: stubs[runtime.GOARCH][1], Kernel: b.release, Cmdline: b.Cmdline, Packages: b.packaged,
	}
	described := map[string]*manifest.File{"boot.efi": &m.Boot, "root.squashfs": &m.Root}
	if b.Disk {
		m.Disk, m.Slots = new(manifest.File), map[string]*manifest.File{"a": new(manifest.File), "b": new(manifest.File)}
		described["disk.raw"], described["disk-a.efi"], described["disk-b.efi"] = m.Disk, m.Slots["a"], m.Slots["b"]
	}
	for name, to := range described {
		f, err := os.Open(filepath.Join(b.out, name))
		if err != nil {
			return nil, err
		}
		*to, err = manifest.Of(name, f)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	raw, err := m.Encode()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{manifest.Name: raw}
	if b.key != nil {
		files[manifest.Signature] = manifest.Sign(raw, b.key)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.out, name), content, 0o644); err != nil {
			return nil, err
		}
	}
	return m, place(b.out, b.Out)
}

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/examples"
	"orrery.dev/orrery/nodeimage"
	"orrery.dev/orrery/provision/registry"
)

// imageKey is the environment variable that names an image to boot, for which none is built then.
const imageKey = "ORRERY_NODE_IMAGE"

// built is the directory of an image: the one of the environment, or one that is built of this tree.
func built(ctx context.Context, t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(imageKey); dir != "" {
		return dir
	}
	if err := nodeimage.Probe(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "orrery.dev/orrery/cmd/orrery", "orrery.dev/orrery/cmd/orrery-boot")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	began := time.Now()
	m, err := nodeimage.Build(ctx, nodeimage.Options{
		Out: filepath.Join(dir, "worker"), Orrery: filepath.Join(dir, "orrery"), Boot: filepath.Join(dir, "orrery-boot"), Example: examples.ThreeNodes,
		Version: "test", Suite: "bookworm", Disk: true, Kernel: "linux-image-cloud-amd64", Cmdline: nodeimage.DefaultCmdline, Epoch: 1767225600, Log: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the image was built in %v: boot file %d bytes, root %d bytes", time.Since(began).Round(time.Second), m.Boot.Size, m.Root.Size)
	return filepath.Join(dir, "worker")
}

// Machines go from power-on to ready side by side, one by each way of booting, and run the example of three nodes on their way; the server
// is ended and begun again when the first is at its kernel, is killed and begun again when the last is, and sends no IPv4. The first machine writes the image to its disk, and boots from there with
// the server gone; a new root that is no root is tried three times, and then the first one again.
func TestMachines(t *testing.T) {
	if os.Getenv("ORRERY_VM") == "" {
		t.Skip("virtual machines take minutes; \"make test-vm\" runs them")
	}
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 17*time.Minute)
	defer cancel()
	o := Options{Dir: short(t), Image: built(ctx, t), Paths: Paths, Memory: 1024, Check: "three-nodes", Install: 1, Orrery: orrery(t)}
	o.Capture = filepath.Join(o.Dir, "capture.pcap")
	l, err := New(o)
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	running, abandon := context.WithCancel(ctx)
	defer abandon()
	kernels := 0
	results, err := l.Run(running, len(o.Paths), 12*time.Minute, func(m registry.Machine) {
		t.Logf("%s %s: %s", time.Now().Format(time.TimeOnly), m.Name, m.Stage)
		if m.Stage != registry.Kernel {
			return
		}
		var err error
		switch kernels++; kernels {
		case 1:
			err = l.Restart()
		case len(o.Paths): // no firmware is left, which would not ask again
			err = l.Kill(2 * time.Second)
			t.Logf("%s the server was killed, and serves again", time.Now().Format(time.TimeOnly))
		}
		if err != nil {
			t.Error(err)
			abandon()
		}
	})
	if kernels != len(o.Paths) {
		t.Errorf("the server was not killed: %d machines have told of their kernel", kernels)
	}
	if err != nil {
		t.Error(err)
	}
	for i, r := range results {
		if r.Machine.Path != o.Paths[i] {
			t.Errorf("%s has booted by %q", r.Machine.Name, r.Machine.Path)
		}
		for _, s := range append([]registry.Stage{registry.Firmware}, registry.Stages...) {
			t.Logf("%s %s after %v", r.Machine.Name, s, r.Machine.Passed[s].Sub(r.PowerOn).Round(100*time.Millisecond))
		}
	}
	if !t.Failed() {
		installed(ctx, t, l)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	noIPv4(t, o.Capture)
}

// installed shows that the first machine's disk boots by itself, and that it goes back from a root that does not come up; beside it, that a
// disk which was written by hand boots with a seed.
func installed(ctx context.Context, t *testing.T, l *Lab) {
	if err := l.EndServer(); err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	group.Go(func() error { return seeded(ctx, t, l) })
	group.Go(func() error { return alone(ctx, t, l) })
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func alone(ctx context.Context, t *testing.T, l *Lab) error {
	h := l.Hardware[0]
	h.DiskFirst = true // or the firmware waits for a server for two minutes
	slots, took, err := l.FromDisk(ctx, h, 0)
	if err != nil || !slices.Equal(slots, []string{"a"}) {
		return fmt.Errorf("it booted the slots %v: %w", slots, err)
	}
	t.Logf("%s is ready from its disk, with the server gone, after %v", h.Name, took.Round(100*time.Millisecond))

	// The second slot has nothing but a boot file that is newer than the first one's, as after a renewal that wrote rubbish.
	if err := tools(ctx, []string{"mcopy", "-i", h.Disk + "@@1M", filepath.Join(l.Image, "disk-b.efi"), "::/EFI/Linux/orrery-0002-b+3.efi"}); err != nil {
		return err
	}
	slots, took, err = l.FromDisk(ctx, h, 3)
	if err != nil || !slices.Equal(slots, []string{"b", "b", "b", "a"}) {
		return fmt.Errorf("with a second root that is none it booted the slots %v: %w", slots, err)
	}
	t.Logf("%s has gone back to its first root after three tries of the second: %v", h.Name, took.Round(100*time.Millisecond))
	return nil
}

// userData is what cloud-init's users write, with a part for Orrery.
const userData = `#cloud-config
hostname: by-hand
ssh_authorized_keys: ["ssh-ed25519 AAAA someone"]
packages: [emacs]
orrery:
  role: {check: three-nodes}
`

func seeded(ctx context.Context, t *testing.T, l *Lab) error {
	h := Hardware{Name: "by-hand", MAC: mac(200), Memory: l.Memory, CPUs: l.cpus(), Accelerator: l.Accelerator, DiskFirst: true}
	h.Disk, h.Seed = filepath.Join(l.Dir, "by-hand.disk"), filepath.Join(l.Dir, "by-hand.seed")
	if err := copyFile(filepath.Join(l.Image, "disk.raw"), h.Disk); err != nil {
		return err
	}
	user, meta := filepath.Join(l.Dir, "user-data"), filepath.Join(l.Dir, "meta-data")
	if err := errors.Join(os.WriteFile(user, []byte(userData), 0o600), os.WriteFile(meta, []byte("instance-id: i-1\nlocal-hostname: another\n"), 0o600)); err != nil {
		return err
	}
	if err := tools(ctx, []string{"mkfs.fat", "-C", "-n", "CIDATA", h.Seed, "1024"}, []string{"mcopy", "-i", h.Seed, user, meta, "::/"}); err != nil {
		return err
	}
	slots, took, err := l.FromDisk(ctx, h, 0)
	if err != nil || !slices.Equal(slots, []string{"a"}) {
		return fmt.Errorf("it booted the slots %v: %w", slots, err)
	}
	console, err := os.ReadFile(filepath.Join(l.Dir, "by-hand.console"))
	for _, want := range []string{"this machine is by-hand", "user-data: packages is not heeded"} {
		if !bytes.Contains(console, []byte(want)) {
			err = errors.Join(err, fmt.Errorf("%s did not say %q", h.Name, want))
		}
	}
	t.Logf("%s is ready from a disk that was written by hand, with a seed, after %v", h.Name, took.Round(100*time.Millisecond))
	return err
}

// tools runs programs that make file systems.
func tools(ctx context.Context, all ...[]string) error {
	for _, args := range all {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return nil
}

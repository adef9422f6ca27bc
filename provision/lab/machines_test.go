package lab

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

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
		Version: "test", Suite: "bookworm", Kernel: "linux-image-cloud-amd64", Cmdline: nodeimage.DefaultCmdline, Epoch: 1767225600, Log: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the image was built in %v: boot file %d bytes, root %d bytes", time.Since(began).Round(time.Second), m.Boot.Size, m.Root.Size)
	return filepath.Join(dir, "worker")
}

// paths of the test: as few boots as show all ways, for iPXE itself is loaded by PXE over TFTP. "orrery provision lab" boots by each.
var paths = []string{"http", "ipxe"}

// Machines go from power-on to ready by each way of booting, and run the example of three nodes on their way; the server is ended
// and begun again while they boot, and sends no IPv4.
func TestMachines(t *testing.T) {
	if os.Getenv("ORRERY_VM") == "" {
		t.Skip("virtual machines take minutes; \"make test-vm\" runs them")
	}
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 18*time.Minute)
	defer cancel()
	o := Options{Dir: short(t), Image: built(ctx, t), Paths: paths, Memory: 1024, Check: "three-nodes", Log: slog.New(slog.DiscardHandler)}
	o.Capture = filepath.Join(o.Dir, "capture.pcap")
	l, err := New(o)
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	restarted := make(chan error, 1)
	results, err := l.Run(ctx, len(o.Paths), 15*time.Minute, func(m registry.Machine) {
		t.Logf("%s %s: %s", time.Now().Format(time.TimeOnly), m.Name, m.Stage)
		if m.Stage == registry.Kernel {
			select {
			case restarted <- nil: // only once
				if err := l.Restart(); err != nil {
					t.Error(err)
				}
			default:
			}
		}
	})
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
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	noIPv4(t, o.Capture)
}

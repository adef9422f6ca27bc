package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
)

// Paths are the ways of booting that a lab can show.
var Paths = []string{"pxe", "http", "ipxe"}

// ipxe is where Debian has iPXE for UEFI.
const ipxe = "/usr/lib/ipxe/ipxe.efi"

// Options of a lab.
type Options struct {
	Dir   string // for everything that the lab writes
	Image string // directory of an image
	Key   string // public key that it must be signed with; empty for none
	// Paths by which machines boot, one for each machine.
	Paths   []string
	Memory  int // MiB of each
	Capture string
	Check   string // of the role: "three-nodes" or "none"
	// Install is how many machines, from the first one on, write the image to a disk of their own.
	Install int
	// TLS adds HTTPS; nil for none.
	TLS *site.TLS
	// Accelerator of machines: "kvm", "tcg", or empty for what the host has.
	Accelerator string
	Orrery      string    // program whose "provision serve" is the server
	Log         io.Writer // for what the server logs, which stands in Dir too; nil for none
}

// Lab is a running server with machines that are off.
type Lab struct {
	Options
	Site     *site.Site
	Segment  *Segment
	Hardware []Hardware

	mu     sync.Mutex
	server *server // another one after Restart and Kill; nil while there is none
}

const prefix = "fd00:77::/64"

// mac of a machine by its number from 0.
func mac(i int) string { return fmt.Sprintf("52:54:00:77:00:%02x", i+1) }

// New makes a segment and begins to serve on it.
func New(o Options) (*Lab, error) {
	if err := Probe(); err != nil {
		return nil, err
	}
	return newLab(o)
}

// newLab is New for machines that are no virtual ones.
func newLab(o Options) (*Lab, error) {
	if o.Accelerator == "" {
		o.Accelerator = Accelerator()
	}
	if accelerators[o.Accelerator] == "" {
		return nil, fmt.Errorf("there is no accelerator %q; write kvm or tcg", o.Accelerator)
	}
	l := &Lab{Options: o}
	text, err := l.prepare()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.file(), []byte(text), 0o644); err != nil {
		return nil, err
	}
	if l.Site, err = site.Load(l.file()); err != nil {
		return nil, err
	}
	if l.Segment, err = NewSegment(netip.PrefixFrom(l.Site.Server(), 64), o.Dir, o.Capture); err != nil {
		return nil, err
	}
	if l.server, err = l.serve(); err != nil {
		return nil, errors.Join(err, l.Segment.Close())
	}
	return l, nil
}

// file of the lab's site.
func (l *Lab) file() string { return filepath.Join(l.Dir, "site.yaml") }

// prepare makes the directory of files and the text of the site.
func (l *Lab) prepare() (string, error) {
	files := filepath.Join(l.Dir, "files")
	worker := filepath.Join(files, "worker")
	if err := os.MkdirAll(worker, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(l.Image)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(l.Image, manifest.Name)); err != nil {
		return "", fmt.Errorf("%s is no image: %w; \"orrery image build\" makes one", l.Image, err)
	}
	for _, e := range entries {
		from, to := filepath.Join(l.Image, e.Name()), filepath.Join(worker, e.Name())
		if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if os.Link(from, to) != nil { // another file system
			if err := copyFile(from, to); err != nil {
				return "", err
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: orrery.dev/v1alpha1
kind: Site
metadata: {name: lab}
spec:
  interface: %s
  prefix: %s
  state: state
  files: files
`, Interface, prefix)
	if l.Key != "" {
		key, err := filepath.Abs(l.Key)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "  key: %q\n", key)
	}
	if l.TLS != nil {
		fmt.Fprintf(&b, "  http: {tls: {certificate: %q, key: %q}}\n", l.TLS.Certificate, l.TLS.Key)
	}
	fmt.Fprintf(&b, "  role: {check: %s}\n  boot:\n", l.Check)
	for _, p := range Paths {
		fmt.Fprintf(&b, "    - {match: {machine: %q}, path: %s, image: worker}\n", p+"-*", p)
	}
	b.WriteString("  machines:\n")
	for i, p := range l.Paths {
		if p == "ipxe" {
			if err := copyFile(ipxe, filepath.Join(files, "ipxe.efi")); err != nil {
				return "", fmt.Errorf("iPXE: %w; \"scripts/deps.sh vm\" installs it", err)
			}
		}
		h := Hardware{Name: fmt.Sprintf("%s-%d", p, i+1), MAC: mac(i), Memory: l.Memory, CPUs: l.cpus(), Accelerator: l.Accelerator}
		role := ""
		if i < l.Install {
			role = fmt.Sprintf(", role: {check: %s, install: /dev/vda}", l.Check)
			h.Disk = filepath.Join(l.Dir, h.Name+".disk")
			if err := blank(h.Disk); err != nil {
				return "", err
			}
		}
		l.Hardware = append(l.Hardware, h)
		fmt.Fprintf(&b, "    - {name: %s, mac: %q%s}\n", h.Name, h.MAC, role)
	}
	return b.String(), nil
}

// cpus of each machine. One that is translated takes a core of the host for each of its own, also while these wait for each other.
func (l *Lab) cpus() int {
	if l.Accelerator == "kvm" {
		return 2
	}
	return min(2, max(1, runtime.NumCPU()/len(l.Paths)))
}

// diskSize of a machine in bytes. The file has no more than what is written to it.
const diskSize = 4 << 30

func blank(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(diskSize), f.Close())
}

// Restart ends the server, as an interrupt does, and begins it anew with what it had written down.
func (l *Lab) Restart() error { return l.renew(syscall.SIGTERM, 0) }

// Kill kills the server, which learns nothing of that, and begins it anew after a time in which nobody serves.
func (l *Lab) Kill(away time.Duration) error { return l.renew(syscall.SIGKILL, away) }

func (l *Lab) renew(signal syscall.Signal, away time.Duration) error {
	if err := l.end(signal); err != nil {
		return err
	}
	time.Sleep(away)
	v, err := l.serve()
	l.mu.Lock()
	l.server = v
	l.mu.Unlock()
	return err
}

// end ends the server, if there is one.
func (l *Lab) end(signal syscall.Signal) error {
	l.mu.Lock()
	v := l.server
	l.server = nil
	l.mu.Unlock()
	if v == nil {
		return nil
	}
	return v.end(signal)
}

// Boot switches a machine on.
func (l *Lab) Boot(h Hardware) (*Machine, error) {
	netdev, err := l.Segment.Plug(h.Name)
	if err != nil {
		return nil, err
	}
	return Boot(h, l.Dir, netdev)
}

// Machines is what the server knows. While there is none it is nothing; one that ended by itself is an error.
func (l *Lab) Machines() ([]registry.Machine, error) {
	l.mu.Lock()
	v := l.server
	l.mu.Unlock()
	if v == nil {
		return nil, nil
	}
	list, err := v.machines()
	l.mu.Lock()
	defer l.mu.Unlock()
	if v != l.server { // ended on purpose meanwhile
		return nil, nil
	}
	return list, err
}

// ErrFailed is wrapped by the error for a machine that failed.
var ErrFailed = errors.New("the machine has failed")

// Await waits until a machine is at a stage; what the server hears meanwhile is told to changed, which may be nil. An error that
// the machine reports is the end, with what the console said.
func (l *Lab) Await(ctx context.Context, m *Machine, stage registry.Stage, changed func(registry.Machine)) (registry.Machine, error) {
	var last registry.Machine
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	fail := func(err error) (registry.Machine, error) {
		return last, fmt.Errorf("%s, at stage %q: %w\n%s", m.Name, last.Stage, err, strings.Join(m.LastLines(25), "\n"))
	}
	for {
		all, err := l.Machines()
		if err != nil {
			return fail(err)
		}
		if i := slices.IndexFunc(all, func(now registry.Machine) bool { return now.MAC == m.MAC }); i >= 0 {
			if changed != nil && all[i].Stage != last.Stage {
				changed(all[i])
			}
			last = all[i]
		}
		switch {
		case last.Stage == stage:
			return last, nil
		case last.Error != "":
			return fail(fmt.Errorf("%w: %s", ErrFailed, last.Error))
		}
		select {
		case <-tick.C:
		case <-m.Ended():
			return fail(fmt.Errorf("the machine has switched itself off: %w", m.Wait(ctx)))
		case <-ctx.Done():
			return fail(ctx.Err())
		}
	}
}

// EndServer ends the server, and leaves the segment to the machines.
func (l *Lab) EndServer() error { return l.end(syscall.SIGTERM) }

// Close ends the server and the segment. Machines have to be off.
func (l *Lab) Close() error { return errors.Join(l.EndServer(), l.Segment.Close()) }

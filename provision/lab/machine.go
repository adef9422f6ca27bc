package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// The firmware that machines have, and the program that they run in.
const (
	emulator     = "qemu-system-x86_64"
	firmwareCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	firmwareVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// ErrMissing is wrapped by the error for a host that cannot run machines.
var ErrMissing = errors.New("virtual machines cannot be run here")

// Probe says what this host lacks for a lab.
func Probe() error {
	if _, err := exec.LookPath(emulator); err != nil {
		return fmt.Errorf("%w: there is no %s; \"scripts/deps.sh vm\" installs it", ErrMissing, emulator)
	}
	for _, f := range []string{firmwareCode, firmwareVars} {
		if _, err := os.Stat(f); err != nil {
			return fmt.Errorf("%w: there is no firmware (%s); \"scripts/deps.sh vm\" installs it", ErrMissing, f)
		}
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: the segment is a network namespace, which takes root", ErrMissing)
	}
	return nil
}

// Hardware of a machine.
type Hardware struct {
	Name   string
	MAC    string
	Memory int    // MiB
	Disk   string // a raw image that is the machine's disk; empty for none
	Seed   string // a raw image of a second disk, with a seed; empty for none
	// DiskFirst has the firmware try the disk before the network.
	DiskFirst bool
	CPUs      int
	// Accelerator is "kvm" or "tcg".
	Accelerator string
}

// UUID is that of the machine's mainboard, made of its MAC.
func (h *Hardware) UUID() string {
	s := sha256.Sum256([]byte("orrery lab\n" + h.MAC))
	s[6], s[8] = s[6]&0x0f|0x80, s[8]&0x3f|0x80 // made by hand (RFC 9562, version 8)
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[0:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// Machine is a virtual machine that is switched on.
type Machine struct {
	Hardware
	// Console is the file with what it writes to its serial port.
	Console string

	cmd      *exec.Cmd
	done     chan struct{}
	err      error
	problems complaints
}

// Boot switches a machine on. Its files are in a directory; netdev is what Segment.Plug gave with the machine's name as id.
func Boot(h Hardware, dir, netdev string) (*Machine, error) {
	vars := filepath.Join(dir, h.Name+".vars")
	if _, err := os.Stat(vars); err != nil { // what the firmware remembers survives a power cycle
		if err := copyFile(firmwareVars, vars); err != nil {
			return nil, err
		}
	}
	m := &Machine{Hardware: h, Console: filepath.Join(dir, h.Name+".console"), done: make(chan struct{})}
	if err := os.Remove(m.Console); err != nil && !errors.Is(err, os.ErrNotExist) { // of an earlier boot, which would seem to be this one's
		return nil, err
	}
	network, disk := 1, 2 // as the firmware tries them
	if h.DiskFirst {
		network, disk = disk, network
	}
	args := []string{
		"-name", h.Name, "-machine", "q35,smm=off", "-accel", accelerators[h.Accelerator], "-cpu", processor, "-smp", fmt.Sprint(h.CPUs), "-m", fmt.Sprint(h.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-uuid", h.UUID(),
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + firmwareCode,
		"-drive", "if=pflash,unit=1,format=raw,file=" + vars,
		// Without the first the firmware waits for IPv4 before it tries IPv6; without the second it tries HTTP before its own
		// address may be used.
		"-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n",
		"-boot", "menu=on,splash-time=5000",
		"-netdev", netdev, "-device", "virtio-net-pci,netdev=" + h.Name + ",romfile=,bootindex=" + fmt.Sprint(network) + ",mac=" + h.MAC,
		"-device", "virtio-rng-pci", "-serial", "file:" + m.Console, "-monitor", "none",
	}
	if h.Disk != "" {
		args = append(args, "-drive", "if=none,id=disk,format=raw,file="+h.Disk, "-device", "virtio-blk-pci,drive=disk,bootindex="+fmt.Sprint(disk))
	}
	if h.Seed != "" {
		args = append(args, "-drive", "if=none,id=seed,format=raw,readonly=on,file="+h.Seed, "-device", "virtio-blk-pci,drive=seed")
	}
	m.cmd = exec.Command(emulator, args...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.cmd.Stderr = &m.problems
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(m.done)
		if err := m.cmd.Wait(); err != nil {
			m.err = fmt.Errorf("%s: %s has ended: %w: %s", h.Name, emulator, err, m.problems.String())
		}
	}()
	return m, nil
}

// Ended is closed when the machine is off.
func (m *Machine) Ended() <-chan struct{} { return m.done }

// Off switches the machine off and waits until it is.
func (m *Machine) Off() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

// Wait waits until the machine is off; the error is the emulator's, or the context's.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// LastLines are the last lines of the console, after what the emulator complains of.
func (m *Machine) LastLines(n int) []string {
	var all []string
	if text := m.problems.String(); text != "" {
		all = last(strings.Split(text, "\n"), n)
	}
	data, err := os.ReadFile(m.Console)
	if err != nil {
		return all
	}
	return append(all, last(strings.Split(strings.TrimSpace(string(data)), "\n"), n)...)
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

// complaints is what a program has written to its standard error.
type complaints struct {
	mu   sync.Mutex
	text []byte
}

// Write keeps the first 64 KiB, and never fails.
func (c *complaints) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p[:min(len(p), max(0, 64<<10-len(c.text)))]...)
	return len(p), nil
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimSpace(string(c.text))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

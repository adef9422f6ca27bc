package firstboot

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/protocol"
)

const newRoot = "/sysroot"

// Init is the first process: it ends by becoming the root's, and never returns otherwise.
func Init() {
	if err := mounts(); err != nil {
		say("%v", err)
	}
	if k, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		console = k
	}
	say("the initial file system runs")
	hardware := newModules()
	hardware.plug()
	options := cmdline()
	if label := options["orrery.root"]; label != "" {
		for {
			say("the root cannot be mounted from the disk, and this machine begins anew: %v", bootDisk(label, hardware))
			time.Sleep(5 * time.Second)                    // to be read
			_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) // the boot loader counts tries
		}
	}
	for wait := 2 * time.Second; ; wait = min(2*wait, time.Minute) {
		say("this boot has failed: %v; it is tried again in %v", bootNetwork(hardware), wait)
		time.Sleep(wait)
	}
}

// console is the kernel's log, in which everything is told.
var console = os.Stderr

func say(format string, args ...any) {
	fmt.Fprintf(console, "orrery: "+format+"\n", args...)
}

// mounts makes the file systems that everything needs.
func mounts() error {
	var all error
	for _, m := range []struct{ fs, at, data string }{{"devtmpfs", "/dev", "mode=755"}, {"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"tmpfs", "/run", "mode=755,size=90%"}} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			all = errors.Join(all, err)
		}
		if err := unix.Mount(m.fs, m.at, m.fs, unix.MS_NOSUID, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			all = errors.Join(all, fmt.Errorf("mounting %s: %w", m.at, err))
		}
	}
	return all
}

// modules are those of the initial file system, and which of them are loaded.
type modules struct {
	Modules
	loaded map[string]bool
}

func newModules() *modules {
	m := &modules{loaded: map[string]bool{}}
	text, err := os.ReadFile(ModulesIndex)
	if err == nil {
		err = json.Unmarshal(text, &m.Modules)
	}
	if err != nil {
		say("modules: %v", err)
	}
	for _, name := range m.Always {
		m.load(append(m.Needs[name], name))
	}
	return m
}

// load loads modules that are not loaded yet.
func (m *modules) load(names []string) {
	for _, name := range names {
		if m.loaded[name] {
			continue
		}
		m.loaded[name] = true
		f, err := os.Open(ModulesDir + "/" + name + ".ko")
		if err != nil {
			say("%v", err)
			continue
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
			say("module %s: %v", name, err)
		}
		f.Close()
	}
}

// plug loads what the hardware that is there needs. Buses find more hardware once their own modules are
// loaded, so it is called again and again.
func (m *modules) plug() {
	files, _ := filepath.Glob("/sys/bus/*/devices/*/modalias")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			m.load(m.For(strings.TrimSpace(string(text))))
		}
	}
}

// cmdline are the options that the kernel was given.
func cmdline() map[string]string {
	text, _ := os.ReadFile("/proc/cmdline")
	options := map[string]string{}
	for word := range strings.FieldsSeq(string(text)) {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	return options
}

// bootNetwork boots from the server that answers first. It returns only with an error.
func bootNetwork(hardware *modules) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	ifi, l, err := networkUp(ctx, hardware)
	if err != nil {
		return err
	}
	say("%s has the address %s", ifi.Name, l.address)
	client, err := newClient()
	if err != nil {
		return err
	}
	var key ed25519.PublicKey
	if text, err := os.ReadFile(KeyFile); err == nil {
		if key, err = manifest.PublicKey(text); err != nil {
			return fmt.Errorf("%s: %w", KeyFile, err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c, err := configure(ctx, client, l.config)
	if err != nil {
		return err
	}
	say("this machine is %s", c.Name)
	failed := func(stage string, err error) error {
		if e := insist(ctx, client, c, protocol.Report{Machine: c.Machine, Stage: stage, Console: lastLines()}, err); e != nil {
			return errors.Join(err, fmt.Errorf("and the server was not told: %w", e))
		}
		return err
	}
	m, err := trusted(c, key)
	if err != nil {
		return failed("root", err)
	}
	image := "/run/orrery/root.img"
	if err := os.MkdirAll(filepath.Dir(image), 0o700); err != nil {
		return failed("root", err)
	}
	began := time.Now()
	if err := fetch(ctx, client, c.Image+"/"+m.Root.Name, m.Root, image); err != nil {
		return failed("root", errors.Join(err, os.Remove(image)))
	}
	say("the root was fetched: %d bytes in %v", m.Root.Size, time.Since(began).Round(time.Millisecond))
	if err := mountRoot(image, ""); err != nil {
		return failed("root", err)
	}
	if err := furnish(newRoot, c, ifi.HardwareAddr); err != nil {
		return failed("root", err)
	}
	if err := insist(ctx, client, c, protocol.Report{Machine: c.Machine, Stage: "root"}, nil); err != nil {
		say("the server was not told: %v", err)
	}
	return switchRoot()
}

// networkUp sets the Ethernet ports up and asks on each until one is answered.
func networkUp(ctx context.Context, hardware *modules) (*net.Interface, *lease, error) {
	type answer struct {
		ifi *net.Interface
		*lease
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	asked, answers := map[string]bool{}, make(chan answer, 16)
	for {
		hardware.plug()
		all, err := net.Interfaces()
		if err != nil {
			return nil, nil, err
		}
		for _, ifi := range all {
			if ifi.Flags&net.FlagLoopback != 0 || len(ifi.HardwareAddr) != 6 || asked[ifi.Name] || len(asked) >= cap(answers) {
				continue
			}
			local, err := linkUp(&ifi)
			if err != nil {
				continue // without a carrier, or its address is still being checked
			}
			asked[ifi.Name] = true
			go func() {
				for ctx.Err() == nil {
					if l, err := acquire(ctx, &ifi, local); err == nil {
						answers <- answer{&ifi, l}
						return
					}
					_ = sleep(ctx, time.Second)
				}
			}()
		}
		select {
		case a := <-answers:
			link, err := netlink.LinkByName(a.ifi.Name)
			if err != nil {
				return nil, nil, err
			}
			// What is on the segment is told by router advertisements; without any, by this length.
			address := &netlink.Addr{IPNet: &net.IPNet{IP: a.address.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}
			if err := netlink.AddrReplace(link, address); err != nil {
				return nil, nil, fmt.Errorf("the address %s: %w", a.address, err)
			}
			return a.ifi, a.lease, nil
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("no server answers on %d Ethernet ports", len(asked))
		}
	}
}

// linkUp sets a port up and gives its link-local address, once that may be used.
func linkUp(ifi *net.Interface) (net.IP, error) {
	link, err := netlink.LinkByIndex(ifi.Index)
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, err
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if a.IP.IsLinkLocalUnicast() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			return a.IP, nil
		}
	}
	return nil, errors.New("no link-local address yet")
}

// mountRoot mounts an image of a file system read-only, and a layer above it that is written to: a
// directory, or memory if it is empty.
func mountRoot(image, above string) error {
	device := image
	info, err := os.Stat(image)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		d, err := loop(image)
		if err != nil {
			return err
		}
		defer d.Close() // the mount keeps the device from then on
		device = d.Name()
	}
	for _, dir := range []string{"/lower", "/upper", newRoot} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(device, "/lower", "squashfs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("the root is no squashfs, or the kernel knows none: %w", err)
	}
	if above == "" {
		above = "/upper"
		if err := unix.Mount("tmpfs", above, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	for _, dir := range []string{above + "/files", above + "/work"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", newRoot, "overlay", 0, "lowerdir=/lower,upperdir="+above+"/files,workdir="+above+"/work"); err != nil {
		return fmt.Errorf("the layer above the root: %w", err)
	}
	return nil
}

// loop makes a block device of a file, which is one until it is closed and unmounted.
func loop(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("a loop device: %w", err)
		}
		d, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := &unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(d.Fd()), config); err == nil {
			return d, nil
		}
		d.Close()
		if !errors.Is(err, unix.EBUSY) { // somebody else was faster
			return nil, fmt.Errorf("a loop device of %s: %w", file, err)
		}
	}
}

// switchRoot becomes the first process of the new root. What only the initial file system had is removed, so that
// its memory is free again.
func switchRoot() error {
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := os.MkdirAll(newRoot+dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", dir, err)
		}
	}
	_ = os.RemoveAll(ModulesDir)
	_ = os.Remove("/init")
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := errors.Join(unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/")); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	return fmt.Errorf("the root's first process: %w", unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"HOME=/", "TERM=linux", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}))
}

// lastLines are the last lines of the kernel's log.
func lastLines() []string {
	const readAll = 3 // SYSLOG_ACTION_READ_ALL
	b := make([]byte, 64<<10)
	n, err := unix.Klogctl(readAll, b)
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(b[:n]), "\n"), "\n")
	return lines[max(0, len(lines)-protocol.MaxConsole):]
}

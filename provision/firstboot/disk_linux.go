package firstboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/protocol"
)

// The labels of an installed disk's partitions; a root's ends with its slot, "a" or "b".
const (
	LabelESP  = "orrery-esp"
	LabelRoot = "orrery-root-"
)

// diskConfig is where the EFI system partition has the configuration of its machine, and entries where it has the boot files.
const (
	diskConfig = "orrery/node.json"
	entries    = "EFI/Linux"
)

// partition is the device of the partition with a label.
func partition(label string) (string, error) {
	files, err := filepath.Glob("/sys/class/block/*/uevent")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains("\n"+string(text), "\nPARTNAME="+label+"\n") {
			return "/dev/" + filepath.Base(filepath.Dir(file)), nil
		}
	}
	return "", fmt.Errorf("there is no partition with the label %s", label)
}

// awaitPartition waits for a disk to appear.
func awaitPartition(label string, meanwhile func()) (string, error) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		device, err := partition(label)
		if err == nil || time.Now().After(end) {
			return device, err
		}
		meanwhile()
	}
}

// withESP calls a function with the directory at which the EFI system partition is mounted.
func withESP(do func(dir string) error) error {
	device, err := awaitPartition(LabelESP, func() {})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/run", "esp-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount(device, dir, "vfat", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "umask=077"); err != nil {
		return fmt.Errorf("the EFI system partition: %w", err)
	}
	err = do(dir)
	unix.Sync()
	return errors.Join(err, unix.Unmount(dir, 0))
}

// bootDisk boots the root of a slot. It returns only with an error.
func bootDisk(slot string, hardware *modules) error {
	say("it is to boot from slot %s of the disk", slot)
	// Nobody loads these when they are needed: there is no modprobe here.
	hardware.load([]string{"fat", "vfat", "nls_cp437", "nls_ascii", "cdrom", "isofs"})
	device, err := awaitPartition(LabelRoot+slot, hardware.plug)
	if err != nil {
		return err
	}
	var c *protocol.Config
	var mac net.HardwareAddr
	if err := withESP(func(dir string) error {
		c, mac, err = diskSettings(dir)
		return err
	}); err != nil {
		return err
	}
	c.Slot = slot
	say("this machine is %s", c.Name)
	if err := mountRoot(device, ""); err != nil {
		return err
	}
	if err := furnish(newRoot, c, mac); err != nil {
		return err
	}
	return switchRoot()
}

// writeDisk installs: onto a disk that is installed already into the slot that was not the last good one, else the whole disk.
func (n *node) writeDisk(ctx context.Context, m *manifest.Manifest) error {
	disk := n.Role.Install
	size, err := sizeOf(disk)
	if err != nil {
		return fmt.Errorf("the disk %s: %w", disk, err)
	}
	if size < m.Disk.Size {
		return fmt.Errorf("the disk %s is full: it has %d bytes, and the image %d; give the machine a larger one", disk, size, m.Disk.Size)
	}
	if device, err := partition(LabelRoot + "a"); err == nil && partOf(device, disk) {
		return n.renew(ctx, m)
	}
	fmt.Fprintf(n.log, "writing %d bytes to %s\n", m.Disk.Size, disk)
	if err := fetch(ctx, n.client, n.Image+"/"+m.Disk.Name, *m.Disk, disk); err != nil {
		return err
	}
	if err := onDisk(disk, func(f *os.File) error { return spread(f, size) }); err != nil {
		return fmt.Errorf("the partition table of %s: %w", disk, err)
	}
	if err := reread(disk); err != nil {
		return fmt.Errorf("the partitions of %s: %w", disk, err)
	}
	return withESP(n.remember)
}

// partOf tells whether a partition is one of a disk, by whichever name that is given.
func partOf(partition, disk string) bool {
	whole, err := filepath.EvalSymlinks(disk)
	if err != nil {
		return false
	}
	// A partition's directory is in its disk's (Documentation/ABI/stable/sysfs-block).
	dir, err := filepath.EvalSymlinks("/sys/class/block/" + filepath.Base(partition))
	return err == nil && filepath.Base(filepath.Dir(dir)) == filepath.Base(whole)
}

// remember writes the configuration to the disk.
func (n *node) remember(dir string) error {
	return remember(dir, n.Config)
}

func remember(dir string, c *protocol.Config) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, diskConfig)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// renew writes a root into the slot that is not the newest good one's, with a boot file that the boot loader tries three times before
// it goes back to the other.
func (n *node) renew(ctx context.Context, m *manifest.Manifest) error {
	return withESP(func(dir string) error {
		found, err := filepath.Glob(filepath.Join(dir, entries, "orrery-*.efi"))
		if err != nil {
			return err
		}
		old, next := plan(found)
		boot := m.Slots[next.slot]
		if boot == nil {
			return errors.New("the image has no boot files for disks; build it with --disk")
		}
		device, err := partition(LabelRoot + next.slot)
		if err != nil {
			return err
		}
		size, err := sizeOf(device)
		if err != nil {
			return err
		}
		if size < m.Root.Size {
			return fmt.Errorf("slot %s is full: it has %d bytes, and the root %d; install the disk anew", next.slot, size, m.Root.Size)
		}
		for _, e := range old { // what boots this slot boots something else soon
			if err := os.Remove(e); err != nil {
				return err
			}
		}
		fmt.Fprintf(n.log, "writing %d bytes to %s\n", m.Root.Size, device)
		if err := fetch(ctx, n.client, n.Image+"/"+m.Root.Name, m.Root, device); err != nil {
			return err
		}
		path := filepath.Join(dir, entries, next.name()+"+3.efi")
		if err := fetch(ctx, n.client, n.Image+"/"+boot.Name, *boot, path+".new"); err != nil {
			return errors.Join(err, os.Remove(path+".new"))
		}
		return errors.Join(os.Rename(path+".new", path), n.remember(dir))
	})
}

// bless tells the boot loader that a slot has come up: its boot file loses the count of tries.
func bless(slot string) error {
	return withESP(func(dir string) error {
		found, err := filepath.Glob(filepath.Join(dir, entries, "orrery-*.efi"))
		if err != nil {
			return err
		}
		for _, file := range found {
			if e, ok := entryOf(file); ok && e.slot == slot && e.counted {
				return os.Rename(file, filepath.Join(filepath.Dir(file), e.name()+".efi"))
			}
		}
		return nil
	})
}

// trial says whether a slot is one that has not come up yet.
func trial(slot string) bool {
	counted := false
	_ = withESP(func(dir string) error {
		found, err := filepath.Glob(filepath.Join(dir, entries, "orrery-*.efi"))
		for _, file := range found {
			e, ok := entryOf(file)
			counted = counted || ok && e.slot == slot && e.counted
		}
		return err
	})
	return counted
}

// sizeOf is the size of a block device in bytes.
func sizeOf(device string) (int64, error) {
	f, err := os.Open(device)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Mode()&os.ModeDevice == 0 {
		return 0, errors.New("it is no disk")
	}
	return f.Seek(0, io.SeekEnd)
}

// onDisk changes a disk and waits until that is written.
func onDisk(disk string, do func(*os.File) error) error {
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Sync(), f.Close())
}

// reread has the kernel look at a disk's partitions anew. Others may have the disk open for a moment.
func reread(disk string) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		f, err := os.OpenFile(disk, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKRRPART, 0)
		f.Close()
		if errno == 0 {
			return nil
		}
		if !errors.Is(errno, unix.EBUSY) || time.Now().After(end) {
			return errno
		}
	}
}

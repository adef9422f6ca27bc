package firstboot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/provision/protocol"
	"orrery.dev/orrery/provision/seed"
)

// diskSettings are the configuration of a machine that boots from its disk, and the MAC of the port that it is for; nil for any.
// That of a provisioning server counts most, then that of a seed, which is remembered: it may be taken away afterwards.
func diskSettings(esp string) (*protocol.Config, net.HardwareAddr, error) {
	data, err := os.ReadFile(filepath.Join(esp, diskConfig))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	var c *protocol.Config
	if err == nil {
		if c, err = protocol.DecodeConfig(data); err != nil {
			return nil, nil, fmt.Errorf("%s of the EFI system partition: %w", diskConfig, err)
		}
	}
	if c == nil || c.Server == "" {
		s, err := findSeed()
		if err != nil {
			return nil, nil, err
		}
		if s != nil {
			for _, key := range s.Ignored {
				say("the seed's %s is not heeded", key)
			}
			c = &s.Config
			if err := remember(esp, c); err != nil {
				return nil, nil, err
			}
		}
	}
	if c == nil {
		return nil, nil, fmt.Errorf("this disk has no configuration; write %s to its EFI system partition, or attach a file system with the label %s (see docs/provision.md)",
			diskConfig, strings.Join(seed.Labels, " or "))
	}
	mac, _ := net.ParseMAC(c.Machine) // one that is known otherwise has one port
	return c, mac, nil
}

// findSeed reads the first file system with a label of a seed; nil if there is none.
func findSeed() (*seed.Seed, error) {
	devices, err := filepath.Glob("/sys/class/block/*")
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		device := "/dev/" + filepath.Base(d)
		kind, label := superblock(device)
		if !slices.ContainsFunc(seed.Labels, func(l string) bool { return strings.EqualFold(l, label) }) {
			continue
		}
		say("%s has a seed, labelled %s", device, label)
		return readSeed(device, kind)
	}
	return nil, nil
}

func readSeed(device, kind string) (s *seed.Seed, err error) {
	dir, err := os.MkdirTemp("/run", "seed-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir)
	if err := unix.Mount(device, dir, kind, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("the seed on %s: %w", device, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	if s, err = seed.Read(os.DirFS(dir)); err != nil {
		return nil, fmt.Errorf("the seed on %s: %w", device, err)
	}
	return s, nil
}

// superblock is the kind of a device's file system, vfat or iso9660, and its label; both are empty for any other.
func superblock(device string) (kind, label string) {
	f, err := os.Open(device)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	head := make([]byte, 34<<10)
	n, _ := f.ReadAt(head, 0)
	return labelOf(head[:n])
}

// labelOf reads the label in the first 34 KiB of a file system: FAT has it in its boot sector (Microsoft's FAT
// specification 1.03), ISO 9660 in its primary volume descriptor, which is the 16th sector of 2048 bytes (ECMA-119, 8.4).
func labelOf(head []byte) (kind, label string) {
	const descriptor = 16 * 2048
	switch {
	case len(head) >= descriptor+72 && bytes.Equal(head[descriptor+1:descriptor+6], []byte("CD001")):
		kind, label = "iso9660", string(head[descriptor+40:descriptor+72])
	case len(head) >= 512 && bytes.HasPrefix(head[82:], []byte("FAT32")):
		kind, label = "vfat", string(head[71:82])
	case len(head) >= 512 && bytes.HasPrefix(head[54:], []byte("FAT")):
		kind, label = "vfat", string(head[43:54])
	}
	return kind, strings.TrimRight(label, " \x00")
}

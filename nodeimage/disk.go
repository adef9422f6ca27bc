package nodeimage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"orrery.dev/orrery/provision/firstboot"
)

// loaders are systemd's boot loader by architecture of Go, and the name under which firmware looks for one on a disk.
var loaders = map[string][2]string{
	"amd64": {"/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "BOOTX64.EFI"},
	"arm64": {"/usr/lib/systemd/boot/efi/systemd-bootaa64.efi", "BOOTAA64.EFI"},
}

const (
	sector = 512
	mib    = 1 << 20
	// espSize has room for four boot files: two slots, and one being written.
	espSize = 128 * mib
)

// loaderConf has the newest root tried first, and no menu.
const loaderConf = "timeout 0\neditor no\n"

// rootSize is the size of a slot: half as much again as the root, so that later ones fit.
func rootSize(root int64) int64 { return (root*3/2 + 16*mib) / (16 * mib) * (16 * mib) }

// disk makes the image of a whole disk: an EFI system partition and two roots, of which the first is filled.
func (b *build) disk(ctx context.Context) error {
	if !b.Disk {
		return nil
	}
	for _, slot := range []string{"a", "b"} {
		// A boot that fails begins anew, by which the boot loader counts.
		line := b.Cmdline + " orrery.root=" + slot
		if err := b.unify(ctx, filepath.Join(b.out, "disk-"+slot+".efi"), filepath.Join(b.work, "initial.zst"), line); err != nil {
			return err
		}
	}
	esp, err := b.esp(ctx)
	if err != nil {
		return err
	}
	root := filepath.Join(b.out, "root.squashfs")
	info, err := os.Stat(root)
	if err != nil {
		return err
	}
	slot := rootSize(info.Size())
	const first = mib // where the first partition begins
	path := filepath.Join(b.out, "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(first + espSize + 2*slot + mib); err != nil { // the last MiB has the second table
		return err
	}
	if err := b.table(ctx, path, espSize, slot); err != nil {
		return err
	}
	for _, part := range []struct {
		from string
		at   int64
	}{{esp, first}, {root, first + espSize}} {
		if err := copyAt(f, part.from, part.at); err != nil {
			return err
		}
	}
	return f.Close()
}

func copyAt(to *os.File, path string, at int64) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(io.NewOffsetWriter(to, at), from)
	return err
}

// table writes the partition table, whose ids derive from the version: random ones would not be the same twice.
func (b *build) table(ctx context.Context, path string, esp, slot int64) error {
	id := func(what string) string {
		s := sha256.Sum256([]byte("orrery disk\n" + b.Version + "\n" + what))
		s[6], s[8] = s[6]&0x0f|0x80, s[8]&0x3f|0x80 // made by hand (RFC 9562, version 8)
		return fmt.Sprintf("%X-%X-%X-%X-%X", s[0:4], s[4:6], s[6:8], s[8:10], s[10:16])
	}
	var script strings.Builder
	fmt.Fprintf(&script, "label: gpt\nlabel-id: %s\n", id("disk"))
	fmt.Fprintf(&script, "start=%d, size=%d, type=uefi, name=%q, uuid=%s\n", mib/sector, esp/sector, firstboot.LabelESP, id("esp"))
	for _, s := range []string{"a", "b"} {
		fmt.Fprintf(&script, "size=%d, type=linux, name=%q, uuid=%s\n", slot/sector, firstboot.LabelRoot+s, id(s))
	}
	file := filepath.Join(b.work, "table")
	if err := os.WriteFile(file, []byte(script.String()), 0o644); err != nil {
		return err
	}
	_, err := b.run(ctx, "sh", "-c", `exec sfdisk --quiet --no-reread --no-tell-kernel "$1" <"$2"`, "sh", path, file)
	return err
}

// esp makes the EFI system partition: the boot loader, its configuration, and the boot file of the first slot.
func (b *build) esp(ctx context.Context) (string, error) {
	tree := filepath.Join(b.work, "esp")
	loader := loaders[runtime.GOARCH]
	files := map[string]string{"EFI/BOOT/" + loader[1]: loader[0], "EFI/Linux/orrery-0001-a.efi": filepath.Join(b.out, "disk-a.efi")}
	for name, from := range files {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if b.SecureBootKey != "" && from == loader[0] {
			if _, err := b.run(ctx, "sbsign", "--key", b.SecureBootKey, "--cert", b.SecureBootCertificate, "--output", path, from); err != nil {
				return "", err
			}
			continue
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return "", err
		}
	}
	if err := errors.Join(os.Mkdir(tree+"/loader", 0o755), os.WriteFile(tree+"/loader/loader.conf", []byte(loaderConf), 0o644), os.Mkdir(tree+"/orrery", 0o755)); err != nil {
		return "", err
	}
	when := time.Unix(b.Epoch, 0)
	if err := filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, when, when))
	}); err != nil {
		return "", err
	}
	image := filepath.Join(b.work, "esp.img")
	if _, err := b.run(ctx, "mkfs.fat", "--invariant", "-C", "-F", "32", "-n", "ORRERY", "-i", "4F525259", image, fmt.Sprint(espSize/1024)); err != nil {
		return "", err
	}
	_, err := b.run(ctx, "mcopy", "-s", "-m", "-Q", "-i", image, tree+"/EFI", tree+"/loader", tree+"/orrery", "::/")
	return image, err
}

package nodeimage

import (
	"context"
	"crypto/ed25519"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"orrery.dev/orrery/provision/firstboot"
	"orrery.dev/orrery/provision/manifest"
)

// initial packs the initial file system, compressed as the kernel reads it.
func (b *build) initial(ctx context.Context) ([]byte, error) {
	program, err := os.ReadFile(b.Boot)
	if err != nil {
		return nil, err
	}
	members := map[string]member{
		"init": {mode: 0o755, data: program},
		"proc": {mode: fs.ModeDir | 0o755}, "sys": {mode: fs.ModeDir | 0o755}, "run": {mode: fs.ModeDir | 0o755},
		"dev/console": {mode: fs.ModeCharDevice | 0o600, major: 5, minor: 1},
		"dev/null":    {mode: fs.ModeCharDevice | 0o666, major: 1, minor: 3},
	}
	if b.key != nil {
		members[firstboot.KeyFile[1:]] = member{mode: 0o644, data: manifest.EncodeKey(b.key.Public().(ed25519.PublicKey))}
	}
	if b.Authority != "" {
		pem, err := os.ReadFile(b.Authority)
		if err != nil {
			return nil, err
		}
		members[firstboot.AuthorityFile[1:]] = member{mode: 0o644, data: pem}
	}
	if err := b.modules(ctx, members); err != nil {
		return nil, err
	}
	// One goroutine: how many there are would change the bytes.
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }() // nothing is written to it
	return w.EncodeAll(cpio(members), nil), nil
}

// bootFile makes the unified kernel image for booting by network.
func (b *build) bootFile(ctx context.Context) error {
	initial, err := b.initial(ctx)
	if err != nil {
		return err
	}
	path := filepath.Join(b.work, "initial.zst")
	if err := os.WriteFile(path, initial, 0o644); err != nil {
		return err
	}
	return b.unify(ctx, filepath.Join(b.out, "boot.efi"), path, b.Cmdline)
}

// alignment of sections in memory.
const alignment = 4096

// unify joins systemd's stub, the kernel, an initial file system and a command line to one program for
// UEFI (systemd-stub(7)).
func (b *build) unify(ctx context.Context, out, initial, cmdline string) error {
	line := filepath.Join(b.work, "cmdline")
	if err := os.WriteFile(line, []byte(cmdline), 0o644); err != nil {
		return err
	}
	release := filepath.Join(b.work, "os-release")
	text := fmt.Sprintf("ID=orrery\nNAME=Orrery\nPRETTY_NAME=\"Orrery %s\"\nVERSION_ID=%q\n", b.Version, b.Version)
	if err := os.WriteFile(release, []byte(text), 0o644); err != nil {
		return err
	}
	stub := stubs[runtime.GOARCH][0]
	at, err := endOf(stub)
	if err != nil {
		return err
	}
	var args []string
	// The kernel is the last, since it may need room behind it when it is unpacked in place.
	for _, s := range []struct{ name, file string }{{".osrel", release}, {".cmdline", line}, {".initrd", initial}, {".linux", b.vmlinuz}} {
		info, err := os.Stat(s.file)
		if err != nil {
			return err
		}
		args = append(args, "--add-section", s.name+"="+s.file, "--change-section-vma", fmt.Sprintf("%s=%#x", s.name, at))
		at += (uint64(info.Size()) + alignment - 1) &^ (alignment - 1)
	}
	unsigned := filepath.Join(b.work, "unsigned.efi")
	if _, err := b.run(ctx, "objcopy", append(args, stub, unsigned)...); err != nil {
		return err
	}
	if err := settle(unsigned, uint32(b.Epoch)); err != nil {
		return err
	}
	if b.SecureBootKey != "" {
		_, err := b.run(ctx, "sbsign", "--key", b.SecureBootKey, "--cert", b.SecureBootCertificate, "--output", out, unsigned)
		return err
	}
	return os.Rename(unsigned, out)
}

// endOf is the first aligned address, with the base of the image, behind all sections of a program.
func endOf(file string) (uint64, error) {
	f, err := pe.Open(file)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	defer func() { _ = f.Close() }()
	header, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || len(f.Sections) == 0 {
		return 0, errors.New(file + " is no program for 64 bits")
	}
	var end uint64
	for _, s := range f.Sections {
		end = max(end, uint64(s.VirtualAddress)+uint64(max(s.VirtualSize, s.Size)))
	}
	return header.ImageBase + (end+alignment-1)&^(alignment-1), nil
}

// settle gives a program a time of its own and takes away its checksum, which objcopy makes of the time of day. Firmware looks at
// the checksum of drivers only (PE Format, "Optional Header Windows-Specific Fields").
func settle(file string, when uint32) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() // again, after an error
	var word [4]byte
	if _, err := f.ReadAt(word[:], 0x3c); err != nil { // where the header is
		return err
	}
	header := int64(binary.LittleEndian.Uint32(word[:]))
	if _, err := f.ReadAt(word[:], header); err != nil || string(word[:]) != "PE\x00\x00" {
		return errors.Join(errors.New(file+" is no program for UEFI"), err)
	}
	binary.LittleEndian.PutUint32(word[:], when)
	_, err = f.WriteAt(word[:], header+8)
	_, err2 := f.WriteAt(make([]byte, 4), header+4+20+64)
	return errors.Join(err, err2, f.Close())
}

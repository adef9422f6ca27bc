package nodeimage

import (
	"bytes"
	"context"
	"debug/pe"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/provision/manifest"
)

// Two disks of the same inputs are the same, and other programs find on them what belongs there.
func TestDisk(t *testing.T) {
	for _, p := range []string{"objcopy", "sfdisk", "mkfs.fat", "mcopy"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed, which a disk is made with; scripts/deps.sh vm installs it", p)
		}
	}
	if _, err := os.Stat(loaders["amd64"][0]); err != nil {
		t.Skipf("no boot loader to put on a disk: %v; scripts/deps.sh vm installs it", err)
	}
	var disks [2]manifest.File
	for i := range disks {
		dir := t.TempDir()
		b := &build{Options: Options{Version: "1", Cmdline: "quiet", Disk: true, Epoch: 1767225600, Log: io.Discard}, work: dir, out: filepath.Join(dir, "out"), vmlinuz: filepath.Join(dir, "vmlinuz")}
		if err := os.Mkdir(b.out, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"vmlinuz": "kernel", "initial.zst": "initial", "out/root.squashfs": strings.Repeat("root", 1000)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.disk(context.Background()); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(filepath.Join(b.out, "disk.raw"))
		if err != nil {
			t.Fatal(err)
		}
		disks[i], err = manifest.Of("disk.raw", f)
		begin := make([]byte, 8)
		if _, e := f.ReadAt(begin, mib+espSize); err != nil || e != nil || string(begin) != "rootroot" {
			t.Errorf("the first slot begins with %q (%v, %v)", begin, err, e)
		}
		f.Close()
		if i == 0 {
			look(t, filepath.Join(b.out, "disk.raw"))
			// A disk of another second is to be the same.
			for begin := time.Now().Unix(); time.Now().Unix() < begin+2; {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
	if disks[0] != disks[1] {
		t.Errorf("two disks of the same inputs differ: %v", disks)
	}
}

func look(t *testing.T, disk string) {
	t.Helper()
	out, err := exec.Command("sfdisk", "--dump", disk).CombinedOutput()
	for _, want := range []string{"label: gpt", `name="orrery-esp"`, `name="orrery-root-a"`, `name="orrery-root-b"`} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %s lacks %s", err, out, want)
		}
	}
	out, err = exec.Command("mdir", "-/", "-b", "-i", disk+"@@1M", "::/").CombinedOutput()
	for _, want := range []string{"::/EFI/BOOT/BOOT", "::/EFI/Linux/orrery-0001-a.efi", "::/loader/loader.conf", "::/orrery/"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %s lacks %s", err, out, want)
		}
	}
	esp := filepath.Join(t.TempDir(), "boot.efi")
	if out, err := exec.Command("mcopy", "-i", disk+"@@1M", "::/EFI/Linux/orrery-0001-a.efi", esp).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := pe.Open(esp)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for name, want := range map[string]string{".cmdline": "quiet orrery.root=a", ".linux": "kernel", ".initrd": "initial"} {
		s := program.Section(name)
		if s == nil {
			t.Errorf("the boot file has no section %s", name)
			continue
		}
		if data, err := s.Data(); err != nil || string(bytes.TrimRight(data, "\x00")) != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

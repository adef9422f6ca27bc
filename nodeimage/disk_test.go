package nodeimage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/pe"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
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
	if !reflect.DeepEqual(disks[0], disks[1]) {
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

// What a site's key has signed, sbsign's counterpart verifies with its certificate, and with no other: so would a firmware whose db has it.
func TestSecureBoot(t *testing.T) {
	for _, p := range []string{"objcopy", "sbsign", "sbverify"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed; scripts/deps.sh vm installs it", p)
		}
	}
	if _, err := os.Stat(stubs["amd64"][0]); err != nil {
		t.Skipf("no stub to make a boot file of: %v; scripts/deps.sh vm installs it", err)
	}
	dir := t.TempDir()
	certificate := func(name string) (key, cert string) {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
		if err != nil {
			t.Fatal(err)
		}
		key, cert = filepath.Join(dir, name+".key"), filepath.Join(dir, name+".crt")
		for path, block := range map[string]*pem.Block{key: {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}, cert: {Type: "CERTIFICATE", Bytes: der}} {
			if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return key, cert
	}
	key, cert := certificate("site")
	_, foreign := certificate("foreign")
	b := &build{Options: Options{Version: "1", SecureBootKey: key, SecureBootCertificate: cert, Epoch: 1767225600, Log: io.Discard}, work: dir, out: dir, vmlinuz: filepath.Join(dir, "vmlinuz")}
	initial, signed := filepath.Join(dir, "initial"), filepath.Join(dir, "boot.efi")
	for _, path := range []string{b.vmlinuz, initial} {
		if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.unify(context.Background(), signed, initial, "quiet"); err != nil {
		t.Fatal(err)
	}
	verify := func(cert string) error { return exec.Command("sbverify", "--cert", cert, signed).Run() }
	if err := verify(cert); err != nil {
		t.Errorf("the site's certificate: %v", err)
	}
	if verify(foreign) == nil {
		t.Error("somebody else's certificate verifies it too")
	}
	text, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte(initial))
	if at < 0 {
		t.Fatal("the boot file lacks what was put into it")
	}
	text[at] ^= 1
	if err := os.WriteFile(signed, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if verify(cert) == nil {
		t.Error("a boot file that was altered is still right")
	}
}

package lab

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"orrery.dev/orrery/provision/firstboot"
	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
	"orrery.dev/orrery/tap"
)

// compile builds a static program of this tree.
func compile(t *testing.T, out, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// orrery builds the program whose server a lab has.
func orrery(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orrery")
	compile(t, path, "orrery.dev/orrery/cmd/orrery")
	return path
}

// rootImage makes a signed image whose root has one program, and gives its directory and the public key.
func rootImage(t *testing.T) (dir string, public ed25519.PublicKey) {
	t.Helper()
	if _, err := exec.LookPath("mksquashfs"); err != nil {
		t.Skip("there is no mksquashfs to make a root with; scripts/deps.sh vm installs it")
	}
	kernel, err := os.ReadFile("/proc/filesystems")
	for _, fs := range []string{"squashfs", "overlay", "devtmpfs"} {
		if err != nil || !strings.Contains(string(kernel), "\t"+fs+"\n") {
			t.Skipf("this kernel has no %s, of which a node's root is made", fs)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("there are no loop devices, by which a node's root is mounted: %v", err)
	}
	dir = image(t)
	tree := t.TempDir()
	if err := os.Mkdir(tree+"/sbin", 0o755); err != nil {
		t.Fatal(err)
	}
	compile(t, tree+"/sbin/init", "./testdata/init")
	root := filepath.Join(dir, "root.squashfs")
	if out, err := exec.Command("mksquashfs", tree, root, "-noappend", "-quiet", "-no-progress").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, manifest.Name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m.Root, err = manifest.Of("root.squashfs", f); err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, manifest.Name), raw, 0o644), os.WriteFile(filepath.Join(dir, manifest.Signature), manifest.Sign(raw, private), 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir, public
}

// authority makes a certificate for the server of a lab, signed by itself, and gives the files of certificate and key.
func authority(t *testing.T) *site.TLS {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP("fd00:77::1")},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := &site.TLS{Certificate: filepath.Join(dir, "server.crt"), Key: filepath.Join(dir, "server.key")}
	for path, block := range map[string]*pem.Block{files.Certificate: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// The first program, as process 1 of namespaces instead of a machine: it gets an address, its configuration by HTTPS and its root, refuses a
// root that is not the manifest's, and becomes the root's first process once it is right, though the server was killed meanwhile.
func TestFirstProgram(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces take root")
	}
	if err := tap.Available(); err != nil {
		t.Skip(err)
	}
	dir, public := rootImage(t)
	o := Options{Dir: short(t), Image: dir, Paths: []string{"pxe"}, Check: "none", TLS: authority(t), Orrery: orrery(t)}
	l, err := newLab(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	n := join(t, l.Segment, mac(0))

	initial := t.TempDir()
	for _, d := range []string{"dev", "proc", "sys", "run", "etc/orrery"} {
		if err := os.MkdirAll(filepath.Join(initial, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(initial, firstboot.KeyFile), manifest.EncodeKey(public), 0o644); err != nil {
		t.Fatal(err)
	}
	trusted, err := os.ReadFile(o.TLS.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(initial, firstboot.AuthorityFile), trusted, 0o644); err != nil {
		t.Fatal(err)
	}
	compile(t, filepath.Join(initial, "init"), "orrery.dev/orrery/cmd/orrery-boot")

	// What is served is not what was signed, for the time being.
	served := filepath.Join(l.Dir, "files/worker/root.squashfs")
	good, err := os.ReadFile(served)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)/2] ^= 1
	replace := func(content []byte) {
		if err := errors.Join(os.WriteFile(served+".new", content, 0o644), os.Rename(served+".new", served)); err != nil {
			t.Fatal(err)
		}
	}
	replace(bad)

	cmd := exec.Command("/init")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: initial, Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Dir = "/"
	n.in(cmd.Start) // in the node's network
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()

	machine := func() registry.Machine {
		all, err := l.Machines()
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 {
			return registry.Machine{}
		}
		return all[0]
	}
	eventually(t, "the wrong root is told of", func() bool {
		return strings.Contains(machine().Error, "root: wrong image hash")
	})
	if m := machine(); m.Stage != registry.Kernel || len(m.Console) == 0 {
		t.Errorf("%+v", m)
	}

	// The server dies and lives again, and the machine goes on from where it was.
	if err := l.Kill(time.Second); err != nil {
		t.Fatal(err)
	}
	replace(good)
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 42 {
			t.Errorf("the root's first process: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("the root is not reached: %+v", machine())
	}
	if m := machine(); m.Stage != registry.Root {
		t.Errorf("%+v", m)
	}
}

package provision

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/provision/dhcp"
	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/protocol"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
)

// bench is a desk with a site, an image, and a clock that stands.
type bench struct {
	t    testing.TB
	dir  string
	site *site.Site
	now  time.Time

	registry *registry.Registry
	root     *os.Root
	desk     *Desk
	handler  http.Handler
}

const head = `apiVersion: orrery.dev/v1alpha1
kind: Site
metadata: {name: test}
spec:
  interface: eth0
  prefix: fd00:77::/64
  state: state
  files: files
`

func newBench(t testing.TB, spec string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	b.image("worker", nil)
	var err error
	if b.site, err = site.Parse(filepath.Join(b.dir, "site.yaml"), []byte(head+spec)); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *bench) start() {
	b.t.Helper()
	var err error
	if b.registry, err = registry.Open(b.site.Path(b.site.Spec.State)); err != nil {
		b.t.Fatal(err)
	}
	if b.root, err = os.OpenRoot(b.site.Path(b.site.Spec.Files)); err != nil {
		b.t.Fatal(err)
	}
	var key ed25519.PublicKey
	if b.site.Spec.Key != "" {
		text, err := os.ReadFile(b.site.Path(b.site.Spec.Key))
		if err != nil {
			b.t.Fatal(err)
		}
		if key, err = manifest.PublicKey(text); err != nil {
			b.t.Fatal(err)
		}
	}
	b.desk = NewDesk(b.site, b.registry, NewImages(b.root, key), func() time.Time { return b.now })
	b.handler = Handler(b.desk, b.root, slog.New(slog.DiscardHandler))
}

func (b *bench) stop() {
	_ = b.registry.Close()
	_ = b.root.Close()
}

// image writes an image, signed with a key unless it is nil.
func (b *bench) image(name string, key ed25519.PrivateKey) {
	b.t.Helper()
	dir := filepath.Join(b.dir, "files", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	m := manifest.Manifest{Format: manifest.Format, Architecture: "x86-64", Cmdline: "console=ttyS0 x=y"}
	for file, to := range map[string]*manifest.File{"boot.efi": &m.Boot, "root.squashfs": &m.Root} {
		content := "content of " + file
		var err error
		if *to, err = manifest.Of(file, strings.NewReader(content)); err == nil {
			err = os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	raw, err := m.Encode()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, manifest.Name), raw, 0o644)
	}
	if err == nil && key != nil {
		err = os.WriteFile(filepath.Join(dir, manifest.Signature), manifest.Sign(raw, key), 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

const mac1, mac2 = "52:54:00:77:00:01", "52:54:00:77:00:02"

func firmware(kind dhcp.Kind, mac string) dhcp.Client {
	classes := map[dhcp.Kind]string{dhcp.PXE: "PXEClient:Arch:00007:UNDI:003000", dhcp.HTTP: "HTTPClient:Arch:00016:UNDI:003000", dhcp.IPXE: "PXEClient:Arch:00007:UNDI:003010"}
	return dhcp.Client{Kind: kind, MAC: mac, DUID: "0004" + strings.ReplaceAll(mac, ":", ""), VendorClass: classes[kind], Architecture: "x86-64", Commit: true}
}

func (b *bench) meet(c dhcp.Client) dhcp.Offer {
	b.t.Helper()
	o, err := b.desk.Meet(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

func (b *bench) machine(key string) registry.Machine {
	b.t.Helper()
	m, ok := b.registry.Get(key)
	if !ok {
		b.t.Fatalf("no machine %s", key)
	}
	return m
}

// call sends a request to the handler as if from an address.
func (b *bench) call(method, target, from, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "[" + from + "]:1234"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// Each way of booting, and who is left without an offer in it.
func TestPaths(t *testing.T) {
	const (
		byTFTP = "tftp://[fd00:77::1]/worker/boot.efi"
		byHTTP = "http://[fd00:77::1]/files/worker/boot.efi"
		script = "http://[fd00:77::1]/v1/ipxe?machine=52%3A54%3A00%3A77%3A00%3A01"
	)
	for _, c := range []struct {
		path            string
		pxe, http, ipxe string
	}{
		{"any", byTFTP, byHTTP, ""}, {"pxe", byTFTP, "", ""}, {"http", "", byHTTP, ""},
		{"ipxe", "tftp://[fd00:77::1]/ipxe.efi", "", script}, {"none", "", "", ""},
	} {
		b := newBench(t, fmt.Sprintf("  unknown: accept\n  boot: [{path: %s, image: worker}]\n", c.path))
		for kind, want := range map[dhcp.Kind]string{dhcp.PXE: c.pxe, dhcp.HTTP: c.http, dhcp.IPXE: c.ipxe, dhcp.Other: ""} {
			if got := b.meet(firmware(kind, mac1)).BootFile; got != want {
				t.Errorf("path %s, %s: %q, want %q", c.path, kind, got, want)
			}
		}
		if c.path == "ipxe" {
			w := b.call("GET", script, "fd00:77::9", "")
			if text := w.Body.String(); !strings.HasPrefix(text, "#!ipxe\nkernel "+byHTTP+" console=ttyS0 x=y && boot ||\nsleep 2\nkernel ") || !strings.HasSuffix(text, "sleep 30\nexit 1\n") {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		}
	}
}

// The first rule that matches counts; quirks of rule and entry add up.
func TestRulesAndQuirks(t *testing.T) {
	b := newBench(t, `
  unknown: accept
  boot:
    - {match: {architecture: arm64}, file: arm.efi, parameters: [a, b]}
    - {match: {machine: "special-*"}, image: worker, quirks: [no-option-16]}
    - {match: {mac: "52:54:00:*"}, path: none}
  machines:
    - {name: special-1, mac: "52:54:00:77:00:01", quirks: [slow-offer, no-head, small-blocks, no-window, ra-unmanaged, ra-managed-only, no-rapid-commit, no-option-60], address: "fd00:77::101"}
`)
	o := b.meet(firmware(dhcp.HTTP, mac1))
	if o.BootFile == "" || !o.NoOption16 || !o.NoOption60 || !o.NoRapidCommit || o.Delay != 2*time.Second || o.Address.String() != "fd00:77::101" {
		t.Errorf("%+v", o)
	}
	if l := b.desk.Limits(o.Address); l.Block != 512 || l.Window != 1 {
		t.Errorf("%+v", l)
	}
	if w := b.call("HEAD", "/files/worker/boot.efi", "fd00:77::101", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := b.call("HEAD", "/files/worker/boot.efi", "fd00:77::102", ""); w.Code != http.StatusOK || w.Header().Get("Content-Length") != "19" {
		t.Errorf("HEAD of another: %d %v", w.Code, w.Header())
	}
	own, all := b.desk.Advertisement([]byte{0x52, 0x54, 0, 0x77, 0, 1}, nil), b.desk.Advertisement(nil, nil)
	if own.Managed || own.Autonomous || !all.Managed || !all.Autonomous || all.MTU != 1500 {
		t.Errorf("%+v, %+v", own, all)
	}
	if o := b.meet(firmware(dhcp.PXE, mac2)); o.BootFile != "" || !o.Address.IsValid() || o.NoOption16 {
		t.Errorf("%+v", o)
	}
	arm := firmware(dhcp.PXE, "52:54:00:77:00:03")
	arm.Architecture = "arm64"
	if o := b.meet(arm); o.BootFile != "tftp://[fd00:77::1]/arm.efi" || len(o.Parameters) != 2 {
		t.Errorf("%+v", o)
	}
}

func TestUnknown(t *testing.T) {
	const boot = "  boot: [{image: worker}]\n"
	b := newBench(t, boot)
	if _, err := b.desk.Meet(firmware(dhcp.PXE, mac1)); !errors.Is(err, dhcp.ErrIgnored) {
		t.Errorf("%v", err)
	}
	if m := b.machine(mac1); m.Stage != registry.Ignored || m.Standing != "ignore" || m.Address.IsValid() {
		t.Errorf("%+v", m)
	}
	b = newBench(t, "  unknown: quarantine\n  quarantine: jail\n  role: {join: [kubeadm, join]}\n"+boot)
	b.image("jail", nil)
	if o := b.meet(firmware(dhcp.PXE, mac1)); o.BootFile != "tftp://[fd00:77::1]/jail/boot.efi" {
		t.Errorf("%+v", o)
	}
	c, _ := b.configure(mac1)
	if len(c.Role.Join) != 0 || c.Image != "http://[fd00:77::1]/files/jail" {
		t.Errorf("a machine in quarantine gets %+v", c)
	}
}

// configure meets a machine's first program and fetches its configuration.
func (b *bench) configure(mac string) (*protocol.Config, string) {
	b.t.Helper()
	c := firmware(dhcp.Node, mac)
	o := b.meet(c)
	w := b.call("GET", o.BootFile, "fd00:77::9", "")
	if w.Code != http.StatusOK {
		b.t.Fatalf("%s: %d %s", o.BootFile, w.Code, w.Body)
	}
	config, err := protocol.DecodeConfig(w.Body.Bytes())
	if err != nil {
		b.t.Fatal(err)
	}
	return config, o.BootFile
}

func (b *bench) report(c *protocol.Config, key, stage, failure string) int {
	b.t.Helper()
	body, err := json.Marshal(protocol.Report{Machine: c.Machine, Stage: stage, Error: failure, Console: []string{"last line \x1b[2J"}})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.call("POST", protocol.ReportPath, "fd00:77::9", string(body), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }).Code
}

// A machine's way from firmware to ready, with the server killed and started again in the middle.
func TestWay(t *testing.T) {
	b := newBench(t, "  boot: [{image: worker}]\n  machines: [{name: node-1, mac: \"52:54:00:77:00:01\"}]\n")
	first := b.meet(firmware(dhcp.PXE, mac1))
	restart := func() { b.stop(); b.start() }
	restart()
	if again := b.meet(firmware(dhcp.PXE, mac1)); again.Address != first.Address {
		t.Errorf("the address was %s and is %s", first.Address, again.Address)
	}
	c, used := b.configure(mac1)
	if c.Address != first.Address || c.Name != "node-1" {
		t.Errorf("%+v", c)
	}
	if w := b.call("GET", used, "fd00:77::9", ""); w.Code != http.StatusForbidden {
		t.Errorf("the token works twice: %d", w.Code)
	}
	restart()
	for i, stage := range registry.Stages[1:] {
		b.now = b.now.Add(time.Second)
		if code := b.report(c, c.Key, string(stage), ""); code != http.StatusNoContent {
			t.Errorf("%s: %d", stage, code)
		}
		if m := b.machine(mac1); m.Stage != stage || len(m.Passed) != i+3 || m.Since != b.now {
			t.Errorf("%+v", m)
		}
	}
	for _, bad := range []struct{ key, stage string }{{"", "ready"}, {"x", "ready"}, {c.Key, "firmware"}, {c.Key, "none"}} {
		if code := b.report(c, bad.key, bad.stage, ""); code == http.StatusNoContent {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if code := b.report(c, c.Key, "doctor", "too few \x07files"); code != http.StatusNoContent {
		t.Errorf("%d", code)
	}
	m := b.machine(mac1)
	if m.Error != "doctor: too few ?files" || m.Console[0] != "last line ?[2J" || m.Stage != registry.Ready {
		t.Errorf("%+v", m)
	}
	b.meet(firmware(dhcp.PXE, mac1)) // switched on again
	if m := b.machine(mac1); m.Error != "" || len(m.Passed) != 1 || m.Stage != registry.Firmware {
		t.Errorf("%+v", m)
	}
}

// Two machines with one DUID are both served, and both can be seen to have it.
func TestDuplicateDUID(t *testing.T) {
	b := newBench(t, "  unknown: accept\n  boot: [{image: worker}]\n")
	one, two := firmware(dhcp.PXE, mac1), firmware(dhcp.PXE, mac2)
	two.DUID = one.DUID
	a1, a2 := b.meet(one).Address, b.meet(two).Address
	if a1 == a2 {
		t.Errorf("both have %s", a1)
	}
	if b.meet(one).Address != a1 || b.machine(mac1).Error != "" {
		t.Errorf("the first machine was harmed: %+v", b.machine(mac1))
	}
	m := b.machine(mac2)
	b.now = b.now.Add(time.Second)
	if !strings.HasPrefix(m.Error, "duplicate DUID") || !strings.Contains(m.Error, mac1) {
		t.Errorf("%+v", m)
	}
	// Behind a relay that does not tell the hardware address nobody knows who it is.
	nameless := one
	nameless.MAC = ""
	if _, err := b.desk.Meet(nameless); err == nil {
		t.Error("a machine without a hardware address was served")
	}
}

func TestBadImages(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, "  unknown: accept\n  boot: [{image: worker}]\n")
	if err := os.WriteFile(filepath.Join(b.dir, "key.pub"), manifest.EncodeKey(public), 0o600); err != nil {
		t.Fatal(err)
	}
	expect := func(what, want string) {
		t.Helper()
		if o := b.meet(firmware(dhcp.HTTP, mac1)); (o.BootFile == "") != (want != "") {
			t.Errorf("%s: offered %q", what, o.BootFile)
		}
		if m := b.machine(mac1); want != "" && !strings.Contains(m.Error, want) {
			t.Errorf("%s: %q", what, m.Error)
		}
	}
	expect("a good one", "")
	path := filepath.Join(b.dir, "files/worker/boot.efi")
	if err := os.WriteFile(path, []byte("other content"), 0o644); err != nil {
		t.Fatal(err)
	}
	expect("another boot file", "wrong image hash")
	b.image("worker", nil)
	b.site.Spec.Key = "key.pub"
	b.stop()
	b.start()
	expect("an unsigned one", "wrong image signature")
	b.image("worker", private)
	expect("a signed one", "")
	if err := os.RemoveAll(filepath.Join(b.dir, "files/worker")); err != nil {
		t.Fatal(err)
	}
	expect("none", "no such file")
}

func TestFiles(t *testing.T) {
	b := newBench(t, "  unknown: accept\n  boot: [{image: worker}]\n")
	if err := os.WriteFile(filepath.Join(b.dir, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(b.dir, "files/link")); err != nil {
		t.Fatal(err)
	}
	w := b.call("GET", "/files/worker/boot.efi", "fd00:77::9", "", func(r *http.Request) { r.Header.Set("Range", "bytes=11-") })
	if w.Code != http.StatusPartialContent || w.Body.String() != "boot.efi" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	for _, path := range []string{"../secret", "%2e%2e/secret", "worker/../../secret", "link", "worker", "", "none", "..%2fsecret", "/etc/passwd", "worker/%00"} {
		w := b.call("GET", "http://x/files/"+path, "fd00:77::9", "")
		if w.Code < 300 || strings.Contains(w.Body.String(), "secret") && w.Code == http.StatusOK {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
}

// Whatever machines come in whatever order, and however often the server starts, each keeps its address, and no two have
// the same.
func TestAddresses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, "  unknown: accept\n  boot: [{path: none}]\n  machines: [{name: a, mac: \"02:00:00:00:00:00\", address: \"fd00:77::5\"}]\n")
		defer b.stop()
		given := map[string]string{}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				b.stop()
				b.start()
			}
			mac := fmt.Sprintf("02:00:00:00:00:%02x", rapid.IntRange(0, 9).Draw(rt, "machine"))
			a := b.meet(firmware(dhcp.Other, mac)).Address.String()
			if old, ok := given[mac]; ok && old != a {
				rt.Fatalf("%s had %s and has %s", mac, old, a)
			}
			given[mac] = a
		}
		seen := map[string]string{}
		for mac, a := range given {
			if seen[a] != "" {
				rt.Fatalf("%s and %s have %s", mac, seen[a], a)
			}
			seen[a] = mac
		}
		if a, ok := given["02:00:00:00:00:00"]; ok && a != "fd00:77::5" {
			rt.Fatalf("the entry's address is not given: %s", a)
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add(`{"machine":"52:54:00:77:00:01","stage":"root","console":["a"]}`, "key")
	f.Add(`{"machine":"x"`, "")
	b := newBench(f, "  unknown: accept\n  boot: [{image: worker}]\n")
	b.meet(firmware(dhcp.PXE, mac1))
	f.Fuzz(func(t *testing.T, body, key string) {
		r := httptest.NewRequest("POST", protocol.ReportPath, strings.NewReader(body))
		r.Header["Authorization"] = []string{"Bearer " + key}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if w.Code < 400 {
			t.Errorf("%q with %q: %d", body, key, w.Code)
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add("files/worker/boot.efi", "machine=x")
	f.Add("files/../../secret", "token=1")
	b := newBench(f, "  boot: [{image: worker}]\n")
	if err := os.WriteFile(filepath.Join(b.dir, "secret"), []byte("the hidden text"), 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/" + path, RawQuery: query}, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), RemoteAddr: "[::1]:1"}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), "hidden") {
			t.Errorf("%q leads out", path)
		}
	})
}

// Where there is HTTPS, what holds secrets goes by nothing else, and machines are told so.
func TestPrivate(t *testing.T) {
	b := newBench(t, "  http: {tls: {certificate: a.crt, key: a.key}}\n  boot: [{image: worker}]\n")
	encrypted := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	for _, c := range []struct{ method, path string }{{"GET", protocol.ConfigPath}, {"POST", protocol.ReportPath}} {
		if w := b.call(c.method, c.path, "fd00:77::5", "{}"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "HTTPS") {
			t.Errorf("%s in the clear: %d %s", c.path, w.Code, w.Body)
		}
		if w := b.call(c.method, c.path, "fd00:77::5", "{}", encrypted); strings.Contains(w.Body.String(), "HTTPS") {
			t.Errorf("%s by HTTPS: %d %s", c.path, w.Code, w.Body)
		}
	}
	if w := b.call("GET", protocol.FilesPath+"worker/boot.efi", "fd00:77::5", ""); w.Code != http.StatusOK {
		t.Errorf("a boot file: %d", w.Code)
	}
	if url := b.desk.base(true); url != "https://[fd00:77::1]" {
		t.Errorf("machines ask %s", url)
	}
}

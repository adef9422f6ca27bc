package firstboot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"pgregory.net/rapid"

	"orrery.dev/orrery/provision/dhcp"
	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/protocol"
)

func TestMain(m *testing.M) {
	pause = 0
	os.Exit(m.Run())
}

// A file arrives whole, however often the connection breaks.
func TestFetch(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 1, 5000).Draw(t, "content")
		if rapid.IntRange(0, 9).Draw(t, "sparse") == 0 { // a disk, mostly of zeros
			content = slices.Concat(make([]byte, rapid.IntRange(0, 2<<20).Draw(t, "before")), content, make([]byte, 2<<20), content)
		}
		sent := 0
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		breaks := rapid.IntRange(0, 5).Draw(t, "breaks")
		var mu sync.Mutex // an aborted connection may end while the next one is served
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if breaks > 0 {
				breaks--
				var from, last int
				if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &last); err == nil {
					w.WriteHeader(http.StatusPartialContent)
				} else {
					last = len(content) - 1
				}
				_, _ = w.Write(content[from : from+random.IntN(last+1-from)])
				panic(http.ErrAbortHandler)
			}
			recorder := &counter{ResponseWriter: w}
			http.ServeContent(recorder, r, "", time.Time{}, bytes.NewReader(content))
			sent += recorder.bytes
		}))
		defer server.Close()
		want, err := manifest.Of("root", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "f")
		if err := fetch(context.Background(), server.Client(), server.URL, want, path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(content), err)
		}
		data := int64(0)
		for _, d := range want.Data {
			data += d.Length
		}
		mu.Lock() // the last answer may not have been counted yet
		defer mu.Unlock()
		if want.Data != nil && int64(sent) > data {
			t.Errorf("%d of %d bytes were sent, of which %d are not in runs of zeros", sent, len(content), data)
		}
	})
}

// counter counts the bytes of an answer.
type counter struct {
	http.ResponseWriter
	bytes int
}

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return c.ResponseWriter.Write(p)
}

func TestFetchRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("content"))
	}))
	defer server.Close()
	want, err := manifest.Of("root", strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	other, longer := want, want
	other.SHA256 = strings.Repeat("0", 64)
	longer.Size++
	for _, f := range []manifest.File{other, longer} {
		if err := fetch(context.Background(), server.Client(), server.URL, f, filepath.Join(t.TempDir(), "f")); !errors.Is(err, manifest.ErrHash) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skipf("no /dev/full, which stands for a full disk: %v", err)
	}
	if err := fetch(context.Background(), server.Client(), server.URL, want, "/dev/full"); err == nil || !strings.Contains(err.Error(), "no room for root") {
		t.Errorf("a full disk: %v", err)
	}
}

// answers are programs of a node that end as the test says.
type answers struct {
	fail map[string]string // by the first two words, what is written
	ran  []string
}

func (a *answers) Run(_ context.Context, name string, args ...string) (string, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	a.ran = append(a.ran, line)
	for start, out := range a.fail {
		if strings.HasPrefix(line, start) {
			return out, errors.New("exit status 1")
		}
	}
	return "fine\n", nil
}

// What a node reports, and what it runs for it.
func TestNode(t *testing.T) {
	for _, c := range []struct {
		role    protocol.Role
		fail    map[string]string
		reports []string
		ran     string
	}{
		{protocol.Role{Check: "three-nodes"}, nil, []string{"network", "doctor", "ready"}, "orrery tune, orrery doctor, orrery up, orrery down"},
		{protocol.Role{Check: "none", Join: []string{"kubeadm", "join", "x"}}, nil, []string{"network", "doctor", "ready"}, "orrery tune, orrery doctor, kubeadm join"},
		{protocol.Role{}, map[string]string{"orrery doctor": "a\nthe last line\n"}, []string{"network", "doctor: orrery doctor " + ExampleFile + " has failed: exit status 1: the last line"}, "orrery tune, orrery doctor"},
		{protocol.Role{Check: "three-nodes"}, map[string]string{"orrery up": "no\n"}, []string{"network", "doctor", "ready: orrery up " + ExampleFile + " --detach --wait converged --within 5m has failed: exit status 1: no"}, "orrery tune, orrery doctor, orrery up, orrery down"},
	} {
		var reports []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var report protocol.Report
			if err := json.NewDecoder(r.Body).Decode(&report); err != nil || r.Header.Get("Authorization") != "Bearer key" {
				t.Errorf("%v, %v", err, r.Header)
			}
			text := report.Stage
			if report.Error != "" {
				text += ": " + report.Error
				if len(report.Console) == 0 {
					t.Error("a failure without the console")
				}
			}
			reports = append(reports, text)
			w.WriteHeader(http.StatusNoContent)
		}))
		a := &answers{fail: c.fail}
		n := &node{Config: &protocol.Config{Machine: "m", Key: "key", Server: server.URL, Role: c.role}, client: server.Client(), programs: a, log: &bytes.Buffer{}}
		if err := n.run(context.Background()); (err != nil) != (c.fail != nil) {
			t.Errorf("%v", err)
		}
		server.Close()
		if !slices.Equal(reports, c.reports) {
			t.Errorf("reported %q, want %q", reports, c.reports)
		}
		for i, line := range a.ran {
			words := strings.Fields(line)
			a.ran[i] = strings.Join(words[:2], " ")
		}
		if got := strings.Join(a.ran, ", "); got != c.ran {
			t.Errorf("ran %s, want %s", got, c.ran)
		}
	}
}

// Linux's UUID is read in another order than the firmware's bytes (SMBIOS, section 7.2.1).
func TestUUID(t *testing.T) {
	got := uuidOf([16]byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff})
	want := [16]byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if got.UUID != want {
		t.Errorf("%x", got.UUID)
	}
}

// desk gives everybody an address and a configuration.
type desk struct{}

func (desk) Meet(c dhcp.Client) (dhcp.Offer, error) {
	o := dhcp.Offer{Address: netip.MustParseAddr("fd00:77::5"), NoRapidCommit: true}
	if c.Kind == dhcp.Node {
		o.BootFile = "http://[fd00:77::1]/v1/config"
	}
	return o, nil
}

// What the node says and what the server says fit, with two messages and with four.
func TestLease(t *testing.T) {
	id := clientID(net.HardwareAddr{2, 0, 0, 0, 0, 1})
	s := &dhcp.Server{Desk: desk{}, DUID: &dhcpv6.DUIDOpaque{Type: 9, Data: []byte{1, 2}}, Prefix: netip.MustParsePrefix("fd00:77::/64"), Lease: time.Hour}
	ask, err := solicitation(id, net.HardwareAddr{2, 0, 0, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(m *dhcpv6.Message) *dhcpv6.Message {
		b, _, err := s.Answer(m.ToBytes(), net.ParseIP("fe80::1"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := dhcpv6.MessageFromBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	advertise := answer(ask)
	if _, err := leaseOf(advertise); err == nil {
		t.Error("an advertisement is taken for a reply")
	}
	next, err := request(ask, advertise)
	if err != nil {
		t.Fatal(err)
	}
	l, err := leaseOf(answer(next))
	if err != nil || l.address.String() != "fd00:77::5" || l.config != "http://[fd00:77::1]/v1/config" {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestModules(t *testing.T) {
	m := &Modules{Needs: map[string][]string{"virtio_net": {"failover", "net_failover"}}, Aliases: [][2]string{{"virtio:d00000001v*", "virtio_net"}}}
	if got := m.For("virtio:d00000001v00001AF4"); !slices.Equal(got, []string{"failover", "net_failover", "virtio_net"}) {
		t.Errorf("%q", got)
	}
	if got := m.For("virtio:d00000002v00001AF4"); got != nil {
		t.Errorf("%q", got)
	}
	if got := ModuleName("kernel/drivers/char/hw_random/virtio-rng.ko.xz"); got != "virtio_rng" {
		t.Error(got)
	}
}

// A node's network has no IPv4, one stable address, and listens to routers.
func TestPersonal(t *testing.T) {
	c := &protocol.Config{Machine: "m", Name: "node-1", Address: netip.MustParseAddr("fd00:77::5"), Prefix: "fd00:77::/64", DNS: []string{"fd00::53"}}
	files := personal(c, net.HardwareAddr{2, 0, 0, 0, 0, 1})
	network := files["etc/systemd/network/10-orrery.network"].text
	for _, want := range []string{"MACAddress=02:00:00:00:00:01\n", "Address=fd00:77::5/64\n", "LinkLocalAddressing=ipv6\n", "IPv6AcceptRA=yes\n", "DHCP=no\n", "DNS=fd00::53\n"} {
		if !strings.Contains(network, want) {
			t.Errorf("%q lacks %q", network, want)
		}
	}
	other := personal(&protocol.Config{Machine: "n", Name: "node-2"}, nil)["etc/machine-id"].text
	if id := files["etc/machine-id"].text; len(id) != 33 || id == other || files["root/.ssh/authorized_keys"].mode != 0o600 {
		t.Errorf("%q, %q", id, other)
	}
}

func FuzzLease(f *testing.F) {
	f.Add([]byte{7, 1, 2, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := dhcpv6.MessageFromBytes(p)
		if err != nil {
			return
		}
		if l, err := leaseOf(m); err == nil && (!l.address.Is6() || !strings.HasPrefix(l.config, "http")) {
			t.Errorf("%+v", l)
		}
		if ask, err := solicitation(clientID(net.HardwareAddr{2, 0, 0, 0, 0, 1}), net.HardwareAddr{2, 0, 0, 0, 0, 1}); err == nil && m.MessageType == dhcpv6.MessageTypeAdvertise && m.Options.OneIANA() != nil {
			_, _ = request(ask, m)
		}
	})
}

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/provision/dhcp"
	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/protocol"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// short is a directory whose path leaves room for the names of unix sockets.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// node is a network namespace at a segment, which stands for a machine whose kernel runs.
type node struct {
	t    *testing.T
	do   chan func()
	link netlink.Link
}

// in calls a function in the node's namespace. The sockets that it opens stay there.
func (n *node) in(f func() error) {
	n.t.Helper()
	done := make(chan error)
	n.do <- func() { done <- f() }
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// join makes a node with a MAC.
func join(t *testing.T, s *Segment, mac string) *node {
	n := &node{t: t, do: make(chan func())}
	thread.Go(func() {
		for f := range n.do {
			f()
		}
	})
	t.Cleanup(func() { close(n.do) })
	var file *os.File
	n.in(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		device, err := tap.Create("eth0")
		if err != nil {
			return err
		}
		defer device.Close()
		fd, err := unix.FcntlInt(device.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(unix.SetNonblock(fd, true), tap.SetCarrier(fd, true)); err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "tap")
		if n.link, err = netlink.LinkByName("eth0"); err != nil {
			return err
		}
		hardware, err := net.ParseMAC(mac)
		if err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(n.link, hardware)
	})
	s.attach(port{write: func(frame []byte) error {
		_, err := file.Write(append(make([]byte, tap.HeaderLen), frame...))
		return err
	}, close: file.Close}, func(b []byte) (int, error) {
		k, err := file.Read(b)
		if err != nil || k < tap.HeaderLen {
			return 0, err
		}
		return copy(b, b[tap.HeaderLen:k]), nil
	})
	n.in(func() error {
		// Its link-local address is to be there at once, as firmware waits for it.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_dad", []byte("0"), 0o644); err != nil {
			return err
		}
		return netlink.LinkSetUp(n.link)
	})
	return n
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// addresses of the node that may be used.
func (n *node) addresses() []netip.Addr {
	var all []netip.Addr
	n.in(func() error {
		list, err := netlink.AddrList(n.link, netlink.FAMILY_V6)
		for _, a := range list {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				all = append(all, ip)
			}
		}
		return err
	})
	return all
}

// exchange sends a message of DHCPv6 and waits for the answer to it.
func (n *node) exchange(m *dhcpv6.Message) *dhcpv6.Message {
	n.t.Helper()
	var conn *net.UDPConn
	n.in(func() (err error) {
		conn, err = net.ListenUDP("udp6", &net.UDPAddr{Port: 546})
		return err
	})
	defer conn.Close()
	b := make([]byte, 2000)
	for range 30 {
		n.in(func() error {
			_, err := conn.WriteTo(m.ToBytes(), &net.UDPAddr{IP: net.ParseIP("ff02::1:2"), Port: 547, Zone: "eth0"})
			return err
		})
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		k, _, err := conn.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			n.t.Fatal(err)
		}
		r, err := dhcpv6.MessageFromBytes(b[:k])
		if err != nil {
			n.t.Fatal(err)
		}
		if r.TransactionID == m.TransactionID {
			return r
		}
	}
	n.t.Fatal("no answer to DHCPv6")
	return nil
}

// image writes an image that nothing boots.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m := manifest.Manifest{Format: manifest.Format, Architecture: "x86-64"}
	for name, to := range map[string]*manifest.File{"boot.efi": &m.Boot, "root.squashfs": &m.Root} {
		content := strings.Repeat(name, 1000)
		var err error
		if *to, err = manifest.Of(name, strings.NewReader(content)); err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	raw, err := m.Encode()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, manifest.Name), raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The services on a real segment: a kernel makes an address of the advertisement, a machine goes from DHCPv6 over TFTP and HTTP to
// its reports, the server is ended and begun again in the middle, and killed too, and no frame of the server is IPv4.
//
//	server (namespace) ── switch ── node (namespace)
func TestServices(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces take root")
	}
	if err := tap.Available(); err != nil {
		t.Skip(err)
	}
	o := Options{Dir: short(t), Image: image(t), Paths: []string{"pxe"}, Check: "none", Orrery: orrery(t)}
	o.Capture = filepath.Join(o.Dir, "capture.pcap")
	l, err := newLab(o)
	if err != nil {
		t.Fatal(err)
	}
	n := join(t, l.Segment, mac(0))
	eventually(t, "an address by router advertisement", func() bool {
		for _, a := range n.addresses() {
			if l.Site.Segment().Contains(a) {
				return true
			}
		}
		return false
	})

	// As firmware does it.
	id := dhcpv6.WithClientID(&dhcpv6.DUIDUUID{UUID: [16]byte{1}})
	class := &dhcpv6.OptVendorClass{EnterpriseNumber: 343, Data: [][]byte{[]byte("PXEClient:Arch:00007:UNDI:003000")}}
	ask := func(modifiers ...dhcpv6.Modifier) *dhcpv6.Message {
		m, err := dhcpv6.NewMessage(append([]dhcpv6.Modifier{id, dhcpv6.WithIAID([4]byte{1}), dhcpv6.WithRapidCommit, dhcpv6.WithRequestedOptions(dhcpv6.OptionBootfileURL)}, modifiers...)...)
		if err != nil {
			t.Fatal(err)
		}
		return n.exchange(m)
	}
	first := ask(dhcpv6.WithOption(class))
	if url := first.Options.BootFileURL(); url != "tftp://[fd00:77::1]/worker/boot.efi" {
		t.Errorf("%q", url)
	}
	n.tftp(t, "worker/boot.efi", 8000)

	// The server ends and lives again.
	if err := l.Restart(); err != nil {
		t.Fatal(err)
	}
	again := ask(dhcpv6.WithUserClass([]byte(dhcp.NodeClass)))
	address := again.Options.OneIANA().Options.OneAddress().IPv6Addr
	if !address.Equal(first.Options.OneIANA().Options.OneAddress().IPv6Addr) || !again.Options.ServerID().Equal(first.Options.ServerID()) {
		t.Errorf("the address or the server's identifier has changed: %v", again)
	}
	n.in(func() error {
		return netlink.AddrReplace(n.link, &netlink.Addr{IPNet: &net.IPNet{IP: address, Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD})
	})
	client := n.http()
	response, err := client.Get(again.Options.BootFileURL())
	if err != nil {
		t.Fatal(err)
	}
	data, _ := io.ReadAll(response.Body)
	response.Body.Close()
	c, err := protocol.DecodeConfig(data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	// Nor does a server that is killed forget what it answered.
	if err := l.Kill(0); err != nil {
		t.Fatal(err)
	}
	for _, stage := range registry.Stages[1:] {
		body, err := json.Marshal(protocol.Report{Machine: c.Machine, Stage: string(stage)})
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest(http.MethodPost, c.Server+protocol.ReportPath, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+c.Key)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %s", stage, response.Status)
		}
	}
	client.CloseIdleConnections()
	if m, err := l.Machines(); err != nil || len(m) != 1 || m[0].Stage != registry.Ready || len(m[0].Passed) != 6 || m[0].Error != "" {
		t.Errorf("%+v, %v", m, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	noIPv4(t, o.Capture)
}

// http is a client in the node's namespace.
func (n *node) http() *http.Client {
	dial := func(_ context.Context, network, address string) (conn net.Conn, err error) {
		n.in(func() error {
			conn, err = net.Dial(network, address)
			return err
		})
		return conn, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// tftp fetches a file of so many bytes, block by block.
func (n *node) tftp(t *testing.T, file string, size int) {
	t.Helper()
	var conn *net.UDPConn
	n.in(func() (err error) {
		conn, err = net.ListenUDP("udp6", nil)
		return err
	})
	defer conn.Close()
	send := func(b []byte, to net.Addr) {
		if _, err := conn.WriteTo(b, to); err != nil {
			t.Fatal(err)
		}
	}
	send([]byte("\x00\x01"+file+"\x00octet\x00"), &net.UDPAddr{IP: net.ParseIP("fd00:77::1"), Port: 69})
	b := make([]byte, 1000)
	for got, next := 0, byte(1); ; {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		k, from, err := conn.ReadFrom(b)
		if err != nil || k < 4 || b[1] != 3 {
			t.Fatalf("TFTP: %q, %v", b[:k], err)
		}
		if b[3] != next {
			continue // once more, since the acknowledgement was slow
		}
		got, next = got+k-4, next+1
		send([]byte{0, 4, b[2], b[3]}, from)
		if k < 516 {
			if got != size {
				t.Errorf("%d bytes of %d", got, size)
			}
			return
		}
	}
}

// noIPv4 reads a capture and sees that the server sent IPv6, and nothing else.
func noIPv4(t *testing.T, capture string) {
	t.Helper()
	f, err := os.Open(capture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	server := map[string]bool{} // hardware addresses that sent as fd00:77::1
	kinds := map[string]map[layers.EthernetType]int{}
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.NoCopy)
		e, ok := p.LinkLayer().(*layers.Ethernet)
		if !ok {
			continue
		}
		source := e.SrcMAC.String()
		if ip, ok := p.NetworkLayer().(*layers.IPv6); ok && ip.SrcIP.Equal(net.ParseIP("fd00:77::1")) {
			server[source] = true
		}
		if kinds[source] == nil {
			kinds[source] = map[layers.EthernetType]int{}
		}
		kinds[source][e.EthernetType]++
	}
	if len(server) != 1 {
		t.Fatalf("the server has the hardware addresses %v", server)
	}
	for source := range server {
		if n := kinds[source]; len(n) != 1 || n[layers.EthernetTypeIPv6] == 0 {
			t.Errorf("the server sent frames of the types %v", n)
		}
	}
}

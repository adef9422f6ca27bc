package fabric_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/fabric"
)

// How much comes through, beside bare veth pairs, which are what the kernel itself
// can do here.

// Frames through a path of nodes whose kernels forward them: a raw socket at one
// end sends them as fast as it can, the last node's kernel counts what its device
// received. Frames that the sender outruns are lost, so the figure is what was
// received by time.
func BenchmarkFrames(b *testing.B) {
	for _, hops := range []int{1, 4, 8} {
		for _, size := range []int{64, 1500} {
			run := func(kind string, connect func(b *testing.B, nodes []*namespace) (received func() uint64)) {
				b.Run(fmt.Sprintf("hops=%d/size=%d/%s", hops, size, kind), func(b *testing.B) {
					nodes := make([]*namespace, hops+1)
					for i := range nodes {
						nodes[i] = newNamespace(b)
					}
					received := connect(b, nodes)
					forward(nodes)
					flood(b, nodes[0], size, received)
				})
			}
			for _, workers := range []int{1, 2} {
				run(fmt.Sprintf("workers=%d", workers), func(b *testing.B, nodes []*namespace) func() uint64 { return byFabric(b, nodes, workers) })
			}
			run("veth", func(b *testing.B, nodes []*namespace) func() uint64 { return byVeth(b, nodes) })
		}
	}
}

// byFabric connects each node's fore to the next one's aft by a fabric in a process
// of its own, as a run has it. It returns what tells the frames that the last node
// has received.
func byFabric(b *testing.B, nodes []*namespace, workers int) (received func() uint64) {
	var ports []fabric.Port
	for i := range len(nodes) - 1 {
		ports = append(ports,
			fabric.Port{Name: "fore", Node: i + 1, Device: nodes[i].port("fore", foreNumber)},
			fabric.Port{Name: "aft", Node: i + 2, Device: nodes[i+1].port("aft", aftNumber)})
	}
	f := newProcess(b, fabric.Config{Timeline: running(b), Workers: workers, Ports: ports})
	for p := 0; p < len(ports); p += 2 {
		connect(f, fabric.PortID(p), fabric.PortID(p+1), 1, 0)
	}
	return func() uint64 { return f.Counters(fabric.PortID(len(ports) - 1)).ReceivedFrames }
}

// byVeth does the same by veth pairs.
func byVeth(b testing.TB, nodes []*namespace) (received func() uint64) {
	for i := range len(nodes) - 1 {
		nodes[i].do(func() error {
			return netlink.LinkAdd(&netlink.Veth{
				LinkAttrs: netlink.LinkAttrs{Name: "fore"},
				PeerName:  "aft", PeerNamespace: netlink.NsFd(int(nodes[i+1].ns)),
			})
		})
		nodes[i].up("fore", foreNumber)
		nodes[i+1].up("aft", aftNumber)
	}
	stats := nodes[len(nodes)-1].statistics()
	return func() uint64 {
		received, _ := interfacePackets(b, stats, "aft")
		return received
	}
}

// Numbers of the two ends of each link, as namespace.up makes addresses of them.
const foreNumber, aftNumber = 1, 2

var (
	foreMAC     = net.HardwareAddr{2, 0, 0, 0, 0, foreNumber}
	aftMAC      = net.HardwareAddr{2, 0, 0, 0, 0, aftNumber}
	destination = netip.MustParseAddr("fd00:ff::1")
)

// forward makes all nodes pass on what is for the destination; the last one throws
// it away.
func forward(nodes []*namespace) {
	last := len(nodes) - 1
	for _, n := range nodes[:last] {
		n.passOn()
	}
	nodes[last].do(func() error {
		return netlink.RouteAdd(&netlink.Route{Dst: hostRoute(destination), Type: unix.RTN_BLACKHOLE})
	})
}

func hostRoute(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

// passOn makes a node send what is for the destination out of its fore.
func (n *namespace) passOn() {
	n.do(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0); err != nil {
			return err
		}
		fore, err := netlink.LinkByName("fore")
		if err != nil {
			return err
		}
		if err := netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: fore.Attrs().Index, Family: unix.AF_INET6, State: netlink.NUD_PERMANENT,
			IP: destination.AsSlice(), HardwareAddr: aftMAC,
		}); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: hostRoute(destination), LinkIndex: fore.Attrs().Index})
	})
}

// flood sends b.N frames of a size from one node and waits until the last one has
// received them or nothing more comes.
func flood(b *testing.B, from *namespace, size int, received func() uint64) {
	fd := rawSocket(from, "fore")
	defer unix.Close(fd)
	send := frameSender(fd, datagram(size, destination))
	first := received()
	b.ResetTimer()
	began := time.Now()
	for sent := 0; sent < b.N; {
		sent += send(min(32, b.N-sent))
	}
	quiet := time.Now()
	got := received() - first
	for time.Since(quiet) < 100*time.Millisecond && got < uint64(b.N) {
		if now := received() - first; now != got {
			got, quiet = now, time.Now()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(got)/quiet.Sub(began).Seconds(), "frames/s")
	b.ReportMetric(100*float64(got)/float64(b.N), "%received")
}

// datagram is a frame of UDP over IPv6 (RFC 8200, RFC 768).
func datagram(size int, to netip.Addr) []byte {
	const ethernet, ip, udp = 14, 40, 8
	f := make([]byte, max(size, ethernet+ip+udp))
	copy(f, aftMAC)
	copy(f[6:], foreMAC)
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IPV6)
	p := f[ethernet:]
	p[0] = 6 << 4
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ip))
	p[6], p[7] = unix.IPPROTO_UDP, 64
	source, target := netip.MustParseAddr("fd00::1").As16(), to.As16()
	copy(p[8:], source[:])
	copy(p[24:], target[:])
	u := p[ip:]
	binary.BigEndian.PutUint16(u, 9)
	binary.BigEndian.PutUint16(u[2:], 9)
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	pseudo := append(slices.Clone(p[8:ip]), 0, 0, u[4], u[5], 0, 0, 0, unix.IPPROTO_UDP)
	binary.BigEndian.PutUint16(u[6:], internet(append(pseudo, u...)))
	return f
}

// Small datagrams from a program in one node to a program in the next.
func BenchmarkUDP(b *testing.B) {
	b.Run("fabric", func(b *testing.B) {
		pair(b, func(b *testing.B, n []*namespace) { byFabric(b, n, 1) }, datagrams)
	})
	b.Run("veth", func(b *testing.B) { pair(b, func(b *testing.B, n []*namespace) { byVeth(b, n) }, datagrams) })
}

// TCP over one hop with offloads.
func BenchmarkTCP(b *testing.B) {
	b.Run("fabric", func(b *testing.B) {
		pair(b, func(b *testing.B, n []*namespace) { byFabric(b, n, 1) }, stream)
	})
	b.Run("veth", func(b *testing.B) { pair(b, func(b *testing.B, n []*namespace) { byVeth(b, n) }, stream) })
}

func pair(b *testing.B, connect func(*testing.B, []*namespace), run func(b *testing.B, from, to *namespace)) {
	nodes := []*namespace{newNamespace(b), newNamespace(b)}
	connect(b, nodes)
	run(b, nodes[0], nodes[1])
}

func datagrams(b *testing.B, from, to *namespace) {
	var in, out int
	to.do(func() (err error) {
		if in, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
			return err
		}
		return unix.Bind(in, &unix.SockaddrInet6{Port: 9})
	})
	defer unix.Close(in)
	from.do(func() (err error) {
		if out, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Connect(out, &unix.SockaddrInet6{Port: 9, Addr: netip.MustParseAddr("fd00::2").As16()})
	})
	defer unix.Close(out)
	send := frameSender(out, make([]byte, 64))
	for found := false; !found; { // the nodes have found each other
		send(1)
		_, err := unix.Read(in, make([]byte, 64))
		found = err == nil
	}
	type result struct {
		count int
		last  time.Time
	}
	received := make(chan result)
	b.ResetTimer()
	began := time.Now()
	go func() {
		m := newMessages(make([]byte, 64))
		var r result
		for { // until nothing has come for 100 ms
			n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(in), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_WAITFORONE, 0, 0)
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 {
				break
			}
			r.count += int(n)
			r.last = time.Now()
		}
		received <- r
	}()
	for sent := 0; sent < b.N; {
		sent += send(min(32, b.N-sent))
	}
	r := <-received
	b.StopTimer()
	b.ReportMetric(float64(r.count)/max(r.last.Sub(began).Seconds(), 1e-9), "datagrams/s")
	b.ReportMetric(100*float64(r.count)/float64(b.N), "%received")
}

func stream(b *testing.B, from, to *namespace) {
	var ln net.Listener
	var conn net.Conn
	to.do(func() (err error) { ln, err = net.Listen("tcp6", "[fd00::2]:9"); return err })
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 256<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	from.do(func() (err error) { conn, err = net.Dial("tcp6", "[fd00::2]:9"); return err })
	chunk := make([]byte, 128<<10)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := conn.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	conn.Close()
	<-done
	b.ReportMetric(float64(b.N)*float64(len(chunk))*8/b.Elapsed().Seconds()/1e9, "Gbit/s")
}

// interfacePackets reads how many frames an interface has received and sent out of
// /proc/net/dev.
func interfacePackets(tb testing.TB, f *os.File, name string) (received, sent uint64) {
	tb.Helper()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":")
		if !ok {
			continue
		}
		const receivedPackets, sentPackets = 1, 9
		fields := strings.Fields(rest)
		if len(fields) <= sentPackets {
			tb.Fatalf("%q is no line of /proc/net/dev", line)
		}
		if received, err = strconv.ParseUint(fields[receivedPackets], 10, 64); err != nil {
			tb.Fatal(err)
		}
		if sent, err = strconv.ParseUint(fields[sentPackets], 10, 64); err != nil {
			tb.Fatal(err)
		}
	}
	return received, sent
}

// statistics opens what interfacePackets reads.
func (n *namespace) statistics() (f *os.File) {
	n.do(func() (err error) {
		f, err = os.Open("/proc/thread-self/net/dev")
		return err
	})
	n.tb.Cleanup(func() { f.Close() })
	return f
}

// rawSocket sends frames out of a device, past its queueing discipline.
func rawSocket(n *namespace, device string) (fd int) {
	n.do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		const packetQdiscBypass = 20
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, packetQdiscBypass, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: 0xb588})
	})
	return fd
}

// sender sends frames of a local experimental ethertype (0x88b5) to a MAC that is
// nobody's: no kernel does anything with them.
func sender(fd, size int) func(count int) int {
	frame := make([]byte, size)
	copy(frame, []byte{2, 0, 0, 0, 0, 99, 2, 0, 0, 0, 0, 1, 0x88, 0xb5})
	return frameSender(fd, frame)
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	n      uint32
	_      uint32
}

// newMessages are 256 messages of the same bytes.
func newMessages(data []byte) []message {
	iov := &unix.Iovec{Base: &data[0], Len: uint64(len(data))}
	messages := make([]message, 256)
	for i := range messages {
		messages[i].header = unix.Msghdr{Iov: iov, Iovlen: 1}
	}
	return messages
}

// frameSender returns a function that sends up to 256 frames at once and returns
// how many it tried: those that the device's queue has no room for are lost.
func frameSender(fd int, frame []byte) func(count int) int {
	messages := newMessages(frame)
	return func(count int) int {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(count), 0, 0, 0)
		if errno != 0 {
			return count
		}
		return int(n)
	}
}

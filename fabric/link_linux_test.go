package fabric_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

// A change of carrier has reached netlink's listeners when SetCarriers returns,
// each one of a burst: the kernel's own pace is once a second.
func TestCarrierIsAnnounced(t *testing.T) {
	a, _, e := twoNodes(t, fabric.Config{})
	listener := listenCarrier(a, "fore")
	down, up := fabric.Carrier{Port: 0}, fabric.Carrier{Port: 0, Up: true}
	told := func(want ...bool) {
		t.Helper()
		if got := listener.told(); !slices.Equal(got, want) {
			t.Fatalf("the kernel told of carriers %v, want %v", got, want)
		}
	}
	set := func(c ...fabric.Carrier) {
		t.Helper()
		if err := e.SetCarriers(c...); err != nil {
			t.Fatal(err)
		}
	}
	set(up)
	told(true)
	for range 5 {
		set(down)
		told(false)
		set(down, down)
		told()
		set(up)
		told(true)
		set(up)
		told()
	}
	set(down, up, down, fabric.Carrier{Port: 1, Up: true}, up, down)
	told(false, true, false, true, false)

	// The kernel acts upon it in the end.
	var state netlink.LinkOperState
	if !within(10*time.Second, func() bool {
		a.do(func() error {
			link, err := netlink.LinkByName("fore")
			if err == nil {
				state = link.Attrs().OperState
			}
			return err
		})
		return state == netlink.OperDown
	}) {
		t.Errorf("the device's operational state is %v in the end, want down", state)
	}
}

// carrierListener hears what a node's kernel tells of a device.
type carrierListener struct {
	tb    testing.TB
	fd    int
	index int32
	up    bool // as told last
}

func listenCarrier(n *namespace, device string) *carrierListener {
	l := &carrierListener{tb: n.tb}
	n.do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		l.index = int32(link.Attrs().Index)
		l.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		n.tb.Cleanup(func() { unix.Close(l.fd) })
		return unix.Bind(l.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	})
	return l
}

// told are the changes of carrier that have been told since the last call.
func (l *carrierListener) told() (changes []bool) {
	l.tb.Helper()
	buf := make([]byte, 64<<10)
	for {
		size, _, err := unix.Recvfrom(l.fd, buf, 0)
		if err != nil {
			return changes
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:size])
		if err != nil {
			l.tb.Fatal(err)
		}
		for _, m := range messages {
			info := (*unix.IfInfomsg)(unsafe.Pointer(&m.Data[0]))
			if m.Header.Type != unix.RTM_NEWLINK || info.Index != l.index {
				continue
			}
			const both = unix.IFF_RUNNING | unix.IFF_LOWER_UP
			up := info.Flags&both == both
			// A gained carrier shows in IFF_LOWER_UP before the kernel acts upon it, in
			// any message about the device that falls in between. A loss shows in both.
			if !up && info.Flags&both != 0 && (l.up || info.Flags&unix.IFF_RUNNING != 0) {
				l.tb.Fatalf("the kernel told half of a change: flags %#x", info.Flags)
			}
			if up != l.up {
				l.up = up
				changes = append(changes, up)
			}
		}
	}
}

// transfer sends size bytes by TCP from a to b and compares what arrives.
func transfer(a, b *namespace, size int) time.Duration {
	a.tb.Helper()
	var ln net.Listener
	var conn net.Conn
	b.do(func() (err error) {
		ln, err = net.Listen("tcp6", "[fd00::2]:9")
		return err
	})
	defer ln.Close()
	got := make(chan [32]byte, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			got <- [32]byte{}
			return
		}
		defer c.Close()
		h := sha256.New()
		_, _ = io.Copy(h, c)
		got <- [32]byte(h.Sum(nil))
	}()
	a.do(func() (err error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		conn, err = d.DialContext(context.Background(), "tcp6", "[fd00::2]:9")
		return err
	})
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	start := time.Now()
	if _, err := conn.Write(data); err != nil {
		a.tb.Fatal(err)
	}
	conn.Close()
	if sum := <-got; sum != sha256.Sum256(data) {
		a.tb.Fatal("what arrived is not what was sent")
	}
	return time.Since(start)
}

func TestTCP(t *testing.T) {
	a, b, e := twoNodes(t, fabric.Config{})
	connect(e, 0, 1, 1, time.Millisecond)
	const size = 20 << 20
	stats := a.statistics()
	took := transfer(a, b, size)
	frames := e.Counters(0).SentFrames
	_, packets := interfacePackets(t, stats, "fore")
	t.Logf("unlimited: %v, %d frames, of which the node's kernel made %d", took, frames, packets)
	if packets > size/3000 {
		t.Errorf("%d packets for %d bytes: no super-frames were sent on an unlimited link", packets, size)
	}
	if frames < size/1500 {
		t.Errorf("%d frames for %d bytes: super-frames count as one", frames, size)
	}

	// On a slow link every segment is a frame, and the rate is kept.
	before := e.Counters(0)
	const rate = 200e6
	for i := range 2 {
		e.Set(fabric.PortID(i), &fabric.Wire{Peer: fabric.PortID(1 - i), Contact: 1, End: time.Hour, Rate: curve.Constant(rate), Queue: 1 << 20})
	}
	if !within(10*time.Second, func() bool { return !e.Offloads(0) && !e.Offloads(1) }) {
		t.Fatal("the offloads of a slow link's ports stay on")
	}
	const slow = 4 << 20
	took = transfer(a, b, slow)
	c := e.Counters(0)
	t.Logf("at 200 Mbit/s: %v, %d frames", took, c.SentFrames-before.SentFrames)
	if n := c.SentFrames - before.SentFrames; n < slow/1500 {
		t.Errorf("%d frames for %d bytes: super-frames on a slow link", n, slow)
	}
	if least := time.Duration(slow * 8 / rate * 1e9); took < least {
		t.Errorf("%d bytes took %v, less than %v at the link's rate", slow, took, least)
	}
	if d := c.DropDevice + c.DropOverload; d > 0 {
		t.Errorf("%d frames were lost unasked", d)
	}
}

func TestContactEndDropsWhatIsInFlight(t *testing.T) {
	a, b, e := twoNodes(t, fabric.Config{})
	connect(e, 0, 1, 1, time.Millisecond)
	var conn, sink net.PacketConn
	b.do(func() (err error) { sink, err = net.ListenPacket("udp6", "[fd00::2]:9"); return err })
	a.do(func() (err error) { conn, err = net.ListenPacket("udp6", "[fd00::1]:9"); return err })
	defer conn.Close()
	defer sink.Close()
	// Let neighbour discovery pass first.
	for got := false; !got; {
		_, _ = conn.WriteTo([]byte("hello"), sink.LocalAddr())
		_ = sink.SetReadDeadline(time.Now().Add(time.Second))
		_, _, err := sink.ReadFrom(make([]byte, 9))
		got = err == nil
	}
	connect(e, 0, 1, 1, 2*time.Second)
	before := e.Counters(0)
	for range 5 {
		_, _ = conn.WriteTo([]byte("lost"), sink.LocalAddr())
	}
	if !within(time.Second, func() bool { return e.Counters(0).SentFrames >= before.SentFrames+5 }) {
		t.Skip("the fabric did not read five frames within a second: the machine is too busy")
	}
	e.Set(0, nil)
	_, _ = conn.WriteTo([]byte("nowhere"), sink.LocalAddr())
	_ = sink.SetReadDeadline(time.Now().Add(2500 * time.Millisecond))
	buf := make([]byte, 9)
	for {
		n, _, err := sink.ReadFrom(buf)
		if err != nil {
			break
		}
		if s := string(buf[:n]); s != "hello" {
			t.Errorf("%q arrived after the contact's end", s)
		}
	}
	c := e.Counters(0)
	if got := c.DropInFlight - before.DropInFlight; got < 5 {
		t.Errorf("%d frames were dropped in flight, want 5", got)
	}
	if c.DropNoLink == before.DropNoLink {
		t.Error("what was sent without a link was not counted")
	}
}

func TestCloseLeavesDevices(t *testing.T) {
	a, _, e := twoNodes(t, fabric.Config{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
	a.do(func() error {
		_, err := netlink.LinkByName("fore")
		return err
	})
	if err := e.SetCarriers(fabric.Carrier{Port: 0, Up: true}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("SetCarriers after Close: %v", err)
	}
}

// A device that goes away with its namespace does not keep the worker busy, and
// frames to it are counted.
func TestDeviceGone(t *testing.T) {
	na, nb := newNamespace(t), newNamespace(t)
	s, err := fabric.NewStepper(fabric.Config{Timeline: running(t), Workers: 1, Ports: []fabric.Port{
		{Device: na.port("fore", 1)}, {Device: nb.port("aft", 2)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseStepper()
	if err := s.RaiseCarrier(); err != nil {
		t.Fatal(err)
	}
	s.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
	fd := rawSocket(na, "fore")
	defer unix.Close(fd)
	send := sender(fd, 64)
	send(3)
	s.Step()
	if c := s.Counters(1); c.ReceivedFrames < 3 {
		t.Fatalf("%+v", c)
	}
	nb.do(func() error {
		link, err := netlink.LinkByName("aft")
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
	send(3)
	s.Step() // ends only if the dead port is not polled for ever
	if c := s.Counters(0); c.DropDevice < 3 {
		t.Errorf("frames to a device that is gone: %+v", c)
	}
}

// A reader that is too slow loses frames of the capture, and no others.
func TestSlowCapture(t *testing.T) {
	tl := running(t)
	n0, d0, roomy := socketPair(t)
	n1, d1, _ := socketPair(t)
	if !roomy {
		t.Skip("needs CAP_NET_ADMIN for large socket buffers")
	}
	defer unix.Close(n0)
	defer unix.Close(n1)
	e := newEngine(t, fabric.Config{Timeline: tl, Ports: []fabric.Port{{Name: "a", Device: d0}, {Name: "b", Device: d1}}, Workers: 1})
	e.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
	stream, stop, err := e.Capture(0)
	if err != nil {
		t.Fatal(err)
	}
	const count = 5000
	m := make([]byte, tap.HeaderLen+100)
	for range count {
		if _, err := unix.Write(n0, m); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); e.Counters(1).ReceivedFrames < count; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the capture held up traffic: %+v", e.Counters(0))
		}
	}
	stop()
	r, err := pcapgo.NewNgReader(stream, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var packets uint64
	for {
		if _, _, err := r.ReadPacketData(); err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		packets++
	}
	i, err := r.Interface(0)
	if err != nil {
		t.Fatal(err)
	}
	if d := i.Statistics.PacketsDropped; packets == count || packets+d != count {
		t.Errorf("%d frames captured and %d said to be left out, of %d", packets, d, count)
	}

	// A closed stream ends a capture, too.
	stream, stop, err = e.Capture(0)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	stream.Close()
}

func TestCaptureOfDevices(t *testing.T) {
	a, b, e := twoNodes(t, fabric.Config{})
	connect(e, 0, 1, 1, time.Millisecond)
	stream, stop, err := e.Capture(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Capture(0); !errors.Is(err, fabric.ErrCaptured) {
		t.Errorf("a second capture: %v", err)
	}
	file := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(stream)
		file <- data
	}()
	ping(a, b, 5)
	transfer(a, b, 1<<20)
	within(10*time.Second, func() bool { return e.Counters(0).SentFrames == e.Counters(1).ReceivedFrames })
	stop()
	stop()
	data := <-file

	r, err := pcapgo.NewNgReader(bytes.NewReader(data), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if i, err := r.Interface(0); err != nil || i.Name != "a:fore" || i.LinkType != layers.LinkTypeEthernet {
		t.Errorf("interface %+v, %v", i, err)
	}
	packets, udp := 0, 0
	var last time.Time
	for {
		d, ci, err := r.ReadPacketData()
		if err != nil {
			break
		}
		packets++
		if off := time.Since(ci.Timestamp); off < 0 || off > time.Minute {
			t.Fatalf("packet at %v", ci.Timestamp)
		}
		if ci.Timestamp.Before(last.Add(-time.Second)) {
			t.Fatal("timestamps run backwards")
		}
		last = ci.Timestamp
		p := gopacket.NewPacket(d, layers.LayerTypeEthernet, gopacket.Default)
		if p.ErrorLayer() != nil {
			t.Fatal(p.ErrorLayer().Error())
		}
		if p.Layer(layers.LayerTypeUDP) != nil {
			udp++
		}
	}
	if udp != 10 || packets < 20 {
		t.Errorf("%d packets, of which %d UDP; want 5 datagrams there and back", packets, udp)
	}

	shark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("the rest needs tshark, which is not installed")
	}
	path := t.TempDir() + "/capture.pcapng"
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(shark, "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
		"-T", "fields", "-e", "frame.packet_flags_direction", "-e", "tcp.checksum.status", "-e", "udp.checksum.status", "-e", "icmpv6.checksum.status").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(lines) != packets {
		t.Errorf("tshark sees %d packets, want %d", len(lines), packets)
	}
	directions := map[string]int{}
	for _, l := range lines {
		f := strings.Split(l, "\t")
		directions[f[0]]++
		for _, status := range f[1:] {
			if strings.Contains(status, "0") {
				t.Fatalf("tshark finds a wrong checksum: %q", l)
			}
		}
	}
	if len(directions) != 2 {
		t.Errorf("directions seen: %v", directions)
	}
}

// Frames in and out of a socket in place of a TAP, as an ordinary user may have it.
func TestWorkersOverSockets(t *testing.T) {
	tl := running(t)
	var nodes [4]int
	var ports []fabric.Port
	for i := range nodes {
		var device *os.File
		nodes[i], device, _ = socketPair(t)
		defer unix.Close(nodes[i])
		ports = append(ports, fabric.Port{Name: "p", Device: device})
	}
	e := newEngine(t, fabric.Config{Timeline: tl, Ports: ports, Workers: 2})
	const delay = 3 * time.Millisecond
	for i := range nodes {
		e.Set(fabric.PortID(i), &fabric.Wire{Peer: fabric.PortID(i ^ 1), Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds())})
		if err := e.SetCarriers(fabric.Carrier{Port: fabric.PortID(i), Up: true}); err != nil {
			t.Fatal(err)
		}
	}
	const count = 100 // as many as an ordinary user's socket buffers hold
	sent := map[uint32]time.Time{}
	for i := range count {
		for n := range nodes {
			m := make([]byte, tap.HeaderLen+60)
			id := uint32(i*len(nodes) + n)
			binary.BigEndian.PutUint32(m[tap.HeaderLen:], id)
			sent[id] = time.Now()
			if _, err := unix.Write(nodes[n], m); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range nodes {
		buf := make([]byte, 2000)
		for i := range count {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(nodes[n]), Events: unix.POLLIN}}, 5000); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Read(nodes[n], buf); err != nil {
				t.Fatalf("frame %d: %v; %+v", i, err, e.Counters(fabric.PortID(n^1)))
			}
			id := binary.BigEndian.Uint32(buf[tap.HeaderLen:])
			if want := uint32(i*len(nodes) + n ^ 1); id != want {
				t.Fatalf("node %d got frame %d, want %d: order or loss", n, id, want)
			}
			if since := time.Since(sent[id]); since < delay {
				t.Errorf("frame %d took %v, less than its delay", id, since)
			}
		}
	}
}

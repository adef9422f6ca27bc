package fabric_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

// What the frame path costs by itself: read, decide, hold, write, over sockets
// and step by step.
func BenchmarkCarry(b *testing.B) {
	for _, c := range []struct {
		name string
		wire fabric.Wire
	}{
		{"bare", fabric.Wire{}},
		{"delay", fabric.Wire{Delay: curve.Constant(1e-3)}},
		{"all", fabric.Wire{Delay: curve.Constant(1e-3), Rate: curve.Constant(1e12), Queue: 1 << 20, Loss: fabric.Loss{Bernoulli: curve.Constant(1e-9)}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			step := carryStep(b, c.wire)
			for b.Loop() {
				step()
			}
		})
	}
}

// carryStep returns a function that carries one frame from one socket to another.
func carryStep(tb testing.TB, wire fabric.Wire) func() {
	var src clock.Manual
	tl := clock.New(&src, 0, 1)
	tl.Resume()
	n0, d0, _ := socketPair(tb)
	n1, d1, _ := socketPair(tb)
	s, err := fabric.NewStepper(fabric.Config{Timeline: tl, Workers: 1, Ports: []fabric.Port{{Device: d0}, {Device: d1}}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.CloseStepper(); unix.Close(n0); unix.Close(n1) })
	wire.Peer, wire.End = 1, 1<<62
	s.Set(0, &wire)
	m := make([]byte, tap.HeaderLen+64)
	buf := make([]byte, 128)
	return func() {
		if _, err := unix.Write(n0, m); err != nil {
			tb.Fatal(err)
		}
		s.Step()
		src.Advance(2 * time.Millisecond)
		s.Step()
		if _, err := unix.Read(n1, buf); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestCarryAllocatesNothing(t *testing.T) {
	step := carryStep(t, fabric.Wire{
		Delay: curve.Constant(1e-3), Rate: curve.Constant(1e12), Queue: 1 << 20,
		Loss: fabric.Loss{Bernoulli: curve.Constant(1e-9)},
	})
	if n := testing.AllocsPerRun(1000, step); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// Changes of a link from one thread while the worker runs; compare with
// BenchmarkSetNetlink in the same run.
func BenchmarkSet(b *testing.B) {
	_, d0, _ := socketPair(b)
	_, d1, _ := socketPair(b)
	e := newEngine(b, fabric.Config{Timeline: running(b), Ports: []fabric.Port{{Device: d0}, {Device: d1}}})
	var wires [2]fabric.Wire
	for i := range wires {
		wires[i] = fabric.Wire{Peer: 1, Contact: uint64(i), End: time.Hour, Delay: curve.Constant(1e-3), Rate: curve.New([]curve.Segment{
			{Start: 0, C: [4]float64{1e9, 1e6}}, {Start: time.Minute, C: [4]float64{2e9, 1e6}},
		})}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Set(0, &wires[i&1])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}

// Changes of carrier, all told to the nodes' daemons: a burst of losses, as at an
// instant at which many contacts end, and the gains after it. The pause in between
// is that of the sky; the kernel uses it to act upon the losses.
func BenchmarkSetCarriers(b *testing.B) {
	for _, count := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("ports=%d", count), func(b *testing.B) {
			var ports []fabric.Port
			var down, up []fabric.Carrier
			for i := range count {
				n := newNamespace(b)
				ports = append(ports, fabric.Port{Device: n.port("fore", 1)})
				down = append(down, fabric.Carrier{Port: fabric.PortID(i)})
				up = append(up, fabric.Carrier{Port: fabric.PortID(i), Up: true})
			}
			e := newEngine(b, fabric.Config{Timeline: running(b), Workers: 1, Ports: ports})
			var lost, gained time.Duration
			for b.Loop() {
				for _, s := range []struct {
					carriers []fabric.Carrier
					spent    *time.Duration
				}{{up, &gained}, {down, &lost}} {
					b.StopTimer()
					time.Sleep(time.Duration(count) * time.Millisecond)
					b.StartTimer()
					start := time.Now()
					if err := e.SetCarriers(s.carriers...); err != nil {
						b.Fatal(err)
					}
					*s.spent += time.Since(start)
				}
			}
			b.ReportMetric(float64(lost.Microseconds())/float64(b.N), "µs/burst-lost")
			b.ReportMetric(float64(gained.Microseconds())/float64(b.N), "µs/burst-gained")
		})
	}
}

// Small frames through one hop: a raw socket in one namespace sends them as
// fast as it can, the other namespace's kernel counts what its device received.
func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{64, 1500} {
		b.Run(fmt.Sprintf("size=%d/fabric", size), func(b *testing.B) {
			na, nb, e := twoNodes(b, fabric.Config{Workers: 1})
			e.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
			for p := range fabric.PortID(2) {
				if err := e.SetCarriers(fabric.Carrier{Port: p, Up: true}); err != nil {
					b.Fatal(err)
				}
			}
			flood(b, na, nb, "fore", "aft", size)
		})
		b.Run(fmt.Sprintf("size=%d/veth", size), func(b *testing.B) {
			na, nb := vethPair(b)
			flood(b, na, nb, "fore", "aft", size)
		})
	}
}

// flood sends b.N frames from a's device and waits until b's has received them
// or nothing more comes. Frames that the sender outruns are lost, so the figure
// is what was received by time.
func flood(b *testing.B, from, to *namespace, out, in string, size int) {
	fd := rawSocket(from, out)
	defer unix.Close(fd)
	var stats *os.File
	to.do(func() (err error) {
		stats, err = os.Open("/proc/thread-self/net/dev")
		return err
	})
	defer stats.Close()
	received := func() uint64 { return interfacePackets(b, stats, in) }

	// To a MAC that is nobody's, of a local experimental ethertype (0x88b5).
	send := sender(fd, size)
	first := received()
	b.ResetTimer()
	for sent := 0; sent < b.N; {
		sent += send(min(32, b.N-sent))
	}
	sendEnd := time.Now()
	got := received() - first
	for time.Since(sendEnd) < 100*time.Millisecond && got < uint64(b.N) {
		got = received() - first
	}
	b.StopTimer()
	b.ReportMetric(float64(got)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(100*float64(got)/float64(b.N), "%received")
}

// TCP through one hop with offloads, beside a bare veth pair.
func BenchmarkTCP(b *testing.B) {
	b.Run("fabric", func(b *testing.B) {
		na, nb, e := twoNodes(b, fabric.Config{Workers: 1})
		connect(e, 0, 1, 1, 0)
		stream(b, na, nb)
	})
	b.Run("veth", func(b *testing.B) {
		na, nb := vethPair(b)
		stream(b, na, nb)
	})
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

// vethPair connects two new namespaces by a veth pair, fore and aft.
func vethPair(b *testing.B) (na, nb *namespace) {
	na, nb = newNamespace(b), newNamespace(b)
	na.do(func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "fore", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}},
			PeerName:  "aft", PeerNamespace: netlink.NsFd(int(nb.ns)), PeerHardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 2},
		})
	})
	na.up("fore", 1)
	nb.up("aft", 2)
	return na, nb
}

// How late frames are delivered, in microseconds: alone, and beside goroutines
// of the same process that compute and make garbage on all CPUs.
func BenchmarkLateness(b *testing.B) {
	for _, load := range []bool{false, true} {
		name := "load=none"
		if load {
			name = "load=goroutines"
		}
		b.Run(name, func(b *testing.B) { lateness(b, load) })
	}
}

func lateness(b *testing.B, load bool) {
	n0, d0, _ := socketPair(b)
	n1, d1, _ := socketPair(b)
	defer unix.Close(n0)
	defer unix.Close(n1)
	e := newEngine(b, fabric.Config{Timeline: running(b), Ports: []fabric.Port{{Device: d0}, {Device: d1}}, Workers: 1})
	e.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(5e-3)})
	if load {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range runtime.NumCPU() {
			wg.Go(func() {
				var keep [][]byte
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						keep = append(keep, make([]byte, 1000))
						if len(keep) > 10_000 {
							keep = nil
						}
					}
				}
			})
		}
		defer wg.Wait()
		defer close(stop)
	}
	m := make([]byte, tap.HeaderLen+64)
	buf := make([]byte, 128)
	before := e.Fidelity().Lateness
	for b.Loop() {
		for range 20 {
			if _, err := unix.Write(n0, m); err != nil {
				b.Fatal(err)
			}
		}
		for {
			if _, err := unix.Read(n1, buf); err != nil {
				break
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	h := e.Fidelity().Lateness.Sub(before)
	b.ReportMetric(float64(h.Quantile(0.5))/1e3, "p50-µs")
	b.ReportMetric(float64(h.Quantile(0.99))/1e3, "p99-µs")
	b.ReportMetric(float64(h.Max())/1e3, "max-µs")
	b.ReportMetric(float64(h.Count())/b.Elapsed().Seconds(), "frames/s")
}

// interfacePackets reads the number of received frames of an interface out of
// /proc/net/dev.
func interfacePackets(tb testing.TB, f *os.File, name string) (packets uint64) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var bytes uint64
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			if _, err := fmt.Sscan(rest, &bytes, &packets); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return packets
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

// sender returns a function that sends up to 256 frames at once and returns
// how many it tried: those that the device's queue has no room for are lost.
func sender(fd, size int) func(count int) int {
	// To a MAC that is nobody's, of a local experimental ethertype (0x88b5).
	frame := make([]byte, size)
	copy(frame, []byte{2, 0, 0, 0, 0, 99, 2, 0, 0, 0, 0, 1, 0x88, 0xb5})
	type message struct {
		header unix.Msghdr
		n      uint32
		_      uint32
	}
	iov := &unix.Iovec{Base: &frame[0], Len: uint64(size)}
	messages := make([]message, 256)
	for i := range messages {
		messages[i].header = unix.Msghdr{Iov: iov, Iovlen: 1}
	}
	return func(count int) int {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(count), 0, 0, 0)
		if errno != 0 {
			return count
		}
		return int(n)
	}
}

// What one thread relays from TAP to TAP if it has a CPU to itself: the time of
// the worker's steps alone, without the sender's.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{64, 1500} {
		for _, delay := range []time.Duration{0, time.Microsecond} {
			b.Run(fmt.Sprintf("size=%d/delay=%v", size, delay), func(b *testing.B) {
				na, nb := newNamespace(b), newNamespace(b)
				s, err := fabric.NewStepper(fabric.Config{Timeline: running(b), Workers: 1, Ports: []fabric.Port{
					{Device: na.port("fore", 1)}, {Device: nb.port("aft", 2)},
				}})
				if err != nil {
					b.Fatal(err)
				}
				defer s.CloseStepper()
				s.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds())})
				if err := s.RaiseCarrier(); err != nil {
					b.Fatal(err)
				}
				fd := rawSocket(na, "fore")
				defer unix.Close(fd)
				send := sender(fd, size)
				var busy time.Duration
				first := s.Counters(1).ReceivedFrames
				for sent := 0; sent < b.N; {
					sent += send(min(256, b.N-sent))
					start := time.Now()
					s.Step()
					busy += time.Since(start)
				}
				time.Sleep(time.Millisecond)
				s.Step()
				got := s.Counters(1).ReceivedFrames - first
				b.ReportMetric(float64(got)/busy.Seconds(), "frames/s")
				b.ReportMetric(float64(busy)/float64(got), "ns/frame")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

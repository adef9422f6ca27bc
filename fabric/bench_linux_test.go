package fabric_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
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

// Changes of a link from one thread while the worker runs, beside what an emulator
// does that shapes links by queueing disciplines: a change of a token bucket's rate
// through netlink, and through forking tc.
func BenchmarkSet(b *testing.B) {
	b.Run("fabric", func(b *testing.B) {
		benchmarkSet(b, func(c fabric.Config) fabric.Fabric { return newEngine(b, c) })
	})
	b.Run("process", func(b *testing.B) {
		benchmarkSet(b, func(c fabric.Config) fabric.Fabric { return newProcess(b, c) })
	})
	b.Run("netlink", func(b *testing.B) {
		n := newNamespace(b)
		bucket := n.tokenBucket(b)
		n.do(func() error {
			h, err := netlink.NewHandle()
			if err != nil {
				return err
			}
			defer h.Close()
			for i := 0; b.Loop(); i++ {
				bucket.Rate = uint64(1e9 + i&1)
				if err := h.QdiscChange(bucket); err != nil {
					return err
				}
			}
			return nil
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
	})
	b.Run("tc", func(b *testing.B) {
		tc, err := exec.LookPath("tc")
		if err != nil {
			b.Skip("needs tc (iproute2), which is not installed")
		}
		n := newNamespace(b)
		n.tokenBucket(b)
		n.do(func() error {
			for i := 0; b.Loop(); i++ {
				rate := fmt.Sprintf("%dbit", 1_000_000_000+8*(i&1))
				out, err := exec.Command(tc, "qdisc", "change", "dev", "lo", "root", "tbf", "rate", rate, "burst", "100kb", "limit", "1mb").CombinedOutput()
				if err != nil {
					return fmt.Errorf("tc: %w: %s", err, out)
				}
			}
			return nil
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
	})
}

// tokenBucket puts a token bucket on the namespace's lo.
func (n *namespace) tokenBucket(b *testing.B) *netlink.Tbf {
	var bucket *netlink.Tbf
	var missing error
	n.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		bucket = &netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: lo.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
			Rate:       1e9, Buffer: 100 << 10, Limit: 1 << 20,
		}
		missing = netlink.QdiscAdd(bucket)
		return nil
	})
	if errors.Is(missing, unix.ENOENT) {
		b.Skip("the kernel has no token bucket (sch_tbf)")
	}
	if missing != nil {
		b.Fatal(missing)
	}
	return bucket
}

func benchmarkSet(b *testing.B, open func(fabric.Config) fabric.Fabric) {
	_, d0, _ := socketPair(b)
	_, d1, _ := socketPair(b)
	e := open(fabric.Config{Timeline: running(b), Ports: []fabric.Port{{Device: d0}, {Device: d1}}})
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
	// A wire in another process stands when a carrier can follow it.
	if err := e.SetCarriers(fabric.Carrier{Port: 0, Up: true}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}

// Changes of carrier, all told to the nodes' daemons: a burst of losses, as at an
// instant at which many contacts end, and the gains after it. The pause in between
// is that of the sky; the kernel uses it to act upon the losses. Beside it the same
// with the kernel made to act upon each before the next ("settled").
func BenchmarkSetCarriers(b *testing.B) {
	for _, count := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("ports=%d/fabric", count), func(b *testing.B) {
			var ports []fabric.Port
			for range count {
				ports = append(ports, fabric.Port{Device: newNamespace(b).port("fore", 1)})
			}
			e := newEngine(b, fabric.Config{Timeline: running(b), Workers: 1, Ports: ports})
			carriers := make([]fabric.Carrier, count)
			bursts(b, count, func(up bool) error {
				for i := range carriers {
					carriers[i] = fabric.Carrier{Port: fabric.PortID(i), Up: up}
				}
				return e.SetCarriers(carriers...)
			})
		})
		b.Run(fmt.Sprintf("ports=%d/settled", count), func(b *testing.B) {
			var nodes []*namespace
			var devices []*os.File
			for range count {
				n := newNamespace(b)
				nodes = append(nodes, n)
				devices = append(devices, n.port("fore", 1))
			}
			defer func() {
				for _, d := range devices {
					d.Close()
				}
			}()
			nodes[0].do(func() error { // on a thread that goes from namespace to namespace
				bursts(b, count, func(up bool) error {
					for _, d := range devices {
						if err := errors.Join(tap.SetCarrier(int(d.Fd()), up), tap.Announce(int(d.Fd()))); err != nil {
							return err
						}
					}
					return nil
				})
				return nil
			})
		})
	}
}

// bursts measures set, which raises and takes away the carriers of count ports.
func bursts(b *testing.B, count int, set func(up bool) error) {
	var spent [2]time.Duration
	for b.Loop() {
		for i, up := range []bool{true, false} {
			b.StopTimer()
			time.Sleep(time.Duration(count) * time.Millisecond)
			b.StartTimer()
			start := time.Now()
			if err := set(up); err != nil {
				b.Error(err)
				return
			}
			spent[i] += time.Since(start)
		}
	}
	b.ReportMetric(float64(spent[0].Microseconds())/float64(b.N), "µs/burst-gained")
	b.ReportMetric(float64(spent[1].Microseconds())/float64(b.N), "µs/burst-lost")
}

// How late frames are delivered, in microseconds, by an engine in this process and
// by one in a process of its own: alone, beside goroutines of this process that
// compute and make garbage on all CPUs, and beside other processes that do nothing
// but use all CPUs.
func BenchmarkLateness(b *testing.B) {
	for _, load := range []struct {
		name  string
		begin func(b *testing.B) (end func())
	}{{"none", nil}, {"goroutines", computing}, {"processes", burning}} {
		b.Run("load="+load.name+"/engine", func(b *testing.B) {
			lateness(b, load.begin, func(c fabric.Config) fabric.Fabric { return newEngine(b, c) })
		})
		b.Run("load="+load.name+"/process", func(b *testing.B) {
			lateness(b, load.begin, func(c fabric.Config) fabric.Fabric { return newProcess(b, c) })
		})
	}
}

// The same at 100,000 frames a second, one each 10 µs, which needs a CPU for the sender:
// by workers that sleep while there is nothing to do, and by some that poll.
func BenchmarkLateness100k(b *testing.B) {
	for _, spin := range []bool{false, true} {
		b.Run(fmt.Sprintf("spin=%v", spin), func(b *testing.B) {
			n0, d0, _ := socketPair(b)
			n1, d1, _ := socketPair(b)
			defer unix.Close(n0)
			defer unix.Close(n1)
			f := newProcess(b, fabric.Config{Timeline: running(b), Ports: []fabric.Port{{Device: d0}, {Device: d1}}, Workers: 1, Spin: spin})
			f.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(5e-3)})
			m := make([]byte, tap.HeaderLen+64)
			buf := make([]byte, 128)
			before := f.Fidelity().Lateness
			began := time.Now()
			for i := 0; b.Loop(); i++ {
				for time.Since(began) < time.Duration(i)*10*time.Microsecond {
				}
				if _, err := unix.Write(n0, m); err != nil && !errors.Is(err, unix.EAGAIN) {
					b.Fatal(err)
				}
				_, _ = unix.Read(n1, buf)
			}
			reportLateness(b, f.Fidelity().Lateness.Sub(before))
		})
	}
}

// computing keeps all CPUs busy with goroutines that make garbage.
func computing(*testing.B) (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			var keep [][]byte
			for {
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
	return func() {
		close(stop)
		wg.Wait()
	}
}

// burning keeps all CPUs busy with processes.
func burning(b *testing.B) (end func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var processes []*exec.Cmd
	for range runtime.NumCPU() {
		c := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		processes = append(processes, c)
	}
	return func() {
		cancel()
		for _, c := range processes {
			_ = c.Wait() // it was killed
		}
	}
}

// lateness sends 20 frames at a time.
func lateness(b *testing.B, load func(*testing.B) func(), open func(fabric.Config) fabric.Fabric) {
	n0, d0, _ := socketPair(b)
	n1, d1, _ := socketPair(b)
	defer unix.Close(n0)
	defer unix.Close(n1)
	f := open(fabric.Config{Timeline: running(b), Ports: []fabric.Port{{Device: d0}, {Device: d1}}, Workers: 1})
	f.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(5e-3)})
	if load != nil {
		defer load(b)()
	}
	m := make([]byte, tap.HeaderLen+64)
	buf := make([]byte, 128)
	before := f.Fidelity().Lateness
	for b.Loop() {
		for range 20 {
			if _, err := unix.Write(n0, m); err != nil && !errors.Is(err, unix.EAGAIN) {
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
	reportLateness(b, f.Fidelity().Lateness.Sub(before))
}

func reportLateness(b *testing.B, h fabric.Histogram) {
	b.ReportMetric(float64(h.Quantile(0.5))/1e3, "p50-µs")
	b.ReportMetric(float64(h.Quantile(0.99))/1e3, "p99-µs")
	b.ReportMetric(float64(h.Max())/1e3, "max-µs")
	b.ReportMetric(float64(h.Count())/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(0, "ns/op")
}

// What one thread relays from TAP to TAP if it has a CPU to itself: the CPU time of
// the worker's steps alone, without the sender's. Beside it a loop that does nothing
// but read and write, which is what the system calls cost. The receiving kernel throws
// raw frames away at once; datagrams it hands to a socket, which is emptied between the
// steps.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{64, 1500} {
		for _, kind := range []string{"raw", "udp"} {
			run := func(name string, open func(b *testing.B, in, out *os.File) (step func(), received func() uint64)) {
				b.Run(fmt.Sprintf("size=%d,%s/%s", size, kind, name), func(b *testing.B) { relay(b, size, kind == "udp", open) })
			}
			for _, delay := range []time.Duration{0, time.Microsecond} {
				run(fmt.Sprintf("delay=%v", delay), func(b *testing.B, in, out *os.File) (step func(), received func() uint64) {
					s, err := fabric.NewStepper(fabric.Config{Timeline: running(b), Workers: 1, Ports: []fabric.Port{{Device: in}, {Device: out}}})
					if err != nil {
						b.Fatal(err)
					}
					b.Cleanup(s.CloseStepper)
					s.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds())})
					return s.Step, func() uint64 { return s.Counters(1).ReceivedFrames }
				})
			}
			run("bare", func(b *testing.B, in, out *os.File) (step func(), received func() uint64) {
				b.Cleanup(func() { in.Close(); out.Close() })
				buf := make([]byte, 2048)
				from, to := in.Fd(), out.Fd()
				var frames uint64
				return func() {
					for {
						n, _, errno := unix.RawSyscall(unix.SYS_READ, from, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
						if errno != 0 {
							return
						}
						_, _, _ = unix.RawSyscall(unix.SYS_WRITE, to, uintptr(unsafe.Pointer(&buf[0])), n)
						frames++
					}
				}, func() uint64 { return frames }
			})
		}
	}
}

// relay measures step, which carries what has come in at one device out at another.
func relay(b *testing.B, size int, udp bool, open func(b *testing.B, in, out *os.File) (step func(), received func() uint64)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	na, nb := newNamespace(b), newNamespace(b)
	in, out := na.port("fore", foreNumber), nb.port("aft", aftNumber)
	for _, f := range []*os.File{in, out} {
		if err := tap.SetCarrier(int(f.Fd()), true); err != nil {
			b.Fatal(err)
		}
		if err := unix.SetNonblock(int(f.Fd()), true); err != nil {
			b.Fatal(err)
		}
	}
	step, received := open(b, in, out)
	fd := rawSocket(na, "fore")
	defer unix.Close(fd)
	send, drain := sender(fd, size), func() {}
	if udp {
		send = frameSender(fd, datagram(size, netip.MustParseAddr("fd00::2")))
		sink := discard(b, nb)
		defer sink.Close()
		drain = sink.drain
	}
	var busy time.Duration
	first := received()
	b.ResetTimer()
	for sent := 0; sent < b.N; {
		sent += send(min(64, b.N-sent))
		start := threadTime(b)
		step()
		busy += threadTime(b) - start
		drain()
	}
	time.Sleep(time.Millisecond)
	step()
	got := received() - first
	b.ReportMetric(float64(got)/busy.Seconds(), "frames/s")
	b.ReportMetric(float64(busy)/float64(got), "ns/frame")
	b.ReportMetric(0, "ns/op")
}

// threadTime is the CPU time that the calling thread has used.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// sink is a socket whose datagrams are thrown away.
type sink struct {
	fd       int
	messages []message
}

func discard(b *testing.B, n *namespace) *sink {
	s := &sink{messages: newMessages(make([]byte, 64))}
	n.do(func() (err error) {
		if s.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrInet6{Port: 9})
	})
	return s
}

func (s *sink) drain() {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.messages[0])), uintptr(len(s.messages)), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 || n == 0 {
			return
		}
	}
}

func (s *sink) Close() { unix.Close(s.fd) }

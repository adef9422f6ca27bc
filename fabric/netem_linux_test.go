package fabric_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/fabric"
)

// Beside what the kernel itself has for links with delay: a veth pair with netem at
// both ends. Kernels without it skip; "make test-lab" boots one that has it.

// needNetem skips where the kernel has no netem.
func needNetem(tb testing.TB) {
	tb.Helper()
	n := newNamespace(tb)
	var missing error
	n.do(func() error {
		missing = delayed("lo", time.Millisecond)
		return nil
	})
	if errors.Is(missing, unix.ENOENT) {
		tb.Skip(`the kernel has no netem (sch_netem); "make test-lab" boots one that has it`)
	}
	if missing != nil {
		tb.Fatal(missing)
	}
}

// delayed delays what a device of the thread's namespace sends.
func delayed(device string, delay time.Duration) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	return netlink.QdiscAdd(netlink.NewNetem(
		netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		netlink.NetemQdiscAttrs{Latency: uint32(delay.Microseconds()), Limit: 10_000}))
}

// byNetem connects two nodes so.
func byNetem(tb testing.TB, nodes []*namespace, delay time.Duration) {
	tb.Helper()
	byVeth(tb, nodes)
	for i, name := range []string{"fore", "aft"} {
		nodes[i].do(func() error { return delayed(name, delay) })
	}
}

// byDelay connects two nodes by the fabric.
func byDelay(tb testing.TB, nodes []*namespace, delay time.Duration) fabric.Fabric {
	tb.Helper()
	f := newProcess(tb, fabric.Config{Timeline: running(tb), Workers: 1, Ports: []fabric.Port{
		{Name: "fore", Node: 1, Device: nodes[0].port("fore", foreNumber)},
		{Name: "aft", Node: 2, Device: nodes[1].port("aft", aftNumber)},
	}})
	connect(f, 0, 1, 1, delay)
	return f
}

// udpPair is a socket in each of two nodes: what is written to out is read from in.
func udpPair(tb testing.TB, from, to *namespace) (out, in int) {
	tb.Helper()
	to.do(func() (err error) {
		if in, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
			unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}),
			unix.Bind(in, &unix.SockaddrInet6{Port: 9}))
	})
	tb.Cleanup(func() { unix.Close(in) })
	from.do(func() (err error) {
		if out, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Connect(out, &unix.SockaddrInet6{Port: 9, Addr: netip.MustParseAddr("fd00::2").As16()})
	})
	tb.Cleanup(func() { unix.Close(out) })
	buf := make([]byte, 16)
	if !within(20*time.Second, func() bool { // the nodes have found each other
		_, _ = unix.Write(out, buf[:1])
		_, err := unix.Read(in, buf)
		return err == nil
	}) {
		tb.Fatal("no datagram comes through")
	}
	for _, err := unix.Read(in, buf); err == nil; _, err = unix.Read(in, buf) {
	}
	return out, in
}

// The same packets come through, in the same order.
func TestSamePacketsAsNetem(t *testing.T) {
	const count, delay = 500, 3 * time.Millisecond
	needNetem(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	received := func(connect func(nodes []*namespace)) (datagrams [][]byte) {
		nodes := []*namespace{newNamespace(t), newNamespace(t)}
		connect(nodes)
		out, in := udpPair(t, nodes[0], nodes[1])
		random := rand.New(rand.NewPCG(seed, 0))
		buf := make([]byte, 2000)
		for i := range count {
			size := 4 + random.IntN(1400)
			if random.IntN(2) > 0 {
				size = 100 // runs that can be joined
			}
			binary.BigEndian.PutUint32(buf, uint32(i))
			if _, err := unix.Write(out, buf[:size]); err != nil {
				t.Fatal(err)
			}
			if random.IntN(20) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		for {
			n, err := unix.Read(in, buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				break
			}
			datagrams = append(datagrams, slices.Clone(buf[:n]))
		}
		transfer(nodes[0], nodes[1], 1<<20)
		return datagrams
	}
	want := received(func(nodes []*namespace) { byNetem(t, nodes, delay) })
	got := received(func(nodes []*namespace) { byDelay(t, nodes, delay) })
	if len(want) != count || len(got) != count {
		t.Fatalf("%d datagrams came through the fabric and %d through netem, of %d", len(got), len(want), count)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("datagram %d is\n%x\nand through netem\n%x", i, got[i], want[i])
		}
	}
}

// How far from their delay datagrams arrive, in microseconds, by the kernel's own time
// stamps at the receiver.
func BenchmarkDelayBesideNetem(b *testing.B) {
	needNetem(b)
	for _, delay := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		for _, kind := range []string{"fabric", "netem"} {
			b.Run(fmt.Sprintf("delay=%v/%s", delay, kind), func(b *testing.B) {
				nodes := []*namespace{newNamespace(b), newNamespace(b)}
				if kind == "netem" {
					byNetem(b, nodes, delay)
				} else {
					byDelay(b, nodes, delay)
				}
				out, in := udpPair(b, nodes[0], nodes[1])
				var off fabric.Histogram
				buf, oob := make([]byte, 64), make([]byte, 128)
				for b.Loop() {
					sent := time.Now()
					if _, err := unix.Write(out, buf); err != nil {
						b.Fatal(err)
					}
					_, o, _, _, err := unix.Recvmsg(in, buf, oob, 0)
					if err != nil {
						continue
					}
					messages, err := unix.ParseSocketControlMessage(oob[:o])
					if err != nil || len(messages) != 1 {
						b.Fatalf("no time stamp: %v", err)
					}
					at := time.Unix(int64(binary.NativeEndian.Uint64(messages[0].Data)), int64(binary.NativeEndian.Uint64(messages[0].Data[8:])))
					off.Record(at.Sub(sent) - delay)
				}
				b.ReportMetric(float64(off.Quantile(0.5))/1e3, "p50-µs")
				b.ReportMetric(float64(off.Quantile(0.99))/1e3, "p99-µs")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// How much comes through a link with delay.
func BenchmarkThroughputBesideNetem(b *testing.B) {
	const delay = time.Millisecond
	needNetem(b)
	for _, what := range []struct {
		name string
		run  func(b *testing.B, from, to *namespace)
	}{{"UDP", datagrams}, {"TCP", stream}} {
		b.Run(what.name+"/fabric", func(b *testing.B) {
			pair(b, func(b *testing.B, n []*namespace) { byDelay(b, n, delay) }, what.run)
		})
		b.Run(what.name+"/netem", func(b *testing.B) {
			pair(b, func(b *testing.B, n []*namespace) { byNetem(b, n, delay) }, what.run)
		})
	}
}

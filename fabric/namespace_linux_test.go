package fabric_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// A namespace that a test made. It ends with its handle.
type namespace struct {
	tb testing.TB
	ns netns.NsHandle
}

func newNamespace(tb testing.TB) *namespace {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: makes network namespaces")
	}
	if err := tap.Available(); err != nil {
		tb.Skip(err)
	}
	var ns netns.NsHandle
	err := thread.Do(func() (err error) {
		ns, err = netns.New()
		return err
	})
	if err != nil {
		tb.Skipf("cannot make a network namespace: %v", err)
	}
	n := &namespace{tb, ns}
	tb.Cleanup(func() { ns.Close() })
	n.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return n
}

// do runs f on a thread in the namespace.
func (n *namespace) do(f func() error) {
	n.tb.Helper()
	if err := enter(n.ns, f); err != nil {
		n.tb.Fatal(err)
	}
}

// enter runs f on a thread in a namespace.
func enter(ns netns.NsHandle, f func() error) error {
	return thread.Do(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// file of the namespace, to be handed to another process.
func (n *namespace) file() *os.File {
	n.tb.Helper()
	fd, err := unix.FcntlInt(uintptr(n.ns), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		n.tb.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "namespace")
}

// port makes a TAP with up's settings.
func (n *namespace) port(name string, number byte) *os.File {
	n.tb.Helper()
	var f *os.File
	n.do(func() (err error) {
		f, err = tap.Create(name)
		return err
	})
	n.up(name, number)
	return f
}

// up gives a device a MAC and the address fd00::number/64 and raises it.
func (n *namespace) up(name string, number byte) {
	n.tb.Helper()
	n.do(func() error {
		for _, s := range []string{"accept_dad", "router_solicitations"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/"+s, []byte("0"), 0); err != nil {
				return err
			}
		}
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetHardwareAddr(link, net.HardwareAddr{2, 0, 0, 0, 0, number}); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(fmt.Sprintf("fd00::%x/64", number))
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		return netlink.AddrReplace(link, addr)
	})
}

// has waits until an address that was given to the node is its own: the kernel sees to
// that in the background.
func (n *namespace) has(address netip.Addr) {
	n.tb.Helper()
	local := false
	n.do(func() error {
		within(20*time.Second, func() bool {
			routes, err := netlink.RouteGet(address.AsSlice())
			local = err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
			return local
		})
		return nil
	})
	if !local {
		n.tb.Fatalf("the node does not have %v after 20 s", address)
	}
}

func running(tb testing.TB) *clock.Timeline {
	tl := clock.New(clock.Host{}, 0, 1)
	tl.Resume()
	return tl
}

func newEngine(tb testing.TB, c fabric.Config) *fabric.Engine {
	tb.Helper()
	e, err := fabric.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// connect wires a and b to each other with one delay.
func connect(e fabric.Fabric, a, b fabric.PortID, contact uint64, delay time.Duration) {
	w := fabric.Wire{Contact: contact, End: time.Hour, Delay: curve.Constant(delay.Seconds())}
	ab, ba := w, w
	ab.Peer, ba.Peer = b, a
	e.Set(a, &ab)
	e.Set(b, &ba)
	for _, p := range []fabric.PortID{a, b} {
		if err := e.SetCarriers(fabric.Carrier{Port: p, Up: true}); err != nil {
			panic(err)
		}
	}
}

// Two nodes, one link:
//
//	[a] fore ───────── aft [b]
func twoNodes(tb testing.TB, c fabric.Config) (a, b *namespace, e *fabric.Engine) {
	tb.Helper()
	a, b = newNamespace(tb), newNamespace(tb)
	c.Timeline = running(tb)
	c.Ports = []fabric.Port{
		{Name: "a:fore", Device: a.port("fore", 1)},
		{Name: "b:aft", Device: b.port("aft", 2)},
	}
	return a, b, newEngine(tb, c)
}

// ping sends UDP datagrams from a to an echo in b and returns round trip times.
func ping(a, b *namespace, count int) (rtts []time.Duration) {
	a.tb.Helper()
	var echo, conn *net.UDPConn
	b.do(func() (err error) {
		echo, err = net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("fd00::2"), Port: 7})
		return err
	})
	defer echo.Close()
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := echo.ReadFromUDP(buf)
			if err != nil {
				return
			}
			_, _ = echo.WriteToUDP(buf[:n], from)
		}
	}()
	a.do(func() (err error) {
		conn, err = net.DialUDP("udp6", &net.UDPAddr{IP: net.ParseIP("fd00::1")}, &net.UDPAddr{IP: net.ParseIP("fd00::2"), Port: 7})
		return err
	})
	defer conn.Close()
	buf := make([]byte, 2000)
	for range count {
		sent := time.Now()
		if _, err := conn.Write(buf[:64]); err != nil {
			a.tb.Fatal(err)
		}
		_ = conn.SetReadDeadline(sent.Add(2 * time.Second))
		if _, err := conn.Read(buf); err != nil {
			a.tb.Logf("no answer: %v", err)
			continue
		}
		rtts = append(rtts, time.Since(sent))
	}
	return rtts
}

// within tells whether what holds does so at some instant of the time given.
func within(d time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(d); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func TestTwoNodes(t *testing.T) {
	const delay = 5 * time.Millisecond
	a, b, e := twoNodes(t, fabric.Config{Workers: 2})
	connect(e, 0, 1, 1, delay)
	rtts := ping(a, b, 50)
	if len(rtts) != 50 {
		t.Fatalf("%d of 50 answers; %+v %+v", len(rtts), e.Counters(0), e.Counters(1))
	}
	for _, rtt := range rtts {
		if rtt < 2*delay {
			t.Errorf("a round trip took %v, less than twice the delay of %v", rtt, delay)
		}
	}
	// The kernels speak at times of their own (neighbour solicitations), so a
	// frame may be on its way at any one look.
	var ca, cb fabric.Counters
	var f fabric.Fidelity
	within(10*time.Second, func() bool {
		ca, cb, f = e.Counters(0), e.Counters(1), e.Fidelity()
		return ca.SentFrames == cb.ReceivedFrames && cb.SentFrames == ca.ReceivedFrames &&
			f.Lateness.Count() == ca.SentFrames+cb.SentFrames
	})
	if ca.SentFrames != cb.ReceivedFrames || cb.SentFrames != ca.ReceivedFrames || ca.SentFrames < 50 {
		t.Errorf("counters do not match: %+v %+v", ca, cb)
	}
	if f.Lateness.Count() != ca.SentFrames+cb.SentFrames || f.Workers != 2 {
		t.Errorf("fidelity: %d deliveries, %d workers", f.Lateness.Count(), f.Workers)
	}
	t.Logf("lateness p50 %v p99 %v max %v, real time %v, rtt %v", f.Lateness.Quantile(.5), f.Lateness.Quantile(.99), f.Lateness.Max(), f.RealTime, rtts[10])
}

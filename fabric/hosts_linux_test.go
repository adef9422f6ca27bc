package fabric_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/tap"
)

// Two hosts with an underlay between them, each of which is a namespace here; nodes are
// namespaces of their own:
//
//	[a] fore ─── fabric h0 (host 0) eth ════ eth (host 1) fabric h1 ─── aft [b]
type hostPair struct {
	tb   testing.TB
	ns   [2]*namespace
	at   [2]netip.AddrPort
	run  underlay.Run
	open func(testing.TB, fabric.Config) placed
}

func openEngine(tb testing.TB, c fabric.Config) placed  { return newEngine(tb, c) }
func openProcess(tb testing.TB, c fabric.Config) placed { return newProcess(tb, c) }

// newHostPair joins two hosts by a veth pair of some MTU; the addresses' family is 4 or 6.
func newHostPair(tb testing.TB, family, mtu int) *hostPair {
	tb.Helper()
	h := &hostPair{tb: tb, ns: [2]*namespace{newNamespace(tb), newNamespace(tb)}, run: underlay.NewRun([]byte(tb.Name())), open: openEngine}
	h.ns[0].do(func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "eth", MTU: mtu}, PeerName: "eth", PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(int(h.ns[1].ns)),
		})
	})
	for i, n := range h.ns {
		prefix := fmt.Sprintf("fd01::%d/64", i+1)
		if family == 4 {
			prefix = fmt.Sprintf("192.0.2.%d/24", i+1)
		}
		n.do(func() error {
			link, err := netlink.LinkByName("eth")
			if err != nil {
				return err
			}
			addr, err := netlink.ParseAddr(prefix)
			if err != nil {
				return err
			}
			if family == 6 {
				addr.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrReplace(link, addr); err != nil {
				return err
			}
			return netlink.LinkSetUp(link)
		})
		h.at[i] = netip.AddrPortFrom(netip.MustParsePrefix(prefix).Addr(), 7000)
	}
	return h
}

// socket of host i.
func (h *hostPair) socket(i int) (s *underlay.Socket) {
	h.tb.Helper()
	h.ns[i].do(func() (err error) {
		s, err = underlay.Listen(h.at[i])
		return err
	})
	return s
}

// fabric opens that of host i, which knows the other host.
func (h *hostPair) fabric(i int, c fabric.Config) placed {
	h.tb.Helper()
	c.Underlay = &underlay.Config{
		Host: hostNames[i], Run: h.run, Release: "test", Key: bytes.Repeat([]byte{9}, underlay.MinKey), Conn: h.socket(i),
	}
	f := h.open(h.tb, c)
	if err := f.SetHost(hostNames[1-i], h.at[1-i]); err != nil {
		h.tb.Fatal(err)
	}
	return f
}

// up waits until all send to each other.
func up(tb testing.TB, all ...placed) {
	tb.Helper()
	if !within(30*time.Second, func() bool {
		for _, f := range all {
			for _, p := range f.Underlay().Peers {
				if !p.Up {
					return false
				}
			}
		}
		return true
	}) {
		tb.Fatalf("the hosts do not find each other: %+v", all[0].Underlay())
	}
}

// twoHosts are two nodes on two hosts, wired to each other: port 0 lives on the first,
// port 1 on the second.
func twoHosts(tb testing.TB, h *hostPair, delay time.Duration, sources [2]clock.Source) (a, b *namespace, f [2]placed) {
	tb.Helper()
	a, b = newNamespace(tb), newNamespace(tb)
	devices := [2]*os.File{a.port("fore", 1), b.port("aft", 2)}
	for i := range f {
		tl := clock.New(sources[i], 0, 1)
		tl.Resume()
		c := fabric.Config{Timeline: tl, Workers: 1, Ports: []fabric.Port{{Name: "a:fore"}, {Name: "b:aft"}}}
		c.Ports[i].Device = devices[i]
		f[i] = h.fabric(i, c)
		if err := f[i].Place(fabric.Placement{Port: 0, Host: hostNames[0]}, fabric.Placement{Port: 1, Host: hostNames[1]}); err != nil {
			tb.Fatal(err)
		}
		connect(f[i], 0, 1, 1, delay)
	}
	up(tb, f[0], f[1])
	return a, b, f
}

var hostClocks = [2]clock.Source{clock.Host{}, clock.Host{}}

// Frames between two hosts take as long as they are to, over IPv6 and IPv4, though the
// hosts' clocks show different times; full-size frames go over a narrow underlay, too.
func TestTwoHosts(t *testing.T) {
	const delay = 5 * time.Millisecond
	skewed := [2]clock.Source{clock.Host{}, clock.Skewed{Source: clock.Host{}, Ahead: 100 * time.Hour}}
	for _, c := range []struct {
		name        string
		family, mtu int
		open        func(testing.TB, fabric.Config) placed
		clocks      [2]clock.Source
	}{
		{"IPv6", 6, 1500, openEngine, skewed},
		{"IPv4", 4, 1500, openEngine, skewed},
		{"narrow", 6, 1280, openEngine, skewed},
		{"wide", 6, 9000, openEngine, skewed},
		{"processes", 6, 1500, openProcess, hostClocks},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostPair(t, c.family, c.mtu)
			h.open = c.open
			a, b, f := twoHosts(t, h, delay, c.clocks)
			within(30*time.Second, func() bool {
				return f[0].Underlay().Peers[0].Uncertainty < delay/2 && f[1].Underlay().Peers[0].Uncertainty < delay/2
			})
			rtts := ping(a, b, 30)
			if len(rtts) < 29 {
				t.Errorf("%d of 30 answers; %+v", len(rtts), f[0].Underlay())
			}
			s := [2]underlay.PeerStatus{f[0].Underlay().Peers[0], f[1].Underlay().Peers[0]}
			least := 2*delay - s[0].Uncertainty - s[1].Uncertainty - 400*time.Microsecond // a frame counts as sent a little before it was read
			for _, rtt := range rtts {
				if rtt < least {
					t.Errorf("a round trip took %v, less than %v", rtt, least)
				}
			}
			if want := time.Duration(c.clocks[1].Monotonic() - c.clocks[0].Monotonic()); (s[0].Offset - want).Abs() > s[0].Uncertainty+time.Millisecond {
				t.Errorf("the other host's clock is taken to be %v ahead, and is %v", s[0].Offset, want)
			}
			transfer(a, b, 2<<20) // in order and unharmed
			// Whatever left one host has come to the other.
			var out, in fabric.Counters
			if !within(10*time.Second, func() bool {
				out, in = f[0].Counters(0), f[1].Counters(1)
				return out.SentFrames == in.ReceivedFrames+out.DropUnderlay+f[1].Counters(0).DropInFlight
			}) {
				t.Errorf("sent %+v, received %+v, there %+v; %+v", out, in, f[1].Counters(0), f[1].Underlay())
			}
			for i := range f {
				if u := f[i].Underlay(); u.Peers[0].Lost+u.Peers[0].Unsent+u.Peers[0].Incomplete > 0 || u.Refused.Forged > 0 {
					t.Errorf("host %d: %+v", i, u)
				}
			}
			t.Logf("rtt %v, %+v", rtts[len(rtts)/2], s[0])
		})
	}
}

// A port goes from a peer on its host to one on another and back, as contacts change.
//
//	[a] 0 ── host 0 ── 1 [b]
//	          ║
//	         host 1 ── 2 [c]
func TestHandoverBetweenHosts(t *testing.T) {
	h := newHostPair(t, 6, 1500)
	var nodes [3]int
	var f [2]placed
	var devices [3]*os.File
	for i := range nodes {
		nodes[i], devices[i], _ = socketPair(t)
		defer unix.Close(nodes[i])
	}
	lives := [3]int{0, 0, 1}
	for i := range f {
		c := fabric.Config{Timeline: running(t), Workers: 1, Ports: make([]fabric.Port, 3)}
		for p, host := range lives {
			if host == i {
				c.Ports[p].Device = devices[p]
			}
		}
		f[i] = h.fabric(i, c)
		for p, host := range lives {
			if err := f[i].Place(fabric.Placement{Port: fabric.PortID(p), Host: hostNames[host]}); err != nil {
				t.Fatal(err)
			}
		}
	}
	up(t, f[0], f[1])
	contact := uint64(0)
	join := func(p, q fabric.PortID) {
		contact++
		for i := range f {
			for _, other := range []fabric.PortID{1, 2} {
				f[i].Set(other, nil)
			}
			f[i].Set(p, &fabric.Wire{Peer: q, Contact: contact, End: time.Hour, Delay: curve.Constant(3e-3)})
			f[i].Set(q, &fabric.Wire{Peer: p, Contact: contact, End: time.Hour, Delay: curve.Constant(3e-3)})
		}
	}
	for turn := range uint32(6) {
		peer := fabric.PortID(1 + turn%2)
		join(0, peer)
		for i := range uint32(20) {
			sendFrame(t, nodes[0], 100*turn+i)
			sendFrame(t, nodes[peer], 100*turn+50+i)
		}
		for i := range uint32(20) {
			if got, ok := receiveFrame(nodes[peer], 20*time.Second); !ok || got != 100*turn+i {
				t.Fatalf("turn %d: port %d got frame %d (%v), want %d; %+v", turn, peer, got, ok, 100*turn+i, f[0].Underlay())
			}
			if got, ok := receiveFrame(nodes[0], 20*time.Second); !ok || got != 100*turn+50+i {
				t.Fatalf("turn %d: port 0 got frame %d (%v), want %d", turn, got, ok, 100*turn+50+i)
			}
		}
		if got, ok := receiveFrame(nodes[3-peer], 5*time.Millisecond); ok {
			t.Errorf("turn %d: port %d, which is not connected, got frame %d", turn, 3-peer, got)
		}
	}
}

// What is under way between two hosts when the contact ends is lost, and counted where
// it would have arrived.
func TestContactEndDropsWhatIsBetweenHosts(t *testing.T) {
	h := newHostPair(t, 6, 1500)
	n0, d0, _ := socketPair(t)
	n1, d1, _ := socketPair(t)
	defer unix.Close(n0)
	defer unix.Close(n1)
	var f [2]placed
	for i, d := range []*os.File{d0, d1} {
		c := fabric.Config{Timeline: running(t), Workers: 1, Ports: make([]fabric.Port, 2)}
		c.Ports[i].Device = d
		f[i] = h.fabric(i, c)
		if err := f[i].Place(fabric.Placement{Port: fabric.PortID(1 - i), Host: hostNames[1-i]}); err != nil {
			t.Fatal(err)
		}
		connect(f[i], 0, 1, 1, 2*time.Second)
	}
	up(t, f[0], f[1])
	for i := range uint32(5) {
		sendFrame(t, n0, i)
	}
	if !within(10*time.Second, func() bool { return f[1].Underlay().Peers[0].ReceivedFrames == 5 }) {
		t.Fatalf("the other host has not got the frames at once: %+v", f[1].Underlay())
	}
	if got, ok := receiveFrame(n1, time.Millisecond); ok {
		t.Errorf("frame %d arrived before it was due", got)
	}
	for i := range f {
		f[i].Set(0, nil)
		f[i].Set(1, nil)
	}
	if !within(10*time.Second, func() bool { return f[1].Counters(0).DropInFlight == 5 }) {
		t.Errorf("%+v", f[1].Counters(0))
	}
	if got, ok := receiveFrame(n1, time.Millisecond); ok {
		t.Errorf("frame %d arrived after the contact's end", got)
	}
}

// A host's fabric ends and another one begins in its place; the same happens to the
// process that carries frames.
func TestHostComesBack(t *testing.T) {
	h := newHostPair(t, 6, 1500)
	h.open = openProcess
	a, b, f := twoHosts(t, h, time.Millisecond, hostClocks)
	if rtts := ping(a, b, 3); len(rtts) != 3 {
		t.Fatalf("%d of 3 answers", len(rtts))
	}
	f[1].(*fabric.Process).KillChild()
	if rtts := ping(a, b, 3); len(rtts) == 0 { // each waits for 2 s
		t.Errorf("no answer after the other host's process was killed: %+v", f[0].Underlay())
	}
	if err := f[1].Close(); err != nil {
		t.Fatal(err)
	}
	if !within(20*time.Second, func() bool { return !f[0].Underlay().Peers[0].Up }) {
		t.Fatalf("nobody notices that a host is gone: %+v", f[0].Underlay())
	}
	// A slow machine has others beside it.
	if w := f[0].Underlay().Peers[0].Warnings; !slices.ContainsFunc(w, func(s string) bool { return strings.Contains(s, "frames to it are dropped") }) {
		t.Errorf("%q", w)
	}
	var device *os.File
	b.do(func() (err error) { device, err = tap.Create("aft"); return err })
	again := h.fabric(1, fabric.Config{Timeline: running(t), Ports: []fabric.Port{{Name: "a:fore"}, {Name: "b:aft"}}})
	if err := again.Place(fabric.Placement{Port: 0, Host: hostNames[0]}); err != nil {
		t.Fatal(err)
	}
	connect(again, 0, 1, 1, time.Millisecond)
	if err := again.Attach(1, device); err != nil {
		t.Fatal(err)
	}
	up(t, f[0], again)
	if rtts := ping(a, b, 3); len(rtts) != 3 {
		t.Errorf("%d of 3 answers after; %+v", len(rtts), again.Underlay())
	}
}

// No super-frames go to ports of other hosts.
func TestOffloadsToOtherHosts(t *testing.T) {
	h := newHostPair(t, 6, 1500)
	_, _, f := twoHosts(t, h, 0, hostClocks)
	e := f[0].(*fabric.Engine)
	if e.Offloads(0) {
		t.Error("super-frames may go to another host")
	}
	// The other port comes to this host.
	n1, d1, _ := socketPair(t)
	defer unix.Close(n1)
	if err := e.Attach(1, d1); err != nil {
		t.Fatal(err)
	}
	if !within(10*time.Second, func() bool { return e.Offloads(0) }) {
		t.Error("no super-frames may go to a port of this host")
	}
	if err := e.Detach(1); err != nil {
		t.Fatal(err)
	}
	if !within(10*time.Second, func() bool { return !e.Offloads(0) }) {
		t.Error("super-frames may go to a port that has left")
	}
}

// A fabric that was given no underlay says so.
func TestNoUnderlay(t *testing.T) {
	_, d, _ := socketPair(t)
	e := newEngine(t, fabric.Config{Timeline: running(t), Ports: []fabric.Port{{Device: d}}})
	if err := e.SetHost("h", netip.MustParseAddrPort("[::1]:1")); err == nil {
		t.Error("a host was taken")
	}
	if err := e.Place(fabric.Placement{Port: 0, Host: "h"}); err == nil {
		t.Error("a place was taken")
	}
	if s := e.Underlay(); len(s.Peers) > 0 {
		t.Errorf("%+v", s)
	}
}

// Frames that come over an underlay beside those that stay on one host: how many in a
// second, from a raw socket of one node to the device of the next, and how late.
func BenchmarkHosts(b *testing.B) {
	for _, size := range []int{64, 1500} {
		b.Run(fmt.Sprintf("size=%d/hosts=1", size), func(b *testing.B) {
			nodes := []*namespace{newNamespace(b), newNamespace(b)}
			received := byFabric(b, nodes, 1)
			forward(nodes)
			flood(b, nodes[0], size, received)
		})
		for _, mtu := range []int{1500, 9000} {
			b.Run(fmt.Sprintf("size=%d/hosts=2/mtu=%d", size, mtu), func(b *testing.B) {
				h := newHostPair(b, 6, mtu)
				h.open = openProcess
				from, to, f := twoHosts(b, h, 0, hostClocks)
				forward([]*namespace{from, to})
				flood(b, from, size, func() uint64 { return f[1].Counters(1).ReceivedFrames })
				s := f[0].Underlay().Peers[0]
				b.ReportMetric(float64(s.SentFrames)/float64(max(s.SentDatagrams, 1)), "frames/datagram")
				b.ReportMetric(float64(f[1].Underlay().Peers[0].Lost), "lost-datagrams")
			})
		}
	}
}

// How far deliveries are from their instants, some 10,000 frames a second, between two
// hosts and on one. Both hosts have the same clock here, so what they take the other's to
// be ahead is the error of that ("clock-µs", the median and the most in the run); it adds
// to that of the delivery.
func BenchmarkHostsDelay(b *testing.B) {
	const delay = 5 * time.Millisecond
	b.Run("hosts=1", func(b *testing.B) {
		from, d0, _ := socketPair(b)
		to, d1, _ := socketPair(b)
		defer unix.Close(from)
		defer unix.Close(to)
		f := newProcess(b, fabric.Config{Timeline: running(b), Workers: 1, Ports: []fabric.Port{{Device: d0}, {Device: d1}}})
		connect(f, 0, 1, 1, delay)
		hostsDelay(b, from, to, f, func() {})
	})
	b.Run("hosts=2", func(b *testing.B) {
		h := newHostPair(b, 6, 1500)
		h.open = openProcess
		var nodes [2]int
		var f [2]placed
		for i := range f {
			var d *os.File
			nodes[i], d, _ = socketPair(b)
			defer unix.Close(nodes[i])
			c := fabric.Config{Timeline: running(b), Workers: 1, Ports: make([]fabric.Port, 2)}
			c.Ports[i].Device = d
			f[i] = h.fabric(i, c)
			if err := f[i].Place(fabric.Placement{Port: fabric.PortID(1 - i), Host: hostNames[1-i]}); err != nil {
				b.Fatal(err)
			}
			connect(f[i], 0, 1, 1, delay)
		}
		up(b, f[0], f[1])
		var wrong fabric.Histogram
		hostsDelay(b, nodes[0], nodes[1], f[1], func() { wrong.Record(f[1].Underlay().Peers[0].Offset.Abs()) })
		s := f[1].Underlay().Peers[0]
		b.ReportMetric(float64(wrong.Quantile(0.5))/1e3, "clock-p50-µs")
		b.ReportMetric(float64(wrong.Max())/1e3, "clock-max-µs")
		b.ReportMetric(float64(s.LatencyP50)/1e3, "underlay-p50-µs")
		b.ReportMetric(float64(s.LatencyP99)/1e3, "underlay-p99-µs")
		b.ReportMetric(float64(s.Late), "late")
	})
}

// hostsDelay sends 20 frames at a time, and looks now and then.
func hostsDelay(b *testing.B, from, to int, f fabric.Fabric, look func()) {
	m := make([]byte, tap.HeaderLen+64)
	buf := make([]byte, 128)
	before := f.Fidelity().Lateness
	for i := 0; b.Loop(); i++ {
		for range 20 {
			if _, err := unix.Write(from, m); err != nil && !errors.Is(err, unix.EAGAIN) {
				b.Fatal(err)
			}
		}
		for {
			if _, err := unix.Read(to, buf); err != nil {
				break
			}
		}
		if i%100 == 0 {
			look()
		}
		time.Sleep(200 * time.Microsecond)
	}
	h := f.Fidelity().Lateness.Sub(before)
	b.ReportMetric(float64(h.Quantile(0.5))/1e3, "p50-µs")
	b.ReportMetric(float64(h.Quantile(0.99))/1e3, "p99-µs")
	b.ReportMetric(float64(h.Count())/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(0, "ns/op")
}

// What a frame costs in CPU time on its way from TAP to TAP, between two hosts and on
// one, if frames come in bursts: the steps of all workers that it meets, made by one
// thread. Beside it a loop that does nothing but read and write.
func BenchmarkHostsRelay(b *testing.B) {
	stepper := func(b *testing.B, c fabric.Config) *fabric.Stepper {
		s, err := fabric.NewStepper(c)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.CloseStepper)
		s.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
		s.Set(1, &fabric.Wire{Peer: 0, Contact: 1, End: time.Hour})
		return s
	}
	for _, size := range []int{64, 1500} {
		b.Run(fmt.Sprintf("size=%d/hosts=1", size), func(b *testing.B) {
			relay(b, size, false, func(b *testing.B, in, out *os.File) (step func(), received func() uint64) {
				s := stepper(b, fabric.Config{Timeline: running(b), Workers: 1, Ports: []fabric.Port{{Device: in}, {Device: out}}})
				return s.Step, func() uint64 { return s.Counters(1).ReceivedFrames }
			})
		})
		for _, mtu := range []int{1500, 9000} {
			b.Run(fmt.Sprintf("size=%d/hosts=2/mtu=%d", size, mtu), func(b *testing.B) {
				relay(b, size, false, func(b *testing.B, in, out *os.File) (step func(), received func() uint64) {
					h := newHostPair(b, 6, mtu)
					var s [2]*fabric.Stepper
					h.open = func(tb testing.TB, c fabric.Config) placed { return stepper(b, c) }
					for i, d := range []*os.File{in, out} {
						c := fabric.Config{Timeline: running(b), Workers: 1, Ports: make([]fabric.Port, 2)}
						c.Ports[i].Device = d
						s[i] = h.fabric(i, c).(*fabric.Stepper)
						if err := s[i].Place(fabric.Placement{Port: fabric.PortID(1 - i), Host: hostNames[1-i]}); err != nil {
							b.Fatal(err)
						}
					}
					step = func() { s[0].Step(); s[1].Step() }
					if !within(10*time.Second, func() bool {
						step()
						return s[0].Underlay().Peers[0].Up && s[1].Underlay().Peers[0].Up
					}) {
						b.Fatalf("no session: %+v", s[0].Underlay())
					}
					return step, func() uint64 { return s[1].Counters(1).ReceivedFrames }
				})
			})
		}
	}
}

// No memory is allocated for a frame from host to host.
func TestFramesBetweenHostsAllocateNothing(t *testing.T) {
	var src clock.Manual
	var s [2]*fabric.Stepper
	var nodes [2]int
	var sockets [2]*underlay.Socket
	for i := range s {
		socket, err := underlay.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Skipf("cannot listen on loopback: %v", err)
		}
		sockets[i] = socket
		tl := clock.New(&src, 0, 1)
		tl.Resume()
		c := fabric.Config{Timeline: tl, Workers: 1, Ports: make([]fabric.Port, 2), Underlay: &underlay.Config{
			Host: hostNames[i], Key: make([]byte, underlay.MinKey), Conn: socket,
		}}
		nodes[i], c.Ports[i].Device, _ = socketPair(t)
		defer unix.Close(nodes[i])
		if s[i], err = fabric.NewStepper(c); err != nil {
			t.Fatal(err)
		}
		defer s[i].CloseStepper()
		s[i].Set(fabric.PortID(i), &fabric.Wire{Peer: fabric.PortID(1 - i), Contact: 1, End: time.Hour, Delay: curve.Constant(1e-3)})
		if err := s[i].Place(fabric.Placement{Port: fabric.PortID(1 - i), Host: hostNames[1-i]}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s {
		if err := s[i].SetHost(hostNames[1-i], sockets[1-i].Address()); err != nil {
			t.Fatal(err)
		}
	}
	if !within(20*time.Second, func() bool {
		src.Advance(10 * time.Millisecond)
		for range 2 {
			s[0].Step()
			s[1].Step()
		}
		return s[0].Underlay().Peers[0].Up && s[1].Underlay().Peers[0].Up
	}) {
		t.Fatalf("no session: %+v", s[0].Underlay())
	}
	buf := make([]byte, 2000)
	m := make([]byte, tap.HeaderLen+64)
	carry := func() {
		if _, err := unix.Write(nodes[0], m); err != nil {
			t.Fatal(err)
		}
		s[0].Carry()
		for got := false; !got; {
			s[1].Carry()
			_, waiting := s[1].Next()
			got = waiting
		}
		src.Advance(time.Millisecond)
		s[1].Carry()
		if _, err := unix.Read(nodes[1], buf); err != nil {
			t.Fatalf("%v; %+v", err, s[1].Counters(0))
		}
	}
	for range 10 {
		carry()
	}
	if n := testing.AllocsPerRun(1000, carry); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

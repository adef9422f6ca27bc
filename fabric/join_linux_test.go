package fabric_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

// judge is a node that shows what its kernel makes of frames that the fabric delivers:
//
//	[source] ── aft [judge] fore ── out
//	                  │
//	               sockets
//
// The source is a socket, into which the test writes any frames it likes.
type judge struct {
	t       testing.TB
	fabric  *fabric.Stepper
	source  int
	out     int // what the node passes on is read from here
	sockets []int
	stats   *os.File
	seen    [][]byte // datagrams and frames that came out, each after the number of its exit
}

// judged is where the judge's kernel finds itself and what it passes on.
var judged = traffic{
	to:     aftMAC,
	source: [2][]byte{{10, 0, 0, 99}, {0: 0xfd, 15: 0x99}},
	destinations: [][2][]byte{
		{{10, 0, 0, 2}, {0: 0xfd, 15: aftNumber}},
		{{10, 255, 0, 1}, {0: 0xfd, 3: 0xff, 15: 1}},
		{{10, 255, 0, 2}, {0: 0xfd, 3: 0xff, 15: 2}},
	},
}

func newJudge(t testing.TB, tl *clock.Timeline, oneByOne bool, offload int) *judge {
	n := newNamespace(t)
	aft := n.port("aft", aftNumber)
	out := n.port("fore", 3)
	j := &judge{t: t, out: int(out.Fd())}
	t.Cleanup(func() { out.Close() })
	if err := unix.SetNonblock(j.out, true); err != nil {
		t.Fatal(err)
	}
	if _, err := tap.SetOffload(j.out, offload); err != nil {
		t.Fatal(err)
	}
	neighbour := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	n.do(func() error {
		for file, value := range map[string]string{
			"ipv6/conf/all/forwarding": "1", "ipv4/conf/all/forwarding": "1",
			"ipv4/conf/all/rp_filter": "0", "ipv4/conf/aft/rp_filter": "0",
		} {
			if err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0); err != nil {
				return err
			}
		}
		links := map[string]netlink.Link{}
		for _, name := range []string{"aft", "fore"} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			links[name] = link
		}
		address, err := netlink.ParseAddr("10.0.0.2/24")
		if err != nil {
			return err
		}
		if err := netlink.AddrReplace(links["aft"], address); err != nil {
			return err
		}
		for _, f := range []*os.File{aft, out} {
			if err := errors.Join(tap.SetCarrier(int(f.Fd()), true), tap.Announce(int(f.Fd()))); err != nil {
				return err
			}
		}
		for _, d := range judged.destinations[1:] {
			for _, ip := range d {
				family := unix.AF_INET
				if len(ip) == net.IPv6len {
					family = unix.AF_INET6
				}
				address, _ := netip.AddrFromSlice(ip)
				if err := netlink.RouteAdd(&netlink.Route{Dst: hostRoute(address), LinkIndex: links["fore"].Attrs().Index}); err != nil {
					return err
				}
				if err := netlink.NeighAdd(&netlink.Neigh{LinkIndex: links["fore"].Attrs().Index, Family: family, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: neighbour}); err != nil {
					return err
				}
			}
		}
		for port := 5000; port <= 5001; port++ {
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { unix.Close(fd) })
			j.sockets = append(j.sockets, fd)
			if err := errors.Join(
				unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 0),
				unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1),
				unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVHOPLIMIT, 1),
				unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVTOS, 1),
				unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVTTL, 1),
				unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
				unix.Bind(fd, &unix.SockaddrInet6{Port: port})); err != nil {
				return err
			}
		}
		return nil
	})
	j.stats = n.statistics()
	for _, ip := range judged.destinations[0] {
		address, _ := netip.AddrFromSlice(ip)
		n.has(address)
	}
	var device *os.File
	j.source, device, _ = socketPair(t)
	t.Cleanup(func() { unix.Close(j.source) })
	var err error
	j.fabric, err = fabric.NewStepper(fabric.Config{
		Timeline: tl, Workers: 1, OneByOne: oneByOne, Memory: 16 << 20,
		Ports: []fabric.Port{{Name: "source", Device: device}, {Name: "judge:aft", Device: aft}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.fabric.CloseStepper)
	return j
}

// look takes what came out.
func (j *judge) look() {
	buf, oob := make([]byte, 70<<10), make([]byte, 256)
	for i, fd := range j.sockets {
		for {
			n, o, _, from, err := unix.Recvmsg(fd, buf, oob, 0)
			if err != nil {
				break
			}
			j.seen = append(j.seen, fmt.Appendf(nil, "socket %d: %v control %x data %x", i, from, oob[:o], buf[:n]))
		}
	}
	for {
		n, err := unix.Read(j.out, buf)
		if err != nil {
			break
		}
		if frame := buf[tap.HeaderLen:n]; frame[0]&1 == 0 { // the kernel's own are to groups
			j.seen = append(j.seen, fmt.Appendf(nil, "fore: segmentation %d frame %x", buf[1], oneZero(completed(buf[:n]))))
		}
	}
}

// oneZero gives a TCP checksum of zero the same form. Linux writes 0xffff where it
// completes the checksum of a segment, and 0 where it makes one by segmentation: the
// same number (RFC 1624, section 3).
func oneZero(frame []byte) []byte {
	transport := ethernet + ipv4
	protocol := 23
	if len(frame) > 12 && frame[12] == 0x86 {
		transport, protocol = ethernet+ipv6, 20
	}
	if len(frame) > transport+18 && frame[protocol] == unix.IPPROTO_TCP && frame[transport+16] == 0xff && frame[transport+17] == 0xff {
		frame[transport+16], frame[transport+17] = 0, 0
	}
	return frame
}

// exits sorts what came out by where it did, which keeps the order there.
func (j *judge) exits() [][]byte {
	s := slices.Clone(j.seen)
	slices.SortStableFunc(s, func(a, b []byte) int { return bytes.Compare(a[:8], b[:8]) })
	return s
}

// company is how many frames were delivered in one write with another before them.
func (j *judge) company() int {
	writes, _ := interfacePackets(j.t, j.stats, "aft")
	return int(j.fabric.Counters(1).ReceivedFrames - writes)
}

// What a node's programs receive and what it passes on is the same whether frames are
// joined or not: byte by byte, in order, with its hop limits, classes and checksums.
func TestJoiningChangesNothing(t *testing.T) {
	for _, o := range []struct {
		name    string
		offload int
	}{{"plain", 0}, {"checksums", tap.OffloadCSUM}} {
		t.Run(o.name, func(t *testing.T) {
			var src clock.Manual
			tl := clock.New(&src, 0, 1)
			tl.Resume()
			joining, single := newJudge(t, tl, false, o.offload), newJudge(t, tl, true, o.offload)
			both := []*judge{joining, single}
			rapid.Check(t, func(t *rapid.T) {
				wire := &fabric.Wire{Peer: 1, Contact: 1, End: 1 << 62}
				if rapid.Bool().Draw(t, "delay") {
					wire.Delay = curve.Constant(1e-3)
				}
				for _, j := range both {
					j.fabric.Set(0, wire)
				}
				for _, f := range judged.frames(t) {
					for _, j := range both {
						if _, err := unix.Write(j.source, f); err != nil {
							t.Fatal(err)
						}
					}
					switch rapid.IntRange(0, 9).Draw(t, "pause") {
					case 0:
						for _, j := range both {
							j.fabric.Step()
						}
						src.Advance(time.Duration(rapid.IntRange(0, 60).Draw(t, "µs")) * time.Microsecond)
					}
				}
				for range 2 {
					for _, j := range both {
						j.fabric.Step()
					}
					src.Advance(2 * time.Millisecond)
				}
				for _, j := range both {
					j.seen = nil
				}
				within(10*time.Second, func() bool {
					joining.look()
					single.look()
					return len(joining.seen) == len(single.seen)
				})
				got, want := joining.exits(), single.exits()
				for i := range min(len(got), len(want)) {
					if !bytes.Equal(got[i], want[i]) {
						t.Fatalf("number %d that came out of the node was\n%s\nand one by one it is\n%s", i, got[i], want[i])
					}
				}
				if len(got) != len(want) {
					t.Fatalf("%d came out of the node, and one by one %d", len(got), len(want))
				}
				if got, want := joining.fabric.Counters(0), single.fabric.Counters(0); got != want {
					t.Fatalf("counters of the sender %+v, and one by one %+v", got, want)
				}
				if g, w := joining.fabric.Counters(1), single.fabric.Counters(1); g.ReceivedFrames != w.ReceivedFrames || g.ReceivedBytes != w.ReceivedBytes {
					t.Fatalf("counters of the node %+v, and one by one %+v", g, w)
				}
				if got := joining.fabric.Fidelity().Lateness.Count(); got != joining.fabric.Counters(1).ReceivedFrames {
					t.Fatalf("%d latenesses, and %d frames", got, joining.fabric.Counters(1).ReceivedFrames)
				}
			})
			least := 100
			if testing.Short() {
				least /= 5 // as rapid divides the number of its checks
			}
			// Some come as super-frames in the first place.
			if n := joining.company() - single.company(); n < least {
				t.Errorf("only %d frames were joined in all this", n)
			}
		})
	}
}

func TestJoiningAllocatesNothing(t *testing.T) {
	var src clock.Manual
	tl := clock.New(&src, 0, 1)
	tl.Resume()
	j := newJudge(t, tl, false, 0)
	j.fabric.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: 1 << 62})
	frames := make([][]byte, 16)
	for i := range frames {
		frames[i] = judged.frame(nil, &flow{tcp: true, ipv6: true, hops: 64, target: 1, sequence: uint32(100 * i)}, 100, "")
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			if _, err := unix.Write(j.source, f); err != nil {
				t.Fatal(err)
			}
		}
		j.fabric.Step()
	}); n > 0 {
		t.Errorf("%v allocations for %d frames", n, len(frames))
	}
	if j.company() == 0 {
		t.Error("no frames were joined")
	}
}

// Frames that were joined on one link are carried one by one by the next, which is
// slow, and depart as if they had come in time:
//
//	[a] fore ── aft [m] fore ── aft [b]
//	      1 ms, no limit   10 Mbit/s, 1 ms
func TestJoinedFramesOnTheNextLink(t *testing.T) {
	const (
		count  = 20
		size   = 200
		onLink = ethernet + ipv6 + 8 + size
		rate   = 10e6
		delay  = time.Millisecond
	)
	for _, offload := range []bool{false, true} {
		t.Run(fmt.Sprintf("offload=%v", offload), func(t *testing.T) {
			src := new(clock.Manual)
			tl := clock.New(src, 0, 1)
			tl.Resume()
			a, m, b := newNamespace(t), newNamespace(t), newNamespace(t)
			ports := []fabric.Port{
				{Name: "a:fore", Node: 1, Device: a.port("fore", foreNumber)}, {Name: "m:aft", Node: 2, Device: m.port("aft", aftNumber)},
				{Name: "m:fore", Node: 2, Device: m.port("fore", foreNumber)}, {Name: "b:aft", Node: 3, Device: b.port("aft", aftNumber)},
			}
			for i, n := range []*namespace{a, m, m, b} {
				fd := int(ports[i].Device.Fd())
				n.do(func() error { return errors.Join(tap.SetCarrier(fd, true), tap.Announce(fd)) })
			}
			if offload { // the second link may carry super-frames: its rate is not what is looked at
				if _, err := tap.SetOffload(int(ports[2].Device.Fd()), tap.OffloadAll); err != nil {
					t.Fatal(err)
				}
			}
			a.passOn()
			m.passOn()
			var in, out int
			b.do(func() error {
				lo, err := netlink.LinkByName("lo")
				if err != nil {
					return err
				}
				if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: hostRoute(destination), Flags: unix.IFA_F_NODAD}); err != nil {
					return err
				}
				in, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
				return errors.Join(err, unix.Bind(in, &unix.SockaddrInet6{Port: 9}))
			})
			defer unix.Close(in)
			b.has(destination)
			a.do(func() (err error) {
				out, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				return errors.Join(err, unix.Bind(out, &unix.SockaddrInet6{Addr: netip.MustParseAddr("fd00::1").As16()}),
					unix.Connect(out, &unix.SockaddrInet6{Port: 9, Addr: destination.As16()}))
			})
			defer unix.Close(out)
			stats := m.statistics()
			s, err := fabric.NewStepper(fabric.Config{Timeline: tl, Workers: 1, Ports: ports})
			if err != nil {
				t.Fatal(err)
			}
			defer s.CloseStepper()
			s.Step() // what the kernels say to begin with goes nowhere
			s.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds())})
			s.Set(2, &fabric.Wire{Peer: 3, Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds()), Rate: curve.Constant(rate), Queue: 1 << 20})
			src.Advance(time.Second)

			start := src.Monotonic()
			sentBefore := [2]uint64{s.Counters(0).SentFrames, s.Counters(2).SentFrames}
			before, _ := interfacePackets(t, stats, "aft")
			for i := range count {
				datagram := make([]byte, size)
				binary.BigEndian.PutUint32(datagram, uint32(i))
				if _, err := unix.Write(out, datagram); err != nil {
					t.Fatal(err)
				}
			}
			s.Step()
			const late = 5 * time.Millisecond
			src.Advance(delay + late)
			capture, stop, err := s.Capture(1)
			if err != nil {
				t.Fatal(err)
			}
			s.Step()
			stop()
			if n := packetsOf(t, capture, onLink); n != count {
				t.Errorf("a capture shows %d of %d frames", n, count)
			}
			writes, _ := interfacePackets(t, stats, "aft")
			writes -= before
			if frames := s.Counters(1).ReceivedFrames; frames < count || writes+count/2 > frames && usable() {
				t.Fatalf("%d frames were delivered in %d writes", frames, writes)
			}
			if got := s.Counters(2); got.SentFrames < count || got.SentBytes < count*onLink {
				t.Fatalf("the second link counts %+v", got)
			}
			// What the kernels say by themselves in between takes its time on the link.
			alone := s.Counters(0).SentFrames-sentBefore[0] == count && s.Counters(2).SentFrames-sentBefore[1] == count
			var got int
			buf := make([]byte, 2000)
			for {
				for {
					n, err := unix.Read(in, buf)
					if err != nil {
						break
					}
					if number := int(binary.BigEndian.Uint32(buf)); n != size || number != got {
						t.Fatalf("datagram %d of %d bytes came in place of %d", number, n, got)
					}
					got++
					frames := got
					if offload && usable() {
						frames = count // they came as one
					}
					second := float64(onLink*8) / rate * 1e9
					want := start + int64(2*delay) + int64(float64(frames)*second)
					want = max(want, start+int64(delay+late)) // when the first delivery was made
					if now := src.Monotonic(); now < want || alone && now > want+int64(10*time.Microsecond) {
						t.Errorf("datagram %d came after %v, want %v", got, time.Duration(now-start), time.Duration(want-start))
					}
				}
				at, ok := s.Next()
				if !ok {
					break
				}
				src.Advance(time.Duration(max(0, at-src.Monotonic())))
				s.Step()
			}
			if got != count {
				t.Fatalf("%d of %d datagrams came", got, count)
			}
		})
	}
}

// packetsOf reads a capture and counts the packets of a size.
func packetsOf(t *testing.T, capture io.Reader, size int) (n int) {
	r, err := pcapgo.NewNgReader(capture, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if err != nil {
			return n
		}
		if len(data) == size {
			n++
		}
	}
}

// usable tells whether this kernel takes joined datagrams.
func usable() bool {
	a, err := tap.Probe()
	return err == nil && a.USO
}

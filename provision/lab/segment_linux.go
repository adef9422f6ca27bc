package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// Interface is the server's port of every segment.
const Interface = "lab0"

const maxFrame = 65536

// Segment is an Ethernet segment in this process.
type Segment struct {
	tap     *os.File
	inside  chan func() // what is to be called in the server's namespace
	capture *os.File    // nil for none
	dir     string

	mu      sync.Mutex
	ports   []port
	learned map[[6]byte]int
	plugged map[string]int // ports of machines by their ids
	pcap    *pcapgo.Writer
	readers sync.WaitGroup
	closed  bool
}

// port takes frames.
type port struct {
	write func([]byte) error
	close func() error
}

// NewSegment makes a segment whose server has an address of a prefix. Sockets of machines are made in a directory. What
// passes is written to a file in the form of pcap, if one is named.
func NewSegment(address netip.Prefix, dir, capture string) (*Segment, error) {
	s := &Segment{dir: dir, learned: map[[6]byte]int{}, plugged: map[string]int{}, inside: make(chan func())}
	thread.Go(func() {
		for f := range s.inside {
			f()
		}
	})
	err := s.Within(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("a network namespace for the lab: %w; be root", err)
		}
		return s.furnish(address)
	})
	if err == nil && capture != "" {
		err = s.record(capture)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.attach(port{write: s.toServer, close: func() error { return s.tap.Close() }}, func(b []byte) (int, error) {
		n, err := s.tap.Read(b)
		if err != nil || n < tap.HeaderLen {
			return 0, err
		}
		return copy(b, b[tap.HeaderLen:n]), nil
	})
	return s, nil
}

// Within calls a function in the server's namespace: processes that it starts are there.
func (s *Segment) Within(f func() error) error {
	done := make(chan error)
	s.inside <- func() { done <- f() }
	return <-done
}

// furnish makes the server's port.
func (s *Segment) furnish(address netip.Prefix) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	device, err := tap.Create(Interface)
	if err != nil {
		return err
	}
	// The descriptor that Create gives is unknown to the poller on purpose; reads here are to end with Close.
	fd, err := unix.FcntlInt(device.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	device.Close()
	if err != nil {
		return err
	}
	if err := errors.Join(unix.SetNonblock(fd, true), tap.SetCarrier(fd, true)); err != nil {
		return err
	}
	s.tap = os.NewFile(uintptr(fd), tap.Path)
	link, err := netlink.LinkByName(Interface)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: address.Addr().AsSlice(), Mask: net.CIDRMask(address.Bits(), 128)}, Flags: unix.IFA_F_NODAD}
	if err := netlink.AddrAdd(link, a); err != nil {
		return err
	}
	// Router advertisements leave from the link-local address, once nobody else is known to have it.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		all, err := netlink.AddrList(link, netlink.FAMILY_V6)
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				return nil
			}
		}
		if time.Now().After(end) {
			return errors.New("the lab's port gets no link-local address; is IPv6 switched off (net.ipv6.conf.default.disable_ipv6)?")
		}
	}
}

func (s *Segment) record(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	s.capture, s.pcap = f, pcapgo.NewWriter(f)
	return s.pcap.WriteFileHeader(maxFrame, layers.LinkTypeEthernet)
}

func (s *Segment) toServer(frame []byte) error {
	_, err := s.tap.Write(append(make([]byte, tap.HeaderLen), frame...))
	return err
}

// Plug makes a port for a machine, and gives QEMU's netdev for it, with an id.
func (s *Segment) Plug(id string) (netdev string, err error) {
	own, its := filepath.Join(s.dir, id+".switch"), filepath.Join(s.dir, id+".machine")
	s.mu.Lock()
	_, again := s.plugged[id]
	s.mu.Unlock()
	if again { // switched on once more; the emulator makes its socket anew
		_ = os.Remove(its)
		return netdevOf(id, own, its), nil
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: own, Net: "unixgram"})
	if err != nil {
		return "", err
	}
	peer := &net.UnixAddr{Name: its, Net: "unixgram"}
	number := s.attach(port{
		write: func(frame []byte) error {
			_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // a machine that does not read loses frames
			_, err := conn.WriteToUnix(frame, peer)
			return err
		},
		close: conn.Close,
	}, func(b []byte) (int, error) { return conn.Read(b) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plugged[id] = number
	return netdevOf(id, own, its), nil
}

func netdevOf(id, own, its string) string {
	return fmt.Sprintf("dgram,id=%s,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", id, its, own)
}

// attach begins to read from a port.
func (s *Segment) attach(p port, read func([]byte) (int, error)) int {
	s.mu.Lock()
	number := len(s.ports)
	s.ports = append(s.ports, p)
	s.mu.Unlock()
	s.readers.Go(func() {
		b := make([]byte, maxFrame)
		for {
			n, err := read(b)
			if errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
				return
			}
			if err == nil && n >= 14 {
				s.forward(number, b[:n])
			}
		}
	})
	return number
}

// forward passes a frame on as a switch does: to the port at which its destination was seen, or to all others.
func (s *Segment) forward(from int, frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.pcap != nil {
		// A full disk ends the capture's use, not the lab's.
		_ = s.pcap.WritePacket(gopacket.CaptureInfo{Timestamp: time.Now(), CaptureLength: len(frame), Length: len(frame)}, frame)
	}
	to, source := [6]byte(frame[:6]), [6]byte(frame[6:12])
	if source[0]&1 == 0 {
		s.learned[source] = from
	}
	if at, ok := s.learned[to]; ok && to[0]&1 == 0 {
		if at != from {
			_ = s.ports[at].write(frame)
		}
		return
	}
	for i, p := range s.ports {
		if i != from {
			_ = p.write(frame) // a machine that is not there yet, or no longer
		}
	}
}

// Close ends the segment.
func (s *Segment) Close() error {
	s.mu.Lock()
	if !s.closed {
		close(s.inside)
	}
	s.closed = true
	ports := s.ports
	s.mu.Unlock()
	var err error
	for _, p := range ports {
		err = errors.Join(err, p.close())
	}
	s.readers.Wait()
	if len(ports) == 0 && s.tap != nil {
		err = errors.Join(err, s.tap.Close())
	}
	if s.capture != nil {
		err = errors.Join(err, s.capture.Close())
	}
	return err
}

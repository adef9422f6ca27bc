package underlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is a Conn over a UDP socket. Where the kernel can, many datagrams are one to
// it on their way out (UDP_SEGMENT, Linux 4.18) and in (UDP_GRO, Linux 5.0).
type Socket struct {
	file    *os.File
	fd      int
	inet6   bool
	segment atomic.Bool // UDP_SEGMENT is there

	// received by recvmmsg
	headers  [batchMessages]unix.Mmsghdr
	vectors  [batchMessages]unix.Iovec
	origins  [batchMessages]unix.RawSockaddrInet6
	controls [batchMessages][32]byte

	mu    sync.Mutex // guards probe
	probe *os.File   // a socket whose path MTU can be asked for
}

// buffer of the kernel for datagrams that have come in: a tenth of a second at 800
// Mbit/s.
const buffer = 10 << 20

// Listen opens a socket in the network namespace of the calling thread. An unspecified
// address hears at all of the host's.
func Listen(at netip.AddrPort) (*Socket, error) {
	family := unix.AF_INET
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("underlay: socket: %w", err)
	}
	probe, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("underlay: socket: %w", err)
	}
	s, err := adopt(fd, probe)
	if err != nil {
		return nil, err
	}
	if err := s.bind(at); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("underlay: cannot hear at %v: %w", at, err)
	}
	return s, nil
}

// Files gives the socket's files, in this order for NewSocket, which has the same
// socket in another process. They stay the socket's.
func (s *Socket) Files() []*os.File { return []*os.File{s.file, s.probe} }

// NewSocket makes a Socket of descriptors that Files gave to another process.
func NewSocket(descriptors []int) (*Socket, error) {
	if len(descriptors) != 2 {
		return nil, fmt.Errorf("underlay: a socket of %d descriptors", len(descriptors))
	}
	return adopt(descriptors[0], descriptors[1])
}

// adopt takes over the two descriptors, and closes them if it fails.
func adopt(fd, probe int) (*Socket, error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("underlay: SO_DOMAIN: %w", err), unix.Close(fd), unix.Close(probe))
	}
	// Both files are left out of the runtime's poller: they are blocking, or look so.
	_ = unix.SetNonblock(fd, false)
	s := &Socket{fd: fd, inet6: domain == unix.AF_INET6, file: os.NewFile(uintptr(fd), "underlay"), probe: os.NewFile(uintptr(probe), "underlay's probe")}
	_ = unix.SetNonblock(fd, true)
	_, err = unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	s.segment.Store(err == nil)
	return s, nil
}

func (s *Socket) bind(at netip.AddrPort) error {
	// More than an ordinary user may have is asked for first.
	for _, option := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, option[0], buffer) != nil {
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, option[1], buffer) // less is given then
		}
	}
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) // or datagrams come one by one
	// Datagrams are never fragmented: what is too long is refused here, and the path's
	// MTU learned from what routers say.
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO); err != nil {
		return fmt.Errorf("IP_MTU_DISCOVER: %w", err)
	}
	if !s.inet6 {
		return unix.Bind(s.fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	}
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO); err != nil {
		return fmt.Errorf("IPV6_MTU_DISCOVER: %w", err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
		return fmt.Errorf("IPV6_V6ONLY: %w", err)
	}
	return unix.Bind(s.fd, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
}

// Address is where the socket hears.
func (s *Socket) Address() netip.AddrPort {
	a, err := unix.Getsockname(s.fd)
	if err != nil {
		return netip.AddrPort{}
	}
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// Descriptor to wait with.
func (s *Socket) Descriptor() int { return s.fd }

// Close closes the socket.
func (s *Socket) Close() error { return errors.Join(s.file.Close(), s.probe.Close()) }

// MaxDatagram asks the kernel for the MTU of the path to an address.
func (s *Socket) MaxDatagram(to netip.AddrPort) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd := int(s.probe.Fd())
	level, option, headers := unix.IPPROTO_IP, unix.IP_MTU, 20+8
	if to.Addr().Is6() {
		level, option, headers = unix.IPPROTO_IPV6, unix.IPV6_MTU, 40+8
	}
	var at unix.Sockaddr = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if !s.inet6 {
		if !to.Addr().Is4() {
			return 0, fmt.Errorf("underlay: an IPv4 socket cannot reach %v", to)
		}
		at = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	if err := unix.Connect(fd, at); err != nil {
		return 0, fmt.Errorf("underlay: no way to %v: %w", to, err)
	}
	mtu, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return 0, fmt.Errorf("underlay: MTU to %v: %w", to, err)
	}
	return mtu - headers, nil
}

// name writes an address into a, and gives its length.
func (s *Socket) name(a *unix.RawSockaddrInet6, to netip.AddrPort) (uint32, error) {
	var port [2]byte
	binary.BigEndian.PutUint16(port[:], to.Port())
	if s.inet6 {
		*a = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: *(*uint16)(unsafe.Pointer(&port)), Addr: to.Addr().As16()}
		return unix.SizeofSockaddrInet6, nil
	}
	if !to.Addr().Is4() {
		return 0, unix.EAFNOSUPPORT
	}
	*(*unix.RawSockaddrInet4)(unsafe.Pointer(a)) = unix.RawSockaddrInet4{
		Family: unix.AF_INET, Port: *(*uint16)(unsafe.Pointer(&port)), Addr: to.Addr().As4(),
	}
	return unix.SizeofSockaddrInet4, nil
}

// segmentControl is a control message that says how long datagrams are.
type segmentControl struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte
}

// Send sends datagrams, as one to the kernel if it can take them so.
func (s *Socket) Send(to netip.AddrPort, b []byte, size int) error {
	if len(b) == 0 {
		return nil
	}
	var address unix.RawSockaddrInet6
	length, err := s.name(&address, to)
	if err != nil {
		return err
	}
	if len(b) > size && !s.segment.Load() {
		return s.sendEach(address, length, b, size)
	}
	vector := unix.Iovec{Base: &b[0]}
	vector.SetLen(len(b))
	m := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&address)), Namelen: length, Iov: &vector}
	m.SetIovlen(1)
	control := segmentControl{size: uint16(size)}
	if len(b) > size {
		control.header = unix.Cmsghdr{Level: unix.IPPROTO_UDP, Type: unix.UDP_SEGMENT}
		control.header.SetLen(unix.CmsgLen(2))
		m.Control = (*byte)(unsafe.Pointer(&control))
		m.SetControllen(unix.CmsgSpace(2))
	}
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&m)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case errno == 0:
			return nil
		case errno == unix.EINTR:
		case len(b) > size && (errno == unix.EIO || errno == unix.EINVAL):
			// EIO: the device cannot complete checksums of what was cut. EINVAL: datagrams
			// longer than the path's MTU, which sendmmsg tells from the rest.
			if errno == unix.EIO {
				s.segment.Store(false)
			}
			return s.sendEach(address, length, b, size)
		default:
			return errno
		}
	}
}

// each is what sendmmsg is told by.
type each struct {
	address unix.RawSockaddrInet6
	headers [batchDatagrams]unix.Mmsghdr
	vectors [batchDatagrams]unix.Iovec
}

var eaches = sync.Pool{New: func() any { return new(each) }}

// sendEach sends datagrams one by one, by as few calls as can be.
func (s *Socket) sendEach(address unix.RawSockaddrInet6, length uint32, b []byte, size int) error {
	e := eaches.Get().(*each)
	defer eaches.Put(e)
	e.address = address
	for len(b) > 0 {
		n := 0
		for ; n < batchDatagrams && len(b) > 0; n++ {
			d := b[:min(size, len(b))]
			b = b[len(d):]
			e.vectors[n].Base = &d[0]
			e.vectors[n].SetLen(len(d))
			h := &e.headers[n].Hdr
			h.Name, h.Namelen, h.Iov = (*byte)(unsafe.Pointer(&e.address)), length, &e.vectors[n]
			h.SetIovlen(1)
		}
		for done := 0; done < n; {
			sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&e.headers[done])),
				uintptr(n-done), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
			if errno != 0 && errno != unix.EINTR {
				return errno
			}
			if errno == 0 {
				done += int(sent)
			}
		}
	}
	return nil
}

// Receive takes what has come in.
func (s *Socket) Receive(b *Batch) error {
	n := min(len(b.Messages), batchMessages)
	b.N = 0
	for i := range n {
		m := &b.Messages[i]
		s.vectors[i].Base = &m.Buffer[0]
		s.vectors[i].SetLen(len(m.Buffer))
		h := &s.headers[i].Hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.origins[i])), Namelen: unix.SizeofSockaddrInet6, Iov: &s.vectors[i], Control: &s.controls[i][0]}
		h.SetIovlen(1)
		h.SetControllen(len(s.controls[i]))
	}
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.headers[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR, unix.ECONNREFUSED: // nothing, or what ICMP told of a datagram sent earlier
		return nil
	default:
		return fmt.Errorf("underlay: recvmmsg: %w", errno)
	}
	b.N = int(got)
	for i := range b.N {
		m, h := &b.Messages[i], &s.headers[i]
		m.Length = int(h.Len)
		m.Size = groSize(s.controls[i][:], int(h.Hdr.Controllen))
		m.From = origin(&s.origins[i])
	}
	return nil
}

// groSize finds the size of datagrams that the kernel has put together; 0 if it has not.
func groSize(control []byte, n int) int {
	if n < unix.CmsgLen(4) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	return int(*(*int32)(unsafe.Pointer(&control[unix.CmsgLen(0)])))
}

// origin is the address that a message came from.
func origin(a *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&a.Port))[:])
	if a.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), port)
}

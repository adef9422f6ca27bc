package node

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file speaks rtnetlink (rtnetlink(7)): it packs many requests into one
// system call, which a general netlink library does not. 2,000 nodes need
// 10,000 devices set up and twice as many addresses.

// socket is a NETLINK_ROUTE socket of one network namespace.
type socket struct {
	mu  sync.Mutex // one exchange at a time, and:
	fd  int
	seq uint32
}

// buffers are for answers. A network of thousands of nodes has a socket each,
// few of which are in use at a time.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// newSocket opens a socket in the namespace of the calling thread.
func newSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket(AF_NETLINK)", err)
	}
	// An answer comes within the request's system call; the time-out is for a
	// reply that was lost for want of memory. Strict checking makes the kernel
	// filter dumps; short acknowledgements keep the receive queue small. Kernels
	// that lack either do without.
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60})
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind(AF_NETLINK)", err)
	}
	return &socket{fd: fd}, nil
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

// batch collects requests.
type batch struct {
	buf    []byte
	starts []int
}

// add begins a request of a type with its fixed header (ifinfomsg, rtmsg …).
func (b *batch) add(typ, flags uint16, header []byte) {
	b.seal()
	b.starts = append(b.starts, len(b.buf))
	b.buf = binary.NativeEndian.AppendUint32(b.buf, 0) // length: see seal
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b.buf = append(b.buf, 0, 0, 0, 0, 0, 0, 0, 0) // sequence number, port
	b.buf = append(b.buf, header...)
	b.pad()
}

// attr adds an attribute to the last request.
func (b *batch) attr(typ uint16, data []byte) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(unix.SizeofRtAttr+len(data)))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = append(b.buf, data...)
	b.pad()
}

func (b *batch) attr32(typ uint16, v uint32) {
	var d [4]byte
	binary.NativeEndian.PutUint32(d[:], v)
	b.attr(typ, d[:])
}

func (b *batch) pad() {
	for len(b.buf)%unix.NLMSG_ALIGNTO != 0 {
		b.buf = append(b.buf, 0)
	}
}

// seal writes the length of the last request.
func (b *batch) seal() {
	if n := len(b.starts); n > 0 {
		binary.NativeEndian.PutUint32(b.buf[b.starts[n-1]:], uint32(len(b.buf)-b.starts[n-1]))
	}
}

func (b *batch) len() int { return len(b.starts) }

// perCall bounds the requests in one system call, so that their
// acknowledgements fit into the socket's default receive buffer.
const perCall = 64

// do carries out all requests of a batch in order. For each that the kernel
// refuses failed is called with its number and the reason; an error from
// failed ends the exchange.
func (s *socket) do(b *batch, failed func(i int, err unix.Errno) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.seal()
	for first := 0; first < b.len(); first += perCall {
		last := min(first+perCall, b.len())
		end := len(b.buf)
		if last < b.len() {
			end = b.starts[last]
		}
		base := s.seq + 1
		for i := first; i < last; i++ {
			s.seq++
			binary.NativeEndian.PutUint32(b.buf[b.starts[i]+8:], s.seq)
		}
		if err := s.send(b.buf[b.starts[first]:end]); err != nil {
			return err
		}
		var problem error
		for left := last - first; left > 0; {
			err := s.receive(func(m message) error {
				if m.typ != unix.NLMSG_ERROR || m.seq-base >= uint32(last-first) {
					return nil // of an exchange that was given up
				}
				left--
				if e := m.errno(); e != 0 && problem == nil {
					problem = failed(first+int(m.seq-base), e)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if problem != nil {
			return problem
		}
	}
	return nil
}

// ask sends one request and calls each with the messages of the answer: all of
// a dump if dump, else the one message.
func (s *socket) ask(typ uint16, dump bool, header []byte, attrs func(*batch), each func(message) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b batch
	var flags uint16
	if dump {
		flags = unix.NLM_F_DUMP
	}
	b.add(typ, flags, header)
	if attrs != nil {
		attrs(&b)
	}
	b.seal()
	s.seq++
	binary.NativeEndian.PutUint32(b.buf[8:], s.seq)
	if err := s.send(b.buf); err != nil {
		return err
	}
	var problem error
	for done := false; !done; {
		err := s.receive(func(m message) error {
			if m.seq != s.seq {
				return nil
			}
			switch m.typ {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				done = true
				if e := m.errno(); e != 0 && problem == nil {
					problem = e
				}
			default:
				if problem == nil {
					problem = each(m)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return problem
}

func (s *socket) send(b []byte) error {
	if s.fd < 0 {
		return errClosed
	}
	return os.NewSyscallError("sendto(AF_NETLINK)", unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}

// receive reads one datagram, which may hold several messages.
func (s *socket) receive(each func(message) error) error {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom(AF_NETLINK)", err)
		}
		return parseMessages(buf[:n], each)
	}
}

// message is one netlink message without its header.
type message struct {
	typ  uint16
	seq  uint32
	data []byte
}

// errno is the reason in a message of type NLMSG_ERROR; 0 acknowledges.
func (m message) errno() unix.Errno {
	if len(m.data) < 4 {
		return unix.EBADMSG
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(m.data)))
}

var errMalformed = errors.New("malformed netlink message")

func parseMessages(b []byte, each func(message) error) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return errMalformed
		}
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return errMalformed
		}
		m := message{
			typ:  binary.NativeEndian.Uint16(b[4:]),
			seq:  binary.NativeEndian.Uint32(b[8:]),
			data: b[unix.SizeofNlMsghdr:n],
		}
		if err := each(m); err != nil {
			return err
		}
		b = b[min(align(n), len(b)):]
	}
	return nil
}

// parseAttrs walks over attributes. Flags in the type (nested, byte order) are
// cleared.
func parseAttrs(b []byte, each func(typ uint16, data []byte) error) error {
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return errMalformed
		}
		if err := each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:n]); err != nil {
			return err
		}
		b = b[min(align(n), len(b)):]
	}
	return nil
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// bytesOf is the memory of a kernel structure that holds no pointers.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// setUp adds the request that gives a device its MAC and MTU (unless zero) and
// switches it on.
func (b *batch) setUp(index int32, mac [6]byte, mtu int) {
	b.add(unix.RTM_NEWLINK, 0, bytesOf(&unix.IfInfomsg{Index: index, Flags: unix.IFF_UP, Change: unix.IFF_UP}))
	if mac != [6]byte{} {
		b.attr(unix.IFLA_ADDRESS, mac[:])
	}
	if mtu != 0 {
		b.attr32(unix.IFLA_MTU, uint32(mtu))
	}
}

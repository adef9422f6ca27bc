package emulation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/node"
)

// Echo sends echo requests of one node.
type Echo interface {
	// Send sends one request of the given payload size. The round-trip time will
	// come on the channel; forget must be called for a request that is given up.
	Send(to netip.Addr, size int) (rtt <-chan time.Duration, forget func(), err error)
	Close() error
}

// echo sends and receives echo requests through a socket in the node's
// namespace (RFC 4443, section 4).
//
// Send instants are read right before the system call and carried in the
// packet; receive instants are the kernel's own stamps, so that the scheduling
// of this process does not show in a round-trip time.
type echo struct {
	conn *net.UDPConn

	mu      sync.Mutex // guards the rest
	waiting map[uint64]waiting
	next    uint64
}

// waiting is a request that was not answered yet.
type waiting struct {
	sent time.Time // with its monotonic part
	rtt  chan<- time.Duration
}

// echoHeader is type, code, checksum, identifier, sequence; the payload begins
// with a number of ours and the send instant.
const (
	echoHeader  = 8
	echoMinimum = 16
	echoRequest = 128
	echoReply   = 129
)

// EchoBuffer is the receive buffer, in bytes, that a prober's socket asks for:
// room for a burst of answers while this process does not run. The kernel gives
// net.core.rmem_max at most.
const EchoBuffer = 1 << 20

// newEcho opens the socket in the node's namespace.
func newEcho(engine node.Engine, name string) (Echo, error) {
	fd := -1
	err := engine.Do(name, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("echo socket of node %s: %w", name, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("echo socket of node %s: receive stamps: %w", name, err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, EchoBuffer)
	f := os.NewFile(uintptr(fd), "echo "+name)
	pc, err := net.FilePacketConn(f) // a copy
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("echo socket of node %s: %w", name, err)
	}
	e := &echo{conn: pc.(*net.UDPConn), waiting: make(map[uint64]waiting)}
	go e.receive()
	return e, nil
}

// Send implements Echo.
func (e *echo) Send(to netip.Addr, size int) (rtt <-chan time.Duration, forget func(), err error) {
	c := make(chan time.Duration, 1)
	e.mu.Lock()
	id := e.next
	e.next++
	e.waiting[id] = waiting{time.Now(), c}
	e.mu.Unlock()
	forget = func() {
		e.mu.Lock()
		delete(e.waiting, id)
		e.mu.Unlock()
	}
	b := make([]byte, echoHeader+max(size, echoMinimum))
	b[0] = echoRequest // the kernel fills in identifier and checksum
	binary.BigEndian.PutUint16(b[6:], uint16(id))
	binary.BigEndian.PutUint64(b[echoHeader:], id)
	binary.BigEndian.PutUint64(b[echoHeader+8:], uint64(realtime()))
	if _, err := e.conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(to, 0)); err != nil {
		forget()
		return nil, nil, err
	}
	return c, forget, nil
}

// receive hands answers to those who wait, until the socket is closed.
func (e *echo) receive() {
	b, oob := make([]byte, 65536), make([]byte, 128)
	for {
		n, oobn, _, _, err := e.conn.ReadMsgUDPAddrPort(b, oob)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				continue // an ICMP error about an earlier request: the request times out
			}
			return
		}
		if n < echoHeader+echoMinimum || b[0] != echoReply {
			continue
		}
		id := binary.BigEndian.Uint64(b[echoHeader:])
		sent := int64(binary.BigEndian.Uint64(b[echoHeader+8:]))
		stamped := time.Duration(stamp(oob[:oobn]) - sent)
		e.mu.Lock()
		w, ok := e.waiting[id]
		delete(e.waiting, id)
		e.mu.Unlock()
		if ok {
			w.rtt <- roundTrip(stamped, time.Since(w.sent)) // buffered, and sent once
		}
	}
}

// roundTrip is the time between two stamps of the wall clock, unless that was
// stepped in between: then, what passed on the monotonic clock until the answer
// was read, which is a little longer.
func roundTrip(stamped, elapsed time.Duration) time.Duration {
	const slack = time.Millisecond // of a clock that is being slewed
	if stamped < 0 || stamped > elapsed+slack {
		return elapsed
	}
	return stamped
}

// Close implements Echo.
func (e *echo) Close() error { return e.conn.Close() }

// stamp is the kernel's receive instant, or now if it gave none.
func stamp(oob []byte) int64 {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err == nil {
		for _, m := range msgs {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
				return int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:]))
			}
		}
	}
	return realtime()
}

// realtime is CLOCK_REALTIME, the scale of the kernel's receive stamps.
func realtime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &ts) // cannot fail for this clock
	return ts.Nano()
}

package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A TCP connection outlives its process for as long as its last segments are
// not acknowledged: minutes, where the other end is gone as well. All that time
// it keeps its network namespace.

// diagRequest is struct inet_diag_req_v2 of linux/inet_diag.h.
type diagRequest struct {
	Family, Protocol, Extensions, _ uint8
	States                          uint32
	ID                              [diagID]byte
}

const (
	diagID       = 48 // struct inet_diag_sockid
	diagIDOffset = 4  // in struct inet_diag_msg

	sockDiagByFamily = 20 // linux/sock_diag.h
	sockDestroy      = 21

	// All states of a connection (include/net/tcp_states.h) but TIME_WAIT and
	// LISTEN, which keep nothing.
	connected = 0xffe &^ (1<<6 | 1<<10)
)

// abortConnections ends what TCP connections are left in the network namespaces
// bound at paths, whose processes are gone. Where the kernel cannot
// (CONFIG_INET_DIAG_DESTROY) they end in their own time.
func abortConnections(paths []string) error {
	for _, path := range paths {
		err := within(path, abortOwnConnections)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // bound to nothing
			return fmt.Errorf("end TCP connections in %s: %w", path, err)
		}
	}
	return nil
}

// abortOwnConnections does it in the namespace that the thread is in.
func abortOwnConnections() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, family := range []uint8{unix.AF_INET6, unix.AF_INET} {
		// One that was just changing its state may need to be asked again.
		for range 20 {
			ids, err := listConnections(fd, family)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				break
			}
			for _, id := range ids {
				r := diagRequest{Family: family, Protocol: unix.IPPROTO_TCP, ID: id}
				if err := askDiag(fd, sockDestroy, unix.NLM_F_REQUEST, 0, &r); err != nil {
					return err
				}
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// listConnections gives the identities of a family's connections; none if the
// kernel does not have the family.
func listConnections(fd int, family uint8) (ids [][diagID]byte, err error) {
	r := diagRequest{Family: family, Protocol: unix.IPPROTO_TCP, States: connected}
	if err := askDiag(fd, sockDiagByFamily, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, uint32(family), &r); err != nil {
		return nil, err
	}
	buf := make([]byte, 32<<10)
	for done := false; !done; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = parseMessages(buf[:n], func(m message) error {
			switch {
			case m.seq != uint32(family): // about a socket that could not be ended
			case m.typ == unix.NLMSG_DONE, m.typ == unix.NLMSG_ERROR:
				done = true
			case m.typ == sockDiagByFamily && len(m.data) >= diagIDOffset+diagID:
				ids = append(ids, [diagID]byte(m.data[diagIDOffset:]))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// askDiag sends a request. That of the destruction of a socket is not answered;
// one that has ended meanwhile, or that the kernel cannot end, is no error.
func askDiag(fd int, typ, flags uint16, sequence uint32, r *diagRequest) error {
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+unsafe.Sizeof(*r))
	b = append(b, bytesOf(r)...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

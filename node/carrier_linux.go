package node

import (
	"context"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Settle implements Settler.
//
// The kernel tells of a carrier that went away at most once a second
// (net/core/link_watch.c), unless somebody asks for the link's state, as
// ethtool does: then it tells at once.
func (l *Linux) Settle(ctx context.Context, node, port string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := l.node(node)
	if err != nil {
		return err
	}
	s, err := n.routing()
	if err != nil {
		return err
	}
	defer n.mu.Unlock()
	if _, err := settle(s.fd, port); err != nil {
		return fmt.Errorf("node %s: state of %s: %w", node, port, err)
	}
	return nil
}

// settle asks for the state of a device's link, in the namespace of the socket,
// and tells it.
func settle(fd int, device string) (carrier bool, err error) {
	value := struct{ command, data uint32 }{command: unix.ETHTOOL_GLINK}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of the union in struct ifreq
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return false, errno
	}
	return value.data != 0, nil
}

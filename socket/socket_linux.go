// Package socket listens on unix sockets that nobody but the process's own user may use.
package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// umask guards the process's mask of modes.
var umask sync.Mutex

// Listen makes a socket at path that has the mode 0600, and hangs up on whoever is not the
// user of this process. The file must not be there yet; closing the listener removes it.
func Listen(path string) (net.Listener, error) {
	// The mode must be right from the first moment, so it is set by the mask and not
	// afterwards.
	umask.Lock()
	old := unix.Umask(0o177)
	l, err := net.Listen("unix", path)
	unix.Umask(old)
	umask.Unlock()
	if err != nil {
		return nil, err
	}
	return owned{l}, nil
}

// owned is a listener of a unix socket that hangs up on whoever is not the user
// of this process. The file's mode keeps others away already; but a mode can be
// changed, and a descriptor passed on.
type owned struct{ net.Listener }

func (o owned) Accept() (net.Conn, error) {
	for {
		c, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(c); err == nil && uid == os.Geteuid() {
			return c, nil
		}
		_ = c.Close()
	}
}

// peer is the user at the other end, as this process's user namespace numbers
// users (unix(7), SO_PEERCRED).
func peer(c net.Conn) (uid int, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, fmt.Errorf("credentials of the other end: %w", err)
	}
	return int(cred.Uid), nil
}

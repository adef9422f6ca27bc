// Package socket listens on unix sockets that nobody but the process's own user may use.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen makes a socket at path that has the mode 0600, and hangs up on whoever is not the
// user of this process. The file must not be there yet; closing the listener removes it.
// Whoever sees the file can connect.
func Listen(path string) (net.Listener, error) {
	// Between bind(2), which makes the file, and listen(2) the kernel refuses
	// connections, and a client would take the server for dead. So the file is
	// made beside its place, and gets its name when it listens.
	unready := filepath.Join(filepath.Dir(path), "~"+filepath.Base(path)[1:]) // not longer: the kernel takes 107 bytes
	if unready == path {
		return nil, fmt.Errorf("%s: the name of a socket may not begin with a tilde", path)
	}
	// One that was killed just there may have left it.
	if err := os.Remove(unready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// The mode must be right from the first moment: bind(2) gives the file that of the socket. The mask of modes would
	// do as well, but it is the process's, and files that others make meanwhile would get it too.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var mode error
		err := c.Control(func(fd uintptr) { mode = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, mode)
	}}
	l, err := config.Listen(context.Background(), "unix", unready)
	if err != nil {
		return nil, err
	}
	if l, ok := l.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // it would remove the first name
	}
	err = os.Link(unready, path)
	if err := errors.Join(err, os.Remove(unready)); err != nil {
		_ = l.Close()
		return nil, err
	}
	return &owned{Listener: l, path: path}, nil
}

// owned is a listener of a unix socket that hangs up on whoever is not the user
// of this process. The file's mode keeps others away already; but a mode can be
// changed, and a descriptor passed on.
type owned struct {
	net.Listener
	path   string
	remove sync.Once
}

// Close removes the file, once: another server may have taken its place later.
func (o *owned) Close() (err error) {
	o.remove.Do(func() {
		if err = os.Remove(o.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	})
	return errors.Join(err, o.Listener.Close())
}

func (o *owned) Accept() (net.Conn, error) {
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

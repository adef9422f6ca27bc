package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"

	"github.com/vishvananda/netns"
)

// forwarder carries TCP connections from the host's loopback into a machine's
// network namespace, so that the apiserver can be reached from where the test
// runs, and by programs that it starts.
type forwarder struct {
	listener  net.Listener
	namespace netns.NsHandle
	target    string
	running   sync.WaitGroup

	mu     sync.Mutex // guards:
	open   map[net.Conn]bool
	closed bool
}

func forward(namespace netns.NsHandle, target string) (*forwarder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &forwarder{listener: listener, namespace: namespace, target: target, open: map[net.Conn]bool{}}
	f.running.Go(f.accept)
	return f, nil
}

// address is where to connect to.
func (f *forwarder) address() string {
	return f.listener.Addr().String()
}

func (f *forwarder) accept() {
	for {
		near, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.running.Go(func() {
			defer f.drop(near)
			if !f.keep(near) {
				return
			}
			far, err := dial(f.namespace, f.target)
			if err != nil {
				return
			}
			defer f.drop(far)
			if !f.keep(far) {
				return
			}
			join(near.(*net.TCPConn), far.(*net.TCPConn))
		})
	}
}

// join copies both ways until both have ended.
func join(a, b *net.TCPConn) {
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		both.Go(func() {
			_, err := io.Copy(way[0], way[1])
			if err != nil {
				// Neither will come to an end by itself.
				_ = a.Close()
				_ = b.Close()
			}
			_ = way[0].CloseWrite()
		})
	}
	both.Wait()
}

// keep notes an open connection; false if there is none to be open any more.
func (f *forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.open[c] = true
	}
	return !f.closed
}

func (f *forwarder) drop(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
	_ = c.Close()
}

// close ends all connections and returns when nothing runs any more.
func (f *forwarder) close() {
	f.mu.Lock()
	f.closed = true
	_ = f.listener.Close()
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}

// dial connects from within a network namespace. A socket stays in the
// namespace in which it was made, whichever thread uses it then.
func dial(namespace netns.NsHandle, target string) (c net.Conn, err error) {
	err = within(namespace, func() error {
		// The address is literal, so this goroutine itself makes the socket.
		c, err = new(net.Dialer).DialContext(context.Background(), "tcp", target)
		return err
	})
	return c, err
}

// within calls f on a thread that is in a network namespace.
func within(namespace netns.NsHandle, f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = home.Close() }()
	if err := netns.Set(namespace); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter a machine's network namespace: %w", err)
	}
	err = f()
	if back := netns.Set(home); back != nil {
		// The thread stays locked, and so ends with its goroutine.
		return errors.Join(err, fmt.Errorf("leave a machine's network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

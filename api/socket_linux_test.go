package api

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// as calls f on a thread that belongs to another user, and ends with it.
func as(uid int, f func()) {
	_ = thread.Do(func() error {
		// The system call itself is for one thread; package syscall's is for all.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno == 0 {
			f()
		}
		return nil
	})
}

// request asks for the status by hand; answered tells whether anything came.
func request(t *testing.T, socket string) (answered bool) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return false
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Errorf("the test shows nothing: %v", err)
		_ = unix.Close(fd)
		return false
	}
	f := os.NewFile(uintptr(fd), socket)
	c, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		t.Error(err)
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = c.Write([]byte("POST /orrery.v1alpha1.ControlService/GetStatus HTTP/1.1\r\nHost: orrery\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"))
	n, err := c.Read(make([]byte, 1))
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("neither an answer nor an end")
	}
	return n > 0
}

// Whoever is not the owner is hung up on, even where the file's mode would let
// him in.
func TestOthersAreHungUpOn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: becomes another user")
	}
	_, _, socket, _ := serve(t)
	for path, mode := range map[string]os.FileMode{socket: 0o777, filepath.Dir(socket): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if !request(t, socket) {
		t.Error("the owner gets no answer")
	}
	tried := false
	as(65534, func() {
		tried = true
		if request(t, socket) {
			t.Error("another user gets an answer")
		}
	})
	if !tried {
		t.Skip("cannot become another user")
	}
	if !request(t, socket) {
		t.Error("the owner gets no answer afterwards")
	}
}

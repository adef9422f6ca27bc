package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// A veth pair joins a node's namespace with one of the test's own. The kernel
// ends both ends when it ends the node's devices, so the test's end must be gone
// when Destroy returns: not at some time afterwards.
func TestNothingIsLeftWhenDestroyReturns(t *testing.T) {
	needLinux(t)
	l, err := NewLinux(Config{RunDir: filepath.Join(t.TempDir(), "run")})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Create(context.Background(), specs(40, 3)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	thread.Go(func() {
		done <- func() error {
			defer rememberHome()()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			for i := range 40 {
				if err := veth(l.Namespace(specs(40, 3)[i].Name), "v"+string(rune('A'+i))); err != nil {
					return err
				}
			}
			if ours, err := net.Interfaces(); err != nil || len(ours) != 41 {
				t.Errorf("%d devices in the test's namespace, want lo and 40: %v", len(ours), err)
			}
			if err := l.Destroy(context.Background()); err != nil {
				return err
			}
			ours, err := net.Interfaces()
			if len(ours) != 1 {
				t.Errorf("%d of 40 devices still there when Destroy returned", len(ours)-1)
			}
			return err
		}()
	})
	switch err := <-done; {
	case errors.Is(err, unix.EOPNOTSUPP):
		t.Skip("this kernel has no veth")
	case err != nil:
		t.Error(err)
	}
	if err := l.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
}

// veth makes a pair of devices called name: one here, one in the namespace at
// path.
func veth(path, name string) error {
	s, err := newSocket()
	if err != nil {
		return err
	}
	defer s.close()
	there, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(there)
	attributes := func(fill func(*batch)) []byte {
		var b batch
		fill(&b)
		return b.buf
	}
	far := append([]byte(nil), bytesOf(&unix.IfInfomsg{})...)
	far = append(far, attributes(func(b *batch) {
		b.attr(unix.IFLA_IFNAME, append([]byte(name), 0))
		b.attr32(unix.IFLA_NET_NS_FD, uint32(there))
	})...)
	var b batch
	b.add(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, bytesOf(&unix.IfInfomsg{}))
	b.attr(unix.IFLA_IFNAME, append([]byte(name), 0))
	b.attr(unix.IFLA_LINKINFO, attributes(func(b *batch) {
		b.attr(unix.IFLA_INFO_KIND, []byte("veth"))
		b.attr(unix.IFLA_INFO_DATA, attributes(func(b *batch) { b.attr(1 /* VETH_INFO_PEER */, far) }))
	}))
	return s.do(&b, func(_ int, e unix.Errno) error { return e })
}

// A namespace that somebody else holds cannot go. All else must, and the error must
// name the node and the holder.
func TestDestroyTellsWhatIsHeld(t *testing.T) {
	needLinux(t)
	for how, hold := range map[string]func(t *testing.T, namespace string) (pid int, release func()){
		"has it open": func(t *testing.T, namespace string) (int, func()) {
			fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			return os.Getpid(), func() { _ = unix.Close(fd) }
		},
		"has a copy of the mounts of that moment": func(t *testing.T, _ string) (int, func()) {
			cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo copied; exec sleep 1000")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Skip(err)
			}
			if _, err := out.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			return cmd.Process.Pid, func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		},
		"is in it": func(t *testing.T, namespace string) (int, func()) {
			pids := make(chan int)
			stop, stopped := make(chan struct{}), make(chan struct{})
			thread.Go(func() { // one thread only, which no list of processes shows
				defer close(stopped)
				fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err == nil {
					err = unix.Setns(fd, unix.CLONE_NEWNET)
					_ = unix.Close(fd)
				}
				if err != nil {
					t.Error(err)
				}
				pids <- os.Getpid()
				<-stop
			})
			return <-pids, func() { close(stop); <-stopped }
		},
	} {
		t.Run(how, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			l, err := NewLinux(Config{RunDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Create(context.Background(), specs(1, 1)); err != nil {
				t.Fatal(err)
			}
			name := "n0"
			pid, release := hold(t, l.Namespace(name))
			err = l.Destroy(context.Background())
			release()
			if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), fmt.Sprintf("among them that of node %s, are held from outside: process %d (", name, pid)) || !strings.Contains(err.Error(), how) {
				t.Errorf("%v: want that process %d %s", err, pid, how)
			}
			if left := traces(t, dir); len(left) > 0 {
				t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
			}
			if err := l.Destroy(context.Background()); err != nil {
				t.Errorf("destroyed again: %v", err)
			}
		})
	}
}

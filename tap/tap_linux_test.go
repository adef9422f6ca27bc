package tap

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// inNamespace runs f on a thread in a network namespace of its own, which
// ends with the thread.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	if err := Available(); err != nil {
		t.Skip(err)
	}
	err := thread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		f()
		return nil
	})
	if err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
}

func carrier(t *testing.T, name string) string {
	// IFF_RUNNING is the operational state of a device that is up.
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer unix.Close(s)
	ifr, _ := unix.NewIfreq(name)
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, ifr); err != nil {
		return "absent"
	}
	if ifr.Uint16()&unix.IFF_UP == 0 {
		ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
		if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
			t.Error(err)
		}
		if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, ifr); err != nil {
			t.Error(err)
		}
	}
	if ifr.Uint16()&unix.IFF_RUNNING != 0 {
		return "running"
	}
	return "up"
}

// waitCarrier waits for a state: the kernel tells a change of carrier from a
// work queue, losses of carrier at most once a second.
func waitCarrier(t *testing.T, name, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got = carrier(t, name); got == want {
			return
		}
	}
	t.Errorf("%s is %s, want %s", name, got, want)
}

func TestCreate(t *testing.T) {
	inNamespace(t, func() {
		f, err := Create("fore")
		if err != nil {
			t.Error(err)
			return
		}
		fd := int(f.Fd())
		if nb, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || nb&unix.O_NONBLOCK == 0 {
			t.Errorf("the descriptor is not non-blocking (flags %#x, %v)", nb, err)
		}
		waitCarrier(t, "fore", "up")
		if err := SetCarrier(fd, true); err != nil {
			t.Error(err)
		}
		waitCarrier(t, "fore", "running")
		if got, err := SetOffload(fd, OffloadAll); err != nil || got&OffloadTSO6 == 0 {
			t.Errorf("SetOffload = %#x, %v", got, err)
		}
		if _, err := Create("fore"); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("creating a held device: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got := carrier(t, "fore"); got == "absent" {
			t.Error("closing destroyed the device")
		}
		again, err := Create("fore")
		if err != nil {
			t.Errorf("attaching again: %v", err)
			return
		}
		waitCarrier(t, "fore", "up")
		again.Close()
		if _, err := Create("lo"); err == nil {
			t.Error("lo became a TAP")
		}
	})
}

func TestCreateRefusesNames(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", unix.IFNAMSIZ)} {
		if _, err := Create(name); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	for _, e := range []unix.Errno{unix.ENOENT, unix.ENODEV, unix.EACCES, unix.EPERM} {
		err := openError(fmt.Errorf("open: %w", e))
		if !errors.Is(err, ErrUnavailable) || !strings.ContainsAny(err.Error(), ";") {
			t.Errorf("%v: %v", e, err)
		}
	}
	if err := openError(unix.EMFILE); !strings.Contains(err.Error(), "ulimit") {
		t.Error(err)
	}
}

package node

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// namespace makes a network namespace as another program would, bound at the path that is
// returned, until the test ends.
func namespace(t testing.TB) string {
	t.Helper()
	needLinux(t)
	path := filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	err := thread.Do(func() error {
		defer rememberHome()()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount(ownNamespace, path, "", unix.MS_BIND, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

func devicesIn(t testing.TB, path string) map[string]net.Interface {
	t.Helper()
	found := map[string]net.Interface{}
	err := within(path, func() error {
		list, err := net.Interfaces()
		for _, d := range list {
			found[d.Name] = d
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestGuestIsAsTheSpecSays(t *testing.T) {
	path := namespace(t)
	spec := specs(1, 12)[0]
	spec.Ports[1].MTU = 9000
	g := NewGuests(nil)
	t.Cleanup(g.Close)
	ctx := context.Background()
	if err := g.Add(ctx, path, spec); err != nil {
		t.Fatal(err)
	}
	first := devicesIn(t, path)
	for _, p := range spec.Ports {
		d := first[p.Name]
		if d.Flags&net.FlagUp == 0 || d.Flags&net.FlagRunning != 0 {
			t.Errorf("%s has flags %s, want up without carrier", p.Name, d.Flags)
		}
	}
	if err := g.Check(spec.Name); err != nil {
		t.Error(err)
	}
	err := g.Do(spec.Name, func() error {
		b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
		if string(b) != "1\n" {
			t.Errorf("forwarding is %q", b)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	same := func(how string) {
		t.Helper()
		if err := g.Check(spec.Name); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		now := devicesIn(t, path)
		for _, p := range spec.Ports {
			if now[p.Name].Index != first[p.Name].Index {
				t.Errorf("%s: the device %s was made anew", how, p.Name)
			}
		}
	}
	if err := g.Add(ctx, path, spec); err != nil {
		t.Fatal(err)
	}
	same("added twice")

	// Another program, after this one has ended.
	g.Close()
	g = NewGuests(nil)
	t.Cleanup(g.Close)
	if err := g.Add(ctx, path, spec); err != nil {
		t.Fatal(err)
	}
	same("taken over")
	if f, err := g.Device(spec.Name, spec.Ports[4].Name); err != nil || f == nil {
		t.Errorf("its device: %v", err)
	}
	// Routes of a program before: what it has set and nobody wants any more goes.
	for _, to := range specs(3, 1)[1:] {
		if err := g.SetRoutes(ctx, spec.Name, 201, []Route{{Prefix: to.Loopback[0], Port: "isl0"}}); err != nil {
			t.Fatal(err)
		}
	}
	g.Close()
	g = NewGuests(nil)
	t.Cleanup(g.Close)
	if err := g.Add(ctx, path, spec); err != nil {
		t.Fatal(err)
	}
	if err := g.SetRoutes(ctx, spec.Name, 201, []Route{{Prefix: specs(2, 1)[1].Loopback[0], Port: "isl0"}}); err != nil {
		t.Error(err)
	}
	if list, err := g.Routes(ctx, spec.Name); err != nil || len(protocolOnly(list, 201)) != 1 {
		t.Errorf("routes %v: %v", list, err)
	}
}

func TestGuestThatWasChanged(t *testing.T) {
	path := namespace(t)
	spec := specs(1, 2)[0]
	g := NewGuests(nil)
	t.Cleanup(g.Close)
	if err := g.Add(context.Background(), path, spec); err != nil {
		t.Fatal(err)
	}
	err := within(path, func() error {
		s, err := newSocket()
		if err != nil {
			return err
		}
		defer s.close()
		index, err := s.index("isl1")
		if err != nil {
			return err
		}
		var b batch
		b.setUp(index, [6]byte{2, 9, 9, 9, 9, 9}, 0)
		return s.do(&b, func(_ int, e unix.Errno) error { return e })
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Check(spec.Name); err == nil {
		t.Error("Check does not see another MAC address")
	}
	if err := g.Add(context.Background(), path, spec); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(spec.Name); err != nil {
		t.Errorf("after it was added again: %v", err)
	}
}

func TestGuestInAnotherNamespace(t *testing.T) {
	before, after := namespace(t), namespace(t)
	spec := specs(1, 3)[0]
	g := NewGuests(nil)
	t.Cleanup(g.Close)
	for _, path := range []string{before, after} {
		if err := g.Add(context.Background(), path, spec); err != nil {
			t.Fatal(err)
		}
		if err := g.Check(spec.Name); err != nil {
			t.Error(err)
		}
	}
	g.Remove(spec.Name)
	g.Remove(spec.Name)
	if err := g.Check(spec.Name); !errors.Is(err, ErrUnknown) {
		t.Errorf("a node that was removed: %v", err)
	}
	if n := len(devicesIn(t, after)); n < 4 {
		t.Errorf("%d devices are left, want those of the node", n)
	}
}

func TestDeletePorts(t *testing.T) {
	path := namespace(t)
	empty := slices.Sorted(maps.Keys(devicesIn(t, path)))
	g := NewGuests(nil)
	t.Cleanup(g.Close)
	if err := g.Add(context.Background(), path, specs(1, 5)[0]); err != nil {
		t.Fatal(err)
	}
	for range 2 { // with the files open, too
		if err := g.DeletePorts(path); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(devicesIn(t, path))); !slices.Equal(got, empty) {
			t.Errorf("devices %v are left, want %v", got, empty)
		}
	}
	if err := g.DeletePorts(path + "-gone"); err != nil {
		t.Errorf("a namespace that is gone: %v", err)
	}
	g.Close()
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := g.DeletePorts(path); err != nil { // a plain file by now
		t.Errorf("a namespace that was unmounted: %v", err)
	}
	if err := NewGuests(nil).Add(context.Background(), path, specs(1, 1)[0]); err == nil {
		t.Error("a plain file serves as a namespace")
	}
}

// BenchmarkGuest is what five ports in a namespace cost, without that.
func BenchmarkGuest(b *testing.B) {
	needLinux(b)
	spec := specs(1, 5)[0]
	g := NewGuests(nil)
	b.Cleanup(g.Close)
	for b.Loop() {
		b.StopTimer()
		path := namespace(b)
		b.StartTimer()
		if err := g.Add(context.Background(), path, spec); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		g.Remove(spec.Name)
		_ = unix.Unmount(path, unix.MNT_DETACH)
		b.StartTimer()
	}
}

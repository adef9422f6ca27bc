package node

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/tap/taptest"
)

// shelf is a Keeper in this process, where "programs" follow each other.
type shelf struct{ files map[string]int }

func (k *shelf) Take(name string) (fd int, ok bool) {
	kept, ok := k.files[name]
	if !ok {
		return 0, false
	}
	fd, err := unix.FcntlInt(uintptr(kept), unix.F_DUPFD_CLOEXEC, 0)
	return fd, err == nil
}

func (k *shelf) Keep(name string, fd int) error {
	kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	k.files[name] = kept
	return nil
}

func (k *shelf) Drop(name string) error {
	if fd, ok := k.files[name]; ok {
		_ = unix.Close(fd)
		delete(k.files, name)
	}
	return nil
}

func carrierChanges(t *testing.T, path, device string) (changes uint32) {
	t.Helper()
	err := within(path, func() (err error) {
		changes, err = taptest.CarrierChanges(device)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// A device whose file is kept does not lose its carrier when its program ends, and the next
// program has it. What is kept of a namespace that has ended is dropped.
func TestKeptDevicesKeepTheirCarriers(t *testing.T) {
	path, ctx := namespace(t), context.Background()
	spec := specs(1, 3)[0]
	k := &shelf{files: map[string]int{}}
	t.Cleanup(func() {
		for name := range k.files {
			_ = k.Drop(name)
		}
	})
	g := NewGuests(k)
	if err := g.Add(ctx, path, spec); err != nil {
		t.Fatal(err)
	}
	f, err := g.Device(spec.Name, "isl1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tap.SetCarrier(int(f.Fd()), true); err != nil {
		t.Fatal(err)
	}
	before := carrierChanges(t, path, "isl1")
	g.Close()
	g = NewGuests(k)
	if err := g.Add(ctx, path, spec); err != nil {
		t.Fatal(err)
	}
	if now := carrierChanges(t, path, "isl1"); now != before {
		t.Errorf("the carrier has changed %d times, and %d before", now, before)
	}
	if f, err = g.Device(spec.Name, "isl1"); err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the file's flags are %#x, %v; it has to be non-blocking", flags, err)
	}
	g.Remove(spec.Name)
	if len(k.files) != 0 {
		t.Errorf("%d files are kept of a node that was removed", len(k.files))
	}
	if err := g.Add(ctx, path, spec); err != nil { // as devices that nobody holds
		t.Fatal(err)
	}
	g.Close()
	// The number of the namespace is another one's now.
	for name, fd := range k.files {
		if err := unix.Dup3(int(devNull(t).Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	g = NewGuests(k)
	t.Cleanup(g.Close)
	if err := g.Add(ctx, path, spec); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(spec.Name); err != nil || len(k.files) != len(spec.Ports) {
		t.Errorf("with files of other devices: %v, %d are kept", err, len(k.files))
	}
}

func devNull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// The network of BenchmarkDensityOnce: the published record of containers with
// emulated links on one machine.
const (
	densityNodes = 2000
	densityPorts = 5
)

// BenchmarkDensityOnce makes and ends a network of the size of
// examples/dt-10k.yaml. The floor is what the kernel takes for the same
// namespaces and TAPs by system calls and nothing else. However often
// benchmarks are to be repeated each of the two runs once: it takes half a minute.
//
// create-s is from nothing until all devices are there, destroy-s until the
// kernel has nothing left of them; kernel-B/node is what the host has less of
// free memory by meanwhile, without what the process itself takes.
func BenchmarkDensityOnce(b *testing.B) {
	b.Run("floor", once(func(b *testing.B, dir string) density {
		f := floor{dir: dir}
		return density{f.create, f.destroy}
	}))
	b.Run("engine", once(func(b *testing.B, dir string) density {
		l, err := NewLinux(Config{RunDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		return density{
			func() error { return l.Create(context.Background(), specs(densityNodes, densityPorts)) },
			func() error { return l.Destroy(context.Background()) },
		}
	}))
}

type density struct{ create, destroy func() error }

// once is a benchmark that runs a single time in the life of the program.
func once(prepare func(b *testing.B, dir string) density) func(*testing.B) {
	ran := false
	return func(b *testing.B) {
		needLinux(b)
		if ran {
			b.Skip("measured once already")
		}
		ran = true
		if err := enoughDescriptors(specs(densityNodes, densityPorts)); err != nil {
			b.Skip(err)
		}
		d := prepare(b, filepath.Join(b.TempDir(), "run"))
		free, own := memory(b)
		begin := time.Now()
		err := d.create()
		created := time.Since(begin)
		freeNow, ownNow := memory(b)
		begin = time.Now()
		if end := d.destroy(); err == nil {
			err = end
		}
		destroyed := time.Since(begin)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(created.Seconds(), "create-s")
		b.ReportMetric(destroyed.Seconds(), "destroy-s")
		b.ReportMetric(float64(free-freeNow-(ownNow-own))/densityNodes, "kernel-B/node")
		b.ReportMetric(0, "ns/op")
	}
}

// memory is what the host has available and what this process has resident, in
// bytes.
func memory(b *testing.B) (available, resident int64) {
	b.Helper()
	runtime.GC()
	read := func(file, field string) int64 {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, field+":"); ok {
				n, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				return n << 10
			}
		}
		b.Fatalf("%s has no %s", file, field)
		return 0
	}
	return read("/proc/meminfo", "MemAvailable"), read("/proc/self/status", "VmRSS")
}

// floor makes namespaces and TAPs by system calls alone.
type floor struct {
	dir   string
	files [densityNodes][densityPorts]int
}

// create keeps as many threads as there are processors at work.
func (f *floor) create() error {
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("floor", f.dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", f.dir, "", propagation, ""); err != nil {
			return err
		}
	}
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make(chan error, runtime.NumCPU())
	for range runtime.NumCPU() {
		group.Add(1)
		thread.Go(func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < densityNodes; i = int(next.Add(1)) - 1 {
				if err := f.node(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

func (f *floor) node(i int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	path := filepath.Join(f.dir, strconv.Itoa(i))
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDONLY|unix.O_CLOEXEC, 0o444)
	if err != nil {
		return err
	}
	_ = unix.Close(fd)
	if err := unix.Mount(ownNamespace, path, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	for p := range f.files[i] {
		if f.files[i][p], err = bareTap("p" + strconv.Itoa(p)); err != nil {
			return err
		}
	}
	return nil
}

// bareTap makes a persistent TAP.
func bareTap(name string) (fd int, err error) {
	if fd, err = unix.Open(tap.Path, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return 0, err
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(ifr))); e != 0 {
		return 0, fmt.Errorf("TUNSETIFF: %w", e)
	}
	return fd, unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

// destroy lets go of everything and waits until the kernel has nothing left.
func (f *floor) destroy() (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w, err := newWitness()
	if err != nil {
		return err
	}
	defer w.close()
	var paths []string
	for i := range f.files {
		paths = append(paths, filepath.Join(f.dir, strconv.Itoa(i)))
	}
	if err := w.number(paths, firstNumber); err != nil {
		return err
	}
	for i := range f.files {
		for _, fd := range f.files[i] {
			_ = unix.Close(fd)
		}
	}
	if err := unix.Unmount(f.dir, unix.MNT_DETACH); err != nil {
		return err
	}
	held, err := w.gone(time.Now().Add(10 * time.Minute))
	if err == nil && len(held) > 0 {
		err = fmt.Errorf("%d namespaces are still held", len(held))
	}
	return err
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// needLinux skips where nodes cannot be made.
func needLinux(t testing.TB) {
	t.Helper()
	if err := permitted(); err != nil {
		t.Skip(err)
	}
	if err := tap.Available(); err != nil {
		t.Skip(err)
	}
}

// specs makes n nodes with so many ports each, addressed by their numbers.
func specs(n, ports int) []Spec {
	list := make([]Spec, n)
	for i := range list {
		s := Spec{
			Name:     fmt.Sprintf("n%d", i),
			Forward:  true,
			Loopback: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("fd00:0:0:%x::1/128", i+1)), netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/32", (i+1)>>8, (i+1)&255))},
		}
		for p := range ports {
			s.Ports = append(s.Ports, PortSpec{
				Name: fmt.Sprintf("isl%d", p), MTU: 1500,
				MAC:       [6]byte{2, 0, 0, byte(i >> 8), byte(i), byte(p)},
				Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("fe80::%x:0:%x/64", i+1, p+1))},
			})
		}
		list[i] = s
	}
	return list
}

// start makes nodes that are gone after the test.
func start(t testing.TB, list []Spec) *Linux {
	t.Helper()
	needLinux(t)
	l, err := NewLinux(Config{RunDir: filepath.Join(t.TempDir(), "run"), Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Create(context.Background(), list); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestCreateMakesWhatTheSpecSays(t *testing.T) {
	list := specs(3, 2)
	list[1].Ports[1].MTU = 9000
	l := start(t, list)
	for _, s := range list {
		err := l.Do(s.Name, func() error {
			devices, err := net.Interfaces()
			if err != nil {
				return err
			}
			found := map[string]net.Interface{}
			for _, d := range devices {
				found[d.Name] = d
			}
			for _, p := range s.Ports {
				d, ok := found[p.Name]
				if !ok {
					return fmt.Errorf("no device %s", p.Name)
				}
				if d.MTU != p.MTU || d.HardwareAddr.String() != net.HardwareAddr(p.MAC[:]).String() {
					t.Errorf("%s:%s has MTU %d and MAC %s", s.Name, p.Name, d.MTU, d.HardwareAddr)
				}
				if d.Flags&net.FlagUp == 0 || d.Flags&net.FlagRunning != 0 {
					t.Errorf("%s:%s: flags %s, want up without carrier", s.Name, p.Name, d.Flags)
				}
				want(t, s.Name+":"+p.Name, d, p.Addresses)
			}
			lo := found["lo"]
			want(t, s.Name+":lo", lo, append([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}, s.Loopback...))
			b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
			if string(b) != "1\n" {
				t.Errorf("%s: forwarding is %q", s.Name, b)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		for _, p := range s.Ports {
			if f, err := l.Device(s.Name, p.Name); err != nil || f == nil {
				t.Errorf("device %s:%s: %v", s.Name, p.Name, err)
			}
		}
	}
	if _, err := l.Device("n0", "none"); err == nil {
		t.Error("a port that is not there has a device")
	}
	if err := l.Do("none", func() error { return nil }); err == nil {
		t.Error("Do works in a node that is not there")
	}
}

func want(t *testing.T, where string, d net.Interface, prefixes []netip.Prefix) {
	t.Helper()
	have, err := d.Addrs()
	if err != nil {
		t.Error(err)
		return
	}
	set := map[string]bool{}
	for _, a := range have {
		set[a.String()] = true
	}
	for _, p := range prefixes {
		if !set[p.String()] {
			t.Errorf("%s lacks %s; it has %v", where, p, have)
		}
		delete(set, p.String())
	}
	if len(set) > 0 {
		t.Errorf("%s has more than it should: %v", where, set)
	}
}

// traces of a run on the host: mounts, files, processes, descriptors, threads'
// namespaces.
func traces(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			found = append(found, "mount "+line)
		}
	}
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			found = append(found, "file "+path)
		}
		return nil
	})
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && (strings.Contains(to, dir) || strings.Contains(to, "net/tun")) {
			found = append(found, "descriptor "+to)
		}
	}
	return found
}

// namespacesOfThreads are the network namespaces that this process's threads
// are in.
func namespacesOfThreads(t *testing.T) map[uint64]bool {
	t.Helper()
	all := map[uint64]bool{}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		var st unix.Stat_t
		if unix.Stat("/proc/self/task/"+task.Name()+"/ns/net", &st) == nil {
			all[st.Ino] = true
		}
	}
	return all
}

// A daemon can join its groups on every port by one socket.
func TestMulticastOnManyPorts(t *testing.T) {
	l := start(t, specs(1, 24))
	err := l.Do("n0", func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		devices, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, d := range devices {
			if d.Name == "lo" {
				continue
			}
			for _, last := range []byte{5, 6} { // AllSPFRouters, AllDRouters
				group := unix.IPMreqn{Multiaddr: [4]byte{224, 0, 0, last}, Ifindex: int32(d.Index)}
				if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &group); err != nil {
					return fmt.Errorf("224.0.0.%d on %s: %w", last, d.Name, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDestroyLeavesNothing(t *testing.T) {
	needLinux(t)
	dir := filepath.Join(t.TempDir(), "run")
	l, err := NewLinux(Config{RunDir: dir, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the engine can be used again
		if err := l.Create(context.Background(), specs(5, 3)); err != nil {
			t.Fatal(err)
		}
		if err := l.Create(context.Background(), specs(1, 1)); !errors.Is(err, ErrInUse) {
			t.Errorf("a second Create: %v", err)
		}
		pids := []int{}
		// One that obeys, one that does not, one that leaves its group.
		for i, script := range []string{"sleep 1000", "trap '' TERM; while :; do sleep 0.1; done", "setsid sleep 1000"} {
			name := fmt.Sprintf("p%d", i)
			if err := l.Start(context.Background(), "n1", Process{Name: name, Argv: []string{"sh", "-c", script}, Restart: Always}); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range l.Processes() {
			pids = append(pids, status(t, l, p.Name, is(Running)).PID)
		}
		if _, err := l.Routes(context.Background(), "n0"); err != nil {
			t.Error(err)
		}
		if err := l.Destroy(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left := traces(t, dir); len(left) > 0 {
			t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, 0); err == nil {
				t.Errorf("process %d lives", pid)
			}
		}
		// Threads that were in nodes end soon after.
		deadline := time.Now().Add(5 * time.Second)
		for len(namespacesOfThreads(t)) > 1 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(namespacesOfThreads(t)); n > 1 {
			t.Errorf("threads of this process are in %d network namespaces", n)
		}
	}
	if err := l.Destroy(context.Background()); err != nil {
		t.Errorf("destroying twice: %v", err)
	}
}

// A port name that the kernel refuses, met half way, leaves nothing.
func TestCreateFailsCleanly(t *testing.T) {
	needLinux(t)
	dir := filepath.Join(t.TempDir(), "run")
	l, err := NewLinux(Config{RunDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	list := specs(6, 2)
	list[4].Loopback = append(list[4].Loopback, list[4].Loopback[0]) // EEXIST
	err = l.Create(context.Background(), list)
	if err == nil || !strings.Contains(err.Error(), "node n4: give lo the address fd00:0:0:5::1/128") {
		t.Errorf("error: %v", err)
	}
	if left := traces(t, dir); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Create(ctx, specs(2, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	if left := traces(t, dir); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// announce makes a change of carrier known at once, on a thread of its own.
func announce(f *os.File) error {
	done := make(chan error)
	thread.Go(func() {
		comeHome := rememberHome()
		err := tap.Announce(int(f.Fd()))
		comeHome()
		done <- err
	})
	return <-done
}

func BenchmarkCreate200x5(b *testing.B) {
	needLinux(b)
	list := specs(200, 5)
	for b.Loop() {
		l, err := NewLinux(Config{RunDir: filepath.Join(b.TempDir(), "run")})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Create(context.Background(), list); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := l.Destroy(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

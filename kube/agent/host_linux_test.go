package agent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/kube/fdstore"
	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/tap/taptest"
	"orrery.dev/orrery/thread"
)

// host is a worker of the test: a directory, namespaces that stand for pods, and an agent.
type host struct {
	t      testing.TB
	stage  stage
	agent  *exec.Cmd
	stdin  interface{ Close() error }
	stderr *log
	// devices that outlive an agent; its keeper is the test.
	devices fdstore.Store
	finish  func() error
	// namespace that the agent runs in; empty for the test's.
	namespace string
}

// log is what an agent has written, and may be read while it writes.
type log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHost(t testing.TB) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and TAP devices are made")
	}
	if err := tap.Available(); err != nil {
		t.Skip(err)
	}
	// Where the agent keeps its state on a worker: in memory.
	dir, err := os.MkdirTemp("/run", "orrery-test-")
	if err != nil {
		t.Skipf("no directory in /run: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &host{t: t, stage: stage{Worker: "w1", Dir: dir, Began: time.Now().Add(-10 * time.Second), Members: map[string]string{}}}
	t.Cleanup(h.devices.Close)
	t.Cleanup(func() { h.end() })
	return h
}

// start starts an agent.
func (h *host) start() {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := json.Marshal(h.stage)
	if err != nil {
		h.t.Fatal(err)
	}
	h.stderr = new(log)
	h.agent = exec.Command(self)
	var store *os.File
	if store, h.finish, err = h.devices.Lend(); err != nil {
		h.t.Fatal(err)
	}
	defer store.Close()
	h.agent.ExtraFiles = []*os.File{store} // number 3
	h.agent.Env = append(os.Environ(), actAsAgent+"="+string(text), fdstore.Variable+"=3")
	h.agent.Stderr = h.stderr
	if h.stdin, err = h.agent.StdinPipe(); err != nil {
		h.t.Fatal(err)
	}
	begin := h.agent.Start
	if h.namespace != "" {
		begin = func() error { return pod{namespace: h.namespace}.in(h.agent.Start) }
	}
	if err := begin(); err != nil {
		h.t.Fatal(err)
	}
	h.eventually("the agent is ready", func() bool {
		_, failed := h.call("STATUS", "")
		return !failed
	})
}

// end ends the agent in good order.
func (h *host) end() {
	if h.agent == nil {
		return
	}
	_ = h.stdin.Close()
	err := errors.Join(h.agent.Wait(), h.finish())
	if err != nil || h.t.Failed() {
		h.t.Logf("the agent: %v\n%s", err, h.stderr)
	}
	h.agent = nil
}

// kill ends it by SIGKILL.
func (h *host) kill() {
	_ = h.agent.Process.Kill()
	_ = h.agent.Wait()
	_ = h.stdin.Close()
	if err := h.finish(); err != nil {
		h.t.Error(err)
	}
	h.agent = nil
}

func (h *host) eventually(what string, f func() bool) {
	h.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	h.t.Fatalf("it did not happen within 30 s: %s\n%s", what, h.stderr)
}

// call runs the plugin with what follows "socket" in its configuration.
func (h *host) call(command, more string, env ...string) (out map[string]any, failed bool) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append([]string{actAsPlugin + "=1", "CNI_COMMAND=" + command, "CNI_PATH=/none"}, env...)
	c.Stdin = strings.NewReader(`{"cniVersion":"1.1.0","name":"orrery","type":"orrery-cni","socket":"` + filepath.Join(h.stage.Dir, "agent.sock") + `"` + more + `}`)
	b, err := c.Output()
	if len(b) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			h.t.Fatalf("%s printed %q: %v", command, b, err)
		}
	}
	return out, err != nil
}

// pod stands for one: a namespace and a name.
type pod struct {
	name, namespace string
}

func (h *host) pod(name string) pod {
	h.t.Helper()
	path := filepath.Join(h.stage.Dir, name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		h.t.Fatal(err)
	}
	const own = "/proc/thread-self/ns/net"
	err := thread.Do(func() error {
		home, err := unix.Open(own, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(home)
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		err = unix.Mount(own, path, "", unix.MS_BIND, "")
		return errors.Join(err, unix.Setns(home, unix.CLONE_NEWNET))
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return pod{name, path}
}

func (p pod) env() []string {
	return []string{
		"CNI_CONTAINERID=box-" + p.name, "CNI_IFNAME=net1", "CNI_NETNS=" + p.namespace,
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=lab;K8S_POD_NAME=" + p.name,
	}
}

// in calls f in the pod's namespace.
func (p pod) in(f func() error) error {
	return thread.Do(func() error {
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(home)
		fd, err := unix.Open(p.namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
		return errors.Join(f(), unix.Setns(home, unix.CLONE_NEWNET))
	})
}

// devices of the pod, by name: their indices.
func (p pod) devices(t testing.TB) map[string]int {
	t.Helper()
	found := map[string]int{}
	err := p.in(func() error {
		list, err := net.Interfaces()
		for _, d := range list {
			found[d.Name] = d.Index
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// carrierChanges of devices of the pod.
func (p pod) carrierChanges(t testing.TB, devices []string) map[string]uint32 {
	t.Helper()
	changes := map[string]uint32{}
	err := p.in(func() (err error) {
		for _, d := range devices {
			if changes[d], err = taptest.CarrierChanges(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// reaches says whether an answer comes from a pod to a datagram: over the links, and by the
// kernels' routes.
func (p pod) reaches(q pod, at netip.Addr) bool {
	var to, from *net.UDPConn
	listen := func(a netip.Addr, c **net.UDPConn) func() error {
		return func() (err error) {
			*c, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
			return err
		}
	}
	if q.in(listen(at, &to)) != nil {
		return false
	}
	defer to.Close()
	if p.in(listen(netip.IPv6Unspecified(), &from)) != nil {
		return false
	}
	defer from.Close()
	port := to.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if _, err := from.WriteToUDPAddrPort([]byte("are you there"), netip.AddrPortFrom(at, port)); err != nil {
		return false
	}
	_ = to.SetReadDeadline(time.Now().Add(time.Second))
	n, err := to.Read(make([]byte, 100))
	return err == nil && n > 0
}

// loopback is the address of a node by the result of ADD.
func loopback(t testing.TB, out map[string]any) netip.Addr {
	t.Helper()
	ips, _ := out["ips"].([]any)
	if len(ips) == 0 {
		t.Fatalf("no addresses in %v", out)
	}
	return netip.MustParsePrefix(ips[0].(map[string]any)["address"].(string)).Addr()
}

package fabric_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

// attachable is a fabric whose ports come and go.
type attachable interface {
	fabric.Fabric
	fabric.Attacher
}

// Ports without a device get one while the fabric runs, lose it, and get another.
func TestAttach(t *testing.T) {
	for name, open := range map[string]func(testing.TB, fabric.Config) attachable{
		"engine":  func(tb testing.TB, c fabric.Config) attachable { return newEngine(tb, c) },
		"process": func(tb testing.TB, c fabric.Config) attachable { return newProcess(tb, c) },
	} {
		t.Run(name, func(t *testing.T) {
			n0, d0, _ := socketPair(t)
			defer unix.Close(n0)
			f := open(t, fabric.Config{Timeline: running(t), Workers: 1, Ports: []fabric.Port{{Name: "a", Device: d0}, {Name: "b"}, {Name: "c"}}})
			f.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
			if err := f.SetCarriers(fabric.Carrier{Port: 1, Up: true}, fabric.Carrier{Port: 2}); err != nil {
				t.Fatalf("the carrier of a port without a device: %v", err)
			}
			if err := f.Attach(1, nil); err == nil {
				t.Error("no device is accepted as one")
			}
			for turn := range 3 {
				before := f.Counters(0).DropDevice
				sendFrame(t, n0, 7)
				if !within(20*time.Second, func() bool { return f.Counters(0).DropDevice == before+1 }) {
					t.Fatalf("a frame to a port without a device: %+v", f.Counters(0))
				}
				n1, d1, _ := socketPair(t)
				if err := f.Attach(1, d1); err != nil {
					t.Fatal(err)
				}
				number := uint32(10 + turn)
				sendFrame(t, n0, number)
				if got, ok := receiveFrame(n1, 20*time.Second); !ok || got != number {
					t.Fatalf("got frame %d (%v), want %d", got, ok, number)
				}
				if turn == 1 { // in place of the one before
					n2, d2, _ := socketPair(t)
					if err := f.Attach(1, d2); err != nil {
						t.Fatal(err)
					}
					ended(t, n1)
					n1 = n2
					sendFrame(t, n0, number)
					if _, ok := receiveFrame(n1, 20*time.Second); !ok {
						t.Fatal("no frame through the other device")
					}
				}
				// What the node sends is read, too.
				sent := f.Counters(1).SentFrames
				sendFrame(t, n1, 1)
				if !within(20*time.Second, func() bool { return f.Counters(1).SentFrames == sent+1 }) {
					t.Fatalf("what the node sends is not read: %+v", f.Counters(1))
				}
				for range 2 {
					if err := f.Detach(1); err != nil {
						t.Fatal(err)
					}
				}
				ended(t, n1)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			_, d3, _ := socketPair(t)
			defer d3.Close()
			if err := f.Attach(2, d3); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Attach after Close: %v", err)
			}
			if err := f.Detach(0); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Detach after Close: %v", err)
			}
		})
	}
}

// ended waits until nobody holds the other end, and closes this one.
func ended(t *testing.T, node int) {
	t.Helper()
	buf := make([]byte, 100)
	if !within(20*time.Second, func() bool {
		n, err := unix.Read(node, buf)
		return n == 0 && err == nil
	}) {
		t.Error("the fabric still holds a device that was detached")
	}
	unix.Close(node)
}

// Devices are taken away and given while frames run over them: none gets anywhere else.
func TestAttachUnderLoad(t *testing.T) {
	n0, d0, _ := socketPair(t)
	defer unix.Close(n0)
	e := newEngine(t, fabric.Config{Timeline: running(t), Workers: 2, Ports: []fabric.Port{{Name: "a", Device: d0}, {Name: "b"}}})
	e.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		m := make([]byte, tap.HeaderLen+60)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = unix.Write(n0, m)
			}
		}
	})
	defer sender.Wait()
	defer close(stop)
	var total uint64
	for range 30 {
		n1, d1, _ := socketPair(t)
		if err := e.Attach(1, d1); err != nil {
			t.Fatal(err)
		}
		if _, ok := receiveFrame(n1, 20*time.Second); !ok {
			t.Fatalf("no frame: %+v", e.Counters(0))
		}
		if err := e.Detach(1); err != nil {
			t.Fatal(err)
		}
		// The number of the descriptor that was closed is taken by a pipe, in which nothing
		// may appear.
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			sent := e.Counters(0).SentFrames
			within(time.Second, func() bool { return e.Counters(0).SentFrames > sent })
		}
		total++
		w.Close()
		if got, _ := io.ReadAll(r); len(got) > 0 {
			t.Fatalf("%d bytes were written to a file that is no device", len(got))
		}
		r.Close()
		unix.Close(n1)
	}
	if c := e.Counters(0); c.DropDevice == 0 || c.ReceivedFrames != 0 || e.Counters(1).ReceivedFrames < total {
		t.Errorf("%+v, %+v", c, e.Counters(1))
	}
}

// A device gets the carrier that was asked for while there was none, and the offloads
// that its wire allows.
func TestAttachedDeviceIsSet(t *testing.T) {
	a, b := newNamespace(t), newNamespace(t)
	e := newEngine(t, fabric.Config{Timeline: running(t), Ports: []fabric.Port{{Name: "a"}, {Name: "b"}}})
	connect(e, 0, 1, 1, time.Millisecond) // raises the carriers
	fore := a.port("fore", 1)
	listener := listenCarrier(a, "fore")
	if err := e.Attach(0, fore); err != nil {
		t.Fatal(err)
	}
	if told := listener.told(); len(told) != 1 || !told[0] {
		t.Errorf("carriers told: %v, want one that is up", told)
	}
	if err := e.Attach(1, b.port("aft", 2)); err != nil {
		t.Fatal(err)
	}
	if rtts := ping(a, b, 5); len(rtts) != 5 {
		t.Errorf("%d of 5 answers", len(rtts))
	}
	if !within(20*time.Second, func() bool { return e.Offloads(0) && e.Offloads(1) }) {
		t.Error("the offloads of devices that came later are not set")
	}
	// The same device once more, as another fabric would open it.
	if err := e.Detach(0); err != nil {
		t.Fatal(err)
	}
	if err := e.SetCarriers(fabric.Carrier{Port: 0}, fabric.Carrier{Port: 0, Up: true}); err != nil {
		t.Fatal(err)
	}
	index := a.index("fore")
	var again *os.File
	a.do(func() (err error) {
		again, err = tap.Create("fore")
		return err
	})
	if err := e.Attach(0, again); err != nil {
		t.Fatal(err)
	}
	if rtts := ping(a, b, 5); len(rtts) != 5 {
		t.Errorf("%d of 5 answers", len(rtts))
	}
	if now := a.index("fore"); now != index {
		t.Errorf("the device is another one: index %d, was %d", now, index)
	}
}

// index of a device.
func (n *namespace) index(device string) (index int) {
	n.tb.Helper()
	n.do(func() error {
		link, err := netlink.LinkByName(device)
		if err == nil {
			index = link.Attrs().Index
		}
		return err
	})
	return index
}

// agentVariable makes the test program an agent, which the test then kills.
const agentVariable = "ORRERY_TEST_AGENT"

// agent holds the devices of two namespaces, whose files are descriptors 3 and 4, in a
// fabric of its own process until it is killed.
func agent() {
	var ports []fabric.Port
	for i, name := range []string{"fore", "aft"} {
		var device *os.File
		if err := enter(netns.NsHandle(3+i), func() (err error) { device, err = tap.Create(name); return err }); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		ports = append(ports, fabric.Port{Name: name, Device: device})
	}
	tl := running(nil)
	f, err := fabric.NewProcess(fabric.Config{Timeline: tl, Ports: ports})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	connect(f, 0, 1, 1, time.Millisecond)
	fmt.Println("ready")
	select {} // until it is killed
}

// A whole agent is killed; another one opens the same devices by name, and frames go on:
// no device was made anew, and its addresses are still there.
func TestAgentIsKilled(t *testing.T) {
	a, b := newNamespace(t), newNamespace(t)
	a.port("fore", 1).Close()
	b.port("aft", 2).Close()
	indices := [2]int{a.index("fore"), b.index("aft")}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), agentVariable+"=1")
	cmd.ExtraFiles = []*os.File{a.file(), b.file()}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	line := make([]byte, 200)
	n, _ := out.Read(line)
	if got := strings.TrimSpace(string(line[:n])); got != "ready" {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the agent says %q", got)
	}
	if rtts := ping(a, b, 3); len(rtts) != 3 {
		t.Errorf("%d of 3 answers before", len(rtts))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	f := newProcess(t, fabric.Config{Timeline: running(t), Ports: []fabric.Port{{Name: "a:fore"}, {Name: "b:aft"}}})
	connect(f, 0, 1, 1, time.Millisecond)
	for i, n := range []*namespace{a, b} {
		var device *os.File
		name := []string{"fore", "aft"}[i]
		// The process that carried frames holds it until it has noticed.
		var last error
		if !within(20*time.Second, func() bool {
			n.do(func() error { device, last = tap.Create(name); return nil })
			return last == nil
		}) {
			t.Fatal(last)
		}
		if err := f.Attach(fabric.PortID(i), device); err != nil {
			t.Fatal(err)
		}
		if now := n.index(name); now != indices[i] {
			t.Errorf("%s is another device: index %d, was %d", name, now, indices[i])
		}
	}
	if rtts := ping(a, b, 3); len(rtts) != 3 {
		t.Errorf("%d of 3 answers after", len(rtts))
	}
	f.KillChild()
	if rtts := ping(a, b, 3); len(rtts) == 0 { // each waits for 2 s
		t.Errorf("no answer after a restart of what carries: %q", f.Trouble())
	}
}

// Wires that are set while devices come and go stand in the end.
func TestAttachWhileChildIsGone(t *testing.T) {
	n0, d0, _ := socketPair(t)
	n1, d1, _ := socketPair(t)
	defer unix.Close(n0)
	defer unix.Close(n1)
	f := newProcess(t, fabric.Config{Timeline: running(t), Workers: 1, Ports: []fabric.Port{{Name: "a"}, {Name: "b"}}})
	f.KillChild()
	if err := f.Attach(0, d0); err != nil {
		t.Fatal(err)
	}
	f.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(1e-3)})
	f.KillChild()
	if err := f.Attach(1, d1); err != nil {
		t.Fatal(err)
	}
	if !within(20*time.Second, func() bool {
		sendFrame(t, n0, 7)
		_, ok := receiveFrame(n1, 10*time.Millisecond)
		return ok
	}) {
		t.Fatalf("no frame: %q, %+v", f.Trouble(), f.Counters(0))
	}
}

// The descriptor of a device that is taken away stays open until no worker can be using
// it any more.
func TestDetachWaitsForWorkers(t *testing.T) {
	n0, d0, _ := socketPair(t)
	s, err := fabric.NewStepper(fabric.Config{Timeline: running(t), Workers: 1, Ports: []fabric.Port{{Name: "a", Device: d0}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseStepper()
	s.Start()
	detached := make(chan error, 1)
	go func() { detached <- s.Detach(0) }()
	if !within(10*time.Second, s.Woken) {
		t.Fatal("the worker is not asked to begin another turn")
	}
	select {
	case err := <-detached:
		t.Fatalf("Detach returned while the worker was in its turn: %v", err)
	case <-time.After(20 * time.Millisecond): // what is wrong shows sooner or not at all
	}
	if _, err := unix.Read(n0, make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("the device was closed while the worker was in its turn: %v", err)
	}
	s.Turn()
	if err := <-detached; err != nil {
		t.Fatal(err)
	}
	ended(t, n0)
}

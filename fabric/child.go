//go:build linux

package fabric

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/thread"
)

// childName is what a child process is called, by which Main knows it.
const childName = "orrery-fabric"

// Descriptors that a child has from its start.
const (
	childSocket = 3 + iota // messages, from both sides
	childMemory            // the stream of orders and the ledger
	childEvent             // an eventfd that wakes the reader of the stream
)

// message is what the two processes tell each other apart from orders. Each is one
// datagram of JSON, with descriptors where it says so.
type message struct {
	// To the child, in this order at first: Ports, with a descriptor for each that has a
	// device, in batches; Hosts and Places, in batches; and Start, with the descriptors
	// of the underlay's socket if there is one.
	Ports  []childPort `json:",omitempty"`
	Hosts  []childHost `json:",omitempty"`
	Places []Placement `json:",omitempty"`
	Start  *childStart `json:",omitempty"`
	// Later, each answered by Done or an Error: Attach a port's device, whose descriptor
	// comes along, or Detach it; Hosts and Places that have changed; and Report, answered
	// with the Underlay's status.
	Attach *PortID `json:",omitempty"`
	Detach *PortID `json:",omitempty"`
	Report bool    `json:",omitempty"`
	// Later as well: Capture a port into the pipe whose descriptor comes along; Stop that.
	Capture *PortID `json:",omitempty"`
	Stop    *PortID `json:",omitempty"`
	// From the child, once: Ready, or an Error.
	Ready bool   `json:",omitempty"`
	Error string `json:",omitempty"`
	// From the child, as an answer.
	Done     bool             `json:",omitempty"`
	Underlay *underlay.Status `json:",omitempty"`
}

type childPort struct {
	Name   string
	Node   int     `json:",omitempty"`
	Origin *Origin `json:",omitempty"`
	Device bool    `json:",omitempty"` // a descriptor comes along
}

type childHost struct {
	Name    string
	Address netip.AddrPort
}

// childStart is the part of a Config that is no descriptor.
type childStart struct {
	Workers    int
	Seed       uint64
	Memory     int
	SuperFrame time.Duration
	Ordinary   bool
	OneByOne   bool
	Spin       bool
	Timeline   clock.State
	Again      bool // another child had the devices before
	Underlay   *underlay.Config
}

const (
	// batchPorts in one message: their descriptors (SCM_MAX_FD is 253) and their
	// text, of some hundred bytes each, must fit.
	batchPorts = 128
	// batchPlaces in one message, of a hundred bytes each at most.
	batchPlaces = 1024
	messageSize = 192 << 10
	// childAnswers bounds the time from a child's start until it carries frames.
	childAnswers = 30 * time.Second
	// childEnds bounds the time from the end of the socket to the child's end.
	childEnds = 5 * time.Second
)

// child is the emulator's end of a child process.
type child struct {
	process *os.Process
	socket  int
	event   int
	gone    chan struct{} // closed when the process has ended
	reason  string        // valid then
}

// spawn starts a child and returns when it carries frames. The stream must be empty.
// It is started again if another one had the devices before.
func (p *Process) spawn(again bool) (*child, error) {
	c, err := p.startChild()
	if err != nil {
		return nil, fmt.Errorf("fabric: start the process that carries frames: %w", err)
	}
	if err := p.introduce(c, again); err != nil {
		_ = c.process.Kill()
		<-c.gone
		return nil, errors.Join(fmt.Errorf("fabric: start the process that carries frames: %w", err), c.close())
	}
	return c, nil
}

// startChild starts the process.
func (p *Process) startChild() (*child, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "fabric's socket")
	defer theirs.Close()
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), unix.Close(pair[0]))
	}
	c := &child{socket: pair[0], event: event, gone: make(chan struct{})}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	defer null.Close()
	duplicate, err := unix.FcntlInt(uintptr(event), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dup: %w", err), c.close())
	}
	wake := os.NewFile(uintptr(duplicate), "fabric's event")
	defer wake.Close()
	err = withPriority(!p.config.Ordinary, func() (err error) {
		c.process, err = os.StartProcess("/proc/self/exe", []string{childName}, &os.ProcAttr{
			Files: []*os.File{null, null, os.Stderr, theirs, p.shared, wake},
			// What ends the emulator by its process group leaves the end of the child to it.
			Sys: &syscall.SysProcAttr{Setpgid: true},
		})
		return err
	})
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	go func() {
		state, err := c.process.Wait()
		c.reason = "it cannot be waited for"
		if err == nil {
			c.reason = state.String()
		}
		close(c.gone)
	}()
	return c, nil
}

// withPriority runs f on a thread at real-time priority, if it is to be and the
// kernel allows it: a process that it starts inherits that, in all its threads.
//
// Go moves a goroutine that has run for 10 ms aside, and a thread that is tied to
// its goroutine, as a worker is, needs another thread to be given its turn again. At
// ordinary priority that thread waits behind every busy process of the host.
func withPriority(realTime bool, f func() error) error {
	return thread.Do(func() error {
		if realTime {
			thread.RealTimeForks()
		}
		err := f()
		if realTime {
			_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0)
		}
		return err
	})
}

// introduce tells a new child what it is to do.
func (p *Process) introduce(c *child, again bool) error {
	for from := 0; from < len(p.ports); from += batchPorts {
		var m message
		var fds []int
		for i, q := range p.config.Ports[from:min(from+batchPorts, len(p.ports))] {
			fd := int(p.ports[from+i].fd.Load())
			m.Ports = append(m.Ports, childPort{q.Name, q.Node, q.Origin, fd != noDevice})
			if fd != noDevice {
				fds = append(fds, fd)
			}
		}
		if err := c.send(&m, fds...); err != nil {
			return err
		}
	}
	for _, m := range p.whereabouts() {
		if err := c.send(m); err != nil {
			return err
		}
	}
	start := message{Start: &childStart{
		Workers: p.config.Workers, Seed: p.config.Seed, Memory: p.config.Memory, SuperFrame: p.config.SuperFrame,
		Ordinary: p.config.Ordinary, OneByOne: p.config.OneByOne, Spin: p.config.Spin, Timeline: p.config.Timeline.State(),
		Again: again, Underlay: p.config.Underlay,
	}}
	var fds []int
	if p.socket != nil {
		for _, f := range p.socket.Files() {
			fds = append(fds, int(f.Fd()))
		}
	}
	if err := c.send(&start, fds...); err != nil {
		return err
	}
	timeout := unix.NsecToTimeval(int64(childAnswers))
	if err := unix.SetsockoptTimeval(c.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return err
	}
	m, _, err := receive(c.socket)
	switch {
	case err != nil:
		return fmt.Errorf("no answer: %w", err)
	case m.Error != "":
		return errors.New(m.Error)
	case !m.Ready:
		return errors.New("an answer that makes no sense")
	}
	return nil
}

// call sends a message that is answered, and gives the answer. One call is made at a
// time.
func (c *child) call(m *message, fds ...int) (*message, error) {
	if err := c.send(m, fds...); err != nil {
		return nil, err
	}
	answer, _, err := receive(c.socket)
	switch {
	case err != nil:
		// Without an answer nobody knows what it has done: the next child is told all.
		_ = c.process.Kill()
		return nil, err
	case answer.Error != "":
		return nil, &refusedError{answer.Error}
	}
	return answer, nil
}

// refusedError is what a child says that cannot do what it was asked for.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// send a message and descriptors.
func (c *child) send(m *message, fds ...int) error { return send(c.socket, m, fds...) }

// wake the reader of the stream.
func (c *child) wake() {
	_, _ = unix.Write(c.event, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only if the counter is full
}

// close releases the emulator's end.
func (c *child) close() error { return errors.Join(unix.Close(c.socket), unix.Close(c.event)) }

// end makes the child end, and waits for it.
func (c *child) end() error {
	err := unix.Shutdown(c.socket, unix.SHUT_RDWR)
	select {
	case <-c.gone:
	case <-time.After(childEnds):
		err = errors.Join(err, c.process.Kill())
		<-c.gone
	}
	if errors.Is(err, unix.ENOTCONN) {
		err = nil // it had ended before
	}
	return errors.Join(err, c.close())
}

func send(socket int, m *message, fds ...int) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err = unix.Sendmsg(socket, data, rights, nil, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("sendmsg: %w", err)
	}
	return nil
}

// errEnd is the end of the other process.
var errEnd = errors.New("the other end is gone")

func receive(socket int) (m *message, fds []int, err error) {
	data := make([]byte, messageSize)
	rights := make([]byte, unix.CmsgSpace(4*batchPorts))
	var n, r int
	for {
		n, r, _, _, err = unix.Recvmsg(socket, data, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("recvmsg: %w", err)
	}
	if n == 0 {
		return nil, nil, errEnd
	}
	control, err := unix.ParseSocketControlMessage(rights[:r])
	if err != nil {
		return nil, nil, err
	}
	for i := range control {
		got, err := unix.ParseUnixRights(&control[i])
		if err != nil {
			return nil, nil, err
		}
		fds = append(fds, got...)
	}
	m = new(message)
	return m, fds, json.Unmarshal(data[:n], m)
}

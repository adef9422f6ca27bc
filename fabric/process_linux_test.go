package fabric_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

func TestMain(m *testing.M) {
	fabric.Main()
	if os.Getenv(agentVariable) != "" {
		agent()
	}
	os.Exit(m.Run())
}

func newProcess(tb testing.TB, c fabric.Config) *fabric.Process {
	tb.Helper()
	p, err := fabric.NewProcess(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// processOverSockets is a fabric of its own process whose ports are sockets.
func processOverSockets(t *testing.T, ports int) (*fabric.Process, *clock.Timeline, []int) {
	t.Helper()
	tl := running(t)
	c := fabric.Config{Timeline: tl, Workers: 1}
	nodes := make([]int, ports)
	for i := range nodes {
		var device *os.File
		nodes[i], device, _ = socketPair(t)
		t.Cleanup(func() { unix.Close(nodes[i]) })
		c.Ports = append(c.Ports, fabric.Port{Name: "p", Device: device})
	}
	return newProcess(t, c), tl, nodes
}

// sendFrame sends a frame with a number out of a node.
func sendFrame(t *testing.T, node int, number uint32) {
	t.Helper()
	m := make([]byte, tap.HeaderLen+60)
	binary.BigEndian.PutUint32(m[tap.HeaderLen:], number)
	if _, err := unix.Write(node, m); err != nil {
		t.Fatal(err)
	}
}

// receiveFrame gives the number of a frame that a node receives within d.
func receiveFrame(node int, d time.Duration) (number uint32, ok bool) {
	buf := make([]byte, 2000)
	ok = within(d, func() bool {
		n, err := unix.Read(node, buf)
		return err == nil && n >= tap.HeaderLen+4
	})
	return binary.BigEndian.Uint32(buf[tap.HeaderLen:]), ok
}

func TestProcessCarriesFrames(t *testing.T) {
	p, tl, nodes := processOverSockets(t, 300) // more than one message takes
	const delay = 3 * time.Millisecond
	for i := range nodes {
		p.Set(fabric.PortID(i), &fabric.Wire{Peer: fabric.PortID(i ^ 1), Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds())})
	}
	if err := p.SetCarriers(fabric.Carrier{Port: 0, Up: true}); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		began := time.Now()
		sendFrame(t, nodes[i], uint32(i))
		if number, ok := receiveFrame(nodes[i^1], 10*time.Second); !ok || number != uint32(i) {
			t.Fatalf("frame %d: got %d (%v)", i, number, ok)
		}
		if took := time.Since(began); took < delay-time.Millisecond { // a frame counts as sent a little before it was read
			t.Errorf("frame %d took %v, less than its delay", i, took)
		}
	}
	for i := range nodes {
		if c := p.Counters(fabric.PortID(i)); c.SentFrames != 1 || c.ReceivedFrames != 1 || c.SentBytes != 60 {
			t.Errorf("port %d: %+v", i, c)
		}
	}
	if f := p.Fidelity(); f.Lateness.Count() != uint64(len(nodes)) || f.Workers != 1 {
		t.Errorf("%d deliveries by %d workers", f.Lateness.Count(), f.Workers)
	}

	// A changed timeline is followed: an hour passes in 36 ms.
	tl.SetSpeed(100_000)
	if !within(10*time.Second, func() bool {
		sendFrame(t, nodes[0], 0)
		return p.Counters(0).DropNoLink > 0
	}) {
		t.Error("the contact does not end")
	}
	p.Set(2, nil)
	if err := p.SetCarriers(fabric.Carrier{Port: 2}); err != nil {
		t.Fatal(err)
	}
	if got := p.Trouble(); got != "" {
		t.Error(got)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
	if err := p.SetCarriers(fabric.Carrier{Port: 0}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("SetCarriers after Close: %v", err)
	}
	if c := p.Counters(1); c.SentFrames != 1 {
		t.Errorf("counters after Close: %+v", c)
	}
}

// A child that is killed is started again, and frames go on.
func TestProcessIsStartedAgain(t *testing.T) {
	p, _, nodes := processOverSockets(t, 4)
	for i := range nodes {
		p.Set(fabric.PortID(i), &fabric.Wire{Peer: fabric.PortID(i ^ 1), Contact: 1, End: time.Hour})
	}
	flows := func(a, b int) {
		t.Helper()
		if !within(20*time.Second, func() bool {
			sendFrame(t, nodes[a], 7)
			_, ok := receiveFrame(nodes[b], 10*time.Millisecond)
			return ok
		}) {
			t.Fatalf("no frame from %d to %d: %q", a, b, p.Trouble())
		}
	}
	flows(0, 1)
	for kill := range 3 {
		sent := p.Counters(0).SentFrames
		p.KillChild()
		// Wires are kept for the next child, whenever they are set.
		turn := fabric.PortID(1 + kill%2)
		p.Set(2, &fabric.Wire{Peer: turn, Contact: uint64(kill + 2), End: time.Hour})
		flows(2, int(turn))
		flows(0, 1)
		if got := p.Counters(0).SentFrames; got <= sent {
			t.Errorf("%d frames are counted, and were %d before", got, sent)
		}
		if !within(10*time.Second, func() bool { return strings.Contains(p.Trouble(), "was started again") }) || !strings.Contains(p.Trouble(), "killed") {
			t.Errorf("trouble: %q", p.Trouble())
		}
		if got := p.Fidelity().Interruptions; got != uint64(kill+1) {
			t.Errorf("%d interruptions after %d", got, kill+1)
		}
	}
}

// A child that hangs is seen to be silent, and one that goes on is not.
func TestProcessHangs(t *testing.T) {
	p, _, nodes := processOverSockets(t, 2)
	p.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
	if err := p.SetCarriers(fabric.Carrier{Port: 0, Up: true}); err != nil { // waits for the wire
		t.Fatal(err)
	}
	const long = 3 * time.Second
	lively := func() bool { return p.Fidelity().Silence < long }
	if !within(time.Minute, lively) {
		t.Fatalf("a new child is silent for %v", p.Fidelity().Silence)
	}
	if err := p.SignalChild(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if !within(time.Minute, func() bool { return !lively() }) {
		t.Errorf("a stopped child is silent for no longer than %v", p.Fidelity().Silence)
	}
	sendFrame(t, nodes[0], 5)
	if err := p.SignalChild(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !within(time.Minute, lively) {
		t.Errorf("a child that goes on is silent for %v", p.Fidelity().Silence)
	}
	if number, ok := receiveFrame(nodes[1], time.Minute); !ok || number != 5 {
		t.Errorf("received %d, %v after the child went on; trouble %q, counters %+v", number, ok, p.Trouble(), p.Counters(0))
	}
}

func TestProcessCaptures(t *testing.T) {
	p, _, nodes := processOverSockets(t, 2)
	p.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour})
	for range 2 {
		stream, stop, err := p.Capture(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Capture(0); !errors.Is(err, fabric.ErrCaptured) {
			t.Errorf("a second capture: %v", err)
		}
		// The stream begins as soon as the child captures.
		head := make([]byte, 4)
		if _, err := io.ReadFull(stream, head); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			sendFrame(t, nodes[0], uint32(i))
			receiveFrame(nodes[1], 10*time.Second)
		}
		stop()
		rest, err := io.ReadAll(stream)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
		r, err := pcapgo.NewNgReader(bytes.NewReader(append(head, rest...)), pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatal(err)
		}
		packets := 0
		for ; ; packets++ {
			if _, _, err := r.ReadPacketData(); err != nil {
				break
			}
		}
		if packets != 5 {
			t.Errorf("%d packets, want 5", packets)
		}
	}
}

// The devices of nodes, their carriers and their offloads.
func TestProcessOverDevices(t *testing.T) {
	a, b := newNamespace(t), newNamespace(t)
	p := newProcess(t, fabric.Config{Timeline: running(t), Ports: []fabric.Port{
		{Name: "a:fore", Device: a.port("fore", 1), Node: 1}, {Name: "b:aft", Device: b.port("aft", 2), Node: 2},
	}})
	listener := listenCarrier(a, "fore")
	connect(p, 0, 1, 1, time.Millisecond)
	if told := listener.told(); len(told) != 1 || !told[0] {
		t.Errorf("carriers told: %v", told)
	}
	if rtts := ping(a, b, 5); len(rtts) != 5 {
		t.Errorf("%d of 5 answers", len(rtts))
	}
	transfer(a, b, 4<<20)
	p.KillChild()
	if rtts := ping(a, b, 5); len(rtts) == 0 { // each waits for 2 s
		t.Errorf("no answer after a restart: %q", p.Trouble())
	}
	transfer(a, b, 4<<20)
}

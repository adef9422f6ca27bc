package fabric_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/tap"
)

// Forged frames are counted, and carried or dropped as the port's Origin says;
// a port without one sends whatever it likes.
func TestForgedFramesAreCounted(t *testing.T) {
	var src clock.Manual
	tl := clock.New(&src, 0, 1)
	tl.Resume()
	origin := fabric.Origin{MAC: [6]byte{2, 0, 0, 0, 1, 0}, LinkLocal: netip.MustParseAddr("fe80::1:0:1")}
	dropping := origin
	dropping.Drop = true
	c := fabric.Config{Timeline: tl, Workers: 1, Memory: 16 << 20}
	var nodes []int
	for _, o := range []*fabric.Origin{nil, &origin, &dropping, nil} {
		node, device, _ := socketPair(t)
		nodes = append(nodes, node)
		c.Ports = append(c.Ports, fabric.Port{Name: "p", Device: device, Origin: o})
	}
	e, err := fabric.NewStepper(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.CloseStepper()
	defer func() {
		for _, fd := range nodes {
			unix.Close(fd)
		}
	}()
	const sink = 3
	for i := range sink {
		e.Set(fabric.PortID(i), &fabric.Wire{Peer: sink, Contact: 1, End: time.Hour})
	}
	own := make([]byte, tap.HeaderLen+60)
	copy(own[tap.HeaderLen+6:], origin.MAC[:])
	forged := make([]byte, len(own))
	forged[tap.HeaderLen+6] = 4
	for i := range sink {
		for _, frame := range [][]byte{own, forged, forged} {
			if _, err := unix.Write(nodes[i], frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	e.Step()
	for i, want := range []fabric.Counters{{}, {Forged: 2}, {Forged: 2, DropForged: 2}} {
		want.SentFrames, want.SentBytes = 3, 180
		if got := e.Counters(fabric.PortID(i)); got != want {
			t.Errorf("port %d counts %+v, want %+v", i, got, want)
		}
	}
	if got := e.Counters(sink).ReceivedFrames; got != 3+3+1 {
		t.Errorf("%d frames arrived, want 7", got)
	}
}

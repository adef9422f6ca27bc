package fabric_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/tap"
)

// socketPair is a port without a device: what the node's end writes the fabric
// reads, and the other way round.
func socketPair(tb interface{ Fatal(...any) }, buffer int) (node int, device *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	device = os.NewFile(uintptr(fds[1]), "device")
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			tb.Fatal(err)
		}
		if buffer > 0 {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer)
		}
	}
	return fds[0], device
}

// The real worker, step by step on a manual clock, against memfabric: the same
// frames are delivered at the same instants in the same order, and the same are
// dropped for the same reasons.
func TestEngineAgainstModel(t *testing.T) {
	rapid.Check(t, checkModel)
}

func FuzzEngineAgainstModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkModel)) }

func checkModel(t *rapid.T) {
	var src clock.Manual
	tl := clock.New(&src, 0, 1)
	tl.Resume()
	ports := rapid.IntRange(2, 6).Draw(t, "ports")
	seed := rapid.Uint64().Draw(t, "seed")
	model := memfabric.New(tl, ports, seed)

	c := fabric.Config{Timeline: tl, Workers: rapid.IntRange(1, 2).Draw(t, "workers"), Seed: seed, Memory: 16 << 20}
	nodes := make([]int, ports)
	for i := range ports {
		var device *os.File
		nodes[i], device = socketPair(t, 8<<20)
		c.Ports = append(c.Ports, fabric.Port{Name: "p", Device: device})
	}
	real, err := fabric.NewStepper(c)
	if err != nil {
		t.Fatal(err)
	}
	defer real.CloseStepper()
	defer func() {
		for _, fd := range nodes {
			unix.Close(fd)
		}
	}()

	port := rapid.Map(rapid.IntRange(0, ports-1), func(i int) fabric.PortID { return fabric.PortID(i) })
	var serial uint64
	buf := make([]byte, 70<<10)
	compare := func() {
		t.Helper()
		real.Step()
		model.Run()
		rn, rok := real.Next()
		mn, mok := model.Next()
		if rok != mok || rn != mn {
			t.Fatalf("the next delivery is at %d (%v), want %d (%v)", rn, rok, mn, mok)
		}
		for i := range ports {
			// Frames of one sender keep their order; those of several may tie.
			want := map[fabric.PortID][][]byte{}
			for _, d := range model.Take(fabric.PortID(i)) {
				want[d.From] = append(want[d.From], d.Frame)
			}
			for {
				n, err := unix.Read(nodes[i], buf)
				if err != nil {
					break
				}
				frame := buf[tap.HeaderLen:n]
				from := fabric.PortID(frame[8])
				if len(want[from]) == 0 {
					t.Fatalf("port %d got frame %d of port %d, which was not due", i, binary.BigEndian.Uint64(frame), from)
				}
				if w := want[from][0]; !bytes.Equal(w, frame) {
					t.Fatalf("port %d got frame %d (%d bytes) of port %d, want %d (%d bytes)", i,
						binary.BigEndian.Uint64(frame), len(frame), from, binary.BigEndian.Uint64(w), len(w))
				}
				want[from] = want[from][1:]
			}
			for from, w := range want {
				if len(w) > 0 {
					t.Fatalf("port %d did not get %d frames of port %d", i, len(w), from)
				}
			}
			if g, w := real.Counters(fabric.PortID(i)), model.Counters(fabric.PortID(i)); g != w {
				t.Fatalf("port %d counts %+v, want %+v", i, g, w)
			}
		}
	}

	t.Repeat(map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			id := port.Draw(t, "port")
			var w *fabric.Wire
			if rapid.IntRange(0, 9).Draw(t, "connected") > 0 {
				w = drawWire(t, tl, port, model.Wire(id))
			}
			real.Set(id, w)
			model.Set(id, w)
		},
		"send": func(t *rapid.T) {
			id := port.Draw(t, "port")
			size := rapid.OneOf(rapid.IntRange(14, 1514), rapid.SampledFrom([]int{2037, 2038, 2039, 9014, 65549})).Draw(t, "size")
			for range rapid.IntRange(1, 5).Draw(t, "count") {
				serial++
				m := make([]byte, tap.HeaderLen+size)
				binary.BigEndian.PutUint64(m[tap.HeaderLen:], serial)
				m[tap.HeaderLen+8] = byte(id)
				for i := range m[tap.HeaderLen+9:] {
					m[tap.HeaderLen+9+i] = byte(serial) + byte(i)
				}
				if _, err := unix.Write(nodes[id], m); err != nil {
					t.Fatal(err)
				}
				model.Send(id, m[tap.HeaderLen:])
			}
		},
		"advance": func(t *rapid.T) {
			src.Advance(time.Duration(rapid.Int64Range(0, int64(20*time.Millisecond)).Draw(t, "by")))
		},
		"advance to next": func(t *rapid.T) {
			if at, ok := model.Next(); ok {
				src.Advance(time.Duration(max(0, at-src.Monotonic()-rapid.Int64Range(0, 1).Draw(t, "short"))))
			}
		},
		"time": func(t *rapid.T) {
			// Deliveries are judged at their instant: none may be due.
			compare()
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				tl.Pause()
			case 1:
				tl.Resume()
			case 2:
				tl.SetSpeed(rapid.SampledFrom([]float64{0.5, 1, 20}).Draw(t, "speed"))
			}
		},
		"": func(t *rapid.T) { compare() },
	})
	// Nothing is left behind.
	for i := range ports {
		real.Set(fabric.PortID(i), nil)
		model.Set(fabric.PortID(i), nil)
	}
	src.Advance(time.Hour)
	compare()
	if !real.Idle() {
		t.Fatal("buffers were lost")
	}
}

func drawWire(t *rapid.T, tl *clock.Timeline, port *rapid.Generator[fabric.PortID], old *fabric.Wire) *fabric.Wire {
	now := tl.Now()
	curveOf := func(name string, low, high float64) curve.Curve {
		v := rapid.Float64Range(low, high)
		if rapid.Bool().Draw(t, name+" is constant") {
			return curve.Constant(v.Draw(t, name))
		}
		slope := (high - low) / 2
		return curve.New([]curve.Segment{
			{Start: now, C: [4]float64{v.Draw(t, name), rapid.Float64Range(-slope, slope).Draw(t, name+"'")}},
			{Start: now + 10*time.Millisecond, C: [4]float64{v.Draw(t, name), 0, slope}},
		})
	}
	w := &fabric.Wire{
		Peer:    port.Draw(t, "peer"),
		Contact: rapid.Uint64Range(1, 3).Draw(t, "contact"),
		Start:   now + time.Duration(rapid.Int64Range(-1e6, 1e6).Draw(t, "start")),
		End:     now + time.Duration(rapid.Int64Range(0, 100e6).Draw(t, "end")),
	}
	if old != nil && rapid.Bool().Draw(t, "same contact") {
		w.Contact, w.Start, w.Peer = old.Contact, old.Start, old.Peer
	}
	if rapid.Bool().Draw(t, "delayed") {
		w.Delay = curveOf("delay", 0, 0.02)
	}
	if rapid.Bool().Draw(t, "limited") {
		w.Rate = curveOf("rate", 1e5, 1e9)
		w.Queue = rapid.SampledFrom([]int{0, 3000, 100_000}).Draw(t, "queue")
	}
	switch rapid.IntRange(0, 3).Draw(t, "loss") {
	case 0:
		w.Loss.Bernoulli = curveOf("bernoulli", 0, 1)
	case 1:
		p := rapid.Float64Range(0, 1)
		w.Loss.GilbertElliott = &fabric.GilbertElliott{
			GoodToBad: p.Draw(t, "g2b"), BadToGood: p.Draw(t, "b2g"), LossGood: p.Draw(t, "lossG"), LossBad: p.Draw(t, "lossB"),
		}
	}
	return w
}

package fabric_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
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
// An ordinary user gets the system's buffers only: roomy is false then.
func socketPair(tb interface{ Fatal(...any) }) (node int, device *os.File, roomy bool) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	device = os.NewFile(uintptr(fds[1]), "device")
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			tb.Fatal(err)
		}
		roomy = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20) == nil
	}
	return fds[0], device, roomy
}

// The real worker, step by step on a manual clock, against memfabric: the same
// frames are delivered at the same instants in the same order, and the same are
// dropped for the same reasons.
func TestEngineAgainstModel(t *testing.T) {
	for range 4 { // 400 runs: what goes wrong is rare
		rapid.Check(t, checkModel)
	}
}

func FuzzEngineAgainstModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkModel)) }

func checkModel(t *rapid.T) {
	var src clock.Manual
	tl := clock.New(&src, 0, 1)
	tl.Resume()
	ports := rapid.IntRange(2, 6).Draw(t, "ports")
	seed := rapid.Uint64().Draw(t, "seed")
	// rapid prefers small numbers; quantities come evenly from its seed.
	even := rand.New(rand.NewPCG(seed, 1))
	model := memfabric.New(tl, ports, seed)

	c := fabric.Config{Timeline: tl, Workers: rapid.IntRange(1, 2).Draw(t, "workers"), Seed: seed, Memory: 16 << 20}
	nodes := make([]int, ports)
	roomy := false
	for i := range ports {
		var device *os.File
		nodes[i], device, roomy = socketPair(t)
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

	underWay := func() (n uint64) {
		for i := range ports {
			c := model.Counters(fabric.PortID(i))
			n += c.SentFrames - c.ReceivedFrames - c.DropNoLink - c.DropQueue - c.DropLoss - c.DropInFlight
		}
		return n
	}
	for i := range ports {
		w := drawWire(t, even, tl, port, nil)
		real.Set(fabric.PortID(i), w)
		model.Set(fabric.PortID(i), w)
	}
	t.Repeat(map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			id := port.Draw(t, "port")
			var w *fabric.Wire
			if even.IntN(10) > 0 {
				w = drawWire(t, even, tl, port, model.Wire(id))
			}
			real.Set(id, w)
			model.Set(id, w)
		},
		"send": func(t *rapid.T) {
			for range rapid.IntRange(1, 20).Draw(t, "count") {
				id := fabric.PortID(even.IntN(ports))
				size := 14 + even.IntN(1500)
				if !roomy && underWay() > 40 {
					return
				}
				if roomy && even.IntN(8) == 0 {
					size = []int{2037, 2038, 2039, 9014, 65549}[even.IntN(5)]
				}
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
				compare() // the engine reads port by port, so one at a time
			}
		},
		"advance": func(t *rapid.T) {
			src.Advance(time.Duration(even.Int64N(int64(20*time.Millisecond)) >> even.IntN(8)))
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

func drawWire(t *rapid.T, even *rand.Rand, tl *clock.Timeline, port *rapid.Generator[fabric.PortID], old *fabric.Wire) *fabric.Wire {
	now := tl.Now()
	// Curves are steeper than any link's, so that frames would overtake.
	curveOf := func(name string, low, high float64) curve.Curve {
		v := func() float64 { return low + (high-low)*even.Float64() }
		if even.IntN(2) > 0 {
			return curve.Constant(v())
		}
		slope := (high - low) * 100
		return curve.New([]curve.Segment{
			{Start: now, C: [4]float64{v(), slope * (2*even.Float64() - 1)}},
			{Start: now + 10*time.Millisecond, C: [4]float64{v(), 0, slope}},
		})
	}
	w := &fabric.Wire{
		Peer:    port.Draw(t, "peer"),
		Contact: rapid.Uint64Range(1, 3).Draw(t, "contact"),
		Start:   now + time.Duration(even.Int64N(10e6)-9e6),
		End:     now + time.Duration(even.Int64N(100e6)),
	}
	if old != nil && even.IntN(4) > 0 {
		w.Contact, w.Start, w.Peer = old.Contact, old.Start, old.Peer
	}
	if even.IntN(4) > 0 {
		w.Delay = curveOf("delay", 0, 0.02)
	}
	if even.IntN(2) > 0 {
		w.Rate = curveOf("rate", 1e5, 1e9)
		w.Queue = []int{0, 3000, 100_000}[even.IntN(3)]
	}
	switch even.IntN(6) {
	case 0:
		w.Loss.Bernoulli = curveOf("bernoulli", 0, 1)
	case 1:
		w.Loss.GilbertElliott = &fabric.GilbertElliott{
			GoodToBad: even.Float64(), BadToGood: even.Float64(), LossGood: even.Float64(), LossBad: even.Float64(),
		}
	}
	return w
}

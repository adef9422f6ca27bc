package fabric_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/fabric/underlay/underlaytest"
	"orrery.dev/orrery/tap"
)

// Ports on several hosts, which move between them: the real workers against memfabric,
// both over an underlay in memory, on clocks that differ.
func TestHostsAgainstModel(t *testing.T) {
	for range 3 {
		rapid.Check(t, checkHosts)
	}
}

func FuzzHostsAgainstModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkHosts)) }

var hostNames = [3]string{"h0", "h1", "h2"}

func hostAddress(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("fd00::1"), uint16(7000+i))
}

// hostConfig is host i's end of a network.
func hostConfig(i int, n *underlaytest.Network) underlay.Config {
	return underlay.Config{
		Host: hostNames[i], Run: underlay.NewRun([]byte("model")), Key: bytes.Repeat([]byte{1}, underlay.MinKey), Conn: n.Conn(hostAddress(i)),
	}
}

// placed is what both fabrics of a host can do.
type placed interface {
	fabric.Fabric
	fabric.Attacher
	fabric.Placer
	fabric.UnderlayStatuser
}

// hostsModel is the real thing and the model, host by host.
type hostsModel struct {
	src       clock.Manual
	networks  [2]*underlaytest.Network // of the real thing and of the model
	timelines []*clock.Timeline
	real      []*fabric.Stepper
	model     []*memfabric.Fabric
	nodes     []int // descriptors of the nodes' ends, by port
	lives     []int // host of each port
	roomy     bool
	watched   bool // the test itself looks at what nodes receive
}

// all fabrics of host h.
func (m *hostsModel) all(h int) []placed { return []placed{m.real[h], m.model[h]} }

// place makes everybody know where a port lives.
func (m *hostsModel) place(t *rapid.T, port fabric.PortID) {
	for h := range m.real {
		if h == m.lives[port] {
			continue
		}
		for _, f := range m.all(h) {
			if err := f.Place(fabric.Placement{Port: port, Host: hostNames[m.lives[port]]}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// attach gives a port a device on the host that it lives on.
func (m *hostsModel) attach(t *rapid.T, port fabric.PortID) {
	var device *os.File
	m.nodes[port], device, m.roomy = socketPair(t)
	h := m.lives[port]
	if err := m.real[h].Attach(port, device); err != nil {
		t.Fatal(err)
	}
	if err := m.model[h].Attach(port, nil); err != nil {
		t.Fatal(err)
	}
}

func (m *hostsModel) detach(t *rapid.T, port fabric.PortID) {
	for _, f := range m.all(m.lives[port]) {
		if err := f.Detach(port); err != nil {
			t.Fatal(err)
		}
	}
	unix.Close(m.nodes[port])
}

func newHostsModel(t *rapid.T, hosts, ports int, seed uint64, latency time.Duration) *hostsModel {
	m := &hostsModel{nodes: make([]int, ports), lives: make([]int, ports)}
	path := underlaytest.Path{Latency: latency}
	for i := range m.networks {
		m.networks[i] = underlaytest.New(m.src.Monotonic, 1, path)
	}
	for h := range hosts {
		tl := clock.New(clock.Skewed{Source: &m.src, Ahead: time.Duration(h) * time.Hour}, 0, 1)
		tl.Resume()
		m.timelines = append(m.timelines, tl)
		u := hostConfig(h, m.networks[0])
		real, err := fabric.NewStepper(fabric.Config{
			Timeline: tl, Workers: 1, Seed: seed, Memory: 16 << 20, Ports: make([]fabric.Port, ports), Underlay: &u,
		})
		if err != nil {
			t.Fatal(err)
		}
		model := memfabric.New(tl, ports, seed)
		if err := model.Join(hostConfig(h, m.networks[1])); err != nil {
			t.Fatal(err)
		}
		for p := range ports {
			if err := model.Detach(fabric.PortID(p)); err != nil {
				t.Fatal(err)
			}
		}
		m.real, m.model = append(m.real, real), append(m.model, model)
	}
	for h := range hosts {
		for other := range hosts {
			if other == h {
				continue
			}
			for _, f := range m.all(h) {
				if err := f.SetHost(hostNames[other], hostAddress(other)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return m
}

func (m *hostsModel) close() {
	for h := range m.real {
		m.real[h].CloseStepper()
		_ = m.model[h].Close()
	}
	for _, fd := range m.nodes {
		unix.Close(fd)
	}
}

// up tells whether every host sends to every other one.
func (m *hostsModel) up() bool {
	for h := range m.real {
		for _, f := range m.all(h) {
			for _, p := range f.Underlay().Peers {
				if !p.Up {
					return false
				}
			}
		}
	}
	return true
}

// advance lets time pass, with a stop whenever a datagram comes in: one that was noticed
// late would tell something else of a clock.
func (m *hostsModel) advance(t *rapid.T, d time.Duration) {
	t.Helper()
	for end := m.src.Monotonic() + int64(d); ; {
		next := end
		for _, n := range m.networks {
			if at, ok := n.Next(); ok {
				next = min(next, at)
			}
		}
		m.src.Advance(time.Duration(max(next-m.src.Monotonic(), 0)))
		m.compare(t)
		if next == end {
			return
		}
	}
}

// flight is one of the ways that frames can take from a port: they keep their order on
// each.
type flight struct {
	port fabric.PortID
	host byte // that it lived on
}

// compare makes the workers' steps, and compares what has happened.
func (m *hostsModel) compare(t *rapid.T) {
	t.Helper()
	buf := make([]byte, 70<<10)
	for h := range m.real {
		m.real[h].Step()
		m.model[h].Run()
	}
	for h := range m.real {
		rn, rok := m.real[h].Next()
		mn, mok := m.model[h].Next()
		if rok != mok || rn != mn {
			t.Fatalf("host %d: the next delivery is at %d (%v), want %d (%v)", h, rn, rok, mn, mok)
		}
		for i := range m.nodes {
			if r, w := m.real[h].Counters(fabric.PortID(i)), m.model[h].Counters(fabric.PortID(i)); r != w {
				t.Fatalf("host %d: port %d counts %+v, want %+v", h, i, r, w)
			}
		}
	}
	if m.watched {
		return
	}
	for i, fd := range m.nodes {
		want := map[flight][][]byte{}
		for _, d := range m.model[m.lives[i]].Take(fabric.PortID(i)) {
			way := flight{d.From, d.Frame[9]}
			want[way] = append(want[way], d.Frame)
		}
		for {
			n, err := unix.Read(fd, buf)
			if err != nil || n == 0 {
				break
			}
			frame := buf[tap.HeaderLen:n]
			way := flight{fabric.PortID(frame[8]), frame[9]}
			if len(want[way]) == 0 {
				t.Fatalf("port %d got frame %d of %+v, which was not due", i, binary.BigEndian.Uint64(frame), way)
			}
			if w := want[way][0]; !bytes.Equal(w, frame) {
				t.Fatalf("port %d got frame %d (%d bytes) of %+v, want %d (%d bytes)", i,
					binary.BigEndian.Uint64(frame), len(frame), way, binary.BigEndian.Uint64(w), len(w))
			}
			want[way] = want[way][1:]
		}
		for way, w := range want {
			if len(w) > 0 {
				t.Fatalf("port %d did not get %d frames of %+v", i, len(w), way)
			}
		}
	}
}

func checkHosts(t *rapid.T) {
	hosts := rapid.IntRange(2, 3).Draw(t, "hosts")
	ports := rapid.IntRange(2, 6).Draw(t, "ports")
	seed := rapid.Uint64().Draw(t, "seed")
	latency := time.Duration(rapid.SampledFrom([]int64{1, 1e4, 1e6, 15e6}).Draw(t, "latency"))
	even := rand.New(rand.NewPCG(seed, 1))
	m := newHostsModel(t, hosts, ports, seed, latency)
	defer m.close()
	for i := range ports {
		m.lives[i] = even.IntN(hosts)
		m.attach(t, fabric.PortID(i))
		m.place(t, fabric.PortID(i))
	}
	for i := 0; !m.up(); i++ {
		if i > 1000 {
			t.Fatalf("no sessions within a second: %+v", m.real[0].Underlay())
		}
		m.advance(t, time.Millisecond)
	}

	port := rapid.Map(rapid.IntRange(0, ports-1), func(i int) fabric.PortID { return fabric.PortID(i) })
	set := func(id fabric.PortID, w *fabric.Wire, where []int) {
		for _, h := range where {
			for _, f := range m.all(h) {
				f.Set(id, w)
			}
		}
	}
	everywhere := make([]int, hosts)
	for h := range hosts {
		everywhere[h] = h
	}
	for i := range ports {
		set(fabric.PortID(i), drawWire(t, even, m.timelines[0], port, nil), everywhere)
	}
	// A link is two wires of one contact, as a rule.
	join := func(a, b fabric.PortID, w *fabric.Wire) {
		back := *w
		w.Peer, back.Peer = b, a
		set(a, w, everywhere)
		set(b, &back, everywhere)
	}
	var serial uint64
	send := func(id fabric.PortID) {
		size := 60 + even.IntN(1500)
		if m.roomy && even.IntN(8) == 0 {
			size = []int{2037, 2038, 2039, 9014, 65549}[even.IntN(5)]
		}
		serial++
		b := make([]byte, tap.HeaderLen+size)
		binary.BigEndian.PutUint64(b[tap.HeaderLen:], serial)
		b[tap.HeaderLen+8], b[tap.HeaderLen+9] = byte(id), byte(m.lives[id])
		for i := range b[tap.HeaderLen+10:] {
			b[tap.HeaderLen+10+i] = byte(serial) + byte(i)
		}
		if _, err := unix.Write(m.nodes[id], b); err != nil {
			t.Fatal(err)
		}
		m.model[m.lives[id]].Send(id, b[tap.HeaderLen:])
		m.compare(t) // the engine reads port by port, so one at a time
	}
	t.Repeat(map[string]func(*rapid.T){
		"join": func(t *rapid.T) {
			a, b := port.Draw(t, "a"), port.Draw(t, "b")
			join(a, b, drawWire(t, even, m.timelines[m.lives[a]], port, m.model[m.lives[a]].Wire(a)))
		},
		"set": func(t *rapid.T) {
			id := port.Draw(t, "port")
			var w *fabric.Wire
			if even.IntN(10) > 0 {
				w = drawWire(t, even, m.timelines[m.lives[id]], port, m.model[m.lives[id]].Wire(id))
			}
			set(id, w, []int{even.IntN(hosts)}) // a host may lag behind
		},
		"send": func(t *rapid.T) {
			for range rapid.IntRange(1, 20).Draw(t, "count") {
				if !m.roomy {
					return
				}
				send(fabric.PortID(even.IntN(ports)))
			}
		},
		"move": func(t *rapid.T) {
			id := port.Draw(t, "port")
			m.detach(t, id)
			m.lives[id] = even.IntN(hosts)
			m.attach(t, id)
			m.place(t, id)
		},
		"advance": func(t *rapid.T) {
			m.advance(t, time.Duration(even.Int64N(int64(20*time.Millisecond))>>even.IntN(8)))
		},
		"time": func(t *rapid.T) {
			m.compare(t) // deliveries are judged at their instant: none may be due
			what := rapid.IntRange(0, 2).Draw(t, "what")
			speed := rapid.SampledFrom([]float64{0.5, 1, 20}).Draw(t, "speed")
			for _, tl := range m.timelines {
				switch what {
				case 0:
					tl.Pause()
				case 1:
					tl.Resume()
				case 2:
					tl.SetSpeed(speed)
				}
			}
		},
		"": func(t *rapid.T) { m.compare(t) },
	})
	// Nothing is left behind.
	for i := range ports {
		set(fabric.PortID(i), nil, everywhere)
	}
	m.src.Advance(2 * time.Second)
	m.compare(t)
	m.src.Advance(time.Hour)
	m.compare(t)
	for h := range hosts {
		if !m.real[h].Idle() {
			t.Fatal("buffers were lost")
		}
		for _, p := range m.real[h].Underlay().Peers {
			if p.Lost+p.Unsent+p.Incomplete > 0 || p.Refused != (underlay.Refused{}) {
				t.Fatalf("the underlay lost or refused something: %+v", p)
			}
		}
	}
}

func constantBetween(even *rand.Rand, low, high float64) curve.Curve {
	return curve.Constant(max(0, low+(high-low)*even.Float64()))
}

// Ports on two hosts are like ports on one, as long as the delay of their links exceeds
// the underlay's latency: the same frames arrive, at the same instants.
func TestTwoHostsAreLikeOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ports = 4
		var src clock.Manual
		network := underlaytest.New(src.Monotonic, 1, underlaytest.Path{Latency: time.Millisecond})
		var timelines [2]*clock.Timeline
		var hosts [2]*memfabric.Fabric
		for h := range hosts {
			timelines[h] = clock.New(clock.Skewed{Source: &src, Ahead: time.Duration(h) * time.Minute}, 0, 1)
			hosts[h] = memfabric.New(timelines[h], ports, 1)
			if err := hosts[h].Join(hostConfig(h, network)); err != nil {
				t.Fatal(err)
			}
			for p := range ports {
				if p%2 == h {
					continue
				}
				if err := hosts[h].Detach(fabric.PortID(p)); err != nil {
					t.Fatal(err)
				}
				if err := hosts[h].Place(fabric.Placement{Port: fabric.PortID(p), Host: hostNames[1-h]}); err != nil {
					t.Fatal(err)
				}
			}
			if err := hosts[h].SetHost(hostNames[1-h], hostAddress(1-h)); err != nil {
				t.Fatal(err)
			}
		}
		whole := clock.New(&src, 0, 1)
		one := memfabric.New(whole, ports, 1)
		const step = 100 * time.Microsecond // the latency is a multiple: nothing is noticed late
		advance := func(d time.Duration) {
			for ; d > 0; d -= step {
				src.Advance(step)
				hosts[0].Run()
				hosts[1].Run()
				one.Run()
			}
		}
		advance(3 * time.Second)
		for _, tl := range []*clock.Timeline{timelines[0], timelines[1], whole} {
			tl.Resume()
		}
		even := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		contact := uint64(0)
		peer := [ports]int{-1, -1, -1, -1}
		set := func(port int, w *fabric.Wire) {
			for _, f := range []fabric.Fabric{hosts[0], hosts[1], one} {
				f.Set(fabric.PortID(port), w)
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			a := even.IntN(ports)
			b := (a + 1 + even.IntN(ports-1)) % ports
			if contact == 0 || even.IntN(3) == 0 {
				contact++
				w := fabric.Wire{Contact: contact, Start: whole.Now(), End: whole.Now() + time.Duration(even.Int64N(100e6))}
				w.Delay = constantBetween(even, 5e-3, 20e-3)
				w.Rate = constantBetween(even, 1e6, 1e9)
				w.Loss.Bernoulli = constantBetween(even, -0.5, 0.5)
				for _, end := range []int{peer[a], peer[b]} { // an end alone is connected to nothing
					if end >= 0 {
						set(end, nil)
						peer[end] = -1
					}
				}
				for _, end := range [][2]int{{a, b}, {b, a}} {
					v := w
					v.Peer = fabric.PortID(end[1])
					set(end[0], &v)
					peer[end[0]] = end[1]
				}
			}
			for range even.IntN(10) {
				p := even.IntN(ports)
				frame := make([]byte, 60+even.IntN(1500))
				hosts[p%2].Send(fabric.PortID(p), frame)
				one.Send(fabric.PortID(p), frame)
			}
			advance(time.Duration(even.IntN(200)) * step)
		}
		advance(time.Second)
		for p := range ports {
			id := fabric.PortID(p)
			got, want := hosts[p%2].Take(id), one.Take(id)
			if len(got) != len(want) {
				t.Fatalf("port %d got %d frames, want %d", p, len(got), len(want))
			}
			for i := range got {
				at := got[i].At - int64(p%2)*int64(time.Minute)
				if got[i].From != want[i].From || at != want[i].At || len(got[i].Frame) != len(want[i].Frame) {
					t.Fatalf("port %d, frame %d: from %d at %d, want from %d at %d", p, i, got[i].From, at, want[i].From, want[i].At)
				}
			}
		}
	})
}

// Frames keep their order though the underlay changes it: if a later one has not been
// delivered yet they wait for their turn, and else they are dropped.
func TestOrderIsKeptBetweenHosts(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay float64
		want  []byte
		lost  uint64
	}{{"in time", 5e-3, []byte{1, 2, 3, 4}, 0}, {"too late", 0, []byte{2, 3, 4}, 1}} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				m := newHostsModel(rt, 2, 2, 1, time.Millisecond)
				defer m.close()
				for p := range fabric.PortID(2) {
					m.lives[p] = int(p)
					m.attach(rt, p)
					m.place(rt, p)
				}
				for !m.up() {
					m.advance(rt, time.Millisecond)
				}
				for h := range m.real {
					for _, f := range m.all(h) {
						f.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(c.delay)})
						f.Set(1, &fabric.Wire{Peer: 0, Contact: 1, End: time.Hour, Delay: curve.Constant(c.delay)})
					}
				}
				// The first datagram with frames is held back, and comes after so many others.
				after := rapid.IntRange(1, 3).Draw(rt, "after")
				for _, n := range m.networks {
					var held []byte
					seen := 0
					n.Tamper(func(_, _ netip.AddrPort, d []byte) [][]byte {
						if d[3] != 3 {
							return [][]byte{d}
						}
						seen++
						switch seen {
						case 1:
							held = d
							return nil
						case 1 + after:
							return [][]byte{d, held}
						}
						return [][]byte{d}
					})
				}
				var got []byte
				receive := func() {
					buf := make([]byte, 2000)
					m.compare(rt) // what was written is read at this instant
					m.advance(rt, 100*time.Microsecond)
					for {
						n, err := unix.Read(m.nodes[1], buf)
						if err != nil || n == 0 {
							return
						}
						got = append(got, buf[tap.HeaderLen])
					}
				}
				m.watched = true
				for number := byte(1); number <= 4; number++ {
					frame := make([]byte, tap.HeaderLen+60)
					frame[tap.HeaderLen] = number
					if _, err := unix.Write(m.nodes[0], frame); err != nil {
						rt.Fatal(err)
					}
					m.model[0].Send(0, frame[tap.HeaderLen:])
					receive()
				}
				for range 100 {
					receive()
				}
				if !bytes.Equal(got, c.want) {
					rt.Errorf("frames %v arrived, want %v", got, c.want)
				}
				if n := m.real[1].Counters(0).DropUnderlay; n != c.lost {
					rt.Errorf("%d frames count as dropped for their order, want %d", n, c.lost)
				}
				var model []byte
				for _, d := range m.model[1].Take(1) {
					model = append(model, d.Frame[0])
				}
				if !bytes.Equal(model, c.want) {
					rt.Errorf("the model delivers %v, want %v", model, c.want)
				}
			})
		})
	}
}

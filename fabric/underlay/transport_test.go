package underlay_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/fabric/underlay/underlaytest"
)

// Whatever the network does to datagrams, each frame arrives at most once, as it was
// sent, with its instant told by the receiver's clock; and what is lost is counted.
func TestFramesArriveAsTheyWereSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := underlaytest.Path{
			Latency:     time.Duration(rapid.Int64Range(0, 20e6).Draw(t, "latency")),
			MaxDatagram: rapid.SampledFrom([]int{1232, 1300, 1452, 8952, 65487}).Draw(t, "max datagram"),
		}
		w := newWorld(t, path, rapid.Uint64().Draw(t, "seed"))
		w.up(t)
		lossy := rapid.Bool().Draw(t, "lossy")
		if lossy {
			path.Loss = rapid.Float64Range(0, 0.5).Draw(t, "loss")
		}
		path.Duplicate = rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "duplicate")
		jitter := rapid.Bool().Draw(t, "jitter")
		if jitter {
			path.Jitter = time.Duration(rapid.Int64Range(1, 5e6).Draw(t, "by"))
		}
		w.net.SetPath(addressA, addressB, path)
		sizes := make(map[uint64]int)
		due := make(map[uint64]int64)
		count := uint64(rapid.IntRange(1, 100).Draw(t, "frames"))
		for n := uint64(1); n <= count; n++ {
			size := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, 3000), rapid.SampledFrom([]int{1514, 9014, 65549, underlay.MaxPacket})).Draw(t, "size")
			sizes[n], due[n] = size, w.a.clock.Monotonic()+int64(n)
			if !w.put(t, w.a, n, size) {
				t.Fatalf("frame %d was not taken", n)
			}
			if rapid.IntRange(0, 9).Draw(t, "flush") == 0 {
				w.a.out.Flush()
				w.pass(time.Duration(rapid.Int64Range(0, 3e6).Draw(t, "pause")))
			}
		}
		w.a.out.Flush()
		w.pass(path.Latency + path.Jitter + time.Millisecond)

		ahead := w.b.clock.Monotonic() - w.a.clock.Monotonic()
		got := w.b.got
		for _, a := range got {
			n := a.Contact
			if !bytes.Equal(a.packet, packet(n, sizes[n])) {
				t.Fatalf("frame %d of %d bytes is another one, of %d bytes", n, sizes[n], len(a.packet))
			}
			delete(sizes, n)
			if off := a.Due - due[n] - ahead; off < -a.bound-1 || off > a.bound+1 {
				t.Errorf("frame %d is due %d ns off, more than %d", n, off, a.bound)
			}
			if a.Source != 1 || a.Destination != 2 {
				t.Errorf("frame %d: %+v", n, a.Header)
			}
		}
		s := w.peer(w.b)
		// In great disorder there is no room for all frames of which pieces are missing.
		if missing := uint64(len(sizes)); !lossy && missing > 0 && (!jitter || missing > s.Incomplete+16) {
			t.Errorf("%d frames have not arrived: %+v", missing, s)
		}
		if sent := w.peer(w.a).SentDatagrams; s.ReceivedDatagrams+s.Lost > sent || !lossy && s.Lost > 0 {
			t.Errorf("%d datagrams received and %d lost, of %d", s.ReceivedDatagrams, s.Lost, sent)
		}
		slices.SortStableFunc(got, func(x, y arrived) int { return int(x.order - y.order) })
		for i := range got[:max(len(got), 1)-1] {
			if got[i].Contact > got[i+1].Contact {
				t.Fatalf("frame %d is told to come after %d", got[i].Contact, got[i+1].Contact)
			}
		}
	})
}

// Datagrams are packed: many frames in each, and all but the last as large as the
// path allows.
func TestDatagramsAreFull(t *testing.T) {
	w := newWorld(t, underlaytest.Path{}, 1)
	w.up(t)
	var sizes []int
	w.net.Tamper(func(_, _ netip.AddrPort, d []byte) [][]byte {
		sizes = append(sizes, len(d))
		return [][]byte{d}
	})
	const count = 1000
	for n := range uint64(count) {
		w.put(t, w.a, n, 74)
	}
	w.a.out.Flush()
	w.net.Tamper(nil)
	w.pass(time.Millisecond)
	if len(w.b.got) != count {
		t.Fatalf("%d of %d frames arrived", len(w.b.got), count)
	}
	for i, s := range sizes[:len(sizes)-1] {
		const batch = (65535 - 48) / 1452
		if s != 1452 && (i+1)%batch != 0 {
			t.Errorf("datagram %d has %d bytes", i, s)
		}
	}
	if most := count*(74+28)/1300 + 2; len(sizes) > most {
		t.Errorf("%d datagrams for %d small frames, want %d at most", len(sizes), count, most)
	}
}

// attempts on an established pair: none changes anything but a counter.
func TestHostileDatagramsChangeNothing(t *testing.T) {
	w := newWorld(t, underlaytest.Path{Latency: time.Millisecond}, 1)
	var genuine [][]byte // from a to b
	w.net.Tamper(func(from, _ netip.AddrPort, d []byte) [][]byte {
		if from == addressA {
			genuine = append(genuine, slices.Clone(d))
		}
		return [][]byte{d}
	})
	w.up(t)
	for n := range uint64(20) {
		w.send(t, w.a, n, 500)
	}
	w.pass(100 * time.Millisecond)
	w.net.Tamper(nil)
	w.pass(100 * time.Millisecond)
	if len(w.b.got) != 20 {
		t.Fatalf("%d of 20 frames arrived", len(w.b.got))
	}
	before := w.peer(w.b)
	refused := func() (n uint64) {
		s := w.b.Status()
		for _, r := range []underlay.Refused{s.Refused, s.Peers[0].Refused} {
			n += r.Strangers + r.Versions + r.Runs + r.Sessions + r.Forged + r.Replayed + r.Malformed
		}
		return n
	}
	try := func(what string, d []byte) {
		t.Helper()
		was := refused()
		w.net.Inject(addressA, addressB, d)
		w.pass(2 * time.Millisecond)
		if len(w.b.got) != 20 {
			t.Fatalf("%s gave a frame", what)
		}
		if now := refused(); now != was+1 && d[3] != 1 { // a request that is repeated is answered
			t.Errorf("%s: %d refused, want 1", what, now-was)
		}
	}
	for i, d := range genuine {
		try(fmt.Sprintf("datagram %d once more", i), d)
		for cut := range len(d) {
			if cut%17 == i%17 && cut > 0 {
				try(fmt.Sprintf("datagram %d cut to %d bytes", i, cut), d[:cut])
			}
		}
		for at := range d {
			if at%23 == i%23 && at != 3 {
				x := slices.Clone(d)
				x[at] ^= 0x10
				if x[3] == 1 {
					continue // requests are looked at below
				}
				try(fmt.Sprintf("datagram %d with byte %d changed", i, at), x)
			}
		}
		if d[3] == 1 {
			x := slices.Clone(d)
			x[40] ^= 1
			was := w.b.Status().Refused.Forged
			w.net.Inject(addressA, addressB, x)
			w.pass(2 * time.Millisecond)
			if w.b.Status().Refused.Forged != was+1 {
				t.Errorf("a changed request was not refused")
			}
		}
	}
	after := w.peer(w.b)
	if !after.Up || after.Offset != before.Offset || after.Lost != before.Lost || after.Address != before.Address {
		t.Errorf("before %+v, after %+v", before, after)
	}
	w.send(t, w.a, 21, 500)
	w.pass(10 * time.Millisecond)
	if len(w.b.got) != 21 {
		t.Error("frames do not go on")
	}
}

// A peer that dies and comes back is talked to again, and its earlier life cannot be
// replayed.
func TestPeerComesBack(t *testing.T) {
	w := newWorld(t, underlaytest.Path{Latency: time.Millisecond}, 1)
	var past [][]byte
	w.net.Tamper(func(from, _ netip.AddrPort, d []byte) [][]byte {
		if from == addressB {
			past = append(past, slices.Clone(d))
		}
		return [][]byte{d}
	})
	for life := range 3 {
		w.up(t)
		if !w.send(t, w.a, 1, 100) || !w.send(t, w.b, 2, 100) {
			t.Fatal("a frame was not taken")
		}
		w.pass(5 * time.Millisecond)
		if len(w.a.got) != life+1 || len(w.b.got) != 1 {
			t.Fatalf("life %d: a has %d frames, b %d", life, len(w.a.got), len(w.b.got))
		}
		for _, h := range []*host{w.a, w.b} {
			if s := w.peer(h); s.Lost != 0 {
				t.Errorf("life %d: %d datagrams are missing that nobody has sent", life, s.Lost)
			}
		}
		if err := w.b.Close(); err != nil {
			t.Fatal(err)
		}
		w.b = w.host(t, addressB, func(*underlay.Config) {})
		if life == 1 {
			w.pass(5 * time.Second) // noticed
			if w.send(t, w.a, 3, 100) {
				t.Error("a frame to a peer that is gone was taken")
			}
			if s := w.peer(w.a); s.Up || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "last heard 5s ago") {
				t.Errorf("%+v", s)
			}
		}
		w.meet(t)
		w.pass(time.Second)
	}
	w.up(t)
	got := len(w.a.got)
	for _, d := range past {
		w.net.Inject(addressB, addressA, d)
		w.pass(2 * time.Millisecond)
	}
	if len(w.a.got) != got {
		t.Error("frames of an earlier life arrived")
	}
	if !w.send(t, w.b, 4, 100) {
		t.Error("the session was lost by replays")
	}
	w.pass(5 * time.Millisecond)
	if len(w.a.got) != got+1 {
		t.Error("frames do not go on")
	}
}

// Nothing is sent to a peer that does not have the keys yet.
func TestPeerMustKnow(t *testing.T) {
	w := newWorld(t, underlaytest.Path{Latency: time.Millisecond}, 1)
	w.net.Tamper(func(from, _ netip.AddrPort, d []byte) [][]byte {
		if from == addressA && d[3] == 2 { // what would let b know a's session
			return nil
		}
		return [][]byte{d}
	})
	w.pass(time.Second)
	if s := w.peer(w.a); s.Up || s.Heard < 0 {
		t.Errorf("%+v", s)
	}
	if w.send(t, w.a, 1, 100) {
		t.Error("a frame was taken that nobody can open")
	}
	w.net.Tamper(nil)
	w.up(t)
	if !w.send(t, w.a, 2, 100) {
		t.Error("no frame is taken though the peer knows")
	}
}

// Both ends say why they do not talk.
func TestSkewIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*underlay.Config)
		want   string
		in     string
	}{
		{"release", func(c *underlay.Config) { c.Release = "v2" }, "run the same release", "release"},
		{"run", func(c *underlay.Config) { c.Run = underlay.NewRun([]byte("another")) }, "give both the same scenario and epoch", "run"},
		{"key", func(c *underlay.Config) { c.Key = bytes.Repeat([]byte{2}, underlay.MinKey) }, "does not answer", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, underlaytest.Path{Latency: time.Millisecond}, 1)
			if err := w.b.Close(); err != nil {
				t.Fatal(err)
			}
			w.b = w.host(t, addressB, c.change)
			w.meet(t)
			w.pass(time.Second)
			for _, h := range []*host{w.a, w.b} {
				s := w.peer(h)
				if s.Up || s.Differs != c.in || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], c.want) {
					t.Errorf("host %s: up %v, differs in %q, %q", h.Status().Host, s.Up, s.Differs, s.Warnings)
				}
				if w.send(t, h, 1, 100) {
					t.Error("a frame was taken")
				}
				if r := h.Status().Refused; r.Versions+r.Runs+r.Forged == 0 {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// A later version is told from a forgery, as long as it keeps what all versions have in
// common.
func TestOtherVersionIsTold(t *testing.T) {
	w := newWorld(t, underlaytest.Path{Latency: time.Millisecond}, 1)
	w.net.Inject(addressA, addressB, underlay.HelloOfVersion(bytes.Repeat([]byte{1}, underlay.MinKey), 2))
	w.pass(2 * time.Millisecond)
	if s := w.b.Status(); s.Refused.Versions != 1 || s.Peers[0].Differs != "version" || len(s.Peers[0].Warnings) != 1 || !strings.Contains(s.Peers[0].Warnings[0], "version 2") {
		t.Errorf("%+v", s)
	}
	w.net.Inject(addressA, addressB, underlay.HelloOfVersion(bytes.Repeat([]byte{2}, underlay.MinKey), 2))
	w.pass(2 * time.Millisecond)
	if s := w.b.Status(); s.Refused.Versions != 1 || s.Refused.Forged != 1 {
		t.Errorf("%+v", s.Refused)
	}
	// It is over as soon as an answer comes.
	w.up(t)
	if s := w.peer(w.b); s.Differs != "" || len(s.Warnings) != 0 {
		t.Errorf("differs in %q, %q", s.Differs, s.Warnings)
	}
}

// What is told of a peer's clock and of latency is true.
func TestStatusOfClocks(t *testing.T) {
	w := newWorld(t, underlaytest.Path{Latency: 2 * time.Millisecond}, 1)
	w.up(t)
	w.pass(10 * time.Second)
	w.send(t, w.a, 1, 100)
	w.pass(5 * time.Millisecond)
	s := w.peer(w.b)
	if s.Offset != -time.Hour || s.RoundTrip != 4*time.Millisecond || s.Uncertainty < 2*time.Millisecond || s.Uncertainty > 3*time.Millisecond {
		t.Errorf("%+v", s)
	}
	if s.LatencyP50 != 2*time.Millisecond || s.LatencyP99 != 2*time.Millisecond {
		t.Errorf("latency %v, %v", s.LatencyP50, s.LatencyP99)
	}
	if s.Late != 0 || len(s.Warnings) != 0 {
		t.Errorf("%d late, %q", s.Late, s.Warnings)
	}
	w.b.keep = func(a *underlay.Arrival) bool { a.Late(int64(time.Second)); return true }
	w.send(t, w.a, 2, 100)
	w.pass(5 * time.Millisecond)
	if s := w.peer(w.b); s.Late != 1 || s.LateMax != time.Second || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "after they were due, by 1s at most") {
		t.Errorf("%d late, %q", s.Late, s.Warnings)
	}
}

func TestPeersAreForgotten(t *testing.T) {
	w := newWorld(t, underlaytest.Path{}, 1)
	w.up(t)
	if err := w.a.SetPeer("b", netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if w.send(t, w.a, 1, 100) || len(w.a.Status().Peers) != 0 {
		t.Error("a peer is not forgotten")
	}
	w.send(t, w.b, 2, 100)
	w.pass(time.Millisecond)
	if len(w.a.got) != 0 || w.a.Status().Refused.Sessions != 1 {
		t.Errorf("%d frames of a forgotten peer, refused %+v", len(w.a.got), w.a.Status().Refused)
	}
	w.meet(t)
	w.up(t)
	w.send(t, w.b, 3, 100)
	w.pass(time.Millisecond)
	if len(w.a.got) != 1 {
		t.Error("no frame of a peer that is known again")
	}
}

// A path that becomes narrower is learned from what is refused.
func TestPathBecomesNarrower(t *testing.T) {
	w := newWorld(t, underlaytest.Path{MaxDatagram: 8952}, 1)
	w.up(t)
	w.net.SetPath(addressA, addressB, underlaytest.Path{MaxDatagram: 1300})
	w.send(t, w.a, 1, 5000) // lost
	w.send(t, w.a, 2, 5000)
	w.pass(2 * time.Millisecond)
	if len(w.b.got) != 1 || w.b.got[0].Contact != 2 || w.peer(w.a).Unsent != 1 || w.peer(w.a).Datagram != 1300 {
		t.Errorf("%d frames, %+v", len(w.b.got), w.peer(w.a))
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, change := range []func(*underlay.Config){
		func(c *underlay.Config) { c.Host = "" },
		func(c *underlay.Config) { c.Host = strings.Repeat("x", 65) },
		func(c *underlay.Config) { c.Release = strings.Repeat("x", 65) },
		func(c *underlay.Config) { c.Key = c.Key[1:] },
		func(c *underlay.Config) { c.MaxDatagram = 1000 },
		func(c *underlay.Config) { c.MaxDatagram = 70_000 },
		func(c *underlay.Config) { c.Conn = nil },
	} {
		c := underlay.Config{Host: "a", Key: make([]byte, underlay.MinKey), Conn: underlaytest.New(nil, 1, underlaytest.Path{}).Conn(addressA), Now: func() int64 { return 0 }}
		change(&c)
		if _, err := underlay.New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	w := newWorld(t, underlaytest.Path{}, 1)
	for name, at := range map[string]string{"": "[::1]:1", "a": "[::1]:1", "c": "[fe80::1%lo]:1", "d": "[::]:1", "e": "[::1]:0"} {
		if err := w.a.SetPeer(name, netip.MustParseAddrPort(at)); err == nil {
			t.Errorf("host %q at %s is accepted", name, at)
		}
	}
}

// Any bytes that a stranger sends.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("Or\x01\x01"))
	f.Add(binary.BigEndian.AppendUint64([]byte("Or\x01\x03"), 0))
	w := newWorld(f, underlaytest.Path{}, 1)
	w.up(f)
	f.Fuzz(func(t *testing.T, d []byte) {
		w.net.Inject(addressB, addressA, d)
		w.pass(time.Millisecond)
		if len(w.a.got) > 0 {
			t.Fatal("a frame was made of nothing")
		}
		if !w.peer(w.a).Up {
			t.Fatalf("the session was lost: %+v", w.peer(w.a))
		}
	})
}

// No memory is allocated for a frame, in either direction.
func TestFramesAllocateNothing(t *testing.T) {
	w := newWorld(t, underlaytest.Path{}, 1)
	w.up(t)
	wire := new(loop)
	ends := [2]*underlay.Transport{}
	for i, name := range []string{"a", "b"} {
		var err error
		ends[i], err = underlay.New(underlay.Config{
			Host: name, Key: make([]byte, underlay.MinKey), Conn: &loopEnd{loop: wire, end: i}, Now: w.clock.Monotonic,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"b", "a"} {
		if err := ends[i].SetPeer(name, addressA); err != nil {
			t.Fatal(err)
		}
	}
	sink := new(counting)
	for range 10 {
		w.clock.Advance(time.Second)
		for _, asking := range ends {
			asking.Poll(w.clock.Monotonic())
			for range 2 {
				for _, e := range ends {
					if _, err := e.Receive(sink); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	out := ends[0].NewOutbox(0)
	p, _ := ends[0].Peer("b")
	small, large := packet(1, 74), packet(1, 1514)
	h := underlay.Header{Contact: 1}
	once := func() {
		for range 20 {
			if !out.Send(w.clock.Monotonic(), p, &h, small) || !out.Send(w.clock.Monotonic(), p, &h, large) {
				t.Fatalf("a frame was not taken: %+v", ends[0].Status())
			}
		}
		out.Flush()
		if _, err := ends[1].Receive(sink); err != nil {
			t.Fatal(err)
		}
	}
	once()
	if n := testing.AllocsPerRun(100, once); n > 0 {
		t.Errorf("%v allocations for 40 frames", n)
	}
	if sink.n < 40*100 {
		t.Errorf("%d frames arrived", sink.n)
	}
}

type counting struct{ n int }

// Arrive counts.
func (c *counting) Arrive(*underlay.Arrival) bool { c.n++; return true }

// loop is a network without memory of its own between two ends.
type loop struct {
	queue [2][]byte // what each end is to receive
	size  [2]int
}

type loopEnd struct {
	*loop
	end int
}

func (l *loopEnd) Send(_ netip.AddrPort, b []byte, size int) error {
	l.queue[1-l.end] = append(l.queue[1-l.end][:0], b...)
	l.size[1-l.end] = size
	return nil
}

func (l *loopEnd) Receive(b *underlay.Batch) error {
	b.N = 0
	if q := l.queue[l.end]; len(q) > 0 {
		m := &b.Messages[0]
		m.Length, m.Size, m.From, b.N = copy(m.Buffer, q), l.size[l.end], addressA, 1
		l.queue[l.end] = q[:0]
	}
	return nil
}

func (l *loopEnd) MaxDatagram(netip.AddrPort) (int, error) { return 1452, nil }
func (l *loopEnd) Descriptor() int                         { return -1 }
func (l *loopEnd) Close() error                            { return nil }

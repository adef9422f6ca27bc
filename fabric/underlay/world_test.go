package underlay_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/fabric/underlay/underlaytest"
)

var (
	addressA = netip.MustParseAddrPort("[fd00::a]:7000")
	addressB = netip.MustParseAddrPort("[fd00::b]:7000")
)

// host is one end.
type host struct {
	*underlay.Transport
	out   *underlay.Outbox
	clock clock.Source
	got   []arrived
	keep  func(*underlay.Arrival) bool // nil: all
}

type arrived struct {
	underlay.Header
	stream *underlay.Stream
	order  int64
	packet []byte
	bound  int64 // of the error of Due, in ns
}

// Arrive keeps a frame.
func (h *host) Arrive(a *underlay.Arrival) bool {
	if h.keep != nil && !h.keep(a) {
		return false
	}
	h.got = append(h.got, arrived{a.Header, a.Stream, a.Order, slices.Clone(a.Packet), int64(h.Status().Peers[0].Uncertainty)})
	return true
}

// world is two hosts and what joins them.
type world struct {
	clock clock.Manual
	net   *underlaytest.Network
	a, b  *host
}

func newWorld(t rapid.TB, p underlaytest.Path, seed uint64) *world {
	w := new(world)
	w.clock.Advance(time.Hour)
	w.net = underlaytest.New(w.clock.Monotonic, seed, p)
	w.a = w.host(t, addressA, func(*underlay.Config) {})
	w.b = w.host(t, addressB, func(*underlay.Config) {})
	w.meet(t)
	return w
}

// host makes an end that is called by the last letter of its address.
func (w *world) host(t rapid.TB, at netip.AddrPort, change func(*underlay.Config)) *host {
	t.Helper()
	h := &host{clock: clock.Skewed{Source: &w.clock, Ahead: time.Duration(at.Addr().As16()[15]) * time.Hour}}
	c := underlay.Config{
		Host: nameOf(at), Run: underlay.NewRun([]byte("scenario")), Release: "v1", Key: bytes.Repeat([]byte{1}, underlay.MinKey),
		Conn: w.net.Conn(at), Now: h.clock.Monotonic,
	}
	change(&c)
	var err error
	if h.Transport, err = underlay.New(c); err != nil {
		t.Fatal(err)
	}
	h.out = h.NewOutbox(0)
	return h
}

func nameOf(at netip.AddrPort) string { return strings.Trim(at.Addr().String(), "fd0:") }

func (w *world) meet(t rapid.TB) {
	t.Helper()
	if err := w.a.SetPeer("b", addressB); err != nil {
		t.Fatal(err)
	}
	if err := w.b.SetPeer("a", addressA); err != nil {
		t.Fatal(err)
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	const step = time.Millisecond
	for ; d > 0; d -= step {
		w.clock.Advance(min(d, step))
		for _, h := range []*host{w.a, w.b} {
			h.Poll(h.clock.Monotonic())
			for {
				if n, err := h.Receive(h); n == 0 || err != nil {
					break
				}
			}
		}
	}
}

// up waits until both ends send.
func (w *world) up(t rapid.TB) {
	t.Helper()
	for range 20_000 {
		if w.peer(w.a).Up && w.peer(w.b).Up {
			return
		}
		w.pass(time.Millisecond)
	}
	t.Fatalf("no session within 20 s: %+v, %+v", w.a.Status(), w.b.Status())
}

func (w *world) peer(h *host) underlay.PeerStatus { return h.Status().Peers[0] }

// send sends a frame of a number to the other host and flushes.
func (w *world) send(t rapid.TB, h *host, number uint64, size int) bool {
	t.Helper()
	ok := w.put(t, h, number, size)
	h.out.Flush()
	return ok
}

func (w *world) put(t rapid.TB, h *host, number uint64, size int) bool {
	t.Helper()
	to := "b"
	if h == w.b {
		to = "a"
	}
	p, err := h.Peer(to)
	if err != nil {
		t.Fatal(err)
	}
	now := h.clock.Monotonic()
	return h.out.Send(now, p, &underlay.Header{Due: now + int64(number), Contact: number, Source: 1, Destination: 2}, packet(number, size))
}

// packet of a size whose content follows from its number.
func packet(number uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(number>>(8*(i%8))) ^ byte(i/8)
	}
	return b
}

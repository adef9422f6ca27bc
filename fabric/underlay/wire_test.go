package underlay

import (
	"bytes"
	"net/netip"
	"testing"
)

// nowhere is a Conn that takes everything and gives nothing.
type nowhere struct{}

func (nowhere) Send(netip.AddrPort, []byte, int) error  { return nil }
func (nowhere) Receive(b *Batch) error                  { b.N = 0; return nil }
func (nowhere) MaxDatagram(netip.AddrPort) (int, error) { return 1452, nil }
func (nowhere) Descriptor() int                         { return -1 }
func (nowhere) Close() error                            { return nil }

// frames counts what arrives, and looks at all of it.
type frames struct{ n, bytes int }

func (f *frames) Arrive(a *Arrival) bool {
	f.n++
	for range a.Packet {
		f.bytes++
	}
	return len(a.Packet) > 0 && len(a.Packet) <= MaxPacket
}

// together are two transports that have a session with each other without having sent
// anything: what the first one's session seals the second one's opens.
func together(tb testing.TB) (from, to *session) {
	tb.Helper()
	var transports [2]*Transport
	for i, name := range []string{"a", "b"} {
		t, err := New(Config{Host: name, Key: bytes.Repeat([]byte{7}, MinKey), Conn: nowhere{}, Now: func() int64 { return 1 }})
		if err != nil {
			tb.Fatal(err)
		}
		transports[i] = t
	}
	var sessions [2]*session
	for i, t := range transports {
		other := transports[1-i]
		p, err := t.Peer(other.config.Host)
		if err != nil {
			tb.Fatal(err)
		}
		if sessions[i], err = p.newSession(other.session); err != nil {
			tb.Fatal(err)
		}
		t.enter(p, sessions[i])
		p.estimate.Store(&estimate{})
	}
	return sessions[0], sessions[1]
}

// sealed is a datagram with a content of any kind.
func (s *session) sealed(number uint64, content []byte) []byte {
	b := make([]byte, dataHeader, dataRoom+len(content))
	t := s.peer.transport
	copy(b, []byte{magic0, magic1, Version, kindData})
	copy(b[atRun:], t.config.Run[:runSize])
	copy(b[atSession:], t.session[:sessionIDSize])
	for i := range 8 {
		b[atSequence+i] = byte(number >> (56 - 8*i))
	}
	plain := append(make([]byte, sentSize), content...)
	return s.seal.Seal(b, b[atNonce:dataHeader], plain, b)
}

// Whatever an authentic datagram says, nothing but frames or a refusal comes of it.
func FuzzRecords(f *testing.F) {
	message := make([]byte, messageHeader+60)
	whole := make([]byte, recordHeader)
	putRecord(whole, &record{kind: recordFrame}, len(message))
	f.Add(append(whole, message...), []byte{})
	piece := make([]byte, recordHeader+pieceHeader)
	putRecord(piece, &record{kind: recordPiece, total: len(message)}, 40)
	rest := make([]byte, recordHeader+pieceHeader)
	putRecord(rest, &record{kind: recordPiece, back: 1, offset: 40, total: len(message)}, len(message)-40)
	f.Add(append(piece, message[:40]...), append(rest, message[40:]...))
	f.Add([]byte{0, 0, 0, 0}, []byte{255, 255, 2, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, one, two []byte) {
		from, to := together(t)
		var got frames
		for i, content := range [][]byte{one, two} {
			to.take(from.sealed(uint64(i), content), 1, &got)
		}
		c := &to.peer.counts
		if n := c.refused.forged.Load() + c.refused.replayed.Load(); n > 0 {
			t.Errorf("%d authentic datagrams were refused as forged or replayed", n)
		}
		if got.bytes > len(one)+len(two) {
			t.Errorf("%d bytes were told of %d", got.bytes, len(one)+len(two))
		}
	})
}

func FuzzHello(f *testing.F) {
	key := bytes.Repeat([]byte{1}, macSize)
	h := hello{kind: kindAnswer, known: 5, t1: 1, t2: -2, t3: 3, from: "a", to: "host-b", release: "v1"}
	f.Add(h.encode(nil, key))
	f.Add(make([]byte, helloFixed+macSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := decodeHello(b)
		if !ok {
			return
		}
		again := h.encode(nil, key)
		if got := append([]byte{magic0, magic1, Version}, b[atKind:len(b)-macSize]...); !bytes.Equal(got, again[:len(again)-macSize]) {
			t.Errorf("%x was understood as %+v, which is %x", b, h, again)
		}
		if !authentic(key, again) {
			t.Error("its own code is refused")
		}
		again[len(again)/2] ^= 1
		if authentic(key, again) {
			t.Error("a changed one is authentic")
		}
	})
}

// Keys differ by everything that they are derived from.
func TestKeysDiffer(t *testing.T) {
	key := bytes.Repeat([]byte{7}, MinKey)
	seen := make(map[string]string)
	try := func(what string, key []byte, run Run, from, to string, s, r sessionNumber) {
		t.Helper()
		c, err := dataCipher(key, run, from, to, s, r)
		if err != nil {
			t.Fatal(err)
		}
		sealed := string(c.Seal(nil, make([]byte, 12), []byte("the same"), nil))
		if other, ok := seen[sealed]; ok {
			t.Errorf("the key does not differ by %s from that of %s", what, other)
		}
		seen[sealed] = what
	}
	s, r := sessionNumber{1}, sessionNumber{2}
	try("nothing", key, Run{}, "ab", "c", s, r)
	try("the shared key", bytes.Repeat([]byte{8}, MinKey), Run{}, "ab", "c", s, r)
	try("the run", key, Run{31: 1}, "ab", "c", s, r)
	try("the hosts", key, Run{}, "a", "bc", s, r)
	try("the direction", key, Run{}, "c", "ab", s, r)
	try("the sender's session", key, Run{}, "ab", "c", sessionNumber{15: 1}, r)
	try("the receiver's session", key, Run{}, "ab", "c", s, sessionNumber{15: 1})
	try("the order of sessions", key, Run{}, "ab", "c", r, s)
}

func TestRunsDiffer(t *testing.T) {
	a, b := NewRun([]byte("ab"), []byte("c")), NewRun([]byte("a"), []byte("bc"))
	if a == b || a.String() == b.String() {
		t.Errorf("%v and %v", a, b)
	}
	if a != NewRun([]byte("ab"), []byte("c")) {
		t.Error("the same parts give another run")
	}
}

package underlay

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// listen opens a socket of loopback, or of all addresses.
func listen(tb rapid.TB, at string) *Socket {
	tb.Helper()
	s, err := Listen(netip.MustParseAddrPort(at))
	if err != nil {
		tb.Skipf("cannot listen at %s: %v", at, err)
	}
	return s
}

// Datagrams come out of a socket as they went into another, whether the kernel cuts and
// joins them or not.
func TestSocketsCarryDatagrams(t *testing.T) {
	for _, c := range []struct{ name, from, to, via string }{
		{"IPv6", "[::1]:0", "[::1]:0", "::1"},
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"both to IPv4", "[::]:0", "[::]:0", "127.0.0.1"},
		{"both to IPv6", "[::]:0", "[::]:0", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := listen(t, c.from), listen(t, c.to)
			defer from.Close()
			defer to.Close()
			at := netip.AddrPortFrom(netip.MustParseAddr(c.via), to.Address().Port())
			can := from.segment.Load()
			rapid.Check(t, func(t *rapid.T) {
				from.segment.Store(can && rapid.Bool().Draw(t, "segment"))
				size := rapid.IntRange(1, 9000).Draw(t, "size")
				count := rapid.IntRange(1, min(batchDatagrams, batchSize/size)).Draw(t, "count")
				last := rapid.IntRange(1, size).Draw(t, "last")
				b := make([]byte, (count-1)*size+last)
				for i := range b {
					b[i] = byte(i / size * 31)
				}
				if err := from.Send(at, b, size); err != nil {
					t.Fatal(err)
				}
				batch := newBatch()
				for got, deadline := 0, time.Now().Add(10*time.Second); got < count; {
					if time.Now().After(deadline) {
						t.Fatalf("%d of %d datagrams came", got, count)
					}
					if err := to.Receive(batch); err != nil {
						t.Fatal(err)
					}
					for _, m := range batch.Messages[:batch.N] {
						if want := netip.AddrPortFrom(netip.MustParseAddr(c.via), from.Address().Port()); netip.AddrPortFrom(m.From.Addr().Unmap(), m.From.Port()) != want {
							t.Fatalf("it came from %v, want %v", m.From, want)
						}
						data := m.Buffer[:m.Length]
						for len(data) > 0 {
							n := min(len(data), size)
							if m.Size > 0 {
								n = min(len(data), m.Size)
							}
							want := b[got*size : min((got+1)*size, len(b))]
							if !bytes.Equal(data[:n], want) {
								t.Fatalf("datagram %d has %d bytes, want %d", got, n, len(want))
							}
							data = data[n:]
							got++
						}
					}
				}
			})
		})
	}
}

func TestSocketLimits(t *testing.T) {
	s := listen(t, "[::1]:0")
	defer s.Close()
	to := netip.MustParseAddrPort("[::1]:9")
	n, err := s.MaxDatagram(to)
	if err != nil || n < minDatagram {
		t.Errorf("the largest datagram on loopback has %d bytes, %v", n, err)
	}
	for _, segment := range []bool{true, false} {
		s.segment.Store(segment)
		if err := s.Send(to, make([]byte, 65535), 65535); err == nil {
			t.Error("a datagram that is too long was taken")
		}
	}
	v4 := listen(t, "127.0.0.1:0")
	defer v4.Close()
	if _, err := v4.MaxDatagram(to); err == nil {
		t.Error("an IPv4 socket reaches an IPv6 address")
	}
	if err := v4.Send(to, []byte{1}, 1); err == nil {
		t.Error("an IPv4 socket sends to an IPv6 address")
	}
	if _, err := Listen(v4.Address()); err == nil {
		t.Error("an address was taken twice")
	}
	batch := newBatch()
	if err := v4.Receive(batch); err != nil || batch.N != 0 {
		t.Errorf("nothing is %d messages, %v", batch.N, err)
	}
}

// A socket can be handed to another process.
func TestSocketIsHandedOver(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	at := s.Address()
	var fds []int
	for _, f := range s.Files() {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	other, err := NewSocket(fds)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.Address() != at {
		t.Errorf("it hears at %v, want %v", other.Address(), at)
	}
	if _, err := other.MaxDatagram(netip.MustParseAddrPort("127.0.0.1:9")); err != nil {
		t.Error(err)
	}
	if err := other.Send(at, []byte("itself"), 10); err != nil {
		t.Fatal(err)
	}
	batch := newBatch()
	for deadline := time.Now().Add(10 * time.Second); batch.N == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing came")
		}
		if err := other.Receive(batch); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewSocket(fds[:1]); err == nil {
		t.Error("half a socket is one")
	}
}

// No memory is allocated for sending and receiving.
func TestSocketAllocatesNothing(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	defer s.Close()
	at := s.Address()
	b, batch := make([]byte, 10_000), newBatch()
	for _, segment := range []bool{s.segment.Load(), false} {
		s.segment.Store(segment)
		if n := testing.AllocsPerRun(100, func() {
			if err := s.Send(at, b, 1400); err != nil {
				t.Fatal(err)
			}
			if err := s.Receive(batch); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%v allocations (segmentation by the kernel: %v)", n, segment)
		}
	}
}

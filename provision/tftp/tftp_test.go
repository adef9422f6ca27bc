package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func loopback() (net.PacketConn, error) { return net.ListenPacket("udp6", "[::1]:0") }

// outcome is what Done was told.
type outcome struct {
	name string
	sent int64
	err  error
}

// serve starts a server of a directory, and gives its address and what it says of transfers.
func serve(t testing.TB, dir string, change func(*Server)) (net.Addr, <-chan outcome) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := loopback()
	if err != nil {
		t.Skipf("no IPv6 on loopback, which this test needs: %v", err)
	}
	done := make(chan outcome, 100)
	s := &Server{
		Open:    func(name string) (File, error) { return root.Open(name) },
		Done:    func(_ netip.Addr, name string, sent int64, err error) { done <- outcome{name, sent, err} },
		Timeout: 50 * time.Millisecond, Tries: 100,
	}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, conn, loopback) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		conn.Close()
		root.Close()
	})
	return conn.LocalAddr(), done
}

// client fetches files and loses packets as it is told.
type client struct {
	conn    net.PacketConn
	options []option
	lose    func() bool // whether the next data packet is lost
	agreed  map[string]string
}

type refused struct {
	code int
	text string
}

func (r *refused) Error() string { return fmt.Sprintf("error %d: %s", r.code, r.text) }

func readRequest(file string, options ...option) []byte {
	p := []byte("\x00\x01" + file + "\x00octet\x00")
	for _, o := range options {
		p = append(p, o.name+"\x00"+o.value+"\x00"...)
	}
	return p
}

func (c *client) fetch(server net.Addr, file string) ([]byte, error) {
	var content []byte
	block, window, to := 512, 1, server
	last := readRequest(file, c.options...)
	if _, err := c.conn.WriteTo(last, to); err != nil {
		return nil, err
	}
	ack := func(n int) error {
		last = binary.BigEndian.AppendUint16([]byte{0, opAck}, uint16(n))
		_, err := c.conn.WriteTo(last, to)
		return err
	}
	next, inWindow := 1, 0
	p := make([]byte, 65536)
	for silence := 0; silence < 200; {
		_ = c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, from, err := c.conn.ReadFrom(p)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			silence++
			if _, err := c.conn.WriteTo(last, to); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		silence, to = 0, from
		switch binary.BigEndian.Uint16(p) {
		case opError:
			return content, &refused{int(binary.BigEndian.Uint16(p[2:])), string(bytes.TrimRight(p[4:n], "\x00"))}
		case opOACK:
			words := strings.Split(string(p[2:n]), "\x00")
			c.agreed = map[string]string{}
			for i := 0; i+1 < len(words); i += 2 {
				c.agreed[words[i]] = words[i+1]
			}
			if v, err := strconv.Atoi(c.agreed["blksize"]); err == nil {
				block = v
			}
			if v, err := strconv.Atoi(c.agreed["windowsize"]); err == nil {
				window = v
			}
			if next == 1 {
				if err := ack(0); err != nil {
					return nil, err
				}
			}
		case opData:
			if c.lose != nil && c.lose() {
				continue
			}
			if got := binary.BigEndian.Uint16(p[2:]); got != uint16(next) {
				// What is missing is asked for by acknowledging what is there; once per gap.
				if int16(got-uint16(next)) > 0 && inWindow >= 0 {
					inWindow = -1
					if err := ack(next - 1); err != nil {
						return nil, err
					}
				}
				continue
			}
			content = append(content, p[4:n]...)
			inWindow = max(inWindow, 0) + 1
			if n-4 < block || inWindow == window {
				inWindow = 0
				if err := ack(next); err != nil {
					return nil, err
				}
			}
			if n-4 < block {
				return content, nil
			}
			next++
		}
	}
	return nil, errors.New("the server is silent")
}

// TestModel compares what arrives with what was sent, for any size, options and
// losses.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	server, _ := serve(t, dir, nil)
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.IntRange(8, 1400).Draw(t, "block")
		size := rapid.OneOf(rapid.IntRange(0, 5000), rapid.Just(block), rapid.Just(3*block)).Draw(t, "size")
		window := rapid.IntRange(1, 80).Draw(t, "window")
		seed := rapid.Uint64().Draw(t, "seed")
		loss := rapid.IntRange(0, 2).Draw(t, "loss")
		random := rand.New(rand.NewPCG(seed, 1))
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		if err := os.WriteFile(filepath.Join(dir, "f"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		conn, err := loopback()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{conn: conn, options: []option{{"tsize", "0"}, {"blksize", strconv.Itoa(block)}, {"windowsize", strconv.Itoa(window)}}}
		budget := 3
		c.lose = func() bool {
			if budget > 0 && random.IntN(20) < loss {
				budget--
				return true
			}
			return false
		}
		got, err := c.fetch(server, "/f")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, content) {
			t.Fatalf("%d bytes arrived of %d, or others", len(got), len(content))
		}
		if c.agreed["tsize"] != strconv.Itoa(size) || c.agreed["windowsize"] != strconv.Itoa(min(window, defaultWindow)) {
			t.Fatalf("agreed %v", c.agreed)
		}
	})
}

// Block numbers have 16 bits.
func TestWrap(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 8*70000/16)
	if err := os.WriteFile(filepath.Join(dir, "f"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	server, done := serve(t, dir, nil)
	conn, err := loopback()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := (&client{conn: conn, options: []option{{"blksize", "8"}, {"windowsize", "64"}}}).fetch(server, "f")
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes of %d, %v", len(got), len(content), err)
	}
	if o := <-done; o.err != nil || o.sent != int64(len(content)) || o.name != "f" {
		t.Errorf("told %+v", o)
	}
}

func TestRefused(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "served")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	server, _ := serve(t, dir, nil)
	for file, code := range map[string]int{
		"none": codeNotFound, "sub": codeAccess, "link": codeAccess,
		"../secret": codeAccess, "sub/../../secret": codeAccess, "/../secret": codeAccess, filepath.Join(top, "secret"): codeNotFound,
	} {
		conn, err := loopback()
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&client{conn: conn}).fetch(server, file)
		var r *refused
		if !errors.As(err, &r) || r.code != code || len(got) != 0 {
			t.Errorf("%s: %q, %v, want error %d", file, got, err, code)
		}
		conn.Close()
	}
	for _, bad := range []string{"\x00\x02f\x00octet\x00", "\x00\x01f\x00mail\x00", "\x00\x01f", "\x00\x09"} {
		conn, err := loopback()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteTo([]byte(bad), server); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if n, _, err := conn.ReadFrom(p); err != nil || n < 4 || p[1] != opError {
			t.Errorf("%q: %q, %v", bad, p[:n], err)
		}
		conn.Close()
	}
}

// A client's limits hold against what it asks for.
func TestLimits(t *testing.T) {
	r := request{options: []option{{"blksize", "9000"}, {"windowsize", "32"}, {"tsize", "0"}, {"x", "1"}, {"timeout", "0"}, {"timeout", "255"}}}
	got := negotiate(r, 7, Limits{Block: 512, Window: 1})
	want := fmt.Sprint(terms{512, 1, 0, []option{{"blksize", "512"}, {"windowsize", "1"}, {"tsize", "7"}}})
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(readRequest("a/b", option{"blksize", "1428"}, option{"TSIZE", "0"}))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := decodeRequest(p)
		if err != nil {
			return
		}
		terms := negotiate(r, 100, Limits{})
		if terms.block < minBlock || terms.block > maxBlock || terms.window < 1 || terms.window > defaultWindow {
			t.Errorf("%+v", terms)
		}
		if len(encodeOACK(terms.agreed)) > maxRequest+100 {
			t.Error("the answer is larger than the request")
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte{0, opAck, 0, 1})
	f.Add([]byte("\x00\x05\x00\x08no\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := decodeReply(p)
		if err == nil && len(r.gone) > 500 {
			t.Errorf("%d bytes of error", len(r.gone))
		}
	})
}

package tftp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// A File is what is sent.
type File interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

// Server serves files. Its fields must not change while it serves.
type Server struct {
	// Open opens a file by the name that a client gave, without slashes before it. It
	// decides what may be read: os.Root is one that cannot be led outside.
	Open func(name string) (File, error)
	// Limits of a client, by its address; nil for none.
	Limits func(client netip.Addr) Limits
	// Done is told of every transfer: how many bytes were sent, and what ended it, nil when the
	// client has acknowledged all. It may be nil.
	Done func(client netip.Addr, name string, sent int64, err error)
	// Timeout before what was not acknowledged is sent again, 1 s by default, and Tries.
	Timeout time.Duration
	Tries   int
	// Transfers at once; more are refused. 64 by default.
	Transfers int
}

func (s *Server) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return time.Second
}

func (s *Server) tries() int {
	if s.Tries > 0 {
		return s.Tries
	}
	return 6
}

// Serve answers requests that arrive at conn until the context ends, then it ends all
// transfers and returns nil. Sockets of transfers are opened by listen at the address at which conn
// stands.
func (s *Server) Serve(ctx context.Context, conn net.PacketConn, listen func() (net.PacketConn, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var transfers sync.WaitGroup
	defer transfers.Wait()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	most := s.Transfers
	if most == 0 {
		most = 64
	}
	slots := make(chan struct{}, most)
	active := &clients{at: map[string]bool{}}
	p := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(p)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("TFTP requests cannot be received: %w", err)
		}
		r, err := decodeRequest(p[:n])
		if err != nil {
			if n >= 2 && binary.BigEndian.Uint16(p) != opError { // errors are never answered
				_, _ = conn.WriteTo(encodeError(codeIllegal, err.Error()), from)
			}
			continue
		}
		if r.op == opWrite {
			_, _ = conn.WriteTo(encodeError(codeAccess, "nothing is written here"), from)
			continue
		}
		// A request that is repeated, since its answer is late, begins no second transfer.
		if !active.enter(from) {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			active.leave(from)
			_, _ = conn.WriteTo(encodeError(codeUndefined, "too many transfers, try again"), from)
			continue
		}
		transfers.Go(func() {
			defer func() { active.leave(from); <-slots }()
			sent, err := s.transfer(ctx, r, from, listen)
			if s.Done != nil {
				s.Done(Address(from), r.file, sent, err)
			}
		})
	}
}

// clients are those with a transfer.
type clients struct {
	mu sync.Mutex
	at map[string]bool
}

func (c *clients) enter(a net.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[a.String()] {
		return false
	}
	c.at[a.String()] = true
	return true
}

func (c *clients) leave(a net.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, a.String())
}

// Address is the IP address of a UDP address, without zone.
func Address(a net.Addr) netip.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// transfer sends one file.
func (s *Server) transfer(ctx context.Context, r request, to net.Addr, listen func() (net.PacketConn, error)) (int64, error) {
	conn, err := listen()
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	refuse := func(code int, text string) { _, _ = conn.WriteTo(encodeError(code, text), to) }

	f, err := s.Open(strings.TrimLeft(r.file, "/"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			refuse(codeNotFound, "there is no such file")
		} else {
			refuse(codeAccess, "this may not be read")
		}
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is not a file", r.file)
	}
	if err != nil {
		refuse(codeAccess, "this may not be read")
		return 0, err
	}
	var limits Limits
	if s.Limits != nil {
		limits = s.Limits(Address(to))
	}
	t := &transfer{ctx: ctx, conn: conn, to: to, file: f, size: info.Size(), terms: negotiate(r, info.Size(), limits), timeout: s.timeout(), tries: s.tries()}
	if t.terms.timeout > 0 {
		t.timeout = time.Duration(t.terms.timeout) * time.Second
	}
	return t.run()
}

// transfer is the sending of one file under terms.
type transfer struct {
	ctx     context.Context
	conn    net.PacketConn
	to      net.Addr
	file    File
	size    int64
	terms   terms
	timeout time.Duration
	tries   int
	p       [2048]byte
}

// errTimeout is what silence for all tries ends with.
var errTimeout = errors.New("the client has fallen silent")

// blocks is how many there are; the last is shorter than the others, and may be empty.
func (t *transfer) blocks() int64 { return t.size/int64(t.terms.block) + 1 }

func (t *transfer) run() (int64, error) {
	acked := int64(0) // all blocks up to this one
	if len(t.terms.agreed) > 0 {
		oack := encodeOACK(t.terms.agreed)
		if _, err := t.until(func() error { return t.send(oack) }, func(block uint16) (int64, bool) { return 0, block == 0 }); err != nil {
			return 0, err
		}
	}
	for acked < t.blocks() {
		last := min(acked+int64(t.terms.window), t.blocks())
		next, err := t.until(
			func() error { return t.sendBlocks(acked+1, last) },
			func(block uint16) (int64, bool) {
				// The number within the window that ends in these 16 bits. A client that lost a
				// block acknowledges the one before it, and the window goes on from there.
				ahead := int64(block - uint16(acked))
				return acked + ahead, ahead > 0 && acked+ahead <= last
			})
		if err != nil {
			return min(acked*int64(t.terms.block), t.size), err
		}
		acked = next
	}
	return t.size, nil
}

func (t *transfer) send(p []byte) error {
	_, err := t.conn.WriteTo(p, t.to)
	return err
}

// sendBlocks sends the blocks from first to last, which count from 1.
func (t *transfer) sendBlocks(first, last int64) error {
	p := make([]byte, 4+t.terms.block)
	for n := first; n <= last; n++ {
		binary.BigEndian.PutUint16(p, opData)
		binary.BigEndian.PutUint16(p[2:], uint16(n))
		want := min(int64(t.terms.block), t.size-(n-1)*int64(t.terms.block))
		got, err := t.file.ReadAt(p[4:4+want], (n-1)*int64(t.terms.block))
		if int64(got) < want {
			if err == nil || errors.Is(err, io.EOF) {
				err = errors.New("the file has become shorter")
			}
			_ = t.send(encodeError(codeUndefined, "the file cannot be read"))
			return err
		}
		if err := t.send(p[:4+want]); err != nil {
			return err
		}
	}
	return nil
}

// until sends until an acknowledgement is the one that is waited for, and returns what accept
// makes of it. An acknowledgement of something older is not answered: that would double all
// packets from then on (RFC 1123, section 4.2.3.1).
func (t *transfer) until(send func() error, accept func(block uint16) (int64, bool)) (int64, error) {
	for range t.tries {
		if err := send(); err != nil {
			return 0, err
		}
		if err := t.conn.SetReadDeadline(time.Now().Add(t.timeout)); err != nil {
			return 0, err
		}
		for {
			if t.ctx.Err() != nil {
				_ = t.send(encodeError(codeUndefined, "the server ends"))
				return 0, t.ctx.Err()
			}
			n, from, err := t.conn.ReadFrom(t.p[:])
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return 0, err
			}
			if from.String() != t.to.String() {
				_, _ = t.conn.WriteTo(encodeError(codeUnknownTID, "this port is another client's"), from)
				continue
			}
			r, err := decodeReply(t.p[:n])
			if err != nil {
				continue // not of this transfer
			}
			if r.gone != "" {
				return 0, fmt.Errorf("the client has ended the transfer: %s", r.gone)
			}
			if block, ok := accept(r.block); ok {
				return block, nil
			}
		}
	}
	return 0, errTimeout
}

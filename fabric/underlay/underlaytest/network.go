// Package underlaytest is an underlay in memory: a network of datagrams with the
// latency, loss and disorder that a test chooses, on the test's clock. It is the double
// of [underlay.Socket]; everything above the socket is the real thing.
package underlaytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"orrery.dev/orrery/fabric/underlay"
)

// Path is what datagrams meet in one direction between two hosts.
type Path struct {
	Latency time.Duration
	// Jitter is added evenly between 0 and this: datagrams may overtake each other.
	Jitter time.Duration
	// Loss and Duplicate are probabilities of each datagram.
	Loss, Duplicate float64
	// MaxDatagram is the largest that passes, in bytes; 0 is 1452, that of Ethernet. What
	// is larger is refused at its sender.
	MaxDatagram int
}

const ethernet = 1500 - 48

// Network joins Conns. Its methods may be called by any goroutine.
type Network struct {
	now func() int64

	mu      sync.Mutex // guards the rest
	conns   map[netip.AddrPort]*Conn
	paths   map[[2]netip.AddrPort]Path
	usual   Path
	rng     *rand.Rand
	tamper  func(from, to netip.AddrPort, datagram []byte) [][]byte
	ordinal uint64
}

// New makes a network whose time is now, in ns, and whose randomness comes from seed.
// Paths are usual ones until SetPath.
func New(now func() int64, seed uint64, usual Path) *Network {
	return &Network{
		now: now, usual: usual, conns: make(map[netip.AddrPort]*Conn), paths: make(map[[2]netip.AddrPort]Path),
		rng: rand.New(rand.NewPCG(seed, 0)),
	}
}

// SetPath changes what datagrams meet from now on between two addresses, in that
// direction.
func (n *Network) SetPath(from, to netip.AddrPort, p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[[2]netip.AddrPort{from, to}] = p
}

// Tamper has f say what becomes of each datagram: whatever f returns is sent in its
// place. Nil leaves them alone.
func (n *Network) Tamper(f func(from, to netip.AddrPort, datagram []byte) [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tamper = f
}

// Inject sends a datagram that nobody has sent.
func (n *Network) Inject(from, to netip.AddrPort, datagram []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.send(from, to, datagram)
}

// Next is the instant at which the next datagram comes in; ok is false if none is
// under way.
func (n *Network) Next() (at int64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		if len(c.queue) > 0 && (!ok || c.queue[0].at < at) {
			at, ok = c.queue[0].at, true
		}
	}
	return at, ok
}

// Conn makes an end of the network, in place of one that had the address before.
func (n *Network) Conn(at netip.AddrPort) *Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &Conn{network: n, at: at}
	n.conns[at] = c
	return c
}

// Conn is an [underlay.Conn].
type Conn struct {
	network *Network
	at      netip.AddrPort
	queue   []datagram // by instant of coming in; network.mu guards it
	closed  bool
}

var _ underlay.Conn = (*Conn)(nil)

type datagram struct {
	at      int64
	ordinal uint64
	from    netip.AddrPort
	data    []byte
}

// path is called with n.mu held.
func (n *Network) path(from, to netip.AddrPort) Path {
	p, ok := n.paths[[2]netip.AddrPort{from, to}]
	if !ok {
		p = n.usual
	}
	if p.MaxDatagram == 0 {
		p.MaxDatagram = ethernet
	}
	return p
}

// send is called with n.mu held.
func (n *Network) send(from, to netip.AddrPort, data []byte) {
	p, c := n.path(from, to), n.conns[to]
	if c == nil || n.rng.Float64() < p.Loss {
		return
	}
	copies := 1
	if n.rng.Float64() < p.Duplicate {
		copies = 2
	}
	for range copies {
		n.ordinal++
		d := datagram{n.now() + int64(p.Latency), n.ordinal, from, slices.Clone(data)}
		if p.Jitter > 0 {
			d.at += n.rng.Int64N(int64(p.Jitter))
		}
		i, _ := slices.BinarySearchFunc(c.queue, d, func(a, b datagram) int {
			if a.at != b.at {
				return int(min(max(a.at-b.at, -1), 1))
			}
			return int(int64(a.ordinal - b.ordinal))
		})
		c.queue = slices.Insert(c.queue, i, d)
	}
}

// Send sends datagrams.
func (c *Conn) Send(to netip.AddrPort, b []byte, size int) error {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return os.ErrClosed
	}
	if largest := n.path(c.at, to).MaxDatagram; min(size, len(b)) > largest {
		return fmt.Errorf("a datagram of %d bytes where %d pass", min(size, len(b)), largest)
	}
	for len(b) > 0 {
		d := b[:min(size, len(b))]
		b = b[len(d):]
		if n.tamper == nil {
			n.send(c.at, to, d)
			continue
		}
		for _, d := range n.tamper(c.at, to, slices.Clone(d)) {
			n.send(c.at, to, d)
		}
	}
	return nil
}

// Receive takes what has come in.
func (c *Conn) Receive(b *underlay.Batch) error {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return os.ErrClosed
	}
	now := n.now()
	for b.N = 0; b.N < len(b.Messages) && len(c.queue) > 0 && c.queue[0].at <= now; b.N++ {
		m := &b.Messages[b.N]
		m.Length = copy(m.Buffer, c.queue[0].data)
		m.Size, m.From = m.Length, c.queue[0].from
		c.queue = c.queue[1:]
	}
	return nil
}

// MaxDatagram is that of the path.
func (c *Conn) MaxDatagram(to netip.AddrPort) (int, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	return c.network.path(c.at, to).MaxDatagram, nil
}

// Descriptor is none: a test asks the transport by itself.
func (c *Conn) Descriptor() int { return -1 }

// Close takes the end out of the network, if no other has its address by now.
func (c *Conn) Close() error {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return errors.New("closed twice")
	}
	c.closed = true
	if n.conns[c.at] == c {
		delete(n.conns, c.at)
	}
	return nil
}

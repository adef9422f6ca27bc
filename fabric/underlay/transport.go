package underlay

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Conn is where datagrams leave and come in: a [Socket], or a double of it
// (package underlaytest).
type Conn interface {
	// Send sends the datagrams that b consists of, each of them size bytes long
	// but the last, which may be shorter. It does not wait; b is free again when it
	// returns. Several threads may call it at once.
	Send(to netip.AddrPort, b []byte, size int) error
	// Receive takes what has come in, as far as there is room in batch, without
	// waiting. One thread at a time may call it.
	Receive(batch *Batch) error
	// MaxDatagram is the largest datagram that fits the path to an address without
	// being fragmented, as far as is known, in bytes without IP and UDP headers.
	MaxDatagram(to netip.AddrPort) (int, error)
	// Descriptor to wait with for something to come in; -1 if there is none.
	Descriptor() int
	Close() error
}

// Batch is room for what one call of Receive takes.
type Batch struct {
	Messages []Message
	N        int // how many of them were filled
}

// Message is one datagram, or several of one origin.
type Message struct {
	Buffer []byte // room for MessageSize bytes
	Length int    // of what came in
	Size   int    // of each datagram in it but the last, which may be shorter
	From   netip.AddrPort
}

// MessageSize is the most that a message can have.
const MessageSize = 64 << 10

const batchMessages = 8

func newBatch() *Batch {
	b := &Batch{Messages: make([]Message, batchMessages)}
	for i := range b.Messages {
		b.Messages[i].Buffer = make([]byte, MessageSize)
	}
	return b
}

// Config of a Transport.
type Config struct {
	// Host is the name of this host, and Run what it carries.
	Host string
	Run  Run
	// Release of the program. Peers with another one are refused, since they may
	// compute other plans.
	Release string
	// Key is shared by all hosts: at least MinKey bytes of randomness.
	Key []byte
	// Conn is the transport's from a successful New on.
	Conn Conn `json:"-"`
	// MaxDatagram bounds datagrams where the path's MTU is smaller than the kernel
	// knows, in bytes without IP and UDP headers; 0 for what Conn says.
	MaxDatagram int
	// Now is the monotonic clock of this host, in ns.
	Now func() int64 `json:"-"`
}

// Bounds of a datagram's size: what every path must carry (RFC 8200, section 5, less
// the headers), and what UDP can.
const (
	minDatagram = 1280 - 48
	maxDatagram = 65535 - 48
)

// check says what is wrong with c.
func (c *Config) check() error {
	switch {
	case c.Host == "" || len(c.Host) > MaxName:
		return fmt.Errorf("underlay: the host's name %q has %d bytes; give it 1 to %d", c.Host, len(c.Host), MaxName)
	case len(c.Release) > MaxName:
		return fmt.Errorf("underlay: the release %q has %d bytes; give it at most %d", c.Release, len(c.Release), MaxName)
	case len(c.Key) < MinKey:
		return fmt.Errorf("underlay: the shared key has %d bytes; give all hosts the same %d random bytes or more", len(c.Key), MinKey)
	case c.MaxDatagram != 0 && (c.MaxDatagram < minDatagram || c.MaxDatagram > maxDatagram):
		return fmt.Errorf("underlay: datagrams of %d bytes; allow between %d and %d", c.MaxDatagram, minDatagram, maxDatagram)
	case c.Conn == nil || c.Now == nil:
		return errors.New("underlay: Config.Conn or Config.Now is missing")
	}
	return nil
}

// CheckPeer says why a host cannot be a peer, or not at an address; one that is not
// valid stands for none.
func (c *Config) CheckPeer(name string, address netip.AddrPort) error {
	switch {
	case name == "" || len(name) > MaxName:
		return fmt.Errorf("underlay: the host's name %q has %d bytes; give it 1 to %d", name, len(name), MaxName)
	case name == c.Host:
		return fmt.Errorf("underlay: host %s is this one, and no peer of its own", name)
	case address.IsValid() && (address.Addr().Zone() != "" || address.Addr().IsUnspecified() || address.Port() == 0):
		return fmt.Errorf("underlay: host %s cannot be reached at %v; give a port, and an address that is global or unique local", name, address)
	}
	return nil
}

// Transport carries frames between this host and its peers.
type Transport struct {
	config   Config
	session  sessionNumber
	helloKey []byte
	batch    *Batch
	refused  refusals // by peers that are not known

	// sessions by what datagrams bear of the peer's number.
	sessions atomic.Pointer[map[uint64]*session]

	mu    sync.Mutex // guards the rest
	peers map[string]*Peer
}

// New makes a transport without peers. On an error the caller keeps c.Conn.
func New(c Config) (*Transport, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	key, err := helloKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("underlay: derive a key: %w", err)
	}
	t := &Transport{config: c, helloKey: key, batch: newBatch(), peers: make(map[string]*Peer)}
	t.sessions.Store(&map[uint64]*session{})
	draw(t.session[:])
	return t, nil
}

// Descriptor is Conn's.
func (t *Transport) Descriptor() int { return t.config.Conn.Descriptor() }

// Close closes Conn. No other method may be running, or be called afterwards, but
// Status.
func (t *Transport) Close() error { return t.config.Conn.Close() }

// Peer is another host. It is the same value for as long as its Transport exists.
type Peer struct {
	transport *Transport
	name      string
	index     int

	address  atomic.Pointer[netip.AddrPort] // nil: not known
	session  atomic.Pointer[session]
	estimate atomic.Pointer[estimate]
	datagram atomic.Int64 // size that the path carries
	heard    atomic.Int64 // instant of this host's clock; 0 for never
	counts   counts
	latency  recent

	mu          sync.Mutex // guards the rest
	requests    [16]request
	requested   int
	eagerly     int // requests sent at short intervals
	lastRequest int64
	nextRequest int64
	nextMTU     int64
	clock       filter
	difference  string // why nothing is carried
	differs     string // in what the peer differs, as in PeerStatus
}

// Name of the host.
func (p *Peer) Name() string { return p.name }

// Peer gives the peer of a name, which need not have an address yet.
func (t *Transport) Peer(name string) (*Peer, error) {
	if err := t.config.CheckPeer(name, netip.AddrPort{}); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[name]
	if p == nil {
		p = &Peer{transport: t, name: name, index: len(t.peers)}
		p.datagram.Store(minDatagram)
		t.peers[name] = p
	}
	return p, nil
}

// SetPeer says at which address a host's transport hears. An invalid address forgets
// it: nothing is sent to the host, nor taken from it. Setting the same again does
// nothing.
func (t *Transport) SetPeer(name string, address netip.AddrPort) error {
	if err := t.config.CheckPeer(name, address); err != nil {
		return err
	}
	p, err := t.Peer(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !address.IsValid() {
		p.address.Store(nil)
		t.enter(p, nil)
		p.estimate.Store(nil)
		p.heard.Store(0)
		clear(p.requests[:])
		p.clock, p.differs, p.difference = filter{}, "", ""
		return nil
	}
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	if old := p.address.Load(); old != nil && *old == address {
		return nil
	}
	p.address.Store(&address)
	p.nextRequest, p.nextMTU, p.eagerly = 0, 0, 0
	return nil
}

// enter makes s the session with p; nil ends the one there is. It is called with
// p.mu held.
func (t *Transport) enter(p *Peer, s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sessions := maps.Clone(*t.sessions.Load())
	if old := p.session.Swap(s); old != nil {
		delete(sessions, old.remote.id())
	}
	if s != nil {
		sessions[s.remote.id()] = s
	}
	t.sessions.Store(&sessions)
}

// known is the peer of a name, or nil.
func (t *Transport) known(name string) *Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[name]
}

// at is the peer of an address, or nil.
func (t *Transport) at(address netip.AddrPort) *Peer {
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	for _, p := range t.all() {
		if a := p.address.Load(); a != nil && *a == address {
			return p
		}
	}
	return nil
}

// all peers, in the order of their names.
func (t *Transport) all() []*Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.peers), func(a, b *Peer) int {
		return strings.Compare(a.name, b.name)
	})
}

// measure looks at how large datagrams to an address may be.
func (p *Peer) measure(to netip.AddrPort) {
	c := &p.transport.config
	size, err := c.Conn.MaxDatagram(to)
	if err != nil {
		return // there is no route now; requests fail as well
	}
	if c.MaxDatagram > 0 {
		size = min(size, c.MaxDatagram)
	}
	p.datagram.Store(int64(min(max(size, minDatagram), maxDatagram)))
}

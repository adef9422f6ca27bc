//go:build linux

package fabric

import (
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Port is a device that the engine is to carry frames for.
type Port struct {
	// Name for captures and errors, such as "sat-p01s03:fore".
	Name string
	// Device is a TAP as package tap makes it, or a socket that keeps message
	// boundaries (SOCK_SEQPACKET): each message is a virtio_net_hdr and a frame.
	// It must be non-blocking.
	Device *os.File
	// Node is the same for all ports of a node, and above 0. Packets that pass
	// through the node are then spared the lateness of their delivery to it; 0
	// leaves them with it.
	Node int
	// Origin says which source addresses the node may send from; nil for any.
	Origin *Origin
}

// port is the engine's end of a Port. What leaves it is in the hands of one
// worker.
type port struct {
	id    PortID
	fd    int32
	tap   bool // and not a socket
	node  *transit
	guard *guard // nil: whatever the node sends
	name  string

	wire    atomic.Pointer[Wire]
	capture atomic.Pointer[capture]

	_ [64]byte // what Set writes is not on the worker's lines

	// Of the worker alone:
	account *portAccount
	dir     direction
	flight  ring
	place   int // in the worker's queue, -1 if nothing is under way
	dead    bool

	_ [64]byte

	mu      sync.Mutex // guards what follows
	file    *os.File
	carrier carrier
	// allowed is what the present wire allows; told is what the device was told
	// last.
	allowed atomic.Int32
	told    offloads
}

// offloads of a device: what its node's stack may hand over.
type offloads int32

const (
	offloadsPlain   offloads = iota // frames as the link carries them: a new device
	offloadsSuper                   // super-frames
	offloadsUnknown                 // what an engine before this one may have left
)

type carrier uint8

const (
	carrierUnknown carrier = iota
	carrierDown
	carrierUp
)

func newPort(id PortID, p Port, seed uint64) *port {
	fd := p.Device.Fd()
	q := &port{id: id, fd: int32(fd), file: p.Device, name: p.Name, place: -1}
	_, err := unix.IoctlGetInt(int(fd), unix.TUNGETVNETHDRSZ)
	q.tap = err == nil
	q.dir.rng.Seed(seed, uint64(id))
	return q
}

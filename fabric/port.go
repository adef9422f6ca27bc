//go:build linux

package fabric

import (
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/fabric/underlay"
)

// Port is a device that the engine is to carry frames for.
type Port struct {
	// Name for captures and errors, such as "sat-p01s03:fore".
	Name string
	// Device is a TAP as package tap makes it, or a socket that keeps message
	// boundaries (SOCK_SEQPACKET): each message is a virtio_net_hdr and a frame.
	// It must be non-blocking. Nil if the port has none yet: it is given one by Attach.
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
	node  *transit
	guard *guard // nil: whatever the node sends
	name  string

	fd      atomic.Int32 // of the device, noDevice if the port has none
	tap     atomic.Bool  // the device is a TAP and not a socket
	wire    atomic.Pointer[Wire]
	capture atomic.Pointer[capture]
	host    atomic.Pointer[underlay.Peer] // where the port lives if it has no device here; nil if unknown

	_ [64]byte // what Set writes is not on the worker's lines

	// Of the worker alone:
	account *portAccount
	control *controlAccount
	dir     direction
	flight  ring
	place   int       // in the worker's queue, -1 if nothing is under way
	remote  *arriving // nil for what leaves a port of this host

	_ [64]byte

	mu      sync.Mutex // guards what follows
	file    *os.File   // nil if the port has no device
	carrier carrier    // of the device, as far as it was set
	wanted  carrier    // what was asked for last
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

// noDevice is in the place of a descriptor.
const noDevice = -1

func newPort(id PortID, p Port, seed uint64) *port {
	q := &port{id: id, name: p.Name, place: -1}
	q.fd.Store(noDevice)
	if p.Device != nil {
		q.take(p.Device)
	}
	q.dir.rng.Seed(seed, uint64(id))
	return q
}

// take makes file the port's device. It is called with p.mu held, or before anybody
// else knows the port.
func (p *port) take(file *os.File) {
	fd := file.Fd()
	_, err := unix.IoctlGetInt(int(fd), unix.TUNGETVNETHDRSZ)
	p.file, p.carrier = file, carrierUnknown
	p.tap.Store(err == nil)
	p.fd.Store(int32(fd))
}

// elsewhere is the host that the port lives on, or nil if it has a device here, or
// nobody has said where it lives.
func (p *port) elsewhere() *underlay.Peer {
	if p.fd.Load() != noDevice {
		return nil
	}
	return p.host.Load()
}

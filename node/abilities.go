package node

import (
	"context"
	"errors"
	"net/netip"
)

// ErrUnreachable is wrapped by the error of a Lookup for a destination that
// the node has no way to.
var ErrUnreachable = errors.New("unreachable")

// ErrUnknown is wrapped by the errors of whoever is asked for a node that it does not
// have.
var ErrUnknown = errors.New("no such node")

// Lookuper is the further ability of an Engine to tell which way a node's
// kernel would send a packet at this moment.
type Lookuper interface {
	// Lookup asks for a packet of the node's own. The Route is the way chosen:
	// Prefix is dst alone, Port is "lo" if the node itself is the destination.
	Lookup(ctx context.Context, node string, dst netip.Addr) (Route, error)
	// LookupFrom asks for a packet with a source address, which matters where a
	// route has several next hops of equal cost: the kernel chooses by a hash of
	// both addresses and the protocol, here that of echo requests. An invalid src
	// means the node's own.
	LookupFrom(ctx context.Context, node string, src, dst netip.Addr) (Route, error)
}

// Silencer is the further ability of an Engine to keep the kernel from telling a
// process about its node: changes of links, addresses and routes. The kernel looks at
// every listener of all nodes for each change that it tells of, so with thousands of
// listeners telling becomes the most of its work.
type Silencer interface {
	// Silence takes the sockets of a running process out of rtnetlink's groups
	// (rtnetlink(7)). restore puts those back into the same groups that the process
	// still has; of what changed meanwhile it is not told. A process that is
	// started again is told as it was before.
	Silence(node, process string) (restore func() error, err error)
}

// Killer is the further ability of an engine to have a process die.
type Killer interface {
	// Kill ends a process without asking it, as a crash would (SIGKILL), and does
	// not start it again, whatever its policy. It is no longer listed afterwards.
	Kill(ctx context.Context, node, name string) error
}

// DropCounter is the further ability of an Engine to tell what nodes' kernels
// gave up: frames for a port whose queue was full, since its other end did not
// read in time, and frames for a port without carrier. The kernel does not tell
// the two apart; who knows when a port had carrier can.
type DropCounter interface {
	// DroppedFrames gives a node's count for each of its ports since their creation.
	DroppedFrames(ctx context.Context, node string) (map[string]uint64, error)
}

package node

import (
	"context"
	"net/netip"
)

// RouteWatcher is the further ability of an Engine to tell of every change of its
// nodes' main tables.
type RouteWatcher interface {
	// WatchRoutes reports the routes that the named nodes have, and from then on each
	// change, in the order in which the kernel made them for each node, until ctx ends.
	// What is reported together is to be applied together. It calls report from one
	// goroutine and returns when that is over; its error tells why watching is not
	// possible, or has ended early.
	WatchRoutes(ctx context.Context, nodes []string, report func([]RouteUpdate)) error
}

// RouteOp says what has become of a route.
type RouteOp uint8

// The operations. A route is known by its node, prefix and metric.
const (
	// RouteSet: the node has the route with these next hops, whatever it had before.
	RouteSet RouteOp = iota
	// RouteGone: the route is gone, or those next hops of it that are given.
	RouteGone
	// RoutesLost: nobody knows what the node has; all that it has follows within the
	// same report.
	RoutesLost
)

// RouteUpdate is one change.
type RouteUpdate struct {
	Node string
	Op   RouteOp
	// Stamp is the host instant, on clock.Host's scale, at which the kernel's message
	// was read; 0 for what was found by reading the table.
	Stamp    int64
	Prefix   netip.Prefix
	Metric   int
	Protocol int       // rtnetlink's RTPROT_*
	Hops     []NextHop // none: the route discards
}

// NextHop of a route.
type NextHop struct {
	Via  netip.Addr // invalid where there is none
	Port string
}

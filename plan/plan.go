// Package plan turns a scenario into contacts: which port talks to which,
// from when to when, with what delay, rate and loss.
//
// A plan is a pure function of the scenario. It is computed as a sequence of
// windows, each from the last one's end, so that memory stays bounded however
// long a run lasts; two machines that read the same scenario compute the same
// windows, bit for bit.
//
// Planning goes through blocks of a minute. In each block the nodes' paths are
// computed (ephemeris), every group of links decides what is joined and when
// (planner: fixedPlanner for ring, grid and explicit links, nearestPlanner,
// groundPlanner), contacts are entered in a book, and their curves are fitted.
// A Cursor cuts the book into windows. docs/plan.md says how contacts are
// found, how exact they are, and what is left out.
package plan

import (
	"time"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
)

// NodeKind says what a node is.
type NodeKind uint8

// The kinds of node.
const (
	Satellite NodeKind = iota
	Station
)

// Node is one moving thing. Its Index counts from 0: satellites in order of
// the file (constellation, plane, slot), then stations.
type Node struct {
	Index int
	Name  string
	Kind  NodeKind
	Group string // the constellation's name; empty for a station
	Plane int    // from 0; -1 where there are no planes
	Slot  int    // from 0 within the plane; -1 where there are no planes

	Motion orbit.Motion
	Ports  []Port
}

// PortID numbers all ports of a plan without gaps, in order of nodes.
type PortID int32

// Port is one interface of a node. It exists as long as the run does; what
// changes is its peer.
type Port struct {
	ID    PortID
	Node  int    // index of its node
	Index int    // within the node, from 0
	Name  string // interface name: fore, aft, left, right, isl0, up0, down0, gnd0, ant0 …
	Role  Role
}

// Role is what a port is for.
type Role uint8

// The roles of ports.
const (
	RoleISL Role = iota
	RoleInterShell
	RoleGround  // a satellite's port to stations
	RoleAntenna // a station's port to satellites
)

// ContactID is unique within a plan, the same in each window that the contact
// touches, and the same on every machine.
type ContactID uint64

// Class tells what kind of link a contact is.
type Class uint8

// The classes of contacts.
const (
	IntraPlane Class = iota
	InterPlane
	Neighbour // nearest and explicit links within a constellation
	InterShell
	Ground
)

// Contact is a period in which two ports see each other and are joined, as far
// as one window knows it. Instants are scenario time. Frames may be on their
// way in [Start, End).
type Contact struct {
	ID   ContactID
	A, B PortID
	// Class of the link.
	Class Class
	// Start is the exact start; it may lie before the window.
	Start time.Duration
	// End is the exact end if Ends, else the window's end: the contact goes on
	// in the next window under the same ID.
	End  time.Duration
	Ends bool

	// Delay is the one-way delay in seconds: range over the speed of light plus
	// the link's extra delay. It covers the contact's part in this window; its
	// error against the range at the same instant is below 1 µs.
	Delay curve.Curve
	// Rate in bit/s, 0 for no limit. A constant curve unless the scenario has a
	// table.
	Rate curve.Curve
	// Loss is the probability that a frame is lost (Bernoulli), a constant curve
	// unless the scenario has a table. A Gilbert-Elliott model is in Properties.
	Loss curve.Curve
	// Properties as in the scenario, shared by all contacts of a kind: queue,
	// loss model, silence.
	Properties *scenario.Properties
}

// Window is a stretch of the plan.
type Window struct {
	From, To time.Duration // [From, To)
	// Contacts with any part in the window, ordered by Start, then ID.
	Contacts []Contact
	// Warnings tell what happened in the window that a user ought to know, as a
	// satellite that decays.
	Warnings []Warning
}

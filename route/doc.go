// Package route computes shortest paths over a plan at an instant.
//
// # Model
//
// The network at scenario time t is a graph: nodes, and as edges the contacts
// that are usable then. A contact is usable from its start until lead before
// its end, so that traffic has left a link by the time it goes down; one whose
// end is not known yet counts as lasting. What has no other way stays on a link
// to its end. The weight of an edge is the delay at
// t, alike in both directions, in whole nanoseconds (at least 1): sums of
// integers are exact, so that equal paths are found to be equal on every
// machine.
//
// Tree computes, for one destination, the distance and the next hop of every
// node (Dijkstra, Numerische Mathematik 1, 1959). Among several shortest paths
// a node takes the one that leaves through the port with the lowest number.
//
// A solution holds the next hops to several destinations at one instant; the
// difference of two is what changes in the nodes' routing tables. The set of
// usable contacts changes at the instants that Changes lists. Between them
// delays still drift, so that a solution may become slightly longer than the
// best path: it is computed anew at each change, not continuously.
package route

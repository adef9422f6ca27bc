// Package observe derives what a network did from what its kernels and its sky did:
// no packets, no samples.
//
//	tables ──┐
//	         ├──▶ Verifier ──changes of pairs──▶ Tracker ──▶ convergence, outages
//	links ───┘                                     ▲
//	topology events, counts of table changes ──────┘
//
// A Verifier holds the routing tables of all nodes and the links of the moment. After
// each change it says which pairs of source and destination are forwarded otherwise
// than before: reachable, black-holed, looping, and along which path. It does so by
// the kernel's rules: the longest prefix wins, then the lowest metric; next hops
// without carrier are passed over; of several next hops any may be taken, so a pair
// is as well off as the worst of its ways.
//
// A Tracker puts these changes beside the changes of topology that they followed.
//
// Nodes, ports and pairs are numbers here, and instants any one scale of time. The
// package reads no clock and asks no kernel.
//
// # Caveats
//
// A neighbour is taken to be known at once where its link is up; in truth the first
// packet to it waits for a round trip of neighbour discovery. Routing by source
// address or by rules is not looked at, only one table per node.
package observe

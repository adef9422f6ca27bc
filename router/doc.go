// Package router runs routing daemons on nodes: it renders their
// configuration from templates, says which processes a node needs, and asks
// the running daemons for their adjacencies.
//
// # Model
//
// A node's ports are unnumbered, point-to-point, and change their peers. So no
// configuration names a peer: each protocol finds its neighbours by itself on
// every port, and what is configured is the same for the whole run.
//
//	protocol  daemon      how neighbours are found
//	isis      frr         point-to-point hellos on every port (ISO 10589, RFC 5303), IPv6 by RFC 5308
//	ospf3     bird, frr   hellos to ff02::5 on link-local addresses (RFC 5340)
//	ospf2     frr         unnumbered point-to-point, the IPv4 loopback on every port (RFC 2328, 9.5)
//	bgp       frr         router advertisements, then a session over link-local addresses; one
//	                      private AS per node; IPv4 with IPv6 next hops (RFC 8950)
//	static    frr, bird   none: routes through ports whose peer never changes
//
// BIRD 2 cannot begin a BGP session with a neighbour whose address it was not
// told, so BGP is FRR's. The loopbacks of all nodes are what is routed.
//
// # Areas
//
// A node is in one area or in the backbone. In IS-IS a node of an area is a
// level-1 router, and a level-1-2 router if it may ever meet a node of another
// area; nodes of the backbone are level-2 routers. In OSPF a link is in the
// area of its ends if they agree, and in the backbone else, so that the area's
// own node there is the border router; a port that meets nodes of its own area
// and of others at different times has no area that it could be in.
//
// # Files and processes
//
// Everything that a daemon reads or writes lies in the node's directory.
// Daemons run in the foreground and write their log to standard output. FRR's
// run as the user frr, as they insist to; BIRD runs as root.
//
// From FRR 9 on mgmtd has the settings of staticd, from FRR 10 on those of zebra,
// too. It is one more process of a node that needs it, is up before zebra, and
// reads the same zebra.conf and staticd.conf. Lines that are not its own it logs
// as errors, as zebra does with what has become mgmtd's: neither minds. Places of
// these versions that no option changes are bound to the node's directory
// (Binds).
//
// # Templates
//
// The built-in configurations are text/templates with Data as their data, in
// the folder templates. A user's template file replaces them in whole or in
// part: text outside of {{define}} becomes the configuration of the daemon that
// speaks the protocol (bird.conf, isisd.conf, …), and each {{define "zebra.conf"}}
// … {{end}} that of the daemon named.
package router

// Package address derives every number that a node of the network needs from
// the node's own number, so that there is nothing to allocate, to store or to
// distribute: two machines that know a node's number know all of its addresses.
//
// A node is numbered from 0, as in a plan; its ports are numbered from 0 too.
// Addresses hold the node's ordinal, which is its number plus 1, so that no
// address has an all-zero node part (which would be the Subnet-Router anycast
// address in IPv6, a network address in IPv4, and an invalid router id).
//
//	what                  form, for ordinal o = node+1         node 0, port 0
//	IPv6 loopback         PREFIX:o>>16:o&ffff::1/128           fd00:0:0:1::1/128
//	IPv4 loopback         10.o>>16.o>>8.o/32                   10.0.0.1/32
//	router id             as the IPv4 loopback                 10.0.0.1
//	MAC of a port         02:o (32 bits):port (8 bits)         02:00:00:00:01:00
//	link-local of a port  fe80::o>>16:o&ffff:0:port+1/64       fe80::1:0:1/64
//	AS number             4200000000+o (RFC 6996)              4200000001
//	IS-IS system id       router id in decimal, 12 digits      0100.0000.0001
//	IS-IS NET             AREA.system id.00 (ISO 10589)        49.0001.0100.0000.0001.00
//
// The first octet of a MAC, 02, marks it as locally administered and unicast
// (IEEE 802, "U/L" and "I/G" bits). Ports are unnumbered: they have nothing but
// their link-local address, and packets that a node originates carry its
// loopback as source.
//
// A port can change its peer at any time. Nothing here depends on the peer.
package address

// Package fdstore keeps open files for a program that may crash, as systemd's file
// descriptor store does. A TAP device has its carrier, and the frames that wait in it, for
// as long as somebody has its file open: so a node agent that crashes is not noticed by the
// routing daemons of its pods, if the next one is there soon enough.
//
// The process that starts the program has a Store. The program inherits a connection to it,
// is given all files that are kept, by name, and says which to keep and which to drop:
//
//	keeper                                   program
//	Store ── socketpair(SOCK_SEQPACKET) ──── Client
//	       keep NAME + file, …, ready ─────▸           once, at its start
//	       ◂───────────── keep NAME + file, drop NAME
//
// What the program has said before it crashed is in the socket, and is done. There are no
// answers, so nothing waits for a keeper that is slow.
package fdstore

// Package provision takes machines from power-on to a worker of Orrery, over IPv6 alone. It is the
// one place where the services of a segment meet:
//
//	site.yaml ──▶ site ─┐                    ┌─▶ radv   router advertisements
//	                    ├──▶ Desk ◀──────────┼─▶ dhcp   addresses, boot files
//	journal ◀▶ registry ┘                    ├─▶ tftp   files
//	                                         └─▶ Handler: HTTP files, scripts, configurations, reports
//
// The Desk knows who a machine is and what it gets; the services only ask it. Server opens the
// sockets of all and serves until it is told to end. Nothing here speaks IPv4.
//
// What a node says to the server is package protocol, what an image is package manifest, and what runs
// on a node before and after its root is mounted is package firstboot.
package provision

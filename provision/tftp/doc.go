// Package tftp serves files by TFTP, reading only: RFC 1350 with the options blksize (RFC
// 2348), tsize and timeout (RFC 2349) and windowsize (RFC 7440), negotiated by option
// acknowledgement (RFC 2347).
//
//	client                     server, port 69      server, a port of the transfer
//	RRQ file, options ───────▶ decode
//	                                               ◀─────── OACK (or DATA 1)
//	ACK 0 ─────────────────────────────────────────────────▶
//	         ◀─────────────────────────────────────────────── DATA 1 … DATA n (a window)
//	ACK n ─────────────────────────────────────────────────▶
//
// A transfer is a goroutine with a socket of its own. What comes from another address than
// the client's gets error 5 and changes nothing. Block numbers wrap from 65535 to 0, so files
// of any size can be sent.
//
// # Caveats
//
// Mode netascii is served as octet: boot files are binary, and firmware that
// asks for netascii does not translate either. Writing is refused.
package tftp

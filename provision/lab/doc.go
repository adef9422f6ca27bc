// Package lab boots virtual machines against a provisioning server, on a segment that nobody else is on:
//
//	server ── TAP ──┐ (a process in a network namespace of its own)
//	                Segment: a learning switch in this process, which captures
//	QEMU ── unix ───┤
//	QEMU ── unix ───┘
//
// The switch is part of this process, so a lab needs no bridge, touches no interface of the host, and leaves nothing
// behind when it ends: the namespace lives as long as what is in it. The server is "orrery provision serve", as users have it, so
// that a lab can end it or kill it as theirs may be. Machines are QEMU processes with UEFI firmware
// (OVMF), which die with the lab.
//
// # Caveats
//
// Machines are emulated without hardware support unless the host has KVM, and take minutes then. A virtual machine shows
// that the messages are right; what real firmware does with them, its quirks and its cold caches, it does not show.
package lab

// Package dhcp answers DHCPv6 (RFC 8415) with network boot (RFC 5970). The encoding is that of
// github.com/insomniacslk/dhcp; here is what is said.
//
//	packet ──▶ relays off ──▶ who is it? (Client) ──▶ Desk.Meet ──▶ Offer ──▶ message ──▶ relays on ──▶ packet
//
// The Desk decides who gets which address and boot file; Server.Answer is a function of a packet and the
// desk, with no socket and no clock in it. Every machine has one address for good, so there is no pool, no
// expiry and nothing to release: a release is confirmed and the address stays the machine's.
//
// What UEFI firmware needs, as was seen: options 16 and 59 for HTTP boot, 59 alone for
// PXE. See docs/provision.md.
//
// # Caveats
//
// A machine that asks for several associations (IA_NA) in one message gets its address in the first, and "no
// addresses" in the others. Temporary addresses and prefixes are not given out. Reconfigure and
// authentication are not spoken: on a segment that hostile machines share, their absence lets
// anybody answer in the server's place.
package dhcp

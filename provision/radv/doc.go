// Package radv sends router advertisements (RFC 4861, with the option of RFC 8106 for name
// servers): one at each interval to all nodes, and one to each node that solicits it.
//
// The message is built by Advertisement.Encode and read by Decode; Responder is the loop. The
// kernel computes the checksum and sees to the hop limit of 255 in what is sent; what is received
// is refused unless its hop limit is 255 too, which no packet from beyond the segment has (RFC 4861,
// section 6.1).
//
// # Caveats
//
// A node that solicits gets the advertisement that Answer makes for it alone, to its own address. Those that
// are sent to all nodes at intervals are the same for all, so flags for one machine hold until
// the next interval.
package radv

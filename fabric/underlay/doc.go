// Package underlay carries frames between the fabrics of several hosts, in UDP
// datagrams over whatever network joins the hosts: the underlay.
//
// # Model
//
// Every host of a run has one [Transport]. It knows its peers by name and by
// address ([Transport.SetPeer]). A frame is handed to an [Outbox] at once when its
// sender's fabric has decided about it, long before it is due, together with its
// contact and the instant at which it is due. Where it arrives, [Transport.Receive]
// gives it to a [Sink] with that instant told by the clock of this host; the sink
// keeps it until then. So the latency of the underlay is hidden in the delay of the
// emulated link for as long as that is longer.
//
// Each thread that sends has an Outbox of its own, whose datagrams form one stream
// per peer. It packs frames into datagrams as large as the path to the peer allows,
// and hands many datagrams to the kernel by one call. A frame that does not fit into
// what is left of a datagram goes on in the next one, as one in pieces.
//
// # Sessions
//
// At its start a transport draws a random session number. Between two sessions there
// are two keys, one for each direction, both derived from the key that all hosts
// share; the nonce of a datagram is its stream and its number in it. A nonce
// so never repeats under a key, and a datagram of an earlier process, of whichever
// end, is of no use. Each end learns the other's session from an answer to a challenge
// that it has just drawn. Replays within a session are refused by a window.
//
// # Clocks
//
// Monotonic clocks of two hosts have nothing in common. The same packets that carry
// challenges measure how far the peer's clock is ahead, with the four timestamps of
// NTP (RFC 5905, section 8); see [PeerStatus] for how exact that is.
//
// # What is refused
//
// A datagram changes nothing but a counter if it is too short, of another protocol, of
// another version or run, of no known session, not authentic, seen before, or senseless
// in what it says. A peer of another version, release or run is told of by its status,
// at both ends.
//
// The layout of datagrams is drawn in docs/underlay.md.
//
// # Caveats
//
// All hosts share one key: each can speak in the name of each other one.
//
// An estimate of a clock is exact if both directions take the same time. It is wrong by
// half of the difference if they do not, and by no more than half of the round trip.
//
// Nothing is sent again: what the underlay loses is lost, and counted by the gaps
// that it leaves.
package underlay

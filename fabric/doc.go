// Package fabric carries frames between ports: it is the links of the emulated
// network.
//
// # Model
//
// A port is a TAP device in a node's namespace; the fabric holds its other end.
// What leaves a port is a [Wire]: one direction of a link, an immutable value
// that names the peer port, the period of contact, and delay, rate and loss as
// functions of scenario time. A link is two wires. To change a link is to Set
// other wires, which is one pointer swap; while a contact lives nothing needs to
// be changed at all, since the functions already describe the motion.
//
// A frame of size bytes (Ethernet header included; preamble, frame check
// sequence and gap are not) that a node sends at host instant t is carried so:
//
//		                 wire nil, or t outside of [Start, End]   → DropNoLink
//		begin     = max(t, link free)
//		                 bytes waiting or being sent + size > Queue → DropQueue
//		departure = begin + size·8 / Rate(begin)                   link free = departure
//		                 loss model, at departure                 → DropLoss
//		arrival   = max(departure + Delay(departure), arrival of the frame before)
//		                 at arrival: other contact, or past End   → DropInFlight
//		                 the peer's device refuses it             → DropDevice
//
//	  - An idle link accepts any frame, however short its queue.
//	  - Rate 0 (or below) does not limit, and then nothing queues.
//	  - The frame is delivered only if the contact covers its whole flight: what is
//	    in the queue or on its way when the contact ends is lost.
//	  - A wire of the same Contact replaces another without touching what is under
//	    way. With a wire of a new Contact the link begins anew: free, its queue
//	    empty, its loss chain in the good state.
//	  - The order of frames that leave a port never changes, however fast the delay
//	    shrinks.
//	  - Instants and durations of frames are host time; the functions are evaluated
//	    at scenario time. At a speed of 20 a delay of 5 ms is still 5 ms for the
//	    node's software, but the topology moves 20 times as fast. While the
//	    timeline is paused the topology stands still and frames go on.
//	  - Bernoulli loss draws one number a frame where its probability lies strictly
//	    between 0 and 1; Gilbert-Elliott draws two: first whether the state changes,
//	    then whether the frame is lost in the state it is in now. Every port has a
//	    stream of random numbers (PCG) of its own, from the seed and its PortID.
//
// # Ports that come and go, and other hosts
//
// A port may have no device at first, or lose it ([Attacher]): frames to it count as
// DropDevice. Wires and carriers do not depend on devices.
//
// A port without a device may live on another host ([Placer]). Then the fabric here
// decides about frames to it up to their arrival, and sends them over at once (package
// underlay). The fabric there keeps each until it is due, and delivers it if the wire
// of the receiving port has the same contact and the sending port as its peer, and
// does not end before. Frames of another contact than those sent before by the same port
// drop these; frames that a later one has overtaken are DropUnderlay. What a fabric
// drops of another host's frames it counts at its own counters of the sending port.
//
// # Source addresses
//
// With [Port.Origin] the engine looks at where a node's frames say they come
// from. Forged are
//
//   - a source MAC that is not the port's;
//   - an IPv6 link-local source that is not the port's;
//   - in ARP and neighbour discovery, an answer for an address that is not the
//     node's, and a link-layer address that is not the port's;
//   - the address of another node as source of a packet that the node cannot
//     have passed on for it: its hop limit is still 255, its destination is a
//     multicast group of the link, or the node is a stub.
//
// The address of another node as source of any other packet is what transit
// looks like, and unspecified sources are how hosts begin. Packets inside of
// tunnels are not looked at. Forged frames are counted, and dropped before all
// else if Origin.Drop says so.
//
// # Super-frames
//
// With segmentation offload a node's stack hands over up to 64 KiB as one frame.
// A port may do so only while its wire cannot be distorted by it: no loss model,
// no short queue, a rate at which 64 KiB take no longer than Config.SuperFrame, and a
// peer on this host. The time that one occupies the link includes the headers of
// all the segments it stands for. Otherwise the port's offloads are switched off;
// super-frames that the node sent before it learned of that are carried whole.
//
// # Coalescing
//
// What a node receives costs most of the fabric's time: its kernel's stack runs once
// for each write. So frames that are due when a worker looks, for one device, and that
// continue each other are written as one super-frame, from which that kernel's
// segmentation would make the same frames again: datagrams of one UDP flow, segments of
// one TCP connection in sequence. It is what a network card's receive offload does. Programs
// get the same datagrams and bytes in the same order; what the node passes on over a
// port without offloads its kernel takes apart again. Decisions about the frames have
// been made before, one by one; each is counted, captured and has its lateness by
// itself. No frame is kept back for another that has not come; one that may be joined can
// be up to 20 µs late while its worker reads what was sent in one go. The joined were to
// arrive within Config.SuperFrame of each other. When the node passes them on they depart
// as if all had come with the last.
//
// What looks at packets below sockets sees that they came together: packet sockets (as
// tcpdump has), netfilter, counters of the node's own interfaces and raw sockets. A
// kernel answers the joined by one ICMP error if it has to. Config.OneByOne switches all
// this off.
//
// # Lateness
//
// A worker wakes ahead of a delivery by what waking usually takes and looks at
// the clock for the rest, within bounds. What lateness remains does not add up
// along a path: a packet that a node passes on right after its delivery departs
// as if that had been in time (Port.Node says which ports belong to one node).
//
// # Caveats
//
// Workers are goroutines, and what stops goroutines stops them: the collector,
// and every 10 ms the scheduler, which then depends on a thread of ordinary
// priority to go on. A [Process] keeps the engine away from a program that computes
// a lot, and all of its threads at real-time priority. Lateness says what it came
// to. It counts from the instant at which a frame was read; that it was not read at
// once is not seen.
//
// A frame counts as sent when it is read. What overflows the device's own queue
// (1,000 frames by default) before that is counted by the kernel as tx_dropped
// of the node's interface.
package fabric

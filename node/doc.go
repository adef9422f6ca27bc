// Package node makes nodes: Linux network namespaces with ports, addresses and
// processes. It knows nothing of orbits, and nothing of what the processes are.
//
// # Model
//
// A node is a network namespace and a directory. Its ports are TAP devices that
// live in the namespace; what is sent on a port is read from the device's file
// by whoever carries frames. Ports exist as long as the node does: a change of
// the network changes what the files are joined to, never the devices.
//
//	RunDir/lock            held by the live emulator (flock)
//	RunDir/journal         what is going to be made: JSON lines
//	RunDir/netns/NODE      the namespace, bound; all on one file system
//	RunDir/nodes/NODE/     the node's directory: configuration, sockets
//	RunDir/nodes/NODE/NAME.log   what a process says
//
// Everything that the engine makes hangs under the run directory, so that
// Cleanup can end it from that directory alone after the emulator was killed.
// Processes are found by the journal (id and start time) and by the namespace
// they are in, whatever they did to their parents, groups and sessions.
//
// # Namespaces
//
// Devices are made inside the node's namespace, so that the host's udev and
// network managers never see them. Addresses are given without duplicate
// address detection, and link-local addresses are not generated: a port has
// exactly the addresses of its PortSpec. Routes over a port without carrier are
// not used, at once and by the kernel itself.
//
// A namespace ends when nothing refers to it: its binding, its processes, and
// the devices' files. The kernel then takes it apart in the background, many
// together. Destroy and Cleanup let go of all at once and return when the kernel
// has nothing left of them.
//
// # Guests
//
// Guests gives ports to namespaces that somebody else has made, such as those of pods. It
// owns neither the namespace nor what runs in it. All that it makes is persistent, so
// that a program that was killed leaves nodes as they are, without carrier; the next one
// takes the devices over. All ports are in one group of devices: the kernel
// deletes them together, which costs as much as deleting one of them.
//
// # Processes
//
// A process runs in its node's network namespace and in a UTS namespace of its
// own that has the node's name as host name. It leads a process group, which is
// ended with it: SIGTERM, and SIGKILL after a grace period. It dies with the
// emulator, unless it changes its user, as FRR's daemons do; then Cleanup ends
// it. Time here is the host's: a grace period does not follow the scenario's
// clock.
//
// A private process sees less of the host: namespaces of processes, mounts and
// IPC, one of each per node, in which there is nothing of other nodes. /proc and
// /sys are the node's; /run, /tmp, /var/tmp, /dev/shm and the directories of all
// runs are empty but for the node's own directory and what Config.Shown says.
// All else of the host's files is there, and may be written to as far as the
// user may: views keep nodes from each other's feet and are no prison. They end
// with the emulator.
//
// A process that ended is started again as its policy says, after 0.25 s at
// first and up to 10 s when it dies again and again.
//
// # Caveats
//
//   - The host's limits of neighbours (net.ipv4.neigh, net.ipv6.neigh) are
//     raised when there are many ports, and stay raised: all namespaces share
//     them.
//   - The kernel tells of a lost carrier at most once a second, unless it is
//     asked: whoever owns the device does that, see tap.Announce.
//   - SetRoutes trusts that nobody else changes routes of its protocol number.
package node

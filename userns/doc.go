// Package userns runs this program in namespaces of its own, in which an
// ordinary user may do what otherwise only root may: make network namespaces
// and devices.
//
// # Model
//
// Three processes of the same program stand one below the other:
//
//	orrery up           the user's; waits, passes on signals and the exit code
//	└─ first process    of the new PID namespace: mounts /proc, reaps orphans
//	   └─ orrery up     the program as it was called, now as root of the namespaces
//
// The namespaces are those of users, processes, mounts, network and IPC
// (user_namespaces(7)). The user, and he alone, is root in them; outside of them
// he is who he was, and so are the files that are made. Sockets that have a path
// are reached from both sides.
//
// The PID namespace is there for its end. The first process reads a pipe from the
// user's process, and ends when that or the program ends. With it the kernel
// kills all that is left in the namespace, frees the network namespaces and
// undoes the mounts, whichever of the three was killed, by whatever signal.
//
// # Users
//
// Programs that drop root for a user of their own, as FRR's daemons do, cannot:
// no other user has a number here. Squash names such users; /etc/passwd and
// /etc/group then say, in these namespaces only, that they are root. Numbers
// from /etc/subuid would be the alternative. They need a setuid program that
// many hosts lack, and users who may pass through the run directory; and files
// of theirs could be removed from within such namespaces only.
//
// # Caveats
//
//   - A program that changes to another user fails, unless the user is squashed.
//   - The network is not the host's: TCP ports of the program are not reached from
//     outside.
//   - Process ids are those of the namespace.
package userns

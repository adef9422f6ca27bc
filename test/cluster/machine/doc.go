// Package machine runs processes as if they were on a machine of their own.
//
// A machine is a process that is number 1 of its own PID namespace, and that
// has network, mount, IPC and UTS namespaces beside. Everything started on the
// machine descends from it, so that its end is the end of all: the kernel kills
// what is in the PID namespace, and with the last process go the mounts and the
// network namespaces that only they held.
//
//	test process                        machine (PID 1 of its namespace)
//	┌──────────┐  requests (JSON lines) ┌──────┐ fork  ┌────────────┐
//	│ Machine  │ ─────────────────────▶ │ Main │ ────▶ │ containerd │ ...
//	└──────────┘ ◀───────────────────── └──────┘       └────────────┘
//	              reports
//
// When the connection ends, because the test ended in whatever way, the machine
// ends itself.
//
// # Files
//
// A machine sees the host's files, with few differences. Its /run, /var/lib,
// /var/log and /opt are below its own directory; what it writes to /etc goes
// there too, over the host's /etc; /proc is its own PID namespace's; and all of
// /proc/sys is read-only but /proc/sys/net, which is the network namespace's
// own. A Spec can show further files with other content. So software that keeps to its usual places can run on several machines
// side by side, and the host's settings stay as they are.
//
// # Caveats
//
// A machine has no cgroup and no user namespace of its own: what runs on it is
// root on the host, and can do harm there if it means to.
package machine

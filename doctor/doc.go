// Package doctor says whether a host can run a scenario, and what to do where
// it cannot.
//
// # Model
//
//	Plan ──NeedOf──▶ Need ┐
//	                      ├──Examine──▶ []Finding ──▶ table, refusal, warnings, settings
//	Host ──Gather──▶ Facts┘
//
// Need and Facts are plain values. Examine compares them and does nothing else,
// so every verdict can be tested on any host. Only a Host looks at the machine:
// System is the real one, and doctortest.Machine one made of values.
//
// Whoever asks gets the same findings: "orrery doctor" prints them, "orrery up"
// refuses and warns by them, "orrery tune" applies the settings in them.
//
// A finding is missing if the run would fail or would be useless, and a note
// if the run works but less well than it could.
//
// # Whose a limit is
//
// A sysctl below net/ belongs to the host, or to each network namespace. That
// decides whether setting it here reaches a node (checked on Linux 6.18, by
// writing in one namespace and reading in another):
//
//	net.ipv4/ipv6.neigh.default.gc_thresh*   the host's one table; not there in other namespaces
//	net.core.netdev_budget, netdev_max_backlog   the host's; not there in other namespaces
//	net.core.rmem_max, wmem_max              the host's; read-only in other namespaces
//	net.netfilter.nf_conntrack_max           the host's; read-only in other namespaces
//	net.ipv4.tcp_rmem, tcp_wmem              each namespace's; a new one copies the initial namespace's
//	net.core.optmem_max, somaxconn           each namespace's; a new one has the kernel's default
//	net.ipv4.igmp_max_memberships            each namespace's; a new one has the kernel's default
//
// kernel.pid_max belongs to the PID namespace from Linux 6.14 on; the outer one
// still bounds the inner, as every process has a number in both.
//
// # Where the numbers are from
//
// The constants in figures.go say beside each how it was measured. docs/host.md
// tells every check in prose.
package doctor

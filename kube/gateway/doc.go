// Package gateway answers the API of a scenario that runs on several workers, as if it were one run: it asks the agents, and puts together what
// they say.
//
//	            ┌─ agent of w1 ─ control API of its part
//	gateway ────┼─ agent of w2 ─ control API of its part
//	            └─ the cluster: where nodes are, paused, speed
//
// # Who answers what
//
//	status        all agents: sums of counters, the worst of fidelity, problems by worker
//	nodes         all agents: each says what it knows of its nodes
//	links, contacts, the sky   any one: all have the same plan
//	events        all: those of the topology from one, all others from each
//	traffic       all: the sums of what each counts of its own nodes
//	a link        the agents of both ends
//	path, a pair  the agent of each stretch of the way, see Server.GetPath
//	ping, capture the agent of the node
//	pause, speed  the cluster
//	terminals, logs, iperf3, a daemon's neighbours   the node's pod, by the cluster
//	failures      nobody: an agent has but a part of the network
//
// # Caveats
//
// A kernel is asked how it would send from its own node's address on, after the
// first worker's part of a way: tables that look at the source of a packet may
// say otherwise for one in transit.
package gateway

// Package gateway answers the control API of a scenario that runs on several
// workers, as if it were one run: it asks the agents, and puts together what
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
//	links, contacts  any one: all have the same plan
//	events        all: those of the topology from one, all others from each
//	path          the agent of each stretch of the way, see Server.GetPath
//	ping, capture the agent of the node
//	pause, speed  the cluster
//	exec          nobody: a node is a pod, and kubectl exec leads to it
//
// # Caveats
//
// A kernel is asked how it would send from its own node's address on, after the
// first worker's part of a way: tables that look at the source of a packet may
// say otherwise for one in transit.
package gateway

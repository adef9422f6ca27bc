// Package agent is the node agent: one on each worker of a cluster. It gives pods the ports
// of the nodes that they are, and carries frames between them as a native run does.
//
// # Model
//
// A plugin asks for a pod (package kube/cni). The agent learns from the cluster which node of
// which scenario the pod is, makes the node's ports in the pod's namespace (node.Guests), and
// has the node join the worker's part of the run (emulation.Run.StartPart). Every agent
// computes the whole plan by itself, from the scenario and from the instant at which its
// time began. So nothing is asked of the API server, and nothing is told to it, when a link
// comes or goes. What agents need to know of each other is which worker has which node.
//
// # What is kept
//
//	StateDir/lock                 held by the live agent (flock)
//	StateDir/sandboxes/ID.json    one for each attachment, written before it is made
//	StateDir/scenarios/UID/       the scenario, as it was last heard of, and its files
//	StateDir/scenarios/UID/plan-* snapshots of the plan (plan.Cursor.Snapshot)
//
// An agent that is killed leaves pods, their daemons and their ports. Whoever started it
// keeps the ports' files (package kube/fdstore), and the next agent is given them: ports
// have their carriers all the time, and no routing daemon learns of it. Where nobody keeps
// them, as when the agent's whole pod is replaced, ports have no carrier meanwhile. The
// next one finds its sandboxes in the state directory, those whose namespace is still
// the one that was written down, takes their devices over all at once, and goes on from the latest
// snapshot of the plan that is not ahead of time. It asks nobody for that, so it does not
// matter whether the API server answers; what has changed meanwhile it hears afterwards.
//
// # Caveats
//
// The state directory is to be on a file system that a restart of the host empties, as /run:
// sandboxes do not survive it either.
package agent

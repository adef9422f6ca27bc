// Package kubectl is a scenario on Kubernetes as kubectl shows it: where its pods
// and its agents are, and ways to the agents' control APIs. It runs the program
// kubectl, and so has all of its user's ways to identify to a cluster, and no
// client library.
//
// A connection to an agent is one `kubectl exec -i` of `orrery-agent connect` in
// the agent's pod. Whoever may do that is as good as root on the worker, since the
// agent's pod is.
package kubectl

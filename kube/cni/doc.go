// Package cni is what the CNI plugin and the node agent say to each other.
//
// # Protocol
//
// The agent listens on a unix socket that only its own user may use. A plugin connects,
// sends one request and shuts its direction down; the agent sends one answer and hangs up.
// Both are a JSON object each, bounded in size, with the version of the protocol. Ends of
// different versions refuse each other with a sentence that names both versions: plugin and
// agent come from one image, and differ for moments while a worker is updated.
//
// A request is what the CNI specification (version 1.1.0) gives a plugin, without
// interpretation. An answer is interfaces and addresses, or an error with one of the
// specification's codes. The plugin makes a result of it, and neither touches devices nor
// speaks to the cluster.
//
// Every request can be made again, with the same outcome.
package cni

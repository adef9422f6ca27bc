// Package cluster runs real Kubernetes clusters for tests, on one host, without
// a container engine or an image registry: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler, and on each worker containerd (or
// CRI-O) and a kubelet.
//
// The control plane and each worker are machines of their own (package
// machine), joined by an Ethernet bridge that is the cluster's alone:
//
//	  test process                                      host
//	┌──────────────────┐
//	│ kubectl, clients │ 127.0.0.1:PORT
//	└────────┬─────────┘
//	─────────┼──────────────────────────────────────────────────
//	         │ carried into the namespace by this package
//	┌────────┴──────────────────────────────────┐
//	│ control   etcd, apiserver, ...            │  10.250.0.1
//	│           service network's first address │  fd6f:7272:6572::1
//	│           bridge "underlay"               │
//	└──────┬───────────────────────┬────────────┘
//	       │ eth0                  │ eth0
//	┌──────┴─────────────┐  ┌──────┴─────────────┐
//	│ w1  containerd     │  │ w2  containerd     │   10.250.0.11, .12
//	│     kubelet, pods  │  │     kubelet, pods  │   fd6f:7272:6572::b, ::c
//	└────────────────────┘  └────────────────────┘
//
// Everything has IPv4 and IPv6; Options say which comes first. Workers reach
// each other's pods by static routes. The address of the service "kubernetes"
// is one of the control machine's own, on which the apiserver listens, so pods
// find the apiserver in the usual way.
//
// # State
//
// All files are below one directory, which also holds what Down needs to end a
// cluster that another process started. Machines end by themselves with the
// process that started them. What a killed test leaves are files and empty
// cgroups, and Down(directory) removes them.
//
// # Caveats
//
// There is no kube-proxy and no DNS: of services only "kubernetes" has an
// address that works, and webhooks are reached by their endpoints. There is no
// registry: images are imported from archives, and pods say imagePullPolicy:
// Never. The kubelet may not change kernel settings of the host. Nodes see all
// of the host's memory and processors.
package cluster

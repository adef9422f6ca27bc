// Command multus is a CNI plugin that stands in for Multus where tests run
// pods with several networks. It keeps to what Multus documents, as far as
// tests need it; what it does not support it refuses.
//
// For a pod it calls the default network, which is in its own configuration
// ("delegates"), and then each network that the pod's annotation
// k8s.v1.cni.cncf.io/networks names, in this order:
//
//	networks: a, other/b@eth7, c
//
//	delegate      interface   described by
//	0  default    eth0        "delegates" of the plugin's configuration
//	1  a          net1        NetworkAttachmentDefinition a in the pod's namespace
//	2  other/b    eth7        ... b in the namespace "other"
//	3  c          net3        ... c in the pod's namespace
//
// If one fails, what was made is unmade. DEL goes through the same delegates
// from the last to the first; they are kept in a file per container, so that
// DEL needs neither the pod nor the definitions. The pod's annotation
// k8s.v1.cni.cncf.io/network-status tells what came of it.
//
// Sources: Kubernetes Network Custom Resource Definition De-facto Standard,
// version 1.3; the pages "configuration" and "how to use" of Multus 4.
//
// # Caveats
//
// It has "delegates" only: no clusterNetwork, defaultNetworks, default network
// by annotation, readiness file or device plugins. Of network selections it has
// name, namespace, interface, mac, ips and cni-args.
package main

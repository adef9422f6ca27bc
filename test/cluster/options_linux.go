package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
)

// Options say what a cluster is. The zero value is a control plane of etcd and
// apiserver alone, which is enough to test controllers.
type Options struct {
	// Workers is how many nodes there are, at most 100. With at least one,
	// controller-manager and scheduler run too.
	Workers int
	// IPv6 makes Kubernetes use IPv6 first: for node addresses, services and
	// pods. Otherwise IPv4 is first. Both are always there.
	IPv6 bool
	// MaxPods is how many pods a node takes; 110 if zero.
	MaxPods int
	// FirstPods is how many pods the first node takes; as many as the others if zero.
	FirstPods int
	// PodCIDRs are the prefixes of the pods of a worker, which are counted
	// from 1: one of a family, or one of each. Nil stands for
	// 10.(100+n).0.0/16 and fd6f:7272:6572:(100+n)::/64.
	PodCIDRs func(worker int) []netip.Prefix
	// Network is the default network of a worker, a CNI network configuration
	// list in JSON. Nil stands for DefaultNetwork.
	Network func(Worker) []byte
	// Plugins are programs that are put beside Debian's CNI plugins.
	Plugins []string
	// Multus puts the stand-in for Multus (command multus) before the default
	// network, and makes the NetworkAttachmentDefinition resource.
	Multus bool
	// Images are archives that every worker's runtime imports.
	Images []string
	// Runtime makes the containers; Containerd if empty.
	Runtime Runtime
	// Dir is where the state goes: a directory that is empty or does not exist
	// yet. A new one in os.TempDir if empty.
	Dir string
	// Log takes lines about what takes long. It may be nil.
	Log func(format string, args ...any)
}

// Worker is a node as its network sees it.
type Worker struct {
	Name       string
	IPv4, IPv6 netip.Addr
	PodCIDRs   []netip.Prefix // the first is of the cluster's first family
}

// The cluster's own addresses. They exist in its network namespaces only.
var (
	underlay4 = netip.MustParsePrefix("10.250.0.0/24")
	underlay6 = netip.MustParsePrefix("fd6f:7272:6572::/64")
	services4 = netip.MustParsePrefix("10.251.0.0/16")
	services6 = netip.MustParsePrefix("fd6f:7272:6572:1::/112")
)

// host is the address number n of a prefix, n below 256.
func host(p netip.Prefix, n int) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	bytes[len(bytes)-1] += byte(n)
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

// families puts what belongs to the cluster's first family first.
func families[T any](o Options, v4, v6 T) []T {
	if o.IPv6 {
		return []T{v6, v4}
	}
	return []T{v4, v6}
}

func (o Options) worker(n int) Worker {
	w := Worker{Name: fmt.Sprintf("w%d", n), IPv4: host(underlay4, 10+n), IPv6: host(underlay6, 10+n)}
	if o.PodCIDRs != nil {
		w.PodCIDRs = o.PodCIDRs(n)
		return w
	}
	w.PodCIDRs = families(o,
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + n), 0, 0}), 16),
		netip.MustParsePrefix(fmt.Sprintf("fd6f:7272:6572:%d::/64", 100+n)))
	return w
}

func (o Options) runtime() Runtime { return cmp.Or(o.Runtime, Containerd) }

// check refuses what cannot be made.
func (o Options) check() error {
	switch {
	case o.Workers < 0 || o.Workers > 100:
		return fmt.Errorf("a cluster of %d workers: choose 0 to 100", o.Workers)
	case o.Workers == 0 && (o.Multus || o.Network != nil || len(o.Images) > 0):
		return fmt.Errorf("a control plane alone has no runtime for networks and images: ask for at least one worker")
	case o.MaxPods < 0 || o.FirstPods < 0:
		return fmt.Errorf("%d pods on a node: choose at least 1, or 0 for 110", min(o.MaxPods, o.FirstPods))
	}
	return nil
}

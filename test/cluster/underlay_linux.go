package cluster

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/test/cluster/machine"
)

// bridgeName is the underlay's bridge, on the control machine.
const bridgeName = "underlay"

// network is a machine's network namespace.
type network struct {
	namespace netns.NsHandle
	handle    *netlink.Handle
}

func openNetwork(id machine.ID) (*network, error) {
	namespace, err := netns.GetFromPid(id.PID)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace of process %d: %w", id.PID, err)
	}
	handle, err := netlink.NewHandleAt(namespace, unix.NETLINK_ROUTE)
	if err != nil {
		_ = namespace.Close()
		return nil, err
	}
	return &network{namespace, handle}, nil
}

func (n *network) close() {
	n.handle.Close()
	_ = n.namespace.Close()
}

// up sets a device up and gives it addresses.
func (n *network) up(device string, addresses ...netip.Prefix) error {
	link, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	for _, a := range addresses {
		address := &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}
		if err := n.handle.AddrReplace(link, address); err != nil {
			return fmt.Errorf("device %s: add %v: %w", device, a, err)
		}
	}
	if err := n.handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("device %s: set up: %w", device, err)
	}
	return nil
}

func (n *network) route(to netip.Prefix, via netip.Addr) error {
	if err := n.handle.RouteReplace(&netlink.Route{Dst: ipNet(to), Gw: net.IP(via.AsSlice())}); err != nil {
		return fmt.Errorf("route to %v via %v: %w", to, via, err)
	}
	return nil
}

// setUpControl makes the bridge and the addresses of the control machine.
func setUpControl(control *network) error {
	if err := control.up("lo", single(host(services4, 1)), single(host(services6, 1))); err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	if err := control.handle.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make the bridge %s: %w", bridgeName, err)
	}
	return control.up(bridgeName, at(host(underlay4, 1), underlay4), at(host(underlay6, 1), underlay6))
}

// setUpWorker joins a worker to the bridge. Everything that is not its own goes
// to the control machine, among it the services' network.
func setUpWorker(control, worker *network, w Worker) error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: w.Name},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(worker.namespace),
	}
	if err := control.handle.LinkAdd(pair); err != nil {
		return fmt.Errorf("make the link to %s: %w", w.Name, err)
	}
	bridge, err := control.handle.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	if err := control.handle.LinkSetMaster(pair, bridge); err != nil {
		return fmt.Errorf("join %s to the bridge: %w", w.Name, err)
	}
	if err := control.up(w.Name); err != nil {
		return err
	}
	if err := worker.up("lo"); err != nil {
		return err
	}
	if err := worker.up("eth0", at(w.IPv4, underlay4), at(w.IPv6, underlay6)); err != nil {
		return err
	}
	for _, everything := range []struct {
		to  string
		via netip.Addr
	}{{"0.0.0.0/0", host(underlay4, 1)}, {"::/0", host(underlay6, 1)}} {
		if err := worker.route(netip.MustParsePrefix(everything.to), everything.via); err != nil {
			return err
		}
	}
	return nil
}

// setPodRoutes tells a machine the way to the pods of other workers.
func setPodRoutes(n *network, others []Worker) error {
	for _, w := range others {
		for _, pods := range w.PodCIDRs {
			via := w.IPv4
			if pods.Addr().Is6() {
				via = w.IPv6
			}
			if err := n.route(pods, via); err != nil {
				return err
			}
		}
	}
	return nil
}

func single(a netip.Addr) netip.Prefix {
	return netip.PrefixFrom(a, a.BitLen())
}

func at(a netip.Addr, in netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(a, in.Bits())
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

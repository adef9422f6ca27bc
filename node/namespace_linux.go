package node

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/thread"
)

// ownNamespace is the network namespace of the calling thread.
const ownNamespace = "/proc/thread-self/ns/net"

// enter puts the calling thread into the namespace bound at path.
func enter(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	err = unix.Setns(fd, unix.CLONE_NEWNET)
	_ = unix.Close(fd)
	if err != nil {
		return &os.PathError{Op: "setns", Path: path, Err: err}
	}
	return nil
}

// rememberHome returns a function that takes the calling thread back to the network
// namespace that it is in now. A thread that ends with its goroutine would
// hold another until some moments later.
func rememberHome() (comeHome func()) {
	home, err := unix.Open(ownNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return func() {
		if err == nil {
			_ = unix.Setns(home, unix.CLONE_NEWNET)
			_ = unix.Close(home)
		}
	}
}

// within calls f on the calling goroutine's thread while that is in the
// namespace bound at path.
func within(path string, f func() error) error {
	return thread.Away(func() error {
		if err := enter(path); err != nil {
			return err
		}
		return f()
	})
}

// memberships of IPv4 multicast groups are what a socket may have in a new
// namespace (igmp_max_memberships in Documentation/networking/ip-sysctl.rst). A
// daemon of OSPF joins two groups on each port by one socket.
const memberships = 20 / 2

// withMemberships adds what a node with many ports needs of them.
func withMemberships(list []setting, spec *Spec) []setting {
	if len(spec.Ports) <= memberships {
		return list
	}
	return append(slices.Clip(list), setting{"ipv4/igmp_max_memberships", strconv.Itoa(2 * len(spec.Ports))})
}

// build makes a node's namespace, bound at path, and all that is in it. Settings
// is called in the new namespace and gives what sysctls is to set there. The
// calling thread is in the namespace afterwards. On an error, files that were
// opened are closed; the binding at path, if any, is the caller's to undo.
func build(spec *Spec, path string, sysctls *sysctls, settings func() []setting) (ports []port, s *socket, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, nil, fmt.Errorf("make a network namespace: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, nil, err
	}
	_ = f.Close()
	if err := unix.Mount(ownNamespace, path, "", unix.MS_BIND, ""); err != nil {
		return nil, nil, fmt.Errorf("bind the network namespace to %s: %w", path, err)
	}
	if err := sysctls.write(withMemberships(settings(), spec)); err != nil {
		return nil, nil, err
	}
	ports = make([]port, 0, len(spec.Ports)+1)
	defer func() {
		if err == nil {
			return
		}
		for _, p := range ports {
			if p.file != nil {
				_ = p.file.Close()
			}
		}
		if s != nil {
			s.close()
		}
		ports, s = nil, nil
	}()
	ports = append(ports, port{name: "lo"})
	for _, p := range spec.Ports {
		f, err := tap.Create(p.Name)
		if err != nil {
			return ports, nil, err
		}
		ports = append(ports, port{name: p.Name, file: f})
	}
	if s, err = newSocket(); err != nil {
		return ports, nil, err
	}
	return ports, s, configure(spec, ports, s, false)
}

// portGroup is the group (ip-link(8)) that all ports are in: "orry". The kernel takes
// apart all devices of a group together, and waits once for all of them.
const portGroup = 0x6f727279

// configure switches devices on and gives addresses, in one exchange. It fills
// in the ports' indices. Addresses that are there already are an error unless kept.
func configure(spec *Spec, ports []port, s *socket, kept bool) error {
	var b batch
	var what []string // what each request is for
	addresses := func(name string, index int32, list []netip.Prefix) {
		for _, p := range list {
			b.address(index, p)
			what = append(what, fmt.Sprintf("give %s the address %s", name, p))
		}
	}
	for i := range ports {
		var err error
		if ports[i].index, err = s.index(ports[i].name); err != nil {
			return err
		}
	}
	lo := ports[0].index
	b.setUp(lo, [6]byte{}, 0)
	what = append(what, "switch lo on")
	addresses("lo", lo, spec.Loopback)
	for k, p := range spec.Ports {
		i := ports[k+1].index
		// Asking for a link makes the kernel take notice that it has no carrier.
		// Else the port would seem to run for up to a second after it is switched
		// on. While it is still down this is cheap; later it costs an RCU grace
		// period.
		if !ports[k+1].taken {
			b.add(unix.RTM_GETLINK, 0, bytesOf(&unix.IfInfomsg{Index: i}))
			what = append(what, "ask for the state of "+p.Name)
		}
		b.setUp(i, p.MAC, p.MTU)
		b.attr32(unix.IFLA_GROUP, portGroup)
		what = append(what, fmt.Sprintf("switch %s on with MTU %d", p.Name, p.MTU))
		addresses(p.Name, i, p.Addresses)
	}
	return s.do(&b, func(i int, e unix.Errno) error {
		if kept && e == unix.EEXIST {
			return nil
		}
		return fmt.Errorf("%s: %w", what[i], e)
	})
}

// index of a device in the socket's namespace.
func (s *socket) index(name string) (int32, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(s.fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("find device %s: %w", name, err)
	}
	return int32(ifr.Uint32()), nil
}

// address adds the request that gives a device an address.
func (b *batch) address(index int32, p netip.Prefix) {
	m := unix.IfAddrmsg{Family: unix.AF_INET6, Prefixlen: uint8(p.Bits()), Index: uint32(index)}
	if p.Addr().Is4() {
		m.Family = unix.AF_INET
	}
	if p.Addr().IsLinkLocalUnicast() {
		m.Scope = unix.RT_SCOPE_LINK
	}
	b.add(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, bytesOf(&m))
	a := p.Addr().AsSlice()
	if p.Addr().Is4() {
		b.attr(unix.IFA_LOCAL, a)
	}
	b.attr(unix.IFA_ADDRESS, a)
	b.attr32(unix.IFA_FLAGS, unix.IFA_F_NODAD|unix.IFA_F_PERMANENT)
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
)

// Guests are nodes in network namespaces that somebody else has made and will end, such
// as those of pods. Beside what was there they get ports, addresses and settings as a
// node of Linux does. Guests keeps no processes and no files.
//
// Its devices stay when the program ends, without carrier unless a Keeper has their files;
// Add takes them over again.
type Guests struct {
	roster
	keeper Keeper

	mu      sync.Mutex // guards the rest, and is held while nodes change
	sysctls *sysctls
	guests  map[string]*guest
}

// guest is what Guests keeps of a node beyond what others do.
type guest struct {
	spec      Spec
	namespace NamespaceID
}

// Keeper keeps the files of devices for the next program, which Add then gets, if this one
// crashes. It is safe for concurrent use.
type Keeper interface {
	// Take returns the descriptor that was kept under a name when this program began, once.
	Take(name string) (fd int, ok bool)
	// Keep has the file behind a descriptor kept under a name, in place of what was.
	Keep(name string, fd int) error
	// Drop has nothing kept under a name any more.
	Drop(name string) error
}

// NamespaceID tells one namespace from another. Zero is none.
type NamespaceID struct{ Device, Inode uint64 }

var (
	_ Lookuper    = (*Guests)(nil)
	_ DropCounter = (*Guests)(nil)
)

// NewGuests returns an engine without nodes. keeper may be nil.
func NewGuests(keeper Keeper) *Guests {
	return &Guests{roster: newRoster(), keeper: keeper, sysctls: newSysctls(), guests: map[string]*guest{}}
}

// Add gives the namespace bound at path what the spec says, and makes it a node. What is
// there already is kept, and devices that an earlier program has left are taken over. A
// node that is in another namespace by now is taken from the old one. On an error there is
// no such node; devices that were made may be left, see DeletePorts.
func (g *Guests) Add(ctx context.Context, path string, spec Spec) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	id, err := IdentifyNamespace(path)
	if err != nil {
		return fmt.Errorf("node %s: %w", spec.Name, err)
	}
	n := newNode(spec.Name, path)
	n.inherited = true
	if old, ok := g.guests[spec.Name]; ok {
		if old.namespace != id || !slices.EqualFunc(old.spec.Ports, spec.Ports, func(a, b PortSpec) bool { return a.Name == b.Name }) {
			g.letGo(spec.Name)
		} else if n, err = g.node(spec.Name); err != nil {
			return err
		}
	}
	if err := within(path, func() error { return g.furnish(n, id, &spec) }); err != nil {
		g.letGo(spec.Name)
		n.close()
		return errors.Join(fmt.Errorf("node %s: %w", spec.Name, err), g.drop(&guest{spec, id}))
	}
	g.guests[spec.Name] = &guest{spec, id}
	g.add(n)
	return nil
}

// furnish is called in the node's namespace.
func (g *Guests) furnish(n *linuxNode, id NamespaceID, spec *Spec) (err error) {
	if err := g.sysctls.write(withMemberships(settings(spec.Forward), spec)); err != nil {
		return err
	}
	if n.sock == nil {
		if n.sock, err = newSocket(); err != nil {
			return err
		}
		n.ports = append(n.ports, port{name: "lo"})
		for _, p := range spec.Ports {
			_, missing := n.sock.index(p.Name)
			f, err := g.open(id, p.Name)
			if err != nil {
				return err
			}
			n.ports = append(n.ports, port{name: p.Name, file: f, taken: missing == nil})
		}
	}
	return configure(spec, n.ports, n.sock, true)
}

// open makes a device in the calling thread's namespace, or takes it over.
func (g *Guests) open(id NamespaceID, port string) (*os.File, error) {
	if g.keeper == nil {
		return tap.Create(port)
	}
	name := keptAs(id, port)
	if fd, ok := g.keeper.Take(name); ok {
		f, err := tap.Adopt(fd, port)
		if err == nil {
			return f, nil
		}
		// The number of a namespace is given again when it has ended, and with it its devices.
		if err := errors.Join(unix.Close(fd), g.keeper.Drop(name)); err != nil {
			return nil, fmt.Errorf("a device that was kept: %w", err)
		}
	}
	f, err := tap.Create(port)
	if err != nil {
		return nil, err
	}
	if err := g.keeper.Keep(name, int(f.Fd())); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("keep the device %s: %w", port, err)
	}
	return f, nil
}

// keptAs is the name of a device's file.
func keptAs(id NamespaceID, port string) string {
	return fmt.Sprintf("%d:%d/%s", id.Device, id.Inode, port)
}

// drop has the devices of a node not kept any more.
func (g *Guests) drop(k *guest) (err error) {
	if g.keeper == nil {
		return nil
	}
	for _, p := range k.spec.Ports {
		err = errors.Join(err, g.keeper.Drop(keptAs(k.namespace, p.Name)))
	}
	return err
}

// Spec of a node, as it was given to Add.
func (g *Guests) Spec(name string) (Spec, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, ok := g.guests[name]
	if !ok {
		return Spec{}, false
	}
	return k.spec, true
}

// Device is roster.Device.
func (g *Guests) Device(node, port string) (*os.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.roster.Device(node, port)
}

// Retain makes Device give other files for a node's devices than it gave before, so that
// whoever has those can be ended, and another take over, while the devices keep their
// carriers. On an error Device gives none of use, and the node has to be removed when the
// other has ended.
func (g *Guests) Retain(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, err := g.node(name)
	if err != nil {
		return err
	}
	for i := range n.ports {
		p := &n.ports[i]
		if p.file == nil {
			continue
		}
		fd, err := unix.FcntlInt(p.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("node %s: another file of %s: %w", name, p.name, err)
		}
		p.file = os.NewFile(uintptr(fd), p.file.Name())
	}
	return nil
}

// Remove lets go of a node: of its namespace and of the devices' files. The devices
// stay, without carrier. Removing twice does nothing twice. Whoever reads the files must
// have stopped before.
func (g *Guests) Remove(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.letGo(name)
}

func (g *Guests) letGo(name string) {
	if n := g.remove(name); n != nil {
		n.close()
	}
	if k := g.guests[name]; k != nil {
		_ = g.drop(k) // a keeper that cannot be told is about to end, as are its files
	}
	delete(g.guests, name)
}

// Close lets go of all nodes. A Keeper goes on to keep their devices.
func (g *Guests) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.clear() {
		n.close()
	}
	clear(g.guests)
	g.sysctls.close()
}

// Check compares a node with its spec, and returns an error for the first difference.
func (g *Guests) Check(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, ok := g.guests[name]
	n, err := g.node(name)
	if !ok || err != nil {
		return fmt.Errorf("node %s: %w", name, ErrUnknown)
	}
	id, err := IdentifyNamespace(n.namespace)
	if err == nil && id != k.namespace {
		err = fmt.Errorf("%s is another namespace by now", n.namespace)
	}
	if err == nil {
		err = within(n.namespace, k.spec.check)
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	return nil
}

// check compares the calling thread's namespace with what it is to be.
func (s *Spec) check() error {
	if err := checkAddresses("lo", s.Loopback); err != nil {
		return err
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		d, err := net.InterfaceByName(p.Name)
		switch {
		case err != nil:
			return fmt.Errorf("device %s: %w", p.Name, err)
		case d.HardwareAddr.String() != net.HardwareAddr(p.MAC[:]).String():
			return fmt.Errorf("device %s has the MAC address %s, want %s", p.Name, d.HardwareAddr, net.HardwareAddr(p.MAC[:]))
		case d.MTU != p.MTU:
			return fmt.Errorf("device %s has the MTU %d, want %d", p.Name, d.MTU, p.MTU)
		case d.Flags&net.FlagUp == 0:
			return fmt.Errorf("device %s is switched off", p.Name)
		}
		if err := checkAddresses(p.Name, p.Addresses); err != nil {
			return err
		}
	}
	return nil
}

func checkAddresses(device string, want []netip.Prefix) error {
	d, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	have, err := d.Addrs()
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	for _, p := range want {
		if !slices.ContainsFunc(have, func(a net.Addr) bool { return a.String() == p.String() }) {
			return fmt.Errorf("device %s lacks the address %s", device, p)
		}
	}
	return nil
}

// DeletePorts deletes the devices that Add has made in the namespace bound at path, all
// together, whichever program it was. Whoever reads their files must have stopped before. A
// namespace that is gone, or has none, is no error.
func (g *Guests) DeletePorts(path string) error {
	if _, err := IdentifyNamespace(path); errors.Is(err, ErrNoNamespace) {
		return nil
	}
	err := within(path, func() error {
		s, err := newSocket()
		if err != nil {
			return err
		}
		defer s.close()
		var b batch
		b.add(unix.RTM_DELLINK, 0, bytesOf(&unix.IfInfomsg{}))
		b.attr32(unix.IFLA_GROUP, portGroup)
		return s.do(&b, func(_ int, e unix.Errno) error {
			if e == unix.ENODEV {
				return nil
			}
			return e
		})
	})
	if err != nil {
		return fmt.Errorf("node: delete the ports in %s: %w", path, err)
	}
	return nil
}

// ErrNoNamespace is wrapped by the errors for paths at which no network namespace is.
var ErrNoNamespace = errors.New("is no network namespace; its owner has ended it, or the path is wrong")

// IdentifyNamespace is the identity of the network namespace bound at path. A file is left at such a path when the
// namespace was unmounted, and it is no namespace.
func IdentifyNamespace(path string) (NamespaceID, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENOENT) {
		return NamespaceID{}, fmt.Errorf("%s %w", path, ErrNoNamespace)
	}
	if err != nil {
		return NamespaceID{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return NamespaceID{}, fmt.Errorf("%s %w", path, ErrNoNamespace)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return NamespaceID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return NamespaceID{st.Dev, st.Ino}, nil
}

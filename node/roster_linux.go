package node

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
)

// roster is nodes by their names, and what can be asked of each of them whoever has made
// its namespace.
type roster struct {
	listed *sync.RWMutex // guards:
	nodes  map[string]*linuxNode
}

func newRoster() roster {
	return roster{listed: new(sync.RWMutex), nodes: map[string]*linuxNode{}}
}

func (r *roster) add(n *linuxNode) {
	r.listed.Lock()
	defer r.listed.Unlock()
	r.nodes[n.name] = n
}

// remove takes a node off and returns it, nil if there is none of that name.
func (r *roster) remove(name string) *linuxNode {
	r.listed.Lock()
	defer r.listed.Unlock()
	n := r.nodes[name]
	delete(r.nodes, name)
	return n
}

// clear takes all nodes off and returns them.
func (r *roster) clear() []*linuxNode {
	r.listed.Lock()
	defer r.listed.Unlock()
	nodes := slices.Collect(maps.Values(r.nodes))
	clear(r.nodes)
	return nodes
}

func (r *roster) node(name string) (*linuxNode, error) {
	r.listed.RLock()
	defer r.listed.RUnlock()
	n, ok := r.nodes[name]
	if !ok {
		return nil, fmt.Errorf("node %s: %w", name, ErrUnknown)
	}
	return n, nil
}

// Device implements Engine.
func (r *roster) Device(node, port string) (*os.File, error) {
	n, err := r.node(node)
	if err != nil {
		return nil, err
	}
	p, ok := n.port(port)
	if !ok || p.file == nil {
		return nil, fmt.Errorf("node %s: no port %s", node, port)
	}
	return p.file, nil
}

// Do implements Engine.
func (r *roster) Do(node string, f func() error) error {
	n, err := r.node(node)
	if err != nil {
		return err
	}
	return within(n.namespace, f)
}

// linuxNode is a node in the kernel. It does not change but for what mu guards.
type linuxNode struct {
	name      string
	namespace string // path that the namespace is bound at
	dir       string
	ports     []port // lo first
	private   bool   // commands of Exec are
	view      viewHolder
	inherited bool // it may have routes of an earlier program

	mu     sync.Mutex // guards:
	sock   *socket
	routes map[int][]Route // what SetRoutes made last, by protocol, in order
	doubt  map[int]bool    // protocols of which the table may hold other routes
}

// port is a device of a node.
type port struct {
	name  string
	index int32
	file  *os.File // nil for lo
	taken bool     // the device was there before
}

// port by its name.
func (n *linuxNode) port(name string) (port, bool) {
	i := slices.IndexFunc(n.ports, func(p port) bool { return p.name == name })
	if i < 0 {
		return port{}, false
	}
	return n.ports[i], true
}

func newNode(name, namespace string) *linuxNode {
	return &linuxNode{name: name, namespace: namespace, routes: map[int][]Route{}, doubt: map[int]bool{}}
}

// close gives up what holds the node's namespace.
func (n *linuxNode) close() {
	n.mu.Lock()
	if n.sock != nil {
		n.sock.close()
	}
	n.mu.Unlock()
	for _, p := range n.ports {
		if p.file != nil {
			_ = p.file.Close()
		}
	}
}

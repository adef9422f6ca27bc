// Package nodetest has an engine of nodes that exist in memory only, for tests
// of what stands above: no root, no kernel, any operating system.
//
// Processes do not run. They become what a test says: up as soon as their
// Ready says nil (at once without one), and ended when the test calls End.
// Devices are the null device. Exec calls the function that the test gave.
package nodetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"orrery.dev/orrery/node"
)

// Engine implements node.Engine, node.Lookuper, node.DropCounter,
// node.Silencer and node.RouteWatcher.
type Engine struct {
	dir string
	// OnExec is what Exec does. Default: nothing, with exit code 0. It is set
	// before the engine is used.
	OnExec func(node string, argv []string, stdio node.Stdio) (exit int, err error)
	// CreateError, if set, is what Create fails with.
	CreateError error

	mu       sync.Mutex // guards:
	nodes    map[string]*memoryNode
	process  map[[2]string]*process
	nextPID  int
	changes  int
	watchers map[*watcher]bool
	silences int
}

type memoryNode struct {
	spec    node.Spec
	devices map[string]*os.File
	routes  map[netip.Prefix]map[int]node.Route // by metric
	dropped map[string]uint64                   // by port
}

type process struct {
	spec   node.Process
	status node.ProcessStatus
	cancel context.CancelFunc
	silent bool
}

var (
	_ = node.Engine((*Engine)(nil))
	_ = node.Lookuper((*Engine)(nil))
	_ = node.DropCounter((*Engine)(nil))
	_ = node.Silencer((*Engine)(nil))
	_ = node.RouteWatcher((*Engine)(nil))
)

// New returns an engine whose nodes have their directories below dir.
func New(dir string) *Engine {
	return &Engine{dir: dir, nodes: map[string]*memoryNode{}, process: map[[2]string]*process{}, nextPID: 1000}
}

// Create implements node.Engine.
func (e *Engine) Create(ctx context.Context, specs []node.Spec) error {
	if err := cmp.Or(e.CreateError, ctx.Err()); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.nodes) > 0 {
		return errors.New("nodetest: nodes exist already; destroy them first")
	}
	for _, s := range specs {
		if err := e.add(s); err != nil {
			e.destroy()
			return err
		}
	}
	return nil
}

// Add is node.Guests.Add: it makes one node more, or does nothing if it is there. The
// namespace is not looked at.
func (e *Engine) Add(ctx context.Context, _ string, s node.Spec) error {
	if err := cmp.Or(e.CreateError, ctx.Err()); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.nodes[s.Name]; ok {
		return nil
	}
	return e.add(s)
}

// Remove is node.Guests.Remove.
func (e *Engine) Remove(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n, ok := e.nodes[name]; ok {
		for _, f := range n.devices {
			_ = f.Close()
		}
	}
	delete(e.nodes, name)
}

// Close is node.Guests.Close.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.destroy()
}

// Retain is node.Guests.Retain: the node's devices are other files from then on.
func (e *Engine) Retain(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.find(name)
	if err != nil {
		return err
	}
	for port := range n.devices {
		f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		n.devices[port] = f
	}
	return nil
}

// DeletePorts is node.Guests.DeletePorts. There are none.
func (*Engine) DeletePorts(string) error { return nil }

// Check is node.Guests.Check: whether the node is there.
func (e *Engine) Check(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, err := e.find(name)
	return err
}

func (e *Engine) add(s node.Spec) error {
	if _, twice := e.nodes[s.Name]; twice {
		return fmt.Errorf("node %s: two nodes have this name", s.Name)
	}
	n := &memoryNode{spec: s, devices: map[string]*os.File{}, routes: map[netip.Prefix]map[int]node.Route{}}
	e.nodes[s.Name] = n
	if err := os.MkdirAll(e.Dir(s.Name), 0o755); err != nil {
		return err
	}
	for _, p := range s.Ports {
		if _, twice := n.devices[p.Name]; twice || len(p.Name) > 15 {
			return fmt.Errorf("node %s: port %q is there twice or has a name beyond 15 bytes", s.Name, p.Name)
		}
		f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		n.devices[p.Name] = f
	}
	return nil
}

func (e *Engine) find(name string) (*memoryNode, error) {
	n, ok := e.nodes[name]
	if !ok {
		return nil, fmt.Errorf("node %s: %w", name, node.ErrUnknown)
	}
	return n, nil
}

// Device implements node.Engine.
func (e *Engine) Device(name, port string) (*os.File, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.find(name)
	if err != nil {
		return nil, err
	}
	f, ok := n.devices[port]
	if !ok {
		return nil, fmt.Errorf("node %s: no port %s", name, port)
	}
	return f, nil
}

// Start implements node.Engine.
func (e *Engine) Start(ctx context.Context, name string, spec node.Process) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.find(name); err != nil {
		return err
	}
	key := [2]string{name, spec.Name}
	if old, ok := e.process[key]; ok && (old.status.State == node.Running || old.status.State == node.Starting) {
		return fmt.Errorf("node %s: a process %s runs already; stop it first", name, spec.Name)
	}
	if spec.Name == "" || len(spec.Argv) == 0 {
		return fmt.Errorf("node %s: process %q: it needs a name and a command", name, spec.Name)
	}
	p := &process{spec: spec, status: node.ProcessStatus{Node: name, Name: spec.Name, Log: filepath.Join(e.Dir(name), spec.Name+".log")}}
	e.process[key] = p
	e.begin(p)
	return ctx.Err()
}

// begin starts a life of a process. mu is held.
func (e *Engine) begin(p *process) {
	e.nextPID++
	p.status.PID = e.nextPID
	p.enter(node.Starting, "")
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if p.spec.Ready == nil {
		p.enter(node.Running, "")
		return
	}
	pid := p.status.PID
	go func() {
		for p.spec.Ready(ctx) != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if p.status.PID == pid && p.status.State == node.Starting {
			p.enter(node.Running, "")
		}
	}()
}

func (p *process) enter(s node.ProcessState, reason string) {
	p.status.State, p.status.Since = s, time.Now()
	if reason != "" {
		p.status.Reason = reason
	}
}

// End makes a process end: by itself with status 0 if reason is empty, else as
// a failure. It is started again at once if its policy says so.
func (e *Engine) End(name, processName, reason string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.process[[2]string{name, processName}]
	if !ok {
		return fmt.Errorf("node %s: no process %s", name, processName)
	}
	p.cancel()
	p.status.PID = 0
	if reason == "" {
		p.enter(node.Exited, "")
	} else {
		p.enter(node.Failed, reason)
	}
	if p.spec.Restart == node.Always || p.spec.Restart == node.OnFailure && reason != "" {
		p.status.Restarts++
		e.begin(p)
	}
	return nil
}

// Stop implements node.Engine.
func (e *Engine) Stop(ctx context.Context, name, processName string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := [2]string{name, processName}
	p, ok := e.process[key]
	if !ok {
		return fmt.Errorf("node %s: no process %s", name, processName)
	}
	p.cancel()
	delete(e.process, key)
	return ctx.Err()
}

// Kill implements node.Killer.
func (e *Engine) Kill(ctx context.Context, name, processName string) error {
	return e.Stop(ctx, name, processName)
}

// Processes implements node.Engine.
func (e *Engine) Processes() []node.ProcessStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]node.ProcessStatus, 0, len(e.process))
	for _, p := range e.process {
		list = append(list, p.status)
	}
	slices.SortFunc(list, func(a, b node.ProcessStatus) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Name, b.Name))
	})
	return list
}

// Exec implements node.Engine.
func (e *Engine) Exec(ctx context.Context, name string, argv []string, stdio node.Stdio) (int, error) {
	e.mu.Lock()
	_, err := e.find(name)
	e.mu.Unlock()
	switch {
	case err != nil:
		return 126, err
	case len(argv) == 0:
		return 127, fmt.Errorf("node %s: no command", name)
	case e.OnExec == nil:
		return 0, ctx.Err()
	}
	return e.OnExec(name, argv, stdio)
}

// Routes implements node.Engine.
func (e *Engine) Routes(ctx context.Context, name string) ([]node.Route, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.find(name)
	if err != nil {
		return nil, err
	}
	var list []node.Route
	for _, byMetric := range n.routes {
		for _, r := range byMetric {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b node.Route) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), cmp.Compare(a.Metric, b.Metric))
	})
	return list, ctx.Err()
}

// SetRoutes implements node.Engine.
func (e *Engine) SetRoutes(ctx context.Context, name string, protocol int, routes []node.Route) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.find(name)
	if err != nil {
		return err
	}
	type key struct {
		p netip.Prefix
		m int
	}
	want := map[key]node.Route{}
	for _, r := range routes {
		r.Protocol, r.Prefix = protocol, r.Prefix.Masked()
		if r.Metric == 0 && r.Prefix.Addr().Is6() {
			r.Metric = 1024 // as the kernel does
		}
		if _, ok := n.devices[r.Port]; !ok {
			return fmt.Errorf("node %s: route to %s: no port %q", name, r.Prefix, r.Port)
		}
		if _, twice := want[key{r.Prefix, r.Metric}]; twice || !r.Prefix.IsValid() {
			return fmt.Errorf("node %s: route to %s with metric %d is invalid or given twice", name, r.Prefix, r.Metric)
		}
		want[key{r.Prefix, r.Metric}] = r
	}
	for k, r := range want {
		if n.routes[k.p] == nil {
			n.routes[k.p] = map[int]node.Route{}
		}
		if n.routes[k.p][k.m] != r {
			n.routes[k.p][k.m] = r
			e.changes++
			e.tell(update(name, node.RouteSet, r))
		}
	}
	for p, byMetric := range n.routes {
		for m, r := range byMetric {
			if _, keep := want[key{p, m}]; r.Protocol == protocol && !keep {
				delete(byMetric, m)
				e.changes++
				e.tell(update(name, node.RouteGone, r))
			}
		}
	}
	return ctx.Err()
}

// Changes counts the routes that SetRoutes added, replaced or removed so far.
func (e *Engine) Changes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changes
}

// Lookup implements node.Lookuper by longest prefix, then lowest metric.
func (e *Engine) Lookup(ctx context.Context, name string, dst netip.Addr) (node.Route, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.find(name)
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return node.Route{}, err
	}
	own := netip.PrefixFrom(dst, dst.BitLen())
	if slices.ContainsFunc(n.spec.Loopback, func(p netip.Prefix) bool { return p.Addr() == dst }) {
		return node.Route{Prefix: own, Port: "lo"}, nil
	}
	best, found := node.Route{}, false
	for p, byMetric := range n.routes {
		for _, r := range byMetric {
			if p.Contains(dst) && (!found || p.Bits() > best.Prefix.Bits() || p.Bits() == best.Prefix.Bits() && r.Metric < best.Metric) {
				best, found = r, true
			}
		}
	}
	if !found {
		return node.Route{}, fmt.Errorf("node %s: %s: %w", name, dst, node.ErrUnreachable)
	}
	best.Prefix = own
	return best, nil
}

// LookupFrom implements node.Lookuper; the source does not matter here.
func (e *Engine) LookupFrom(ctx context.Context, name string, _, dst netip.Addr) (node.Route, error) {
	return e.Lookup(ctx, name, dst)
}

// Do implements node.Engine: it calls f.
func (e *Engine) Do(name string, f func() error) error {
	e.mu.Lock()
	_, err := e.find(name)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	return f()
}

// Dir implements node.Engine.
func (e *Engine) Dir(name string) string { return filepath.Join(e.dir, "nodes", name) }

// Destroy implements node.Engine.
func (e *Engine) Destroy(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.destroy()
	return ctx.Err()
}

func (e *Engine) destroy() {
	for _, p := range e.process {
		p.cancel()
	}
	clear(e.process)
	for name, n := range e.nodes {
		for _, f := range n.devices {
			_ = f.Close()
		}
		_ = os.RemoveAll(e.Dir(name))
	}
	clear(e.nodes)
	_ = os.Remove(filepath.Join(e.dir, "nodes"))
}

// DroppedFrames implements node.DropCounter: what Drop was told.
func (e *Engine) DroppedFrames(ctx context.Context, name string) (map[string]uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.find(name)
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return nil, err
	}
	out := make(map[string]uint64)
	for _, p := range n.spec.Ports {
		out[p.Name] = n.dropped[p.Name]
	}
	return out, nil
}

// Silence implements node.Silencer: Silent tells.
func (e *Engine) Silence(name, process string) (restore func() error, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.process[[2]string{name, process}]
	if !ok {
		return nil, fmt.Errorf("node %s: no process %s", name, process)
	}
	p.silent = true
	e.silences++
	return func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		p.silent = false
		return nil
	}, nil
}

// Silences is how often a process was silenced.
func (e *Engine) Silences() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.silences
}

// Silent tells whether a process is told nothing by its kernel.
func (e *Engine) Silent(name, process string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.process[[2]string{name, process}]
	return ok && p.silent
}

// Drop makes a port lose so many frames in its queue.
func (e *Engine) Drop(name, port string, frames uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.find(name)
	if err != nil {
		return err
	}
	if n.dropped == nil {
		n.dropped = make(map[string]uint64)
	}
	n.dropped[port] += frames
	return nil
}

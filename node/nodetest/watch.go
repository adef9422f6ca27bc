package nodetest

import (
	"context"
	"slices"

	"orrery.dev/orrery/node"
)

// watcher is a call of WatchRoutes.
type watcher struct {
	nodes   []string
	woken   chan struct{}
	pending []node.RouteUpdate // guarded by Engine.mu
}

// WatchRoutes implements node.RouteWatcher. Updates have no stamps.
func (e *Engine) WatchRoutes(ctx context.Context, nodes []string, report func([]node.RouteUpdate)) error {
	w := &watcher{nodes: nodes, woken: make(chan struct{}, 1)}
	e.mu.Lock()
	for _, name := range nodes {
		n, err := e.find(name)
		if err != nil {
			e.mu.Unlock()
			return err
		}
		w.pending = append(w.pending, node.RouteUpdate{Node: name, Op: node.RoutesLost})
		for _, byMetric := range n.routes {
			for _, r := range byMetric {
				w.pending = append(w.pending, update(name, node.RouteSet, r))
			}
		}
	}
	if e.watchers == nil {
		e.watchers = map[*watcher]bool{}
	}
	e.watchers[w] = true
	e.mu.Unlock()
	w.woken <- struct{}{}
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.watchers, w)
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.woken:
		}
		e.mu.Lock()
		updates := w.pending
		w.pending = nil
		e.mu.Unlock()
		report(updates)
	}
}

// tell passes an update on to who watches. mu is held.
func (e *Engine) tell(u node.RouteUpdate) {
	for w := range e.watchers {
		if !slices.Contains(w.nodes, u.Node) {
			continue
		}
		w.pending = append(w.pending, u)
		select {
		case w.woken <- struct{}{}:
		default: // it has been told and not looked yet
		}
	}
}

func update(name string, op node.RouteOp, r node.Route) node.RouteUpdate {
	return node.RouteUpdate{
		Node: name, Op: op, Prefix: r.Prefix, Metric: r.Metric, Protocol: r.Protocol,
		Hops: []node.NextHop{{Via: r.Via, Port: r.Port}},
	}
}

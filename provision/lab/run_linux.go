package lab

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/provision/registry"
)

// Result is how one machine fared.
type Result struct {
	PowerOn time.Time
	Machine registry.Machine
	Err     error
}

// Run boots all machines to ready, so many at a time, each within a time, and switches each off then. The error joins those of
// the machines; results are in the order of Hardware.
func (l *Lab) Run(ctx context.Context, parallel int, within time.Duration, changed func(registry.Machine)) ([]Result, error) {
	results := make([]Result, len(l.Hardware))
	var mu sync.Mutex // of changed
	var group errgroup.Group
	group.SetLimit(max(1, parallel))
	for i, h := range l.Hardware {
		group.Go(func() error {
			r := &results[i]
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			r.PowerOn = time.Now()
			m, err := l.Boot(h)
			if err != nil {
				r.Err = err
				return nil
			}
			defer m.Off()
			r.Machine, r.Err = l.Await(ctx, m, registry.Ready, func(m registry.Machine) {
				mu.Lock()
				defer mu.Unlock()
				if changed != nil {
					changed(m)
				}
			})
			return nil
		})
	}
	_ = group.Wait()
	var err error
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	return results, err
}

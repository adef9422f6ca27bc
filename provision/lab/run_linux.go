package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
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

// FromDisk boots a machine that was installed, with nobody to serve it, until its console tells that it is ready, and switches it off.
func (l *Lab) FromDisk(ctx context.Context, h Hardware) (time.Duration, error) {
	began := time.Now()
	m, err := l.Boot(h)
	if err != nil {
		return 0, err
	}
	defer m.Off()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		console, err := os.ReadFile(m.Console)
		if err == nil && strings.Contains(string(console), "stage ready: <nil>") {
			return time.Since(began), nil
		}
		select {
		case <-tick.C:
		case <-m.Ended():
			return 0, fmt.Errorf("%s has switched itself off while it booted from its disk:\n%s", h.Name, strings.Join(m.LastLines(25), "\n"))
		case <-ctx.Done():
			return 0, fmt.Errorf("%s is not up from its disk: %w:\n%s", h.Name, ctx.Err(), strings.Join(m.LastLines(25), "\n"))
		}
	}
}

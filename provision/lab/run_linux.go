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

// console lines of a machine that has booted from its disk.
const (
	saysReady = "stage ready: <nil>"
	saysSlot  = "from slot "
)

// FromDisk boots a machine that was installed, with nobody to serve it, until its console tells that it is ready, and switches it off.
// A machine that switches itself off is switched on again, so many times at most: a new root that does not come up is tried three times
// before the boot loader goes back. Slots are those that it booted, in order.
func (l *Lab) FromDisk(ctx context.Context, h Hardware, again int) (slots []string, took time.Duration, err error) {
	began := time.Now()
	for ; ; again-- {
		m, err := l.Boot(h)
		if err != nil {
			return slots, 0, err
		}
		ready, err := m.awaitReady(ctx)
		m.Off()
		console, _ := os.ReadFile(m.Console)
		if _, after, ok := strings.Cut(string(console), saysSlot); ok && after != "" {
			slots = append(slots, after[:1])
		}
		switch {
		case ready:
			return slots, time.Since(began), nil
		case err != nil:
			return slots, 0, fmt.Errorf("%s is not up from its disk: %w:\n%s", h.Name, err, strings.Join(m.LastLines(25), "\n"))
		case again == 0:
			return slots, 0, fmt.Errorf("%s has switched itself off while it booted from its disk:\n%s", h.Name, strings.Join(m.LastLines(25), "\n"))
		}
	}
}

// awaitReady waits until a machine's console tells that it is ready, or until it is off.
func (m *Machine) awaitReady(ctx context.Context) (bool, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		console, err := os.ReadFile(m.Console)
		if err == nil && strings.Contains(string(console), saysReady) {
			return true, nil
		}
		select {
		case <-tick.C:
		case <-m.Ended():
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"orrery.dev/orrery/plan"
)

// history keeps snapshots of a plan in a directory: the latest that is not ahead of time,
// and those after it.
type history struct {
	dir      string
	revision string
	interval time.Duration // host time between two snapshots
	last     time.Time
}

const snapshotPrefix = "plan-"

// name of a snapshot whose cursor goes on at an instant.
func (h *history) name(at time.Duration) string {
	return filepath.Join(h.dir, fmt.Sprintf("%s%s-%020d", snapshotPrefix, h.revision, int64(at)))
}

// kept are the instants of the snapshots of this revision, ascending. Those of others are
// removed.
func (h *history) kept() (list []time.Duration) {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), snapshotPrefix)
		if !ok {
			continue
		}
		number, ok := strings.CutPrefix(rest, h.revision+"-")
		at, err := strconv.ParseInt(number, 10, 64)
		if !ok || err != nil {
			_ = os.Remove(filepath.Join(h.dir, e.Name()))
			continue
		}
		list = append(list, time.Duration(at))
	}
	slices.Sort(list)
	return list
}

// note keeps a snapshot of the cursor, if the last one is old enough, and removes those that
// nobody will resume from.
func (h *history) note(c *plan.Cursor, now time.Duration) error {
	if c.At() == 0 || time.Since(h.last) < h.interval {
		return nil
	}
	h.last = time.Now()
	if err := replace(h.name(c.At()), c.Snapshot()); err != nil {
		return fmt.Errorf("agent: snapshot of the plan: %w", err)
	}
	list := h.kept()
	past := 0
	for past < len(list) && list[past] <= now {
		past++
	}
	for _, at := range list[:max(0, past-1)] {
		_ = os.Remove(h.name(at))
	}
	return nil
}

// cursor is one that goes on from the latest snapshot not after now, or from the beginning.
func (h *history) cursor(p *plan.Plan, window, now time.Duration) (*plan.Cursor, error) {
	list := h.kept()
	var errs []error
	for _, at := range slices.Backward(list) {
		if at > now {
			continue
		}
		b, err := os.ReadFile(h.name(at))
		if err == nil {
			var c *plan.Cursor
			if c, err = p.Resume(b, window); err == nil {
				return c, nil
			}
		}
		errs = append(errs, err)
		_ = os.Remove(h.name(at))
	}
	return p.Windows(window), errors.Join(errs...)
}

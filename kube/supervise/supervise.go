// Package supervise is the first process of a pod with several daemons. It
// starts them in order, starts again what ends, ends all when it is told to, and
// takes in orphans as a first process must.
//
// It is linked into a program of its own (orrery-init), since it stays in each of
// thousands of pods: it imports little, and holds no goroutines but the one that
// receives signals.
package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// Process is one to keep running.
type Process struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"` // Argv[0] is a path
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	Nice int      `json:"nice,omitempty"`
	// After names a process whose socket must take connections first.
	After string `json:"after,omitempty"`
	// Socket is the unix socket that this process listens on, if it has one.
	Socket string `json:"socket,omitempty"`
	// Delay is how long to wait before the first start.
	Delay time.Duration `json:"delay,omitempty"`
	// Restart is "never", "on-failure" or "always".
	Restart string `json:"restart,omitempty"`
}

// The restart policies.
const (
	Never     = "never"
	OnFailure = "on-failure"
	Always    = "always"
)

// Write puts a list of processes into a file, for Read.
func Write(path string, list []Process) error {
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

// Read reads what Write has written.
func Read(path string) ([]Process, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []Process
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	names := map[string]bool{}
	for _, p := range list {
		if len(p.Argv) == 0 || names[p.Name] {
			return nil, fmt.Errorf("%s: process %q has no program, or is there twice", path, p.Name)
		}
		if p.After != "" && !names[p.After] {
			return nil, fmt.Errorf("%s: process %q is to come after %q, which does not come before it", path, p.Name, p.After)
		}
		names[p.Name] = true
	}
	if len(list) == 0 {
		return nil, errors.New(path + ": there are no processes")
	}
	return list, nil
}

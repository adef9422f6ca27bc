package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery.dev/orrery/test/cluster/machine"
)

// state is what Down needs to know. It is written before what it tells of is
// made; a machine, as soon as its process is known, and until then that ends
// by itself with the process that started it.
type state struct {
	// Cgroup is the name of the cluster's cgroup, which is at the root of each
	// hierarchy.
	Cgroup string `json:"cgroup"`
	// Machines are their first processes by name.
	Machines map[string]machine.ID `json:"machines"`
}

const stateFile = "state.json"

func (s state) write(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	next := filepath.Join(dir, stateFile+".next")
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, stateFile))
}

func readState(dir string) (state, error) {
	var s state
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("%s holds no state of a cluster: name the directory that the cluster was started with", dir)
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(dir, stateFile), err)
	}
	if !strings.HasPrefix(s.Cgroup, cgroupPrefix) || strings.ContainsAny(s.Cgroup, "/.") {
		return s, fmt.Errorf("%s: %q is no cgroup of a test cluster", filepath.Join(dir, stateFile), s.Cgroup)
	}
	return s, nil
}

// Down ends the cluster whose state is in a directory, whoever started it, and
// removes everything that is left of it, the directory too. It can be called
// again if it failed.
func Down(dir string) error {
	s, err := readState(dir)
	if err != nil {
		return err
	}
	for name, id := range s.Machines {
		if err := id.Kill(); err != nil {
			return fmt.Errorf("end machine %s: %w", name, err)
		}
	}
	if err := removeCgroups(s.Cgroup); err != nil {
		return err
	}
	if err := refuseMounts(dir); err != nil {
		return err
	}
	// The state goes last, so that what fails can be tried again.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == stateFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// refuseMounts fails if something is mounted below a directory: removing the
// directory would remove what is in there. Machines mount in namespaces of
// their own, so this never happens unless somebody mounted there by hand.
func refuseMounts(dir string) error {
	mounts, err := mounts()
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(mounts, func(m mountPoint) bool { return m.at == real || strings.HasPrefix(m.at, real+"/") })
	if i >= 0 {
		return fmt.Errorf("%s is a mount point, so %s is not removed: unmount it", mounts[i].at, dir)
	}
	return nil
}

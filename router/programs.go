package router

import (
	"path/filepath"

	"orrery.dev/orrery/scenario"
)

// Programs lists the programs that each node of a routing entry runs, in order
// of start, such as zebra and isisd; frr is the major version of FRR, as Release
// tells it. The list is empty where the kernel alone routes. The error says what
// the entry's daemon cannot do.
func Programs(r scenario.Routing, frr int) ([]string, error) {
	daemon, err := Daemon(r)
	if err != nil || daemon == "" {
		return nil, err
	}
	return programsOf(daemon, r, frr), nil
}

// Package is the package of Debian and Ubuntu that holds a daemon.
func Package(daemon string) string { return packages[daemon] }

// Usable says whether the user that a daemon changes to is there.
func Usable(daemon string) error {
	if daemon != FRR {
		return nil
	}
	_, err := frrOwner()
	return err
}

// Socket is where a process of a daemon takes questions, in its node's directory.
func Socket(dir, daemon, process string) string {
	if daemon == BIRD {
		return filepath.Join(dir, "bird.ctl")
	}
	return filepath.Join(dir, process+".vty")
}

// Console is the program by which people talk to the daemons of a node, whose files
// are in dir, and its arguments. ok is false for protocols without daemons.
func Console(r scenario.Routing, dir string) (name string, argv []string, ok bool) {
	daemon, err := Daemon(r)
	switch {
	case err != nil || daemon == "":
		return "", nil, false
	case daemon == BIRD:
		return "birdc", []string{"birdc", "-s", Socket(dir, BIRD, "bird")}, true
	default:
		return "vtysh", []string{"vtysh", "--vty_socket", dir}, true
	}
}

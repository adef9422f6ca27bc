package main

import (
	"context"
	"os"

	"orrery.dev/orrery/node"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/rundir"
	"orrery.dev/orrery/userns"
)

// mayMakeNodes tells whether this process may make namespaces and devices, as
// it is or since it runs in a user namespace of its own.
func mayMakeNodes() bool { return node.Permitted() == nil }

// again runs this program once more where an ordinary user may make nodes, and
// ends with its exit code.
func again(ctx context.Context, args ...string) error {
	if userns.Inside() {
		return node.Permitted() // something else is in the way
	}
	if err := rundir.MakeRoot(); err != nil {
		return err
	}
	// In there the user is root, whose runs live elsewhere.
	exit, err := userns.Run(ctx, userns.Options{
		Args: args, Env: []string{rundir.RootKey + "=" + rundir.Root()}, Squash: router.Users,
	})
	_ = os.Remove(rundir.Root()) // fails while there are runs
	if err == nil && exit != exitOK {
		err = &exitError{code: exit}
	}
	return err
}

// remove removes what a run has left whose emulator is gone.
func remove(ctx context.Context, name string) error {
	if !mayMakeNodes() && node.Remains(rundir.Dir(name)) {
		return again(ctx, "down", name)
	}
	if err := node.Cleanup(rundir.Dir(name)); err != nil {
		return err
	}
	return rundir.Remove(name)
}

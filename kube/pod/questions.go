package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// errQuiet is the error of a node without daemons that could be asked.
var errQuiet = errors.New("the node has no routing daemon")

// keepRouting writes down what questions depend on.
func keepRouting(dir string, r *scenario.Routing) error {
	b, err := json.Marshal(scenario.Routing{Protocol: r.Protocol, Daemon: r.Daemon})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, routingFile), b, 0o600)
}

// routing is the entry of the node whose directory this is.
func routing(dir string) (r scenario.Routing, err error) {
	b, err := os.ReadFile(filepath.Join(dir, routingFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, errQuiet
	case err != nil:
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", routingFile, err)
	}
	return r, nil
}

// Neighbours are what the daemon of the node in this directory says of them.
func Neighbours(ctx context.Context, dir string) ([]router.Adjacency, error) {
	r, err := routing(dir)
	if err != nil {
		return nil, err
	}
	return router.Adjacencies(ctx, dir, r)
}

// Console is the program by which people talk to the daemons of the node in this directory.
func Console(dir string) (Launch, error) {
	r, err := routing(dir)
	if err != nil {
		return Launch{}, err
	}
	_, argv, ok := router.Console(r, dir)
	if !ok {
		return Launch{}, errQuiet
	}
	if argv[0], err = exec.LookPath(argv[0]); err != nil {
		return Launch{}, fmt.Errorf("the image lacks the daemons' console: %w", err)
	}
	return Launch{Argv: argv, Dir: dir}, nil
}

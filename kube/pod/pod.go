// Package pod is what runs in a node's pod. It finds the node in the scenario
// that is mounted there, renders the configuration of its daemons, and gives its
// place to them:
//
//	scenario.tar.gz ──bundle──▶ plan ──assignment, router──▶ files and processes
//
//	processes      becomes
//	one daemon     the daemon itself, so that nothing else stays in the pod
//	several        orrery-init, which keeps them running
//	none           sleep(1), which takes the least memory of all
//
// # Caveats
//
// A pod does not know scenario time: commands with a start wait for so long,
// divided by the scenario's speed, from the start of their pod on. Costs of links
// do not follow their delay: metric delay is as hops.
package pod

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/kube/supervise"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// Where things are in a pod. The operator mounts them.
const (
	// Bundle is the packed scenario.
	Bundle = "/etc/orrery/" + bundle.Key
	// Dir is the node's directory, in memory.
	Dir = "/run/orrery"
	// Init is the program that keeps several processes running.
	Init = "orrery-init"
	// NodeKey is the variable with the node's name.
	NodeKey = "ORRERY_NODE"
)

// forever is 68 years in seconds; not every sleep(1) knows "infinity".
const forever = "2147483647"

// Files in the node's directory.
const (
	processesFile = "processes.json"
	socketsFile   = "sockets"
	routingFile   = "routing.json" // the node's entry, for who asks its daemons
)

// Options of a pod's node.
type Options struct {
	Node   string // its name
	Bundle string // file with the packed scenario
	Dir    string // the node's directory
}

// Launch is a program for the calling process to become.
type Launch struct {
	Argv []string // Argv[0] is a path
	Dir  string
	Nice int
}

// Prepare writes the files of a node, and says what its pod's process is to
// become. It may be called again after a crash.
func Prepare(o Options) (Launch, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return Launch{}, err
	}
	p, err := open(o)
	if err != nil {
		return Launch{}, err
	}
	n, ok := p.Node(o.Node)
	if !ok {
		return Launch{}, fmt.Errorf("the scenario %q has no node %q; the pod is of an older scenario, and the operator will replace it", p.Scenario.Metadata.Name, o.Node)
	}
	list, err := processes(p, n.Index, o.Dir)
	if err != nil {
		return Launch{}, fmt.Errorf("node %s: %w", o.Node, err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, socketsFile), sockets(list), 0o600); err != nil {
		return Launch{}, err
	}
	return launch(list, o.Dir)
}

// open reads the packed scenario. Its files lie in the node's directory for as
// long as they are needed: that directory is in memory.
func open(o Options) (*plan.Plan, error) {
	packed, err := os.ReadFile(o.Bundle)
	if err != nil {
		return nil, fmt.Errorf("the pod has no scenario: %w", err)
	}
	dir, err := os.MkdirTemp(o.Dir, "scenario-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := bundle.Unpack(packed, dir)
	if err != nil {
		return nil, err
	}
	return plan.Compile(s)
}

// processes are what a node runs: its routing daemons, whose files are written,
// and the user's commands.
func processes(p *plan.Plan, n int, dir string) ([]supervise.Process, error) {
	var list []supervise.Process
	if entry := assignment.Routing(p, n); entry != nil {
		if err := keepRouting(dir, entry); err != nil {
			return nil, err
		}
		assigner, err := assignment.New(p)
		if err != nil {
			return nil, err
		}
		in, err := assigner.Input(n, entry, dir)
		if err != nil {
			return nil, err
		}
		out, err := router.Render(in)
		if err != nil {
			return nil, err
		}
		if out.Daemon != "" {
			if err := router.Write(dir, out); err != nil {
				return nil, err
			}
		}
		var places []string
		for _, d := range out.Processes {
			places = append(places, d.BindOver...)
			q := supervise.Process{
				Name: d.Name, Argv: d.Argv, Env: d.Env, Dir: d.Dir, Nice: d.Nice, After: d.After,
				Socket: router.Socket(dir, out.Daemon, d.Name), Restart: policies[d.Restart],
			}
			list = append(list, q)
		}
		if err := bindOver(dir, places); err != nil {
			return nil, err
		}
	}
	scheme, err := assignment.Scheme(p)
	if err != nil {
		return nil, err
	}
	spec := &p.Scenario.Spec
	for i := range spec.Commands {
		c := &spec.Commands[i]
		if !scenario.Match(c.Nodes, p.Nodes[n].Name) {
			continue
		}
		q := supervise.Process{Name: c.Name, Dir: dir, Restart: c.Restart, Delay: time.Duration(float64(c.Start.Std()) / spec.Speed)}
		q.Argv, q.Env = assignment.Command(p, scheme, c, n)
		list = append(list, q)
	}
	for i := range list {
		if list[i].Argv[0], err = exec.LookPath(list[i].Argv[0]); err != nil {
			return nil, fmt.Errorf("process %s: the image lacks its program: %w; name an image that has it in kubernetes.pods", list[i].Name, err)
		}
	}
	return list, nil
}

var policies = map[node.RestartPolicy]string{node.Never: supervise.Never, node.OnFailure: supervise.OnFailure, node.Always: supervise.Always}

// launch is what the pod's process becomes.
func launch(list []supervise.Process, dir string) (Launch, error) {
	switch {
	case len(list) == 0:
		sleep, err := exec.LookPath("sleep")
		if err != nil {
			return Launch{}, fmt.Errorf("the image lacks sleep, which a pod without processes becomes: %w", err)
		}
		return Launch{Argv: []string{sleep, forever}, Dir: dir}, nil
	case len(list) == 1 && list[0].Restart == supervise.Always && list[0].Delay == 0 && len(list[0].Env) == 0:
		// Kubernetes starts the container anew if it ends.
		return Launch{Argv: list[0].Argv, Dir: list[0].Dir, Nice: list[0].Nice}, nil
	}
	file := filepath.Join(dir, processesFile)
	if err := supervise.Write(file, list); err != nil {
		return Launch{}, err
	}
	init, err := findInit()
	if err != nil {
		return Launch{}, err
	}
	return Launch{Argv: []string{init, file}, Dir: dir}, nil
}

// findInit finds orrery-init beside the running program, or on the path.
func findInit() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), Init)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(Init)
	if err != nil {
		return "", fmt.Errorf("the image lacks %s, which keeps several processes running: %w", Init, err)
	}
	return path, nil
}

// sockets are those that must take connections before the node counts as ready,
// one a line.
func sockets(list []supervise.Process) (b []byte) {
	for _, p := range list {
		if p.Socket != "" {
			b = append(append(b, p.Socket...), '\n')
		}
	}
	return b
}

// Ready says whether the daemons of the node in this directory take questions.
func Ready(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, socketsFile))
	if err != nil {
		return fmt.Errorf("the node is not prepared yet: %w", err)
	}
	for socket := range strings.Lines(string(b)) {
		if socket = strings.TrimSuffix(socket, "\n"); !supervise.Listens(socket) {
			return fmt.Errorf("nothing listens on %s yet", socket)
		}
	}
	return nil
}

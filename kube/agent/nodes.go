package agent

import (
	"context"
	"errors"
	"os"

	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/node"
)

// Guests is the engine of nodes in namespaces of others: node.Guests, or a double.
type Guests interface {
	Add(ctx context.Context, namespace string, spec node.Spec) error
	Retain(name string) error
	Remove(name string)
	Check(name string) error
	DeletePorts(namespace string) error
	Close()

	Device(node, port string) (*os.File, error)
	Do(node string, f func() error) error
	Routes(ctx context.Context, node string) ([]node.Route, error)
	SetRoutes(ctx context.Context, node string, protocol int, routes []node.Route) error
	node.Lookuper
	node.DropCounter
	node.RouteWatcher
}

var _ Guests = (*node.Guests)(nil)

// lodging is guests as an engine of nodes for a part of a run, which makes no nodes and
// starts no processes: both are the pods' affair.
type lodging struct{ Guests }

var _ emulation.Nodes = lodging{}

var errPods = errors.New("on Kubernetes a node is a pod, and its processes are the pod's: use kubectl exec")

func (lodging) Create(context.Context, []node.Spec) error { return errPods }

func (lodging) Start(context.Context, string, node.Process) error { return errPods }

func (lodging) Stop(context.Context, string, string) error { return errPods }

func (lodging) Kill(context.Context, string, string) error { return errPods }

func (lodging) Processes() []node.ProcessStatus { return nil }

func (lodging) Exec(context.Context, string, []string, node.Stdio) (int, error) { return 0, errPods }

func (lodging) Silence(string, string) (func() error, error) { return nil, errPods }

func (lodging) Dir(string) string { return "" }

func (lodging) Destroy(context.Context) error { return nil }

package node

import (
	"context"
	"io"
	"net/netip"
	"os"
	"time"
)

// Spec is what a node is to be.
type Spec struct {
	Name     string // unique; also the host name
	Loopback []netip.Prefix
	Ports    []PortSpec
	// Forward lets the kernel forward IPv6 and IPv4 between ports.
	Forward bool
	// Private makes Exec run commands in the node's private view.
	Private bool
}

// PortSpec is one TAP device in the node's namespace.
type PortSpec struct {
	Name      string // interface name, 15 bytes at most
	MAC       [6]byte
	MTU       int
	Addresses []netip.Prefix // link-local, and what else the port shall have
}

// Process is something to run in a node's namespace.
type Process struct {
	Name string // unique within the node: "bird", "zebra", "iperf"
	Argv []string
	Env  []string // added to a minimal environment
	Dir  string   // working directory; default the node's directory
	// Nice is its scheduling priority, from 0 to 19 (setpriority(2)).
	Nice int
	// After names a process of the same node that is to be up first. Empty: none.
	After string
	// Restart policy: Never, OnFailure, Always.
	Restart RestartPolicy
	// Private runs it in the node's private view, where there are no processes
	// and files of other nodes.
	Private bool
	// BindOver lists directories, by absolute paths, in whose place this process
	// alone sees the node's directory: for software that has them compiled in.
	// They need not be there.
	BindOver []string
	// Ready is asked until it says nil; the process counts as up from then on.
	// nil: up as soon as it runs.
	Ready func(ctx context.Context) error
}

// RestartPolicy says when a process that ended is started again.
type RestartPolicy uint8

// The restart policies.
const (
	Never RestartPolicy = iota
	OnFailure
	Always
)

// ProcessState is where a process is in its life.
type ProcessState string

// The states of a process.
const (
	Starting ProcessState = "starting"
	Running  ProcessState = "running"
	Exited   ProcessState = "exited" // ended by itself with status 0 and not to be restarted
	Failed   ProcessState = "failed" // could not be started, never became ready, or died
)

// ProcessStatus is what is known of a process.
type ProcessStatus struct {
	Node, Name string
	State      ProcessState
	PID        int
	Since      time.Time
	Restarts   int
	Reason     string // why it failed: exit status or signal, last line of its log
	Log        string // path of its log file
}

// Route is one entry of a node's main IPv6 (or IPv4) table.
type Route struct {
	Prefix netip.Prefix
	// Via is the next hop's address (IPv6 link-local as a rule, invalid for a
	// route to a connected prefix) and Port the interface that leads to it.
	Via      netip.Addr
	Port     string
	Metric   int
	Protocol int // rtnetlink's RTPROT_*: who installed it
}

// Engine makes and ends nodes. All methods are safe for concurrent use.
type Engine interface {
	// Create makes all nodes: namespaces, devices, addresses; the devices are
	// up, without carrier. On an error nothing remains.
	Create(ctx context.Context, specs []Spec) error
	// Device is the file of a port's TAP; the caller (the fabric) reads and
	// writes frames, each with a virtio_net_hdr before it.
	Device(node, port string) (*os.File, error)
	// Start supervises a process from now on.
	Start(ctx context.Context, node string, p Process) error
	// Stop ends one process and waits for its end.
	Stop(ctx context.Context, node, name string) error
	// Processes lists all supervised processes.
	Processes() []ProcessStatus
	// Exec runs a command in the node's namespace until it ends.
	Exec(ctx context.Context, node string, argv []string, io Stdio) (exit int, err error)
	// Routes are the unicast routes of the node's main table.
	Routes(ctx context.Context, node string) ([]Route, error)
	// SetRoutes makes the routes of one protocol number in the node's main
	// table be exactly these: only the differences reach the kernel.
	SetRoutes(ctx context.Context, node string, protocol int, routes []Route) error
	// Do calls f on a thread that is in the node's namespace: sockets opened in f
	// belong to the node. f must not start goroutines that rely on it.
	Do(node string, f func() error) error
	// Dir is the directory of the node's files.
	Dir(node string) string
	// Destroy ends all processes and nodes; nothing remains.
	Destroy(ctx context.Context) error
}

// Stdio of an executed command. If Terminal, the command gets a pseudo-terminal.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal bool
	// Resize, if set, delivers new sizes of the terminal.
	Resize <-chan WindowSize
}

// WindowSize in character cells.
type WindowSize struct{ Columns, Rows uint16 }

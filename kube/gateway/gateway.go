package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
)

// Agent is the API of one worker's part of the scenario.
type Agent interface {
	orreryv1alpha1connect.ControlServiceClient
	orreryv1alpha1connect.SkyServiceClient
}

var _ Agent = api.Client{}

// Pod is what the cluster says of a node's.
type Pod struct {
	Worker string // empty while it has none
	Ready  bool
	Reason string // why it is not ready, as far as is known
}

// Cluster is what the gateway wants of Kubernetes. All methods are safe for
// concurrent use.
type Cluster interface {
	// Pods by the node that they are.
	Pods(ctx context.Context) (map[string]Pod, error)
	// Agent of a worker. It is asked for again and again.
	Agent(ctx context.Context, worker string) (Agent, error)
	// Enters tells whether nodes' pods may be entered at all: Exec and Log are an error else.
	Enters() bool
	// Executor runs commands in nodes' pods.
	api.Executor
	// Log is the end of what a node's pod has printed, so many lines at most.
	Log(ctx context.Context, node string, lines int) (string, error)
	// SetPaused stops scenario time, or lets it go on.
	SetPaused(ctx context.Context, paused bool) error
	// SetSpeed changes the speed of the scenario.
	SetSpeed(ctx context.Context, speed float64) error
	// Failures are those that the cluster keeps for the scenario, as package kube/failures
	// writes them, and the version of the scenario that has them.
	Failures(ctx context.Context) (list, version string, err error)
	// SetFailures keeps others, if that is the version still. Else the error wraps ErrChanged.
	SetFailures(ctx context.Context, list, version string) error
}

// ErrChanged is wrapped by the error for a scenario that somebody has changed meanwhile.
var ErrChanged = errors.New("the scenario has changed meanwhile")

// Server is the API of a scenario.
type Server struct {
	cluster Cluster
}

var (
	_ orreryv1alpha1connect.ControlServiceHandler = (*Server)(nil)
	_ orreryv1alpha1connect.SkyServiceHandler     = (*Server)(nil)
)

// New answers for one scenario of a cluster.
func New(c Cluster) *Server { return &Server{cluster: c} }

// answer of a worker's agent, or why there is none.
type answer[T any] struct {
	worker string
	value  T
	err    error
}

// patience with an agent that does not answer.
const patience = 10 * time.Second

// workersOf are those that have pods, in order.
func workersOf(pods map[string]Pod) []string {
	names := make(map[string]bool)
	for _, p := range pods {
		if p.Worker != "" {
			names[p.Worker] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// ask asks the agents of all workers at once. Answers are in the order of workers.
func ask[T any](ctx context.Context, s *Server, workers []string, question func(context.Context, Agent) (T, error)) []answer[T] {
	return askWithin(ctx, s, patience, workers, question)
}

func askWithin[T any](ctx context.Context, s *Server, within time.Duration, workers []string, question func(context.Context, Agent) (T, error)) []answer[T] {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	out := make([]answer[T], len(workers))
	var g errgroup.Group
	for i, w := range workers {
		g.Go(func() error {
			out[i].worker = w
			a, err := s.cluster.Agent(ctx, w)
			if err == nil {
				out[i].value, err = question(ctx, a)
			}
			out[i].err = err
			return nil
		})
	}
	_ = g.Wait() // errors are among the answers
	return out
}

var errNobody = connect.NewError(connect.CodeUnavailable, errors.New("no node has a pod on a worker yet; 'kubectl get pods' tells why"))

// workers that have pods, in order; at least one.
func (s *Server) workers(ctx context.Context) ([]string, error) {
	pods, err := s.cluster.Pods(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	workers := workersOf(pods)
	if len(workers) == 0 {
		return nil, errNobody
	}
	return workers, nil
}

// forward asks one agent after the other what the gateway was asked, until one answers.
func forward[Q, R any](
	ctx context.Context, s *Server, within time.Duration, req *connect.Request[Q],
	method func(Agent, context.Context, *connect.Request[Q]) (*connect.Response[R], error),
) (*connect.Response[R], error) {
	workers, err := s.workers(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, w := range workers {
		a := askWithin(ctx, s, within, []string{w}, func(ctx context.Context, a Agent) (*connect.Response[R], error) {
			return method(a, ctx, connect.NewRequest(req.Msg))
		})[0]
		if a.err == nil {
			return a.value, nil
		}
		if refusal(a.err) {
			return nil, a.err
		}
		errs = append(errs, silent(w, a.err))
	}
	return nil, unavailable(errors.Join(errs...))
}

// all asks the agents of all workers what the gateway was asked, and gives what those say that answer, in the order of workers. It is an
// error if none does, or one understands and says no.
func all[Q, R any](
	ctx context.Context, s *Server, req *connect.Request[Q],
	method func(Agent, context.Context, *connect.Request[Q]) (*connect.Response[R], error),
) (said []answer[*R], workers int, err error) {
	names, err := s.workers(ctx)
	if err != nil {
		return nil, 0, err
	}
	var errs []error
	for _, a := range ask(ctx, s, names, func(ctx context.Context, a Agent) (*R, error) {
		r, err := method(a, ctx, connect.NewRequest(req.Msg))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	}) {
		switch {
		case a.err == nil:
			said = append(said, a)
		case refusal(a.err):
			return nil, 0, a.err
		default:
			errs = append(errs, silent(a.worker, a.err))
		}
	}
	if len(said) == 0 {
		return nil, 0, unavailable(errors.Join(errs...))
	}
	return said, len(names), nil
}

// refusal tells whether an agent has understood and says no, as every other would.
func refusal(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeNotFound, connect.CodeInvalidArgument, connect.CodeFailedPrecondition:
		return true
	default:
		return false
	}
}

func silent(worker string, err error) error {
	return fmt.Errorf("the agent of worker %s does not answer: %w", worker, err)
}

func unavailable(err error) error {
	if c := new(connect.Error); errors.As(err, &c) {
		return err
	}
	return connect.NewError(connect.CodeUnavailable, err)
}

// agentOf is the agent of the worker on which a node is.
func (s *Server) agentOf(ctx context.Context, node string) (Agent, error) {
	pods, err := s.cluster.Pods(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	p, ok := pods[node]
	switch {
	case !ok:
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no pod of a node %q; 'kubectl orrery nodes' lists the nodes", node))
	case p.Worker == "":
		return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("the pod of node %s is on no worker yet; 'kubectl describe pod' tells why", node))
	}
	a, err := s.cluster.Agent(ctx, p.Worker)
	if err != nil {
		return nil, unavailable(silent(p.Worker, err))
	}
	return a, nil
}

// ListNodes implements the method of the schema.
func (s *Server) ListNodes(ctx context.Context, req *connect.Request[pb.ListNodesRequest]) (*connect.Response[pb.ListNodesResponse], error) {
	pods, err := s.cluster.Pods(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	said, _, err := all(ctx, s, req, Agent.ListNodes)
	if err != nil {
		return nil, err
	}
	byIndex := make(map[int32]*pb.Node)
	for _, a := range said {
		for _, n := range a.value.GetNodes() {
			// Who has a node says what it is; of the others any will do.
			if byIndex[n.GetIndex()] == nil || pods[n.GetName()].Worker == a.worker {
				byIndex[n.GetIndex()] = n
			}
		}
	}
	out := new(pb.ListNodesResponse)
	for _, i := range slices.Sorted(maps.Keys(byIndex)) {
		n := byIndex[i]
		if p, ok := pods[n.GetName()]; ok {
			n.Processes = append(n.GetProcesses(), processOf(n.GetName(), p))
		}
		out.Nodes = append(out.Nodes, n)
	}
	return connect.NewResponse(out), nil
}

// podProcess is what a node's pod is called among its processes.
const podProcess = "pod"

// processOf is a node's pod in the place of its processes, which only the pod sees.
func processOf(node string, p Pod) *pb.Process {
	out := &pb.Process{Node: node, Name: podProcess, State: "starting", Reason: p.Reason}
	if p.Ready {
		out.State = "running"
	}
	return out
}

// ListLinks implements the method of the schema.
func (s *Server) ListLinks(ctx context.Context, req *connect.Request[pb.ListLinksRequest]) (*connect.Response[pb.ListLinksResponse], error) {
	return forward(ctx, s, patience, req, Agent.ListLinks)
}

// ListContacts implements the method of the schema.
func (s *Server) ListContacts(ctx context.Context, req *connect.Request[pb.ListContactsRequest]) (*connect.Response[pb.ListContactsResponse], error) {
	return forward(ctx, s, patience, req, Agent.ListContacts)
}

// Pause implements the method of the schema.
func (s *Server) Pause(ctx context.Context, _ *connect.Request[pb.PauseRequest]) (*connect.Response[pb.PauseResponse], error) {
	if err := s.cluster.SetPaused(ctx, true); err != nil {
		return nil, unavailable(err)
	}
	return connect.NewResponse(&pb.PauseResponse{}), nil
}

// Resume implements the method of the schema.
func (s *Server) Resume(ctx context.Context, _ *connect.Request[pb.ResumeRequest]) (*connect.Response[pb.ResumeResponse], error) {
	if err := s.cluster.SetPaused(ctx, false); err != nil {
		return nil, unavailable(err)
	}
	return connect.NewResponse(&pb.ResumeResponse{}), nil
}

// SetSpeed implements the method of the schema.
func (s *Server) SetSpeed(ctx context.Context, req *connect.Request[pb.SetSpeedRequest]) (*connect.Response[pb.SetSpeedResponse], error) {
	if v := req.Msg.GetSpeed(); !(v > 0) {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("speed %v: want more than 0; 'kubectl orrery pause' stops the sky", v))
	}
	if err := s.cluster.SetSpeed(ctx, req.Msg.GetSpeed()); err != nil {
		return nil, unavailable(err)
	}
	return connect.NewResponse(&pb.SetSpeedResponse{}), nil
}

// Stop implements the method of the schema.
func (s *Server) Stop(context.Context, *connect.Request[pb.StopRequest]) (*connect.Response[pb.StopResponse], error) {
	return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("on Kubernetes a scenario ends when its object is deleted: kubectl delete scenario"))
}

package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/kube/failures"
)

// kept is an object of a cluster that others change, too.
type kept struct {
	mu      sync.Mutex
	text    string
	version int
	rivals  int // how many changes of others come between reading and writing
}

func (c *cluster) Enters() bool { return c.exec != nil }

func (c *cluster) Failures(context.Context) (list, version string, err error) {
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	version = strconv.Itoa(c.kept.version)
	if c.kept.rivals > 0 {
		c.kept.rivals--
		c.kept.version++
	}
	return c.kept.text, version, nil
}

func (c *cluster) SetFailures(_ context.Context, list, version string) error {
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	if version != strconv.Itoa(c.kept.version) {
		return fmt.Errorf("%w: %s is over", ErrChanged, version)
	}
	c.kept.text, c.kept.version = list, c.kept.version+1
	return nil
}

// broken is an agent that has the failures of its cluster at once, or never.
type broken struct {
	agent
	kept *kept
	deaf bool
}

func (a *broken) CheckFailure(_ context.Context, q *connect.Request[pb.CheckFailureRequest]) (*connect.Response[pb.CheckFailureResponse], error) {
	f := q.Msg.GetFailure()
	if f.GetA() == "nobody:port" {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("there is no port"))
	}
	f.Id = "cut/" + f.GetA()
	if f.GetKind() == pb.Failure_KIND_IMPAIR {
		f.Id = "impair/" + f.GetA()
	}
	return connect.NewResponse(&pb.CheckFailureResponse{Failure: f}), nil
}

func (a *broken) ListFailures(context.Context, *connect.Request[pb.ListFailuresRequest]) (*connect.Response[pb.ListFailuresResponse], error) {
	if a.deaf {
		return connect.NewResponse(&pb.ListFailuresResponse{}), nil
	}
	a.kept.mu.Lock()
	defer a.kept.mu.Unlock()
	list, err := failures.Decode(a.kept.text)
	return connect.NewResponse(&pb.ListFailuresResponse{Failures: list}), err
}

// breakable is a gateway before agents that have failures.
func breakable(t *testing.T, deaf bool) (*cluster, Agent) {
	c := &cluster{pods: map[string]Pod{"a": {Worker: "w1"}, "b": {Worker: "w2"}}}
	c.agents = map[string]Agent{"w1": served(t, &broken{kept: &c.kept}), "w2": served(t, &broken{kept: &c.kept, deaf: deaf})}
	return c, served(t, New(c))
}

func ids(list []*pb.Failure) string {
	var out []string
	for _, f := range list {
		out = append(out, f.GetId())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// What is injected is kept by the cluster, though others change the scenario meanwhile, and one of the same id replaces another; what is
// undone is kept no more, also if somebody wrote it by hand.
func TestFailures(t *testing.T) {
	c, client := breakable(t, false)
	ctx := t.Context()
	inject := func(f *pb.Failure) (*connect.Response[pb.InjectResponse], error) {
		return client.Inject(ctx, connect.NewRequest(&pb.InjectRequest{Failure: f}))
	}
	c.kept.rivals = attempts - 1
	if r, err := inject(&pb.Failure{Kind: pb.Failure_KIND_CUT, A: "a:x"}); err != nil || r.Msg.GetFailure().GetId() != "cut/a:x" {
		t.Fatalf("%v, %v", r, err)
	}
	version := c.kept.version
	if _, err := inject(&pb.Failure{Kind: pb.Failure_KIND_CUT, A: "a:x"}); err != nil || c.kept.version != version {
		t.Errorf("the same again changed the scenario: %v", err)
	}
	for _, loss := range []float64{0.1, 0.2} {
		if _, err := inject(&pb.Failure{Kind: pb.Failure_KIND_IMPAIR, A: "a:y", Loss: loss}); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []*pb.Failure {
		t.Helper()
		r, err := client.ListFailures(ctx, connect.NewRequest(&pb.ListFailuresRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		return r.Msg.GetFailures()
	}
	if all := list(); ids(all) != "cut/a:x impair/a:y" || all[1].GetLoss() != 0.2 {
		t.Errorf("kept are %v", all)
	}
	if _, err := inject(&pb.Failure{Kind: pb.Failure_KIND_CUT, A: "nobody:port"}); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a port that is not there: %v", err)
	}
	undo := func(q *pb.UndoRequest) []*pb.Failure {
		t.Helper()
		r, err := client.Undo(ctx, connect.NewRequest(q))
		if err != nil {
			t.Fatal(err)
		}
		return r.Msg.GetUndone()
	}
	if gone := undo(&pb.UndoRequest{Ids: []string{"cut/a:x", "cut/none"}}); ids(gone) != "cut/a:x" || ids(list()) != "impair/a:y" {
		t.Errorf("undone are %v, left %v", gone, list())
	}
	c.kept.text = `{"failures": [{"kind": "KIND_CUT", "a": "b:z", "b": "a:z"}, {"kind": "KIND_KILL_NODE", "a": "b"}]}`
	if gone := undo(&pb.UndoRequest{Ids: []string{"cut/a:z,b:z"}}); ids(gone) != "cut/a:z,b:z" || ids(list()) != "down/b" {
		t.Errorf("undone are %v, left %v", gone, list())
	}
	if gone := undo(&pb.UndoRequest{All: true}); len(gone) != 1 || c.kept.text != "" {
		t.Errorf("undone are %v, kept %q", gone, c.kept.text)
	}
	c.kept.text = "nonsense"
	if _, err := inject(&pb.Failure{Kind: pb.Failure_KIND_CUT, A: "a:x"}); connect.CodeOf(err) != connect.CodeFailedPrecondition || c.kept.text != "nonsense" {
		t.Errorf("what cannot be read is replaced: %v, %q", err, c.kept.text)
	}
}

// Who injects is told if a worker has not done it, and that the failure is kept.
func TestDeafAgent(t *testing.T) {
	c, _ := breakable(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), 5*settling)
	defer cancel()
	_, err := New(c).Inject(ctx, connect.NewRequest(&pb.InjectRequest{Failure: &pb.Failure{Kind: pb.Failure_KIND_CUT, A: "a:x"}}))
	if err == nil || !strings.Contains(err.Error(), "w2") || strings.Contains(err.Error(), "w1 has not") || !strings.Contains(c.kept.text, "a:x") {
		t.Errorf("%v; kept is %q", err, c.kept.text)
	}
}

// A node that was the last of its worker leaves nobody there to wait for.
func TestLastNodeOfItsWorker(t *testing.T) {
	c, _ := breakable(t, true)
	last := &emptied{cluster: c}
	_, err := New(last).Inject(t.Context(), connect.NewRequest(&pb.InjectRequest{Failure: &pb.Failure{Kind: pb.Failure_KIND_CUT, A: "b:x"}}))
	if err != nil || last.looks < 2 {
		t.Errorf("after %d looks: %v", last.looks, err)
	}
}

// emptied is a cluster in which the pod of the second worker goes while somebody looks.
type emptied struct {
	*cluster
	mu    sync.Mutex
	looks int
}

func (e *emptied) Pods(ctx context.Context) (map[string]Pod, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.looks++; e.looks > 3 {
		return map[string]Pod{"a": {Worker: "w1"}}, nil
	}
	return e.cluster.Pods(ctx)
}

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/node"
)

// agent is a worker's, with what it is told to answer.
type agent struct {
	orreryv1alpha1connect.UnimplementedControlServiceHandler
	orreryv1alpha1connect.UnimplementedSkyServiceHandler
	status *pb.Status
	nodes  []*pb.Node
	events []*pb.Event
	path   func(from, to string) *pb.Path
	ping   []*pb.PingResponse
	detail detail
}

func (a *agent) GetStatus(context.Context, *connect.Request[pb.GetStatusRequest]) (*connect.Response[pb.GetStatusResponse], error) {
	return connect.NewResponse(&pb.GetStatusResponse{Status: a.status}), nil
}

func (a *agent) ListNodes(context.Context, *connect.Request[pb.ListNodesRequest]) (*connect.Response[pb.ListNodesResponse], error) {
	return connect.NewResponse(&pb.ListNodesResponse{Nodes: a.nodes}), nil
}

func (a *agent) GetPath(_ context.Context, q *connect.Request[pb.GetPathRequest]) (*connect.Response[pb.GetPathResponse], error) {
	return connect.NewResponse(&pb.GetPathResponse{Kernel: a.path(q.Msg.GetFrom(), q.Msg.GetTo()), Oracle: &pb.Path{}}), nil
}

func (a *agent) WatchEvents(_ context.Context, _ *connect.Request[pb.WatchEventsRequest], out *connect.ServerStream[pb.WatchEventsResponse]) error {
	for _, e := range a.events {
		if err := out.Send(&pb.WatchEventsResponse{Event: e}); err != nil {
			return err
		}
	}
	return nil
}

func (a *agent) Ping(_ context.Context, _ *connect.Request[pb.PingRequest], out *connect.ServerStream[pb.PingResponse]) error {
	for _, m := range a.ping {
		if err := out.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// cluster is a double.
type cluster struct {
	pods   map[string]Pod
	agents map[string]Agent
	said   []string
	exec   func(node string, argv []string, io node.Stdio) (int, error)
	log    string
	kept   kept
}

func (c *cluster) Exec(_ context.Context, name string, argv []string, io node.Stdio) (int, error) {
	if c.exec == nil {
		return 0, errors.New("no pod can be entered")
	}
	return c.exec(name, argv, io)
}

func (c *cluster) Log(_ context.Context, name string, lines int) (string, error) {
	c.said = append(c.said, fmt.Sprint("log of ", name, ", lines ", lines))
	return c.log, nil
}

func (c *cluster) Pods(context.Context) (map[string]Pod, error) { return c.pods, nil }

func (c *cluster) Agent(_ context.Context, worker string) (Agent, error) {
	if a, ok := c.agents[worker]; ok {
		return a, nil
	}
	return nil, errors.New("no pod of the agent runs there")
}

func (c *cluster) SetPaused(_ context.Context, paused bool) error {
	c.said = append(c.said, fmt.Sprint("paused ", paused))
	return nil
}

func (c *cluster) SetSpeed(_ context.Context, speed float64) error {
	c.said = append(c.said, fmt.Sprint("speed ", speed))
	return nil
}

// both is what agents and gateways answer.
type both interface {
	orreryv1alpha1connect.ControlServiceHandler
	orreryv1alpha1connect.SkyServiceHandler
}

// served makes a handler a client, over a connection as real ones are.
func served(t testing.TB, h both) Agent {
	t.Helper()
	s := httptest.NewUnstartedServer((&api.Services{Control: h, Sky: h}).Handler())
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return api.DialBy(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Listener.Addr().String())
	})
}

// two workers, of which each has one node.
func two(t testing.TB, a, b *agent) (*cluster, Agent) {
	t.Helper()
	c := &cluster{
		pods:   map[string]Pod{"a": {Worker: "w1", Ready: true}, "b": {Worker: "w2", Reason: "ImagePullBackOff"}},
		agents: map[string]Agent{"w1": served(t, a), "w2": served(t, b)},
	}
	return c, served(t, New(c))
}

func ms(n int64) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }

// The status is the sum of what was counted and the worst of what was judged.
func TestStatus(t *testing.T) {
	status := func(name string, frames uint64, level pb.Verdict_Level, late int64) *pb.Status {
		return &pb.Status{
			Name: "sky", Phase: pb.Phase_PHASE_RUNNING, Problems: []string{"trouble of " + name}, FramesPerSecond: 2, PlanAhead: ms(late),
			Counters: &pb.Counters{SentFrames: frames, DropLoss: 1},
			Fidelity: &pb.Fidelity{
				LatenessP99: ms(late), Deliveries: frames, RealTime: true, Workers: 1,
				Verdict: &pb.Verdict{Level: level, Reasons: []string{"late"}}, Worst: &pb.Verdict{Level: pb.Verdict_LEVEL_DEGRADED, Reasons: []string{"once"}},
			},
		}
	}
	c, client := two(t, &agent{status: status("w1", 5, pb.Verdict_LEVEL_FAITHFUL, 3)}, &agent{status: status("w2", 7, pb.Verdict_LEVEL_OVERLOADED, 9)})
	get := func() *pb.Status {
		t.Helper()
		r, err := client.GetStatus(t.Context(), connect.NewRequest(&pb.GetStatusRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		return r.Msg.GetStatus()
	}
	s := get()
	f := s.GetFidelity()
	if s.GetCounters().GetSentFrames() != 12 || s.GetCounters().GetDropLoss() != 2 || s.GetFramesPerSecond() != 4 || f.GetDeliveries() != 12 || f.GetWorkers() != 2 {
		t.Errorf("the sums are %+v", s)
	}
	if f.GetVerdict().GetLevel() != pb.Verdict_LEVEL_OVERLOADED || f.GetVerdict().GetReasons()[0] != "w2: late" || f.GetLatenessP99().AsDuration() != 9*time.Millisecond {
		t.Errorf("the fidelity is %+v", f)
	}
	if got := strings.Join(f.GetWorst().GetReasons(), ", "); got != "w1: once, w2: once" {
		t.Errorf("two verdicts that are alike have the reasons %q", got)
	}
	if got := strings.Join(s.GetProblems(), ", "); got != "w1: trouble of w1, w2: trouble of w2" {
		t.Errorf("the problems are %q", got)
	}
	if s.GetProcesses() != 2 || s.GetProcessesRunning() != 1 || s.GetPlanAhead().AsDuration() != 3*time.Millisecond {
		t.Errorf("the pods, or how far the plan is ahead: %+v", s)
	}

	delete(c.agents, "w2")
	s = get()
	if s.GetCounters().GetSentFrames() != 5 || len(s.GetProblems()) != 2 || !strings.Contains(s.GetProblems()[1], "worker w2 does not answer") {
		t.Errorf("with w2 lost: %+v", s)
	}
	delete(c.agents, "w1")
	if _, err := client.GetStatus(t.Context(), connect.NewRequest(&pb.GetStatusRequest{})); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("with nobody left: %v", err)
	}
}

// A node is as its own worker's agent sees it, with its pod as its process.
func TestNodes(t *testing.T) {
	nodes := func(adjacencies ...int32) (out []*pb.Node) {
		for i, n := range adjacencies {
			out = append(out, &pb.Node{Index: int32(i), Name: string(rune('a' + i)), Adjacencies: n})
		}
		return out
	}
	_, client := two(t, &agent{nodes: nodes(1, 0)}, &agent{nodes: nodes(0, 2)})
	r, err := client.ListNodes(t.Context(), connect.NewRequest(&pb.ListNodesRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	got := r.Msg.GetNodes()
	if len(got) != 2 || got[0].GetAdjacencies() != 1 || got[1].GetAdjacencies() != 2 {
		t.Fatalf("the nodes are %v", got)
	}
	if p := got[1].GetProcesses(); len(p) != 1 || p[0].GetState() != "starting" || p[0].GetReason() != "ImagePullBackOff" {
		t.Errorf("the pod of b is %v", p)
	}
}

// Events of the plan, which all agents tell, come once.
func TestEvents(t *testing.T) {
	events := []*pb.Event{{Kind: "link-up", A: "a:p", B: "b:p"}, {Kind: "fidelity", Text: "late"}}
	_, client := two(t, &agent{events: events}, &agent{events: events})
	stream, err := client.WatchEvents(t.Context(), connect.NewRequest(&pb.WatchEventsRequest{History: true}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for stream.Receive() {
		e := stream.Msg().GetEvent()
		if e.GetSequence() != uint64(len(got)) {
			t.Errorf("event %d has the number %d", len(got), e.GetSequence())
		}
		got = append(got, e.GetKind()+" "+e.GetText())
	}
	slices.Sort(got)
	if want := []string{"fidelity w1: late", "fidelity w2: late", "link-up "}; !slices.Equal(got, want) || stream.Err() != nil {
		t.Errorf("the events are %q, %v; want %q", got, stream.Err(), want)
	}
}

// tables are a network's: where each node sends what is for the last one.
type tables struct {
	next   []int // -1: nowhere
	worker []int
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i) }

func index(name string) (i int) {
	_, _ = fmt.Sscanf(name, "n%d", &i)
	return i
}

// follow is what an agent answers, or all of them with one view if worker is -1.
func (n *tables) follow(worker int, from, to string) *pb.Path {
	p := &pb.Path{}
	var sum int64
	seen := map[int]bool{}
	for at := index(from); ; {
		problem := ""
		switch {
		case nodeName(at) == to:
			p.Complete = true
		case seen[at]:
			problem = "the tables loop at " + nodeName(at)
		case worker >= 0 && n.worker[at] != worker:
			problem = "it is not here"
		case n.next[at] < 0:
			problem = "no route"
		}
		if p.GetComplete() || problem != "" {
			p.Hops = append(p.Hops, &pb.Hop{Node: nodeName(at)})
			p.Problem, p.Delay = problem, ms(sum)
			return p
		}
		seen[at] = true
		p.Hops = append(p.Hops, &pb.Hop{Node: nodeName(at), Port: "p", Delay: ms(1)})
		sum++
		at = n.next[at]
	}
}

// The way that is put together from what each worker sees of it is the one that
// somebody who sees all would find, wherever nodes are.
func TestWay(t *testing.T) {
	const workers = 3
	n := &tables{}
	c := &cluster{agents: map[string]Agent{}}
	for w := range workers {
		c.agents[fmt.Sprint("w", w)] = served(t, &agent{path: func(from, to string) *pb.Path { return n.follow(w, from, to) }})
	}
	g := New(c)
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.IntRange(2, 12).Draw(rt, "nodes")
		n.next = rapid.SliceOfN(rapid.IntRange(-1, number-1), number, number).Draw(rt, "next")
		n.worker = rapid.SliceOfN(rapid.IntRange(0, workers-1), number, number).Draw(rt, "worker")
		c.pods = map[string]Pod{}
		for i, w := range n.worker {
			c.pods[nodeName(i)] = Pod{Worker: fmt.Sprint("w", w)}
		}
		from, to := nodeName(0), nodeName(number-1)
		want := n.follow(-1, from, to)
		got, err := g.way(t.Context(), from, to)
		if err != nil {
			rt.Fatal(err)
		}
		if got.String() != want.String() {
			rt.Fatalf("the way is\n%v, want\n%v", got, want)
		}
	})
}

// An answer to a ping gets its geometry, which no single agent knows.
func TestPing(t *testing.T) {
	path := func(from, to string) *pb.Path {
		return &pb.Path{Complete: true, Delay: ms(5), Hops: []*pb.Hop{{Node: from, Port: "p", Delay: ms(5)}, {Node: to}}}
	}
	answers := []*pb.PingResponse{{Sequence: 1, MeasuredRtt: ms(11)}, {Sequence: 2, Lost: true}}
	_, client := two(t, &agent{path: path, ping: answers}, &agent{path: path})
	stream, err := client.Ping(t.Context(), connect.NewRequest(&pb.PingRequest{From: "a", To: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []*pb.PingResponse
	for stream.Receive() {
		got = append(got, stream.Msg())
	}
	if err := stream.Err(); err != nil || len(got) != 2 {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	if got[0].GetGeometricRtt().AsDuration() != 10*time.Millisecond || got[0].GetHops() != 1 || got[1].GetGeometricRtt() != nil {
		t.Errorf("the answers are %v", got)
	}
	stream, err = client.Ping(t.Context(), connect.NewRequest(&pb.PingRequest{From: "nobody", To: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeNotFound {
		t.Errorf("a ping from a node that is not there: %v", stream.Err())
	}
}

// Time is the cluster's.
func TestTime(t *testing.T) {
	c, client := two(t, &agent{}, &agent{})
	_, err1 := client.Pause(t.Context(), connect.NewRequest(&pb.PauseRequest{}))
	_, err2 := client.Resume(t.Context(), connect.NewRequest(&pb.ResumeRequest{}))
	_, err3 := client.SetSpeed(t.Context(), connect.NewRequest(&pb.SetSpeedRequest{Speed: 2.5}))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if want := []string{"paused true", "paused false", "speed 2.5"}; !slices.Equal(c.said, want) {
		t.Errorf("the cluster is told %q, want %q", c.said, want)
	}
	if _, err := client.SetSpeed(t.Context(), connect.NewRequest(&pb.SetSpeedRequest{})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a speed of 0: %v", err)
	}
	if _, err := client.Stop(t.Context(), connect.NewRequest(&pb.StopRequest{})); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("the end of a scenario: %v", err)
	}
}

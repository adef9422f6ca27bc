package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/coder/websocket"

	"orrery.dev/orrery/api/access"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/node"
)

// detail is what an agent answers to a page.
type detail struct {
	node    *pb.GetNodeResponse
	link    map[string]*pb.GetLinkResponse // by port
	events  []*pb.Event
	bits    []float32
	streams int // messages of WatchTraffic
}

func floats(list ...float32) (b []byte) {
	for _, x := range list {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func (a *agent) GetNode(context.Context, *connect.Request[pb.GetNodeRequest]) (*connect.Response[pb.GetNodeResponse], error) {
	return connect.NewResponse(a.detail.node), nil
}

func (a *agent) GetLink(_ context.Context, q *connect.Request[pb.GetLinkRequest]) (*connect.Response[pb.GetLinkResponse], error) {
	return connect.NewResponse(a.detail.link[q.Msg.GetPort()]), nil
}

func (a *agent) GetPair(context.Context, *connect.Request[pb.GetPairRequest]) (*connect.Response[pb.GetPairResponse], error) {
	return connect.NewResponse(&pb.GetPairResponse{Oracle: &pb.Path{Complete: true}}), nil
}

func (a *agent) ListEvents(context.Context, *connect.Request[pb.ListEventsRequest]) (*connect.Response[pb.ListEventsResponse], error) {
	return connect.NewResponse(&pb.ListEventsResponse{Events: a.detail.events}), nil
}

func (a *agent) WatchTraffic(ctx context.Context, _ *connect.Request[pb.WatchTrafficRequest], out *connect.ServerStream[pb.WatchTrafficResponse]) error {
	for i := range a.detail.streams {
		if err := out.Send(&pb.WatchTrafficResponse{ScenarioTime: ms(int64(i)), BitsPerSecond: floats(a.detail.bits...)}); err != nil {
			return err
		}
	}
	if a.detail.streams > 1 { // the first worker's: what it says is waited for
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (a *agent) GetTraffic(context.Context, *connect.Request[pb.GetTrafficRequest]) (*connect.Response[pb.GetTrafficResponse], error) {
	return connect.NewResponse(&pb.GetTrafficResponse{From: ms(1), To: ms(2), BitsPerSecond: floats(a.detail.bits...)}), nil
}

func (a *agent) GetInventory(context.Context, *connect.Request[pb.GetInventoryRequest]) (*connect.Response[pb.GetInventoryResponse], error) {
	return connect.NewResponse(&pb.GetInventoryResponse{Name: "sky", Running: true}), nil
}

// A node is what its worker's agent and the daemon in its pod say of it.
func TestNode(t *testing.T) {
	answer := func() *pb.GetNodeResponse {
		return &pb.GetNodeResponse{Node: &pb.Node{Name: "b"}, NeighboursProblem: "ask the pod", Terminals: []string{"shell", "birdc"}}
	}
	there := &agent{detail: detail{node: answer()}}
	c, client := two(t, &agent{}, there)
	get := func() *pb.GetNodeResponse {
		t.Helper()
		there.detail.node = answer()
		r, err := client.GetNode(t.Context(), connect.NewRequest(&pb.GetNodeRequest{Name: "b"}))
		if err != nil {
			t.Fatal(err)
		}
		return r.Msg
	}
	if got := get(); got.GetNeighboursProblem() != "no pod can be entered" || len(got.GetNode().GetProcesses()) != 1 || got.GetNode().GetProcesses()[0].GetReason() != "ImagePullBackOff" {
		t.Errorf("with a pod that cannot be entered: %v", got)
	}
	said, code := `[{"port":"fore","neighbour":"10.0.0.1","state":"Full/PtP","up":true}]`, 0
	c.exec = func(name string, argv []string, io node.Stdio) (int, error) {
		if name != "b" || strings.Join(argv, " ") != "orrery node neighbours" {
			t.Errorf("in %s %q is run", name, argv)
		}
		_, _ = fmt.Fprint(io.Out, said)
		_, _ = fmt.Fprint(io.Err, "not yet\n")
		return code, nil
	}
	if got := get(); len(got.GetNeighbours()) != 1 || got.GetNeighbours()[0].GetName() != "10.0.0.1" || !got.GetNeighbours()[0].GetUp() || got.GetNeighboursProblem() != "" {
		t.Errorf("the neighbours are %v", got)
	}
	code = 1
	if got := get(); got.GetNeighboursProblem() != "the daemon in the pod does not say: not yet" {
		t.Errorf("a daemon that does not answer: %q", got.GetNeighboursProblem())
	}
	said, code = "rubbish", 0
	if got := get(); !strings.Contains(got.GetNeighboursProblem(), "cannot be read") {
		t.Errorf("rubbish: %q", got.GetNeighboursProblem())
	}
}

// The far end of a link is counted by its own worker.
func TestLink(t *testing.T) {
	link := func(a, b string, sent uint64, bits float64) *pb.GetLinkResponse {
		return &pb.GetLinkResponse{Link: &pb.Link{A: a, B: b}, Up: true, ACounters: &pb.Counters{SentFrames: sent}, BCounters: &pb.Counters{}, ABitsPerSecond: bits, Utilisation: bits / 100}
	}
	near := &agent{detail: detail{link: map[string]*pb.GetLinkResponse{"a:fore": link("a:fore", "b:aft", 3, 10), "a:lost": {}}}}
	far := &agent{detail: detail{link: map[string]*pb.GetLinkResponse{"b:aft": link("b:aft", "a:fore", 7, 50)}}}
	_, client := two(t, near, far)
	r, err := client.GetLink(t.Context(), connect.NewRequest(&pb.GetLinkRequest{Port: "a:fore"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Msg; got.GetACounters().GetSentFrames() != 3 || got.GetBCounters().GetSentFrames() != 7 || got.GetBBitsPerSecond() != 50 || got.GetUtilisation() != 0.5 {
		t.Errorf("the link is %v", got)
	}
	if r, err := client.GetLink(t.Context(), connect.NewRequest(&pb.GetLinkRequest{Port: "a:lost"})); err != nil || r.Msg.GetUp() {
		t.Errorf("a port without a link: %v, %v", r, err)
	}
	if _, err := client.GetLink(t.Context(), connect.NewRequest(&pb.GetLinkRequest{Port: "a"})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("what is no port: %v", err)
	}
}

// The ways of a pair are those over all workers.
func TestPair(t *testing.T) {
	path := func(from, to string) *pb.Path {
		return &pb.Path{Complete: true, Delay: ms(5), Hops: []*pb.Hop{{Node: from, Port: "p", Delay: ms(5)}, {Node: to}}}
	}
	_, client := two(t, &agent{path: path}, &agent{path: path})
	r, err := client.GetPair(t.Context(), connect.NewRequest(&pb.GetPairRequest{A: "a", B: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Msg; !got.GetOracle().GetComplete() || got.GetKernel().GetHops()[0].GetNode() != "a" || got.GetKernelBack().GetHops()[0].GetNode() != "b" || !got.GetKernelBack().GetComplete() {
		t.Errorf("the pair is %v", got)
	}
}

// Events of all workers come in order, those of the plan once, and no more than asked for.
func TestListEvents(t *testing.T) {
	events := func(at int64) []*pb.Event {
		return []*pb.Event{{Kind: "fidelity", At: ms(at)}, {Kind: "link-up", At: ms(10), Planned: true}, {Kind: "link-down", At: ms(20), Planned: true}}
	}
	c, client := two(t, &agent{detail: detail{events: events(3)}}, &agent{detail: detail{events: events(1)}})
	list := func(limit int32) (out []string, truncated bool) {
		t.Helper()
		r, err := client.ListEvents(t.Context(), connect.NewRequest(&pb.ListEventsRequest{Limit: limit}))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Msg.GetEvents() {
			out = append(out, e.GetKind()+" "+e.GetText())
		}
		return out, r.Msg.GetTruncated()
	}
	if got, truncated := list(0); !slices.Equal(got, []string{"fidelity w2: ", "fidelity w1: ", "link-up ", "link-down "}) || truncated {
		t.Errorf("the events are %q, truncated %v", got, truncated)
	}
	if got, truncated := list(2); !slices.Equal(got, []string{"fidelity w1: ", "link-up "}) || !truncated {
		t.Errorf("two of them are %q, truncated %v", got, truncated)
	}
	delete(c.agents, "w1")
	if got, _ := list(0); len(got) != 3 {
		t.Errorf("with w1 lost: %q", got)
	}
}

// Ports' traffic is the sum of what agents count.
func TestTraffic(t *testing.T) {
	c, client := two(t, &agent{detail: detail{bits: []float32{1, 0, 4}, streams: 200}}, &agent{detail: detail{bits: []float32{0, 2, 8}, streams: 1}})
	r, err := client.GetTraffic(t.Context(), connect.NewRequest(&pb.GetTrafficRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if want := floats(1, 2, 12); !slices.Equal(r.Msg.GetBitsPerSecond(), want) || r.Msg.GetTo().AsDuration() != ms(2).AsDuration() {
		t.Errorf("the past is %v", r.Msg)
	}
	stream, err := client.WatchTraffic(t.Context(), connect.NewRequest(&pb.WatchTrafficRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	var all, whole int
	for stream.Receive() {
		all++
		if slices.Equal(stream.Msg().GetBitsPerSecond(), floats(1, 2, 12)) {
			whole++
		} else if !slices.Equal(stream.Msg().GetBitsPerSecond(), floats(1, 0, 4)) {
			t.Fatalf("a message is %v", stream.Msg())
		}
	}
	if err := stream.Err(); err != nil || all != 200 {
		t.Errorf("%d messages, %d of them with both parts, %v; want 200, and the end of the stream with that of a part", all, whole, err)
	}
	delete(c.agents, "w1")
	if r, err := client.GetTraffic(t.Context(), connect.NewRequest(&pb.GetTrafficRequest{})); err != nil || !slices.Equal(r.Msg.GetBitsPerSecond(), floats(0, 2, 8)) {
		t.Errorf("with w1 lost: %v, %v", r, err)
	}
}

// A log is whole lines of what the pod has printed.
func TestLog(t *testing.T) {
	c, client := two(t, &agent{}, &agent{})
	c.log = "first\nsecond\nthird\n"
	r, err := client.GetLog(t.Context(), connect.NewRequest(&pb.GetLogRequest{Node: "a", Process: "pod", Bytes: 10}))
	if err != nil || r.Msg.GetText() != "third\n" || !r.Msg.GetTruncated() {
		t.Errorf("the end of the log is %v, %v", r, err)
	}
	if _, err := client.GetLog(t.Context(), connect.NewRequest(&pb.GetLogRequest{Node: "a", Process: "isisd"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("the log of a daemon: %v", err)
	}
	if _, err := client.GetLog(t.Context(), connect.NewRequest(&pb.GetLogRequest{Node: "a", Process: "pod", Bytes: -1})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a log of -1 bytes: %v", err)
	}
}

// The page knows what is not possible here; who may only look is told so.
func TestInventory(t *testing.T) {
	c, _ := two(t, &agent{}, &agent{})
	for role, readOnly := range map[access.Role]bool{access.Viewer: true, access.Owner: false} {
		r, err := New(c).GetInventory(access.With(t.Context(), role), connect.NewRequest(&pb.GetInventoryRequest{}))
		if err != nil || r.Msg.GetReadOnly() != readOnly || !r.Msg.GetInPods() || !r.Msg.GetOutside() || !r.Msg.GetRunning() {
			t.Errorf("role %v: %v, %v", role, r, err)
		}
	}
}

// A terminal is a shell, or the console of the daemon, in the node's pod.
func TestTerminal(t *testing.T) {
	c, _ := two(t, &agent{detail: detail{node: &pb.GetNodeResponse{Node: &pb.Node{Name: "a"}, Terminals: []string{"shell", "birdc"}}}}, &agent{})
	c.exec = func(name string, argv []string, s node.Stdio) (int, error) {
		if !s.Terminal {
			return 0, errors.New("it has no terminal")
		}
		b := make([]byte, 2)
		if _, err := io.ReadFull(s.In, b); err != nil {
			return 0, err
		}
		_, err := fmt.Fprintf(s.Out, "%s: %s: %s", name, strings.Join(argv, " "), b)
		return 3, err
	}
	s := httptest.NewServer(New(c).Handler())
	defer s.Close()
	for program, want := range map[string]string{"shell": "a: /bin/sh: hi", "birdc": "a: orrery node console: hi"} {
		conn, _, err := websocket.Dial(t.Context(), s.URL+"/terminal?node=a&columns=80&rows=24&program="+program, &websocket.DialOptions{Subprotocols: []string{"orrery.terminal.v1"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(t.Context(), websocket.MessageBinary, []byte("hi")); err != nil {
			t.Error(err)
		}
		_, shown, err := conn.Read(t.Context())
		_, end, err2 := conn.Read(t.Context())
		if err != nil || err2 != nil || string(shown) != want || string(end) != `{"exitCode":3}` {
			t.Errorf("%s shows %q and ends with %s, %v, %v", program, shown, end, err, err2)
		}
		_ = conn.CloseNow()
	}
	for query, status := range map[string]int{"node=nobody": http.StatusNotFound, "node=a&program=vtysh": http.StatusNotFound} {
		r, err := http.Get(s.URL + "/terminal?" + query)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != status {
			t.Errorf("%s: %s", query, r.Status)
		}
	}
}

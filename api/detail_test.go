package api

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/node"
)

func TestNodeLinkAndPairClosely(t *testing.T) {
	_, cl, _, _ := serve(t)
	ctx := context.Background()
	n, err := cl.GetNode(ctx, connect.NewRequest(&pb.GetNodeRequest{Name: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	if m := n.Msg; len(m.GetLinks()) != 1 || len(m.GetTerminals()) != 1 || m.GetNode().GetName() != "a" || len(m.GetRoutes()) == 0 || m.GetRoutes()[0].GetProtocol() != "oracle" {
		t.Errorf("node %v", m)
	}
	l, err := cl.GetLink(ctx, connect.NewRequest(&pb.GetLinkRequest{Port: "a:ant0"}))
	if err != nil {
		t.Fatal(err)
	}
	m := l.Msg
	if !m.GetUp() || m.GetLink().GetA() != "a:ant0" || !strings.HasPrefix(m.GetLink().GetB(), "sat-one:") || len(m.GetDelay()) == 0 {
		t.Errorf("link %v", m)
	}
	// The pieces say what the link's delay is now.
	now := m.GetScenarioTime().AsDuration()
	piece := m.GetDelay()[0]
	for _, p := range m.GetDelay() {
		if p.GetStart().AsDuration() <= now {
			piece = p
		}
	}
	x := (now - piece.GetStart().AsDuration()).Seconds()
	delay := piece.GetC0() + x*(piece.GetC1()+x*(piece.GetC2()+x*piece.GetC3()))
	if math.Abs(delay-m.GetLink().GetDelay().AsDuration().Seconds()) > 1e-6 {
		t.Errorf("delay %g s by its pieces, %v by the link", delay, m.GetLink().GetDelay())
	}
	p, err := cl.GetPair(ctx, connect.NewRequest(&pb.GetPairRequest{A: "b", B: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	if m := p.Msg; m.GetPair() == nil || !m.GetOracle().GetComplete() || len(m.GetOracle().GetHops()) != 3 || m.GetOracle().GetHops()[0].GetNode() != "b" || len(m.GetTimes())/8 != len(m.GetMeasuredMs())/4 {
		t.Errorf("pair %v", m)
	}
	for _, name := range []string{"a", "a:", "x:ant0", "a:x"} {
		if _, err := cl.GetLink(ctx, connect.NewRequest(&pb.GetLinkRequest{Port: name})); err == nil {
			t.Errorf("there is a port %q", name)
		}
	}
}

func TestFailuresAreInjectedAndUndone(t *testing.T) {
	_, cl, _, _ := serve(t)
	ctx := context.Background()
	inject := func(f *pb.Failure) (*pb.Failure, error) {
		res, err := cl.Inject(ctx, connect.NewRequest(&pb.InjectRequest{Failure: f}))
		if err != nil {
			return nil, err
		}
		return res.Msg.GetFailure(), nil
	}
	cut, err := inject(&pb.Failure{Kind: pb.Failure_KIND_CUT, A: "a:ant0"})
	if err != nil || cut.GetId() != "cut/a:ant0" || cut.GetSince() == nil {
		t.Fatalf("%v, %v", cut, err)
	}
	if _, err := inject(&pb.Failure{Kind: pb.Failure_KIND_IMPAIR, A: "b:ant0", Delay: durationpb.New(50 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	links, err := cl.ListLinks(ctx, connect.NewRequest(&pb.ListLinksRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if l := links.Msg.GetLinks(); len(l) != 1 || l[0].GetDelay().AsDuration() < 169*time.Millisecond {
		t.Errorf("links %v", l)
	}
	status, err := cl.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{}))
	if err != nil || len(status.Msg.GetStatus().GetFailures()) != 2 {
		t.Errorf("%v, %v", status, err)
	}
	for _, f := range []*pb.Failure{nil, {}, {Kind: pb.Failure_KIND_CUT, A: "nothing"}, {Kind: 99, A: "a:ant0"}} {
		if _, err := inject(f); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", f, err)
		}
	}
	undone, err := cl.Undo(ctx, connect.NewRequest(&pb.UndoRequest{Ids: []string{"cut/a:ant0", "nothing"}}))
	if err != nil || len(undone.Msg.GetUndone()) != 1 {
		t.Errorf("%v, %v", undone, err)
	}
	if _, err := cl.Undo(ctx, connect.NewRequest(&pb.UndoRequest{All: true})); err != nil {
		t.Error(err)
	}
	list, err := cl.ListFailures(ctx, connect.NewRequest(&pb.ListFailuresRequest{}))
	if err != nil || len(list.Msg.GetFailures()) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	events, err := cl.ListEvents(ctx, connect.NewRequest(&pb.ListEventsRequest{Node: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range events.Msg.GetEvents() {
		kinds = append(kinds, e.GetKind())
	}
	if got := strings.Join(kinds, " "); !strings.Contains(got, "injected link-down undone link-up") {
		t.Errorf("events %v", got)
	}
}

func TestTheNearestEventsAreKept(t *testing.T) {
	list := []*pb.Event{}
	for i := range 10 {
		list = append(list, &pb.Event{At: durationpb.New(time.Duration(i) * time.Second)})
	}
	got := Nearest(list, 6*time.Second, 3)
	if len(got) != 3 || got[0].GetAt().AsDuration() != 5*time.Second || got[2].GetAt().AsDuration() != 7*time.Second {
		t.Errorf("nearest to 6 s: %v", got)
	}
}

// The tail is whole lines, not longer than asked for, and the end of the file.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.StringMatching(`[a-zä]{0,9}`), 0, 20).Draw(t, "lines"), "\n")
		size := rapid.Int64Range(1, 200).Draw(t, "size")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, truncated, err := tail(path, size)
		if err != nil {
			t.Fatal(err)
		}
		if truncated != (int64(len(text)) > size) || !truncated && got != text {
			t.Fatalf("%q, truncated %v, of %q with size %d", got, truncated, text, size)
		}
		if truncated && strings.Contains(text[int64(len(text))-size:], "\n") && (!strings.HasSuffix(text, got) || strings.Contains(got, "\uFFFD") || text[len(text)-len(got)-1] != '\n') {
			t.Fatalf("%q is no tail of whole lines of %q", got, text)
		}
	})
}

func TestTrafficIsSampledOnceForAll(t *testing.T) {
	server, _, _, _ := serve(t)
	first := server.traffic.sample()
	if again := server.traffic.sample(); again != first {
		t.Error("two samples within a second")
	}
	if n := server.run.Plan().NumPorts(); len(first.message.GetBitsPerSecond()) != 4*n || len(first.message.GetDropsPerSecond()) != 4*n {
		t.Errorf("%d bytes for %d ports", len(first.message.GetBitsPerSecond()), n)
	}
}

func TestTrafficOfAnInstant(t *testing.T) {
	server, cl, _, _ := serve(t)
	ctx := context.Background()
	for _, at := range []*durationpb.Duration{nil, durationpb.New(-time.Second), {Seconds: 1, Nanos: -1}} {
		if _, err := cl.GetTraffic(ctx, connect.NewRequest(&pb.GetTrafficRequest{ScenarioTime: at})); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("at %v: %v", at, err)
		}
	}
	name := server.portName(0)
	if _, err := cl.Inject(ctx, connect.NewRequest(&pb.InjectRequest{Failure: &pb.Failure{Kind: pb.Failure_KIND_CUT, A: name}})); err != nil {
		t.Fatal(err)
	}
	held := server.run.Timeline().Now()
	if _, err := cl.Undo(ctx, connect.NewRequest(&pb.UndoRequest{All: true})); err != nil {
		t.Fatal(err)
	}
	get := func(at time.Duration) *pb.GetTrafficResponse {
		res, err := cl.GetTraffic(ctx, connect.NewRequest(&pb.GetTrafficRequest{ScenarioTime: durationpb.New(at)}))
		if err != nil {
			t.Fatal(err)
		}
		return res.Msg
	}
	if m := get(held); len(m.GetFailures()) != 1 || m.GetFailures()[0].GetA() != name {
		t.Errorf("while it held: %v", m.GetFailures())
	}
	if m := get(held + time.Hour); m.GetFailures() != nil || m.GetFrom() != nil || m.GetBitsPerSecond() != nil {
		t.Errorf("in the future: %v", m)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		m := get(held)
		if m.GetTo() != nil {
			if n := server.run.Plan().NumPorts(); len(m.GetBitsPerSecond()) != 4*n || len(m.GetDropsPerSecond()) != 4*n || m.GetFrom().AsDuration() > held || m.GetTo().AsDuration() < held {
				t.Errorf("%d and %d bytes for %d ports, from %v to %v", len(m.GetBitsPerSecond()), len(m.GetDropsPerSecond()), n, m.GetFrom().AsDuration(), m.GetTo().AsDuration())
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("nothing is known of the past after half a minute")
		}
	}
}

// Rates of a link are those of the last second, also if nobody has asked for an hour.
func TestRatesAreRecent(t *testing.T) {
	server, _, _, _ := serve(t)
	tr := &server.traffic
	if r := tr.sample(); r.known {
		t.Error("the first sample has rates")
	}
	tr.at = tr.at.Add(-time.Hour)
	if r := tr.sample(); r.known {
		t.Error("there are rates over an hour")
	}
	tr.at = tr.at.Add(-time.Hour)
	if r, err := tr.recent(context.Background()); err != nil || !r.known {
		t.Errorf("%+v, %v", r, err)
	}
	tr.at = tr.at.Add(-time.Hour)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tr.recent(gone); err == nil {
		t.Error("waits for nobody")
	}
}

// The report of iperf3 3.12 for TCP, shortened, and one of a client that fails.
func TestThroughput(t *testing.T) {
	_, cl, _, nodes := serve(t)
	const report = `{"intervals":[{"sum":{"start":0,"end":1.5,"bits_per_second":1e9,"retransmits":2}}],
		"end":{"sum_sent":{"bits_per_second":1.1e9,"retransmits":3},"sum_received":{"bits_per_second":9.5e8}}}`
	answer := report
	refused := math.MaxInt
	nodes.OnExec = func(name string, argv []string, stdio node.Stdio) (int, error) {
		if argv[1] == "-s" {
			return 0, nil
		}
		if refused > 0 {
			refused--
			_, err := stdio.Out.Write([]byte(`{"error":"unable to connect: Connection refused"}`))
			return 1, err
		}
		if !strings.Contains(strings.Join(argv, " "), "-t 3 -C bbr") || name != "a" {
			t.Errorf("%s runs %v", name, argv)
		}
		_, err := stdio.Out.Write([]byte(answer))
		if strings.Contains(answer, "error") {
			return 1, err
		}
		return 0, err
	}
	ask := func() (*connect.Response[pb.MeasureThroughputResponse], error) {
		return cl.MeasureThroughput(context.Background(), connect.NewRequest(&pb.MeasureThroughputRequest{From: "a", To: "b", Duration: durationpb.New(2500 * time.Millisecond), CongestionControl: "bbr"}))
	}
	// The double's server ends at once, so that a refused client has nobody to wait for.
	if _, err := ask(); connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "ended before") {
		t.Errorf("refused: %v", err)
	}
	refused = 0
	res, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if m := res.Msg; m.GetBitsPerSecond() != 9.5e8 || m.GetRetransmits() != 3 || len(m.GetIntervals()) != 1 || m.GetIntervals()[0].GetTo().AsDuration() != 1500*time.Millisecond {
		t.Errorf("%v", m)
	}
	answer = `{"error":"the server is busy"}`
	if _, err := ask(); connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "busy") {
		t.Errorf("%v", err)
	}
	if _, err := cl.MeasureThroughput(context.Background(), connect.NewRequest(&pb.MeasureThroughputRequest{From: "a", To: "a"})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("to itself: %v", err)
	}
}

func FuzzThroughput(f *testing.F) {
	f.Add([]byte(`{"end":{"sum":{"packets":0,"lost_packets":1,"jitter_ms":1e300}}}`))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = throughput(b) })
}

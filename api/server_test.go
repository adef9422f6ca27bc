package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/node/nodetest"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

const twoStations = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  constellations:
    - name: sat
      elements: [{name: one, altitude: 35786km, inclination: 0deg, raan: 10deg}]
      groundPorts: 2
  stations:
    - {name: a, position: {lat: 0deg, lon: -90deg}}
    - {name: b, position: {lat: 1deg, lon: -91deg}}
  groundLinks: [{name: up, minElevation: 5deg}]
  routing: [{protocol: oracle}]
`

// silence never answers.
type silence struct{}

func (silence) Send(netip.Addr, int) (<-chan time.Duration, func(), error) {
	return make(chan time.Duration), func() {}, nil
}
func (silence) Close() error { return nil }

// serve runs a scenario over doubles and serves it on a socket.
func serve(t *testing.T) (*Server, orreryv1alpha1connect.ControlServiceClient, string, *nodetest.Engine) {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(twoStations))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	nodes := nodetest.New(t.TempDir())
	nodes.OnExec = func(_ string, argv []string, stdio node.Stdio) (int, error) {
		var in bytes.Buffer
		_, err := in.ReadFrom(stdio.In)
		if err == nil {
			_, err = stdio.Out.Write([]byte(strings.Join(argv, " ") + ":" + in.String()))
		}
		return 7, err
	}
	run, err := emulation.New(emulation.Config{
		Plan: p, Nodes: nodes, Timeline: clock.New(clock.Host{}, 0, 1),
		Fabric: func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			return memfabric.New(tl, len(ports), 1), nil
		},
		Echo: func(string) (emulation.Echo, error) { return silence{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	server := NewServer(run)
	dir, err := os.MkdirTemp("", "api") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- server.Serve(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := run.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		os.Remove(dir)
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the socket did not appear within 10 s")
		}
	}
	return server, Dial(socket), socket, nodes
}

func TestTheSocketIsForItsOwnerOnly(t *testing.T) {
	_, _, socket, _ := serve(t)
	st, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if m := st.Mode().Perm(); m != 0o600 {
		t.Errorf("mode %o, want 600", m)
	}
}

func TestStatusAndLists(t *testing.T) {
	_, cl, _, _ := serve(t)
	ctx := context.Background()
	st, err := cl.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if s := st.Msg.GetStatus(); s.GetSatellites() != 1 || s.GetStations() != 2 || s.GetGroundLinks() != 2 || len(s.GetPairs()) != 1 {
		t.Errorf("status %v", s)
	}
	nodes, err := cl.ListNodes(ctx, connect.NewRequest(&pb.ListNodesRequest{Pattern: "sat-*"}))
	if err != nil {
		t.Fatal(err)
	}
	if n := nodes.Msg.GetNodes(); len(n) != 1 || n[0].GetHeight() < 35000 || !n[0].GetPorts()[0].GetUp() {
		t.Errorf("nodes %v", n)
	}
	links, err := cl.ListLinks(ctx, connect.NewRequest(&pb.ListLinksRequest{Node: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	if l := links.Msg.GetLinks(); len(l) != 1 || l[0].GetDelay().AsDuration() < 119*time.Millisecond {
		t.Errorf("links of a: %v", l)
	}
	contacts, err := cl.ListContacts(ctx, connect.NewRequest(&pb.ListContactsRequest{From: durationpb.New(time.Hour)}))
	if err != nil {
		t.Fatal(err)
	}
	if c := contacts.Msg.GetContacts(); len(c) != 2 {
		t.Errorf("contacts %v", c)
	}
}

func TestFaultsOfRequests(t *testing.T) {
	_, cl, _, _ := serve(t)
	ctx := context.Background()
	for name, c := range map[string]struct {
		call func() error
		code connect.Code
		text string
	}{
		"unknown node": {func() error {
			_, err := cl.GetPath(ctx, connect.NewRequest(&pb.GetPathRequest{From: "a", To: "nobody"}))
			return err
		}, connect.CodeNotFound, `no node "nobody"`},
		"bad pattern": {func() error {
			_, err := cl.ListNodes(ctx, connect.NewRequest(&pb.ListNodesRequest{Pattern: "["}))
			return err
		}, connect.CodeInvalidArgument, "pattern"},
		"speed": {func() error {
			_, err := cl.SetSpeed(ctx, connect.NewRequest(&pb.SetSpeedRequest{Speed: -1}))
			return err
		}, connect.CodeInvalidArgument, "speed -1"},
		"span": {func() error {
			_, err := cl.ListContacts(ctx, connect.NewRequest(&pb.ListContactsRequest{From: durationpb.New(2), To: durationpb.New(1)}))
			return err
		}, connect.CodeInvalidArgument, "from"},
		"a long span": {func() error {
			_, err := cl.ListContacts(ctx, connect.NewRequest(&pb.ListContactsRequest{To: durationpb.New(maxInterval + 1)}))
			return err
		}, connect.CodeInvalidArgument, "at most 24h"},
		"unknown port": {func() error {
			s, err := cl.Capture(ctx, connect.NewRequest(&pb.CaptureRequest{Node: "a", Port: "fore"}))
			if err != nil {
				return err
			}
			s.Receive()
			return s.Err()
		}, connect.CodeNotFound, "it has [ant0]"},
		"too much": {func() error {
			_, err := cl.ListNodes(ctx, connect.NewRequest(&pb.ListNodesRequest{Pattern: strings.Repeat("a", 2*maxRequest)}))
			return err
		}, connect.CodeResourceExhausted, ""},
	} {
		err := c.call()
		if connect.CodeOf(err) != c.code || err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.code, c.text)
		}
	}
}

func TestExecCarriesStreamsAndTheExitCode(t *testing.T) {
	_, cl, _, _ := serve(t)
	stream := cl.Exec(context.Background())
	for _, m := range []*pb.ExecRequest{{Node: "a", Argv: []string{"cat", "-"}}, {Stdin: []byte("one ")}, {Stdin: []byte("two"), StdinClosed: true}} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	var out string
	for {
		m, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		out += string(m.GetStdout())
		if m.GetExited() {
			if m.GetExitCode() != 7 || out != "cat -:one two" {
				t.Fatalf("exit code %d, output %q", m.GetExitCode(), out)
			}
			return
		}
	}
}

func TestPauseIsAnEvent(t *testing.T) {
	_, cl, _, _ := serve(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := cl.Pause(ctx, connect.NewRequest(&pb.PauseRequest{})); err != nil {
		t.Fatal(err)
	}
	stream, err := cl.WatchEvents(ctx, connect.NewRequest(&pb.WatchEventsRequest{History: true}))
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
		if stream.Msg().GetEvent().GetKind() == "paused" {
			return
		}
	}
	t.Fatal(stream.Err())
}

// A stop is answered when the owner of the run says that it has ended, not before, and
// with what could not be removed.
func TestStopWaitsForTheEnd(t *testing.T) {
	server, cl, _, _ := serve(t)
	answered := make(chan error, 1)
	go func() {
		res, err := cl.Stop(context.Background(), connect.NewRequest(&pb.StopRequest{}))
		if err == nil && res.Msg.GetProblem() != "held" {
			err = fmt.Errorf("the problem is %q, not what is held", res.Msg.GetProblem())
		}
		answered <- err
	}()
	<-server.StopRequested()
	select {
	case err := <-answered:
		t.Fatalf("answered early: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	server.Stopped(errors.New("held"))
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// The same schema as JSON over plain HTTP/1.1, as curl speaks it.
func TestPlainJSON(t *testing.T) {
	_, _, socket, _ := serve(t)
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer hc.CloseIdleConnections()
	res, err := hc.Post("http://orrery/orrery.v1alpha1.ControlService/GetStatus", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil || res.StatusCode != http.StatusOK || !strings.Contains(body.String(), `"name":"test"`) {
		t.Fatalf("%s: %s, %v", res.Status, body.String(), err)
	}
}

func FuzzNodePort(f *testing.F) {
	for _, s := range []string{"sat-p01s03:fore", "a:", ":b", "a:b:c", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, p, err := NodePort(s)
		if err == nil && (n == "" || p == "" || n+":"+p != s) {
			t.Fatalf("%q became %q and %q", s, n, p)
		}
	})
}

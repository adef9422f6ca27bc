package endtoend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/coder/websocket"
	"google.golang.org/protobuf/types/known/durationpb"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/api/access"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// bearer sends a token with each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// browser is what a page asks with: where it is, and its token.
type browser struct {
	base, token string
	api.Client
}

func browse(base, token string) *browser {
	return &browser{base, token, api.NewClient(&http.Client{Transport: bearer(token)}, base)}
}

// serving starts a program that tells on its first lines where it serves, and ends it with the test.
func serving(t *testing.T, where *regexp.Regexp, path string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // its exit code tells of the signal
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := where.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }() // until it ends
			return m
		}
	}
	t.Fatalf("%s %q does not tell where it serves: %s", path, args, &complaint)
	return nil
}

// page: what the page asks for is answered, by the plugin's with all that its user may do, and by the operator's, to
// look at or to steer.
func (i *Installed) page(t *testing.T, from, to string) {
	at := serving(t, regexp.MustCompile(`^(http://.*)/#token=(.*)$`), filepath.Join(i.programs.Dir, "kubectl-orrery"), "page", "iridium", "--listen", "127.0.0.1:0")
	mine := browse(at[1], at[2])
	if wait, err := time.ParseDuration(os.Getenv("ORRERY_PAGE")); err == nil {
		t.Logf("the page is at %s", at[0])
		time.Sleep(wait)
	}
	i.looks(t, mine, from, to)
	i.touches(t, mine, from, to)

	ctx := patient(t)
	token := func(entry string) string {
		t.Helper()
		secret, err := i.Kubectl(ctx, nil, "--namespace=orrery-system", "get", "secret", "orrery-page", "--output=jsonpath={.data."+entry+"}")
		if err != nil {
			t.Fatal(err)
		}
		text, err := base64.StdEncoding.DecodeString(string(secret))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	at = serving(t, regexp.MustCompile(`127\.0\.0\.1:(\d+)`), filepath.Join(i.programs.Dir, "kubectl"), "--namespace=orrery-system", "port-forward", "service/orrery-page", ":8600")
	operators := browse("http://127.0.0.1:"+at[1]+"/default/iridium", token("viewer"))
	i.looks(t, operators, from, to)
	if _, err := operators.Pause(ctx, connect.NewRequest(&pb.PauseRequest{})); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("who may look only can pause: %v", err)
	}
	owner := browse(operators.base, token("owner"))
	i.pauses(t, owner)
	i.breaks(t, owner, from)
	if l, err := owner.GetLog(ctx, connect.NewRequest(&pb.GetLogRequest{Node: from, Process: "pod"})); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("the operator reads the log of a pod: %v, %v", l, err)
	}
	if _, err := browse(operators.base, "x").GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{})); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("a wrong token: %v", err)
	}
}

// looks at everything that the page shows.
func (i *Installed) looks(t *testing.T, b *browser, from, to string) {
	t.Helper()
	ctx := patient(t)
	r, err := http.Get(b.base + "/")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != http.StatusOK || !bytes.Contains(text, []byte("<title>Orrery</title>")) {
		t.Errorf("the page: %s, %v", r.Status, err)
	}
	inventory, err := b.GetInventory(ctx, connect.NewRequest(&pb.GetInventoryRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if m := inventory.Msg; !m.GetRunning() || !m.GetInPods() || len(m.GetNodes()) < 24 {
		t.Errorf("the inventory has %d nodes, running %v, in pods %v", len(m.GetNodes()), m.GetRunning(), m.GetInPods())
	}
	if p, err := b.GetPositions(ctx, connect.NewRequest(&pb.GetPositionsRequest{})); err != nil || len(p.Msg.GetKilometres()) != 2*3*4*len(inventory.Msg.GetNodes()) {
		t.Errorf("positions: %v, %v", p, err)
	}
	eventually(t, "the daemon of "+from+" has a neighbour, as the page shows it", func() (bool, string) {
		n, err := b.GetNode(ctx, connect.NewRequest(&pb.GetNodeRequest{Name: from}))
		if err != nil {
			return false, err.Error()
		}
		m := n.Msg
		whole := len(m.GetRoutes()) > 0 && len(m.GetLinks()) > 0 && len(m.GetNode().GetProcesses()) == 1 && len(m.GetTerminals()) == 2
		if strings.Contains(m.GetNeighboursProblem(), "kubectl orrery page") { // the operator does not enter pods
			return whole, fmt.Sprint(m)
		}
		return whole && len(m.GetNeighbours()) > 0 && m.GetNeighbours()[0].GetUp(), fmt.Sprint(m)
	})
	pair, err := b.GetPair(ctx, connect.NewRequest(&pb.GetPairRequest{A: from, B: to}))
	if err != nil || !pair.Msg.GetOracle().GetComplete() || len(pair.Msg.GetKernel().GetHops()) == 0 {
		t.Errorf("the pair: %v, %v", pair, err)
	}
	links, err := b.ListLinks(ctx, connect.NewRequest(&pb.ListLinksRequest{Node: from}))
	if err != nil || len(links.Msg.GetLinks()) == 0 {
		t.Fatalf("the links: %v, %v", links, err)
	}
	link, err := b.GetLink(ctx, connect.NewRequest(&pb.GetLinkRequest{Port: links.Msg.GetLinks()[0].GetA()}))
	if err != nil || link.Msg.GetUp() && (link.Msg.GetACounters().GetSentFrames() == 0 || link.Msg.GetBCounters().GetSentFrames() == 0) {
		t.Errorf("the link: %v, %v", link, err)
	}
	events, err := b.ListEvents(ctx, connect.NewRequest(&pb.ListEventsRequest{}))
	if err != nil || len(events.Msg.GetEvents()) == 0 {
		t.Errorf("the events: %v, %v", events, err)
	}
	statuses, err := b.WatchStatus(ctx, connect.NewRequest(&pb.WatchStatusRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !statuses.Receive() || statuses.Msg().GetStatus().GetName() != "iridium" || !slices.Equal(statuses.Msg().GetStatus().GetRouting(), []string{"isis/frr"}) {
			t.Fatalf("the status: %v, %v", statuses.Msg(), statuses.Err())
		}
	}
	traffic, err := b.WatchTraffic(ctx, connect.NewRequest(&pb.WatchTrafficRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	for carried := false; !carried; { // routers say hello each second
		if !traffic.Receive() {
			t.Fatal(traffic.Err())
		}
		carried = bytes.ContainsFunc(traffic.Msg().GetBitsPerSecond(), func(r rune) bool { return r != 0 })
	}
	now := statuses.Msg().GetStatus().GetScenarioTime().AsDuration()
	eventually(t, "what ports carried in the past is known", func() (bool, string) {
		past, err := b.GetTraffic(ctx, connect.NewRequest(&pb.GetTrafficRequest{ScenarioTime: durationpb.New(now)}))
		return err == nil && past.Msg.GetTo() != nil && len(past.Msg.GetBitsPerSecond()) == 4*len(inventory.Msg.GetPorts()), fmt.Sprint(err)
	})
}

// touches what a page may change, and what takes somebody in the pods.
func (i *Installed) touches(t *testing.T, b *browser, from, to string) {
	t.Helper()
	ctx := patient(t)
	if l, err := b.GetLog(ctx, connect.NewRequest(&pb.GetLogRequest{Node: from, Process: "pod"})); err != nil {
		t.Errorf("the log: %v, %v", l, err)
	}
	for program, w := range map[string]struct{ typed, shown string }{
		"shell": {"echo $((6 * 7))\n", "42"}, "vtysh": {"show version\n", "FRRouting"},
	} {
		shown, err := b.terminal(ctx, from, program, w.typed, w.shown)
		if err != nil {
			t.Errorf("a terminal with %s: %v; it shows %q", program, err, shown)
		}
	}
	m, err := b.MeasureThroughput(ctx, connect.NewRequest(&pb.MeasureThroughputRequest{From: from, To: to, Duration: durationpb.New(2 * time.Second)}))
	if err != nil || m.Msg.GetBitsPerSecond() <= 0 {
		t.Errorf("throughput: %v, %v", m, err)
	} else {
		t.Logf("%s sends %.1f Mbit/s to %s by TCP", from, m.Msg.GetBitsPerSecond()/1e6, to)
	}
	i.pauses(t, b)
	i.breaks(t, b, from)
	i.fells(t, b)
}

// pauses the sky, and lets it go on.
func (i *Installed) pauses(t *testing.T, b *browser) {
	t.Helper()
	ctx := patient(t)
	if _, err := b.Pause(ctx, connect.NewRequest(&pb.PauseRequest{})); err != nil {
		t.Error(err)
	}
	eventually(t, "the sky stands", func() (bool, string) {
		s, err := b.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{}))
		return err == nil && s.Msg.GetStatus().GetPaused(), fmt.Sprint(err)
	})
	if _, err := b.Resume(ctx, connect.NewRequest(&pb.ResumeRequest{})); err != nil {
		t.Error(err)
	}
	eventually(t, "the sky moves", func() (bool, string) {
		s, err := b.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{}))
		return err == nil && !s.Msg.GetStatus().GetPaused(), fmt.Sprint(err)
	})
}

// breaks a link of a node, and mends it.
func (i *Installed) breaks(t *testing.T, b *browser, node string) {
	t.Helper()
	ctx := patient(t)
	links, err := b.ListLinks(ctx, connect.NewRequest(&pb.ListLinksRequest{Node: node}))
	if err != nil || len(links.Msg.GetLinks()) == 0 {
		t.Fatalf("the links: %v, %v", links, err)
	}
	port := links.Msg.GetLinks()[0].GetA() // with whomever: the sky moves meanwhile
	r, err := b.Inject(ctx, connect.NewRequest(&pb.InjectRequest{Failure: &pb.Failure{Kind: pb.Failure_KIND_CUT, A: port}}))
	if err != nil {
		t.Fatal(err)
	}
	id := r.Msg.GetFailure().GetId()
	if l, err := b.GetLink(ctx, connect.NewRequest(&pb.GetLinkRequest{Port: port})); err != nil || l.Msg.GetUp() {
		t.Errorf("the link of a port that is cut: %v, %v", l, err)
	}
	if s, err := b.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{})); err != nil || len(s.Msg.GetStatus().GetFailures()) != 1 {
		t.Errorf("the status with a failure: %v, %v", s, err)
	}
	if u, err := b.Undo(ctx, connect.NewRequest(&pb.UndoRequest{Ids: []string{id}})); err != nil || len(u.Msg.GetUndone()) != 1 {
		t.Errorf("undo %s: %v, %v", id, u, err)
	}
	if l, err := b.ListFailures(ctx, connect.NewRequest(&pb.ListFailuresRequest{})); err != nil || len(l.Msg.GetFailures()) != 0 {
		t.Errorf("failures that are left: %v, %v", l, err)
	}
	eventually(t, "both are events, once each", func() (bool, string) {
		events, err := b.ListEvents(ctx, connect.NewRequest(&pb.ListEventsRequest{}))
		if err != nil {
			return false, err.Error()
		}
		count := map[string]int{}
		for _, e := range events.Msg.GetEvents() {
			if e.GetA() == port && e.GetAt().AsDuration() >= r.Msg.GetFailure().GetSince().AsDuration() {
				count[e.GetKind()]++
			}
		}
		return count["injected"] == 1 && count["undone"] == 1, fmt.Sprint(count)
	})
	_, err = b.Inject(ctx, connect.NewRequest(&pb.InjectRequest{Failure: &pb.Failure{Kind: pb.Failure_KIND_KILL_PROCESS, A: node, Process: "isisd"}}))
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "kubectl exec") {
		t.Errorf("a process of a pod: %v", err)
	}
}

// fells a node by the command line, which has no pod then, and raises it.
func (i *Installed) fells(t *testing.T, b *browser) {
	t.Helper()
	ctx := patient(t)
	const node = "iridium-p01s01"
	if out, err := i.Orrery(ctx, "inject", "down", node); err != nil || strings.TrimSpace(out) != "down/"+node {
		t.Fatalf("%s, %v", out, err)
	}
	eventually(t, "the node has no pod", func() (bool, string) {
		out, err := i.Kubectl(ctx, nil, "get", "pods", "--selector=orrery.dev/node="+node, "--output=name")
		return err == nil && len(out) == 0, fmt.Sprint(string(out), err)
	})
	if links, err := b.ListLinks(ctx, connect.NewRequest(&pb.ListLinksRequest{Node: node})); err != nil || len(links.Msg.GetLinks()) != 0 {
		t.Errorf("links of a node that is down: %v, %v", links, err)
	}
	if out, err := i.Orrery(ctx, "failures"); err != nil || !strings.Contains(out, "down/"+node) {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := i.Orrery(ctx, "undo", "--all"); err != nil || strings.TrimSpace(out) != "down/"+node {
		t.Errorf("%s, %v", out, err)
	}
	if err := i.WaitFor(ctx, "condition=Ready", "pod/iridium--"+node); err != nil {
		t.Error(err)
	}
	eventually(t, "the node has links again", func() (bool, string) {
		links, err := b.ListLinks(ctx, connect.NewRequest(&pb.ListLinksRequest{Node: node}))
		return err == nil && len(links.Msg.GetLinks()) >= 2, fmt.Sprint(links, err)
	})
}

// terminal types into a program in a node's pod until something is shown.
func (b *browser) terminal(ctx context.Context, in, program, typed, want string) (shown string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	query := url.Values{"node": {in}, "program": {program}, "columns": {"100"}, "rows": {"30"}}
	conn, r, err := websocket.Dial(ctx, b.base+"/terminal?"+query.Encode(), &websocket.DialOptions{Subprotocols: []string{"orrery.terminal.v1", access.TokenProtocol + b.token}})
	if err != nil {
		return fmt.Sprint(r), err
	}
	defer func() { _ = conn.CloseNow() }()
	if err := conn.Write(ctx, websocket.MessageBinary, []byte(typed)); err != nil {
		return "", err
	}
	for !strings.Contains(shown, want) {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return shown, err
		}
		shown += string(data)
	}
	return shown, nil
}

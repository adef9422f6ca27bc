package agent_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/agent/agenttest"
	"orrery.dev/orrery/kube/cni"
	"orrery.dev/orrery/node/nodetest"
)

// bench is an agent over doubles.
type bench struct {
	*agent.Agent
	cluster *agenttest.Cluster
	source  *clock.Manual
	fabrics chan *memfabric.Fabric
	port    atomic.Uint32 // of the scenario whose link engine was made last
}

// own is a network namespace that is there: that of the test.
const own = "/proc/self/ns/net"

func newBench(t *testing.T, dir, file string) *bench {
	t.Helper()
	b := startBench(t, dir, file, nil)
	wait(t, "the agent is ready", func() bool { return b.Status(t.Context()) == nil })
	return b
}

// startBench starts an agent of a cluster whose API server may be away, and why.
func startBench(t *testing.T, dir, file string, away error) *bench {
	t.Helper()
	b := &bench{cluster: agenttest.New(), source: new(clock.Manual), fabrics: make(chan *memfabric.Fabric, 10)}
	b.cluster.SetAway(away)
	b.cluster.Put(agent.Scenario{ID: demo, UID: "u1", Port: 20480, Revision: "r1", Time: agent.Time{At: time.Now(), Speed: 1}}, file)
	a, err := agent.New(agent.Config{
		Worker: "w1", StateDir: dir, Cluster: b.cluster, Clock: b.source,
		Guests: func() agent.Guests { return nodetest.New(t.TempDir()) },
		Fabric: func(s agent.Scenario, tl *clock.Timeline, ports []fabric.Port, seed uint64) (fabric.Fabric, error) {
			f := memfabric.New(tl, len(ports), seed)
			for i := range ports {
				if err := f.Detach(fabric.PortID(i)); err != nil {
					return nil, err
				}
			}
			b.port.Store(uint32(s.Port))
			b.fabrics <- f
			return f, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("it did not happen within 20 s: " + what)
}

func request(c cni.Command, pod string) *cni.Request {
	return &cni.Request{
		Command: c, Network: "orrery", Namespace: own,
		Attachment: cni.Attachment{Container: "box-" + pod, Interface: "net1"}, Pod: cni.Pod{Namespace: "lab", Name: pod},
	}
}

func code(err error) uint {
	if e, ok := errors.AsType[*cni.Error](err); ok {
		return e.Code
	}
	return 0
}

func TestNobodyIsAskedWhileLinksMove(t *testing.T) {
	file, err := os.ReadFile("../../examples/iridium.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, t.TempDir(), string(file))
	for _, name := range []string{"tempe", "iridium-p01s01", "iridium-p02s01"} {
		b.cluster.SetMember("lab", name, agent.Member{Scenario: demo, Node: name})
		if _, err := b.Add(context.Background(), request(cni.Add, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := <-b.fabrics
	before := b.cluster.Requests()
	b.cluster.SetAway(errors.New("the API server is away"))
	wires := func() (list []*fabric.Wire) {
		for i := range 300 {
			list = append(list, f.Wire(fabric.PortID(i)))
		}
		return list
	}
	first := wires()
	changed := func() (n int) {
		for i, w := range wires() {
			if (w == nil) != (first[i] == nil) || w != nil && w.Contact != first[i].Contact {
				n++
			}
		}
		return n
	}
	wait(t, "many links have changed", func() bool {
		b.source.Advance(time.Second)
		return changed() > 20
	})
	if n := b.cluster.Requests() - before; n != 0 {
		t.Errorf("%d requests were made while links moved", n)
	}
	if err := b.Delete(context.Background(), request(cni.Delete, "tempe")); err != nil {
		t.Errorf("DEL while the API server is away: %v", err)
	}
	b.cluster.SetMember("lab", "fucino", agent.Member{Scenario: demo, Node: "fucino"})
	if _, err := b.Add(context.Background(), request(cni.Add, "fucino")); code(err) != cni.CodeTryAgainLater {
		t.Errorf("ADD while the API server is away: %v", err)
	}
	if err := b.Status(context.Background()); code(err) != cni.CodeNotAvailable {
		t.Errorf("STATUS while the API server is away: %v", err)
	}
}

func TestWhatTheClusterSaysIsFollowed(t *testing.T) {
	b := newBench(t, t.TempDir(), twoStations)
	ctx := context.Background()
	b.cluster.SetMember("lab", "a", agent.Member{Scenario: demo, Node: "east"})
	b.cluster.SetMember("lab", "b", agent.Member{Scenario: demo, Node: "nobody"})
	b.cluster.SetMember("lab", "c", agent.Member{Scenario: agent.ID{Namespace: "lab", Name: "other"}, Node: "east"})
	for range 2 {
		r, err := b.Add(ctx, request(cni.Add, "a"))
		if err != nil || len(r.Interfaces) != 2 || r.Interfaces[1].Name != "ant0" {
			t.Fatalf("ADD gives %+v: %v", r, err)
		}
	}
	if _, err := b.Add(ctx, request(cni.Add, "b")); code(err) != cni.CodeTryAgainLater {
		t.Errorf("a node that the scenario has not: %v", err)
	}
	if _, err := b.Add(ctx, request(cni.Add, "c")); code(err) != cni.CodeTryAgainLater {
		t.Errorf("a scenario that there is not: %v", err)
	}
	if r, err := b.Add(ctx, request(cni.Add, "unknown")); err != nil || len(r.Interfaces) != 0 {
		t.Errorf("a pod that is no node: %+v, %v", r, err)
	}
	gone := request(cni.Add, "a")
	gone.Container, gone.Namespace = "elsewhere", filepath.Join(t.TempDir(), "none")
	if _, err := b.Add(ctx, gone); code(err) != cni.CodeEnvironment {
		t.Errorf("a namespace that there is not: %v", err)
	}
	<-b.fabrics

	// Another revision of the scenario: the run begins anew, and its nodes stay.
	more := strings.Replace(twoStations, "groundPorts: 5", "groundPorts: 2", 1)
	b.cluster.Put(agent.Scenario{ID: demo, UID: "u1", Port: 20480, Revision: "r2", Time: agent.Time{At: time.Now(), Speed: 1}}, more)
	f := <-b.fabrics
	wait(t, "the node is back", func() bool { return b.Check(ctx, request(cni.Check, "a")) == nil })
	for id := range fabric.PortID(4) {
		_ = f.Counters(id) // it has the ports of the new plan
	}
	_ = b.Delete(ctx, request(cni.Delete, "b"))
	if err := b.Delete(ctx, request(cni.Delete, "a")); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(ctx, request(cni.Check, "a")); err != nil { // nothing is expected of it
		t.Errorf("CHECK without a result: %v", err)
	}
	expected := request(cni.Check, "a")
	expected.Expected = &cni.Result{Interfaces: []cni.Interface{{Name: "ant0", MAC: "02:00:00:00:00:01"}}}
	if err := b.Check(ctx, expected); code(err) != cni.CodeUnknownContainer {
		t.Errorf("CHECK of a sandbox that is gone: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(b.ControlSocket(demo)))
	if err != nil || len(left) != 0 {
		t.Errorf("control sockets %v are left: %v", left, err)
	}
}

// The operator moves a scenario to another UDP port, since two had the same: its nodes stay.
func TestAnotherPort(t *testing.T) {
	b := newBench(t, t.TempDir(), twoStations)
	b.cluster.SetMember("lab", "a", agent.Member{Scenario: demo, Node: "east"})
	if _, err := b.Add(t.Context(), request(cni.Add, "a")); err != nil {
		t.Fatal(err)
	}
	<-b.fabrics
	if got := b.port.Load(); got != 20480 {
		t.Errorf("the first port is %d", got)
	}
	b.cluster.Put(agent.Scenario{ID: demo, UID: "u1", Port: 20481, Revision: "r1", Time: agent.Time{At: time.Now(), Speed: 1}}, twoStations)
	<-b.fabrics
	if got := b.port.Load(); got != 20481 {
		t.Errorf("the second port is %d", got)
	}
	wait(t, "the node is back", func() bool { return b.Check(t.Context(), request(cni.Check, "a")) == nil })
}

// Two scenarios with the same names of nodes know nothing of each other.
func TestTwoScenariosWithTheSameNodes(t *testing.T) {
	b := newBench(t, t.TempDir(), twoStations)
	twin := agent.ID{Namespace: "lab", Name: "twin"}
	b.cluster.Put(agent.Scenario{ID: twin, UID: "u2", Port: 20481, Revision: "r1", Time: agent.Time{At: time.Now(), Speed: 1}}, strings.Replace(twoStations, "name: demo", "name: twin", 1))
	for i, id := range []agent.ID{demo, twin} {
		pod := id.Name + "--east"
		b.cluster.SetMember("lab", pod, agent.Member{Scenario: id, Node: "east"})
		if _, err := b.Add(t.Context(), request(cni.Add, pod)); err != nil {
			t.Fatal(err)
		}
		<-b.fabrics // of its own
		if got := b.port.Load(); got != uint32(20480+i) {
			t.Errorf("%s goes by port %d", id, got)
		}
	}
	if err := b.Delete(t.Context(), request(cni.Delete, "demo--east")); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context(), request(cni.Check, "twin--east")); err != nil {
		t.Errorf("the other's node: %v", err)
	}
	_, gone := os.Stat(b.ControlSocket(demo))
	_, there := os.Stat(b.ControlSocket(twin))
	if gone == nil || there != nil {
		t.Errorf("the control socket of the one that has ended: %v, of the other: %v", gone, there)
	}
}

// A scenario begins on a worker when a pod of it is about to start there, so that the pod
// need not wait; and ends when none is any more.
func TestScenarioBeginsBeforeItsPods(t *testing.T) {
	b := newBench(t, t.TempDir(), twoStations)
	awaited := func(worker string) {
		s := agent.Scenario{ID: demo, UID: "u1", Port: 20480, Revision: "r1", Time: agent.Time{At: time.Now(), Speed: 1}}
		if worker != "" {
			s.Awaited = map[string]int{worker: 1}
		}
		b.cluster.Put(s, twoStations)
	}
	served := func() bool {
		_, err := os.Stat(b.ControlSocket(demo))
		return err == nil
	}
	before := b.cluster.Requests()
	awaited("w2")
	awaited("")
	wait(t, "the agent has looked twice", func() bool { return b.cluster.Requests() > before+1 })
	if len(b.fabrics) > 0 {
		t.Error("a scenario has begun whose pods are on another worker")
	}
	awaited("w1")
	<-b.fabrics
	wait(t, "the control socket is there", served)
	b.cluster.SetMember("lab", "a", agent.Member{Scenario: demo, Node: "east"})
	if _, err := b.Add(t.Context(), request(cni.Add, "a")); err != nil {
		t.Fatal(err)
	}
	before = b.cluster.Requests()
	awaited("")
	wait(t, "the agent has looked", func() bool { return b.cluster.Requests() > before })
	if err := b.Check(t.Context(), request(cni.Check, "a")); err != nil {
		t.Errorf("the scenario of a pod that is there: %v", err)
	}
	if err := b.Delete(t.Context(), request(cni.Delete, "a")); err != nil {
		t.Fatal(err)
	}
	if len(b.fabrics) > 0 || served() {
		t.Errorf("%d link engines more, served: %v", len(b.fabrics), served())
	}
	awaited("w1")
	<-b.fabrics
	awaited("w2")
	wait(t, "a scenario whose pods went elsewhere has ended", func() bool { return !served() })
}

// Failures come as a change of the scenario, and hold for an agent that begins anew while the cluster is away. What cannot be
// read changes nothing.
func TestFailuresOfTheScenario(t *testing.T) {
	file, err := os.ReadFile("../../examples/iridium.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	up := func(f *memfabric.Fabric) (n int) {
		for i := range 540 {
			if f.Wire(fabric.PortID(i)) != nil {
				n++
			}
		}
		return n
	}
	const down = `{"failures": [{"kind": "KIND_KILL_NODE", "a": "iridium-p01s02"}]}`
	var whole, cut int
	t.Run("before", func(t *testing.T) {
		b := newBench(t, dir, string(file))
		b.cluster.SetMember("lab", "pod", agent.Member{Scenario: demo, Node: "iridium-p01s01"})
		if _, err := b.Add(t.Context(), request(cni.Add, "pod")); err != nil {
			t.Fatal(err)
		}
		f := <-b.fabrics
		whole = up(f)
		say := func(failures string) {
			b.cluster.Put(agent.Scenario{ID: demo, UID: "u1", Port: 20480, Revision: "r1", Time: agent.Time{At: time.Now(), Speed: 1}, Failures: failures}, string(file))
		}
		say(down)
		wait(t, "links of the node that is down are cut", func() bool { return up(f) < whole })
		cut = up(f)
		say("nonsense")
		say(`{"failures": []}`)
		wait(t, "all links are back", func() bool { return up(f) == whole })
		say(down)
		wait(t, "links are cut again", func() bool { return up(f) == cut })
	})
	t.Run("away", func(t *testing.T) {
		f := <-startBench(t, dir, string(file), errors.New("the API server is away")).fabrics
		wait(t, "the failure holds", func() bool { return up(f) == cut })
	})
	if whole-cut < 4 {
		t.Errorf("%d ports of %d have no link by a node that is down", whole-cut, whole)
	}
}

func TestControlAPI(t *testing.T) {
	b := newBench(t, t.TempDir(), twoStations)
	b.cluster.SetMember("lab", "a", agent.Member{Scenario: demo, Node: "east"})
	if _, err := b.Add(context.Background(), request(cni.Add, "a")); err != nil {
		t.Fatal(err)
	}
	wait(t, "the control socket is served", func() bool {
		c, err := net.Dial("unix", b.ControlSocket(demo))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	if mode(t, b.ControlSocket(demo)) != 0o600 {
		t.Error("others may use the control socket")
	}
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode().Perm()
}

// An agent that is started while the API server is away takes over what it had, and what has
// changed when it hears of it.
func TestStartWithoutTheCluster(t *testing.T) {
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) {
		b := newBench(t, dir, twoStations)
		b.cluster.SetMember("lab", "pod-east", agent.Member{Scenario: demo, Node: "east"})
		if _, err := b.Add(context.Background(), request(cni.Add, "pod-east")); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("away", func(t *testing.T) {
		b := startBench(t, dir, twoStations, errors.New("the API server is away"))
		f := <-b.fabrics // of the scenario, which nobody could be asked for
		wait(t, "the node is back", func() bool { return b.Check(t.Context(), request(cni.Check, "pod-east")) == nil })
		if n := b.cluster.Requests(); n > 1 {
			t.Errorf("%d requests were made in vain; want 1 at most, when the cluster tells of a change", n)
		}
		wait(t, "the status says that the API server is away", func() bool { return code(b.Status(t.Context())) == cni.CodeNotAvailable })
		b.cluster.SetAway(nil)
		b.cluster.Put(agent.Scenario{ID: demo, UID: "u1", Port: 20480, Revision: "r2", Time: agent.Time{At: time.Now(), Speed: 1}}, strings.Replace(twoStations, "lat: -10deg", "lat: -11deg", 1))
		if next := <-b.fabrics; next == f {
			t.Error("the changed scenario has the same link engine")
		}
		wait(t, "the node is back", func() bool { return b.Check(t.Context(), request(cni.Check, "pod-east")) == nil })
	})
	for _, name := range []string{"scenario.json", "packed-r1"} { // newBench has the first revision
		path := filepath.Join(dir, "scenarios", "u1", name)
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		t.Run("spoilt "+name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
			b := newBench(t, dir, twoStations)
			if err := b.Check(t.Context(), request(cni.Check, "pod-east")); err != nil {
				t.Errorf("the node is not back: %v", err)
			}
		})
	}
}

func TestOneAgentPerWorker(t *testing.T) {
	dir := t.TempDir()
	newBench(t, dir, twoStations)
	if _, err := agent.New(agent.Config{StateDir: dir}); err == nil {
		t.Error("two agents share a state")
	}
}

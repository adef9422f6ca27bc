package emulation

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gonum.org/v1/gonum/graph/path"
	"gonum.org/v1/gonum/graph/simple"
	"pgregory.net/rapid"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/node/nodetest"
	"orrery.dev/orrery/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echoDouble answers at once while reachable says so.
type echoDouble struct{ reachable func(netip.Addr) bool }

func (e echoDouble) Send(to netip.Addr, _ int) (<-chan time.Duration, func(), error) {
	c := make(chan time.Duration, 1)
	if e.reachable == nil || e.reachable(to) {
		c <- 10 * time.Millisecond
	}
	return c, func() {}, nil
}

func (echoDouble) Close() error { return nil }

// startRun runs a scenario over doubles on a clock that only the test moves.
func startRun(t *testing.T, text string, change func(*Config)) (*Run, *nodetest.Engine, *clock.Manual) {
	t.Helper()
	p := compile(t, text)
	nodes, source := nodetest.New(t.TempDir()), new(clock.Manual)
	cfg := Config{
		Plan: p, Nodes: nodes, Timeline: clock.New(source, 0, p.Scenario.Spec.Speed),
		Fabric: func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			return memfabric.New(tl, len(ports), p.Scenario.Spec.Seed), nil
		},
		Echo: func(string) (Echo, error) { return echoDouble{}, nil },
	}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r, nodes, source
}

// eventually waits for what goroutines on real threads will do.
func eventually(t rapid.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("it did not happen within 20 s: " + what)
}

// follows tells whether the kernel tables lead from every node to every station
// that is connected, along a path as short as gonum's if there is one over links
// that stay.
func follows(r *Run, lead time.Duration) bool {
	now := r.timeline.Now()
	g, all := simple.NewWeightedUndirectedGraph(0, 1e18), simple.NewWeightedUndirectedGraph(0, 1e18)
	for i := range r.plan.Nodes {
		g.AddNode(simple.Node(i))
		all.AddNode(simple.Node(i))
	}
	for _, c := range r.Links() {
		e := g.NewWeightedEdge(simple.Node(r.plan.Port(c.A).Node), simple.Node(r.plan.Port(c.B).Node), c.Delay.At(now))
		all.SetWeightedEdge(e)
		if !c.Ends || c.End > now+lead {
			g.SetWeightedEdge(e)
		}
	}
	for _, to := range r.stations() {
		tree, loose := path.DijkstraFrom(simple.Node(to), g), path.DijkstraFrom(simple.Node(to), all)
		for from := range r.plan.Nodes {
			want := tree.WeightTo(int64(from))
			got := r.KernelPath(context.Background(), from, to)
			connected := want < 1e17
			if got.Complete() != (loose.WeightTo(int64(from)) < 1e17) {
				return false
			}
			// The oracle chose up to 10 s ago; delays have changed a little since.
			if connected && (got.Delay.Seconds() > want*1.03+1e-6 || got.Delay.Seconds() < want-1e-6) {
				return false
			}
		}
	}
	return true
}

func TestOracleRoutesFollowTheSky(t *testing.T) {
	r, nodes, source := startRun(t, smallSky, nil)
	eventually(t, "routes of the first sky", func() bool { return follows(r, time.Second) })
	handovers := 0
	for range 40 {
		var next applied
		eventually(t, "a next event is planned", func() (ok bool) {
			if next, ok = r.director.next(); !ok {
				source.Advance(time.Second) // the planner looks only so far ahead
			}
			return ok
		})
		// Half a lead before the event an ending link must be unused already.
		for _, at := range []time.Duration{next.at - 500*time.Millisecond, next.at} {
			if now := r.timeline.Now(); at > now {
				source.Advance(at - now)
			}
			eventually(t, "routes at "+at.String(), func() bool { return follows(r, time.Second) })
		}
		if next.contact.Class == plan.Ground {
			handovers++
		}
	}
	if handovers == 0 {
		t.Error("no ground link changed in 40 events")
	}
	if nodes.Changes() == 0 {
		t.Error("no route was ever changed")
	}
}

func TestConvergesWhenAllPairsAnswer(t *testing.T) {
	var mu sync.Mutex
	open := false
	r, _, _ := startRun(t, smallSky, func(c *Config) {
		c.Echo = func(string) (Echo, error) {
			return echoDouble{func(netip.Addr) bool {
				mu.Lock()
				defer mu.Unlock()
				return open
			}}, nil
		}
	})
	select {
	case <-r.Converged():
		t.Fatal("converged without one answer")
	case <-time.After(3 * probeInterval):
	}
	mu.Lock()
	open = true
	mu.Unlock()
	<-r.Converged()
	if s := r.Status(); s.ConvergedAfter == 0 || s.Phase != PhaseRunning || !s.Pairs[0].Reachable {
		t.Fatalf("status %+v", s)
	}
}

func TestPathProblemsAreNamed(t *testing.T) {
	r, nodes, _ := startRun(t, strings.Replace(smallSky, "{protocol: oracle, lead: 1s}", "{protocol: none}", 1), nil)
	ctx := context.Background()
	oslo, _ := r.plan.Node("oslo")
	rome, _ := r.plan.Node("rome")
	a, _ := r.plan.Node("sat-p01s01")
	expect := func(want string) {
		t.Helper()
		if p := r.KernelPath(ctx, a.Index, rome.Index); !strings.Contains(p.Problem, want) {
			t.Errorf("problem %q, want %q in it", p.Problem, want)
		}
	}
	set := func(name string, via netip.Addr, port string) {
		t.Helper()
		err := nodes.SetRoutes(ctx, name, OracleProtocol, []node.Route{{Prefix: r.addresses.Loopback(rome.Index), Via: via, Port: port, Protocol: OracleProtocol}})
		if err != nil {
			t.Fatal(err)
		}
	}
	expect("no route")
	c, far := r.ContactOf(a.Ports[0].ID)
	if c == nil {
		t.Fatal("sat-p01s01:fore has no link")
	}
	other := r.plan.Port(far)
	set(a.Name, r.portAddress(other, netip.IPv6LinkLocalAllNodes()), "fore")
	expect(r.name(other.Node) + " has no route")
	set(r.name(other.Node), r.portAddress(&a.Ports[0], netip.IPv6LinkLocalAllNodes()), other.Name)
	expect("loop at sat-p01s01")
	set(a.Name, r.portAddress(&oslo.Ports[0], netip.IPv6LinkLocalAllNodes()), "fore")
	expect("no longer there")
	for _, p := range a.Ports {
		if c, _ := r.ContactOf(p.ID); c == nil {
			set(a.Name, netip.Addr{}, p.Name)
			expect("has no link")
		}
	}
}

func TestNothingIsLeftWhenStartFails(t *testing.T) {
	boom := errors.New("no fabric today")
	p := compile(t, smallSky)
	nodes := nodetest.New(t.TempDir())
	r, err := New(Config{
		Plan: p, Nodes: nodes, Timeline: clock.New(new(clock.Manual), 0, 1),
		Fabric: func(*clock.Timeline, []fabric.Port) (fabric.Fabric, error) { return nil, boom },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(context.Background()); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if _, err := nodes.Device("oslo", "ant0"); err == nil {
		t.Fatal("the nodes are still there")
	}
}

func TestFailedProcessesAreSeen(t *testing.T) {
	text := smallSky + `
  commands:
    - {name: sink, nodes: [oslo], argv: [sink, "${loopback:rome}", "${node}"]}
`
	r, nodes, _ := startRun(t, text, nil)
	eventually(t, "the command runs", func() bool {
		s := r.Status()
		return len(s.Processes) == 1 && s.Processes[0].State == node.Running
	})
	if err := nodes.End("oslo", "sink", "exit status 7"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end is a problem of the run", func() bool {
		p := r.Status().Problems
		return len(p) == 1 && strings.Contains(p[0], "sink of oslo failed: exit status 7")
	})
	history, _, cancel := r.Events()
	defer cancel()
	seen := false
	for _, e := range history {
		seen = seen || e.Kind == ProcessFailed && e.A == "oslo"
	}
	if !seen {
		t.Error("no event tells of it")
	}
}

// A static route leads to the address of the port's one peer: on a ring of four,
// from the first satellite's fore port to the second one's aft port.
func TestStaticRoutesKnowTheirPeers(t *testing.T) {
	r, nodes, _ := startRun(t, `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: static}
spec:
  constellations:
    - name: sat
      walker: {pattern: delta, planes: 1, satellitesPerPlane: 4, inclination: 0deg, altitude: 20000km}
      links: {pattern: ring}
  routing: [{protocol: static, daemon: bird, routes: [{to: sat-p01s03, via: fore}]}]
`, nil)
	want := "route " + r.Loopback(2).String() + "/128 via " + address.LinkLocal(1, 1).Addr().String() + "%'fore';"
	eventually(t, want, func() bool {
		b, err := os.ReadFile(filepath.Join(nodes.Dir("sat-p01s01"), "bird.conf"))
		return err == nil && strings.Contains(string(b), want)
	})
}

// slowEcho answers the first request last.
type slowEcho struct {
	mu   sync.Mutex
	sent int
}

func (e *slowEcho) Send(netip.Addr, int) (<-chan time.Duration, func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent++
	c, rtt := make(chan time.Duration, 1), time.Duration(e.sent)
	time.AfterFunc(max(0, 100-10*rtt)*time.Millisecond, func() { c <- rtt })
	return c, func() {}, nil
}

func (*slowEcho) Close() error { return nil }

// Requests do not wait for each other's answers, and results come in order.
func TestPingsAreSentInTimeAndReportedInOrder(t *testing.T) {
	var armed bool
	r, _, _ := startRun(t, smallSky, func(c *Config) {
		c.Echo = func(string) (Echo, error) {
			if armed {
				return new(slowEcho), nil
			}
			return echoDouble{}, nil
		}
	})
	armed = true
	var got []time.Duration
	err := r.Ping(context.Background(), 0, 1, 8, 56, time.Millisecond, func(rtt RTT) error {
		got = append(got, rtt.Measured)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	stop := errors.New("enough")
	err = r.Ping(context.Background(), 0, 1, 0, 56, time.Millisecond, func(RTT) error { return stop })
	if !errors.Is(err, stop) {
		t.Fatalf("got %v, want %v", err, stop)
	}
}

func TestARunWithoutProbesSendsNothing(t *testing.T) {
	r, _, source := startRun(t, strings.Replace(smallSky, "spec:\n", "spec:\n  probes: none\n", 1), func(c *Config) {
		c.Echo = func(name string) (Echo, error) {
			t.Errorf("node %s opens a socket for probes", name)
			return echoDouble{}, nil
		}
	})
	source.Advance(time.Minute)
	<-r.Converged() // nothing to wait for
	if pairs := r.Status().Pairs; len(pairs) > 0 {
		t.Errorf("%d pairs are probed", len(pairs))
	}
	eventually(t, "routes without probes", func() bool { return follows(r, time.Second) })
}

// With boot: routers no port has a carrier until each daemon is up; then all of
// them have the last one that they were given.
func TestBootRouters(t *testing.T) {
	const text = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: boot}
spec:
  constellations:
    - name: sat
      walker: {pattern: delta, planes: 4, satellitesPerPlane: 4, phasing: 1, inclination: 53deg, altitude: 20000km}
      links: {pattern: grid}
  boot: routers
  routing: [{protocol: ospf3, notifyAfter: 1s}]
`
	var told carriersTold
	r, nodes, _ := startRun(t, text, func(c *Config) {
		inner := c.Fabric
		c.Fabric = func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			f, err := inner(tl, ports)
			told.Fabric = f
			return &told, err
		}
	})
	eventually(t, "all daemons are on their way up", func() bool { return len(r.nodes.Processes()) == 16 })
	if n := told.n.Load(); n != 0 {
		t.Errorf("%d carriers were told before the daemons were up", n)
	}
	// The daemons of this engine are up once their control socket answers, which
	// it never does; they fail.
	for _, p := range r.nodes.Processes() {
		if err := nodes.End(p.Node, p.Name, "the test ended it"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all carriers are told", func() bool { return told.n.Load() == 64 })
	eventually(t, "the kernel tells the daemons of changes again", func() bool {
		return nodes.Silences() == 16 && !nodes.Silent("sat-p01s01", "bird")
	})
}

// carriersTold counts carriers that nodes were told of.
type carriersTold struct {
	fabric.Fabric
	n atomic.Int64
}

func (c *carriersTold) SetCarriers(carriers ...fabric.Carrier) error {
	c.n.Add(int64(len(carriers)))
	return c.Fabric.SetCarriers(carriers...)
}

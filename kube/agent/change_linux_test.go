package agent_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/agent/agenttest"
	"orrery.dev/orrery/kube/cni"
	"orrery.dev/orrery/node"
)

// A scenario that gets a station more leaves the links that it had as they are: no device of
// theirs loses its carrier, and frames flow over them.
//
//	east ─── sat ─── west     and then     north
func TestChangeLeavesLinksAsTheyAre(t *testing.T) {
	h := newHost(t) // makes namespaces; its agent is not started
	c := agenttest.New()
	scenario := agent.Scenario{ID: demo, UID: "u1", Port: 20480, Revision: "r1", Time: agent.Time{At: h.stage.Began, Speed: 1}}
	c.Put(scenario, twoStations)
	fabrics := make(chan fabric.Fabric, 10)
	a, err := agent.New(agent.Config{
		Worker: "w1", StateDir: filepath.Join(h.stage.Dir, "state"), Cluster: c, Clock: clock.Host{},
		Guests: func() agent.Guests { return node.NewGuests(nil) },
		Fabric: func(_ agent.Scenario, tl *clock.Timeline, ports []fabric.Port, seed uint64) (fabric.Fabric, error) {
			f, err := fabric.NewProcess(fabric.Config{Timeline: tl, Ports: ports, Seed: seed, Ordinary: true})
			fabrics <- f
			return f, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	wait(t, "the agent is ready", func() bool { return a.Status(ctx) == nil })

	pods := map[string]pod{}
	for _, name := range []string{"sat-p01s01", "east", "west"} {
		p := h.pod(name)
		c.SetMember("lab", name, agent.Member{Scenario: demo, Node: name})
		q := request(cni.Add, name)
		q.Namespace = p.namespace
		if _, err := a.Add(ctx, q); err != nil {
			t.Fatal(err)
		}
		pods[name] = p
	}
	<-fabrics
	first := map[string]string{"sat-p01s01": "gnd0", "east": "ant0", "west": "ant0"}
	for name, device := range first {
		wait(t, name+" has carrier", func() bool { return pods[name].carrier(t, device) })
	}
	lost := map[string]*atomic.Int32{}
	for name, device := range first {
		lost[name] = pods[name].losses(t, device)
	}

	scenario.Revision = "r2"
	c.Put(scenario, strings.Replace(twoStations, "groundLinks:", "- {name: north, position: {lat: 20deg, lon: -100deg}}\n  groundLinks:", 1))
	<-fabrics
	wait(t, "the changed scenario has its nodes", func() bool {
		for name := range pods {
			if a.Check(ctx, request(cni.Check, name)) != nil {
				return false
			}
		}
		return true
	})
	for name, device := range first {
		if n := lost[name].Load(); n != 0 || !pods[name].carrier(t, device) {
			t.Errorf("%s:%s has lost its carrier %d times", name, device, n)
		}
	}

	// One of which there is no plan changes nothing at all.
	scenario.Revision = "r3"
	c.Put(scenario, strings.Replace(twoStations, "lat: 10deg", "lat: 100deg", 1))
	scenario.Revision = "r4"
	c.Put(scenario, twoStations)
	<-fabrics // of r4, and not of r3
	wait(t, "the nodes are there", func() bool { return a.Check(ctx, request(cni.Check, "east")) == nil })
	if len(fabrics) > 0 {
		t.Error("a scenario that is not valid got a link engine")
	}
	if n := lost["east"].Load(); n != 0 {
		t.Errorf("east has lost its carrier %d times", n)
	}
	// The count counts.
	if err := a.Delete(ctx, request(cni.Delete, "sat-p01s01")); err != nil {
		t.Fatal(err)
	}
	wait(t, "east has lost its carrier with its neighbour", func() bool { return lost["east"].Load() > 0 })
}

// carrier tells whether a device of the pod has it.
func (p pod) carrier(t testing.TB, device string) (up bool) {
	t.Helper()
	err := p.in(func() error {
		l, err := netlink.LinkByName(device)
		if err == nil {
			up = l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return up
}

// losses counts from now on how often a device of the pod has been told to be without
// carrier.
func (p pod) losses(t testing.TB, device string) *atomic.Int32 {
	t.Helper()
	ns, err := netns.GetFromPath(p.namespace)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	updates, done := make(chan netlink.LinkUpdate, 100), make(chan struct{})
	if err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{Namespace: &ns}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done) })
	lost := new(atomic.Int32)
	go func() {
		for u := range updates {
			if u.Attrs().Name == device && u.Attrs().RawFlags&unix.IFF_LOWER_UP == 0 {
				lost.Add(1)
			}
		}
	}()
	return lost
}

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/agent/agenttest"
	"orrery.dev/orrery/kube/cni"
	"orrery.dev/orrery/kube/fdstore"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/socket"
)

// The test's own binary is the plugin, the agent, and the agent's process that carries
// frames.
const (
	actAsPlugin = "ORRERY_TEST_ACT_AS_PLUGIN"
	actAsAgent  = "ORRERY_TEST_ACT_AS_AGENT" // holds what a stage says, as JSON
)

func TestMain(m *testing.M) {
	fabric.Main()
	switch {
	case os.Getenv(actAsPlugin) != "":
		skel.PluginMainFuncs(cni.Plugin(), cni.Versions(), "a test")
		return
	case os.Getenv(actAsAgent) != "":
		if err := beAgent(os.Getenv(actAsAgent)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// stage is what an agent in a process of its own is told.
type stage struct {
	Dir     string
	Began   time.Time
	Members map[string]string // pods by name: nodes
	// Of several workers: this one, which of them has each node, and where they are heard.
	Worker    string
	Workers   map[string]string
	Addresses map[string]netip.Addr
	Key       []byte
	Release   string
}

// twoStations see one satellite for the first minutes. Routes are the oracle's.
const twoStations = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: demo}
spec:
  epoch: 2026-01-01T00:00:00Z
  constellations:
  - name: sat
    walker: {pattern: delta, planes: 1, satellitesPerPlane: 1, inclination: 0deg, altitude: 35786km}
    groundPorts: 5
  stations:
  - {name: east, position: {lat: 10deg, lon: -100deg}}
  - {name: west, position: {lat: -10deg, lon: -100deg}}
  groundLinks:
  - {name: ground, minElevation: 10deg, antennas: 1}
  routing:
  - {protocol: oracle, destinations: all}
`

var demo = agent.ID{Namespace: "lab", Name: "demo"}

func beAgent(text string) error {
	var s stage
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	devices, err := fdstore.Inherit()
	if err != nil {
		return err
	}
	c := agenttest.New()
	c.Put(agent.Scenario{ID: demo, UID: "u1", Port: 20480, Revision: "r1", Time: agent.Time{At: s.Began, Speed: 1}, Workers: s.Workers, Addresses: s.Addresses}, twoStations)
	for pod, name := range s.Members {
		c.SetMember("lab", pod, agent.Member{Scenario: demo, Node: name})
	}
	a, err := agent.New(agent.Config{
		Worker: s.Worker, StateDir: filepath.Join(s.Dir, "state"), Cluster: c, Clock: clock.Host{}, Underlay: s.Key != nil,
		Guests: func() agent.Guests { return node.NewGuests(devices) }, Settled: func() { _ = devices.DropRest() },
		Fabric: func(of agent.Scenario, tl *clock.Timeline, ports []fabric.Port, seed uint64) (fabric.Fabric, error) {
			c := fabric.Config{Timeline: tl, Ports: ports, Seed: seed, Ordinary: true}
			if s.Key != nil {
				conn, err := underlay.Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), of.Port))
				if err != nil {
					return nil, err
				}
				c.Underlay = &underlay.Config{Host: s.Worker, Run: underlay.NewRun([]byte(of.UID)), Release: s.Release, Key: s.Key, Conn: conn, Now: tl.Monotonic}
			}
			return fabric.NewProcess(c)
		},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, "agent.sock")
	_ = os.Remove(path)
	l, err := socket.Listen(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with its standard input
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	served := make(chan error, 1)
	go func() { served <- cni.Serve(ctx, l, a) }()
	return errors.Join(a.Run(ctx), <-served)
}

func TestPodsAreJoinedByTheSky(t *testing.T) {
	h := newHost(t)
	names := []string{"sat-p01s01", "east", "west"}
	var pods []pod
	for i, name := range names {
		p := h.pod(fmt.Sprintf("demo--%d", i))
		h.stage.Members[p.name] = name
		pods = append(pods, p)
	}
	other := h.pod("other")
	h.start()
	results := make([]map[string]any, len(pods))
	for i, p := range pods {
		var failed bool
		if results[i], failed = h.call("ADD", "", p.env()...); failed {
			t.Fatalf("ADD of %s: %v", names[i], results[i])
		}
	}
	sat, east, west := pods[0], pods[1], pods[2]
	satAt, westAt := loopback(t, results[0]), loopback(t, results[2])
	before := sat.devices(t)
	if len(before) != 1+5 {
		t.Fatalf("the satellite has the devices %v, want five ports", before)
	}
	h.eventually("a station reaches the other by the satellite", func() bool { return east.reaches(west, westAt) })

	// Again, and compared.
	if out, failed := h.call("ADD", "", sat.env()...); failed || loopback(t, out) != satAt {
		t.Errorf("a repeated ADD: %v", out)
	}
	previous, _ := json.Marshal(results[0])
	check := `,"prevResult":` + string(previous)
	if out, failed := h.call("CHECK", check, sat.env()...); failed {
		t.Errorf("CHECK: %v", out)
	}
	if out, failed := h.call("ADD", "", other.env()...); failed || len(other.devices(t)) != 1 {
		t.Errorf("a pod that is no node: %v, devices %v", out, other.devices(t))
	}

	// The agent is killed, and another comes. No device loses its carrier.
	ports := []string{"gnd0", "gnd1"} // of the links to both stations
	carriers := sat.carrierChanges(t, ports)
	h.kill()
	if out, failed := h.call("ADD", "", sat.env()...); !failed || out["code"] != 11.0 {
		t.Errorf("ADD without an agent: %v", out)
	}
	h.start()
	killed := time.Now()
	h.eventually("frames flow after a crash", func() bool { return east.reaches(west, westAt) })
	t.Logf("frames flowed %v after the next agent was ready", time.Since(killed).Round(time.Millisecond))
	for name, index := range sat.devices(t) {
		if before[name] != index {
			t.Errorf("device %s was made anew", name)
		}
	}
	if now := sat.carrierChanges(t, ports); !maps.Equal(now, carriers) {
		t.Errorf("carriers have changed so often: %v, and before the crash %v", now, carriers)
	}
	if out, failed := h.call("CHECK", check, sat.env()...); failed {
		t.Errorf("CHECK after a crash: %v", out)
	}

	// A device is taken away by somebody.
	err := east.in(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ifr, err := unix.NewIfreq("ant0")
		if err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr) // no flags: down
	})
	if err != nil {
		t.Fatal(err)
	}
	previous, _ = json.Marshal(results[1])
	if out, failed := h.call("CHECK", `,"prevResult":`+string(previous), east.env()...); !failed || out["code"] != 100.0 {
		t.Errorf("CHECK of a port that was switched off: %v", out)
	}

	// One goes, twice; the others are collected.
	for range 2 {
		if out, failed := h.call("DEL", "", west.env()...); failed {
			t.Errorf("DEL: %v", out)
		}
	}
	if d := west.devices(t); len(d) != 1 {
		t.Errorf("DEL has left %v", d)
	}
	if east.reaches(west, westAt) {
		t.Error("a station that is gone answers")
	}
	if out, failed := h.call("GC", `,"cni.dev/valid-attachments":[{"containerID":"box-demo--0","ifname":"net1"}]`); failed {
		t.Errorf("GC: %v", out)
	}
	if a, b := len(east.devices(t)), len(sat.devices(t)); a != 1 || b != len(before) {
		t.Errorf("after GC the station has %d devices, and the satellite %d", a, b)
	}
	if out, failed := h.call("CHECK", check, sat.env()...); failed {
		t.Errorf("CHECK of what GC has kept: %v", out)
	}
	// Its namespace ends while no agent runs.
	h.kill()
	if err := unix.Unmount(sat.namespace, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if out, failed := h.call("DEL", "", sat.env()...); failed {
		t.Errorf("DEL without an agent: %v", out)
	}
	h.start()
	entries, err := os.ReadDir(filepath.Join(h.stage.Dir, "state", "sandboxes"))
	if err != nil || len(entries) != 0 {
		t.Errorf("sandboxes %v are left: %v", entries, err)
	}
}

// BenchmarkAttachment compares what a pod with five ports costs: one call of the plugin, and
// five of the bridge plugin with host-local addresses, as Multus makes them.
func BenchmarkAttachment(b *testing.B) {
	const bridge = "/usr/lib/cni/bridge"
	if _, err := os.Stat(bridge); err != nil {
		b.Skipf("%s is not there; install containernetworking-plugins", bridge)
	}
	h := newHost(b)
	plugin := filepath.Join(h.stage.Dir, "orrery-cni")
	build := exec.Command("go", "build", "-trimpath", "-o", plugin, "orrery.dev/orrery/cmd/orrery-cni")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Skipf("the plugin cannot be built: %v\n%s", err, out)
	}
	h.stage.Members["five"], h.stage.Members["stays"] = "sat-p01s01", "east"
	h.start()
	// A pod that stays: what the first one of a scenario costs is not what is compared.
	if out, failed := h.call("ADD", "", h.pod("stays").env()...); failed {
		b.Fatalf("ADD: %v", out)
	}
	run := func(path, config string, env []string) error {
		c := exec.Command(path)
		c.Env, c.Stdin = env, strings.NewReader(config)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", path, err, out)
		}
		return nil
	}
	var one, five []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		p := h.pod(fmt.Sprintf("p%d", i))
		p.name = "five"
		env := func(command, name string) []string {
			return append(p.env(), "CNI_CONTAINERID=box"+p.namespace[strings.LastIndex(p.namespace, "/")+1:], "CNI_COMMAND="+command, "CNI_IFNAME="+name, "CNI_PATH=/usr/lib/cni")
		}
		ours := `{"cniVersion":"1.0.0","name":"orrery","type":"orrery-cni","socket":"` + filepath.Join(h.stage.Dir, "agent.sock") + `"}`
		b.StartTimer()
		began := time.Now()
		err := run(plugin, ours, env("ADD", "net1"))
		one = append(one, time.Since(began))
		b.StopTimer()
		if err := errors.Join(err, run(plugin, ours, env("DEL", "net1"))); err != nil {
			b.Fatal(err)
		}

		// The bridges are in a namespace of their own, as the test's.
		hub := h.pod(fmt.Sprintf("hub%d", i))
		var took time.Duration
		err = hub.in(func() error {
			began := time.Now()
			for k := range 5 {
				conf := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"b%d","type":"bridge","bridge":"br%d","ipam":{"type":"host-local","dataDir":%q,"subnet":"10.%d.0.0/16"}}`, k, k, filepath.Join(h.stage.Dir, "ipam"), 100+k)
				if err := run(bridge, conf, env("ADD", fmt.Sprintf("eth%d", k))); err != nil {
					return err
				}
			}
			took = time.Since(began)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		five = append(five, took)
		_ = unix.Unmount(p.namespace, unix.MNT_DETACH)
		_ = unix.Unmount(hub.namespace, unix.MNT_DETACH)
		b.StartTimer()
	}
	slices.Sort(one)
	slices.Sort(five)
	middle := func(l []time.Duration) float64 { return float64(l[len(l)/2]) / float64(time.Millisecond) }
	b.ReportMetric(middle(one), "ms/pod")
	b.ReportMetric(middle(five), "ms/5-bridges")
	b.ReportMetric(middle(five)/middle(one), "x-faster")
}

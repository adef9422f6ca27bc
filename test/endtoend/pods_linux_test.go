package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/test/cluster"
)

// iridium is examples/iridium.yaml: as it is, or two of its planes, and two stations that these always serve: near one pole and at the other.
func iridium(t *testing.T, small bool) (text, a, b string) {
	t.Helper()
	file, err := os.ReadFile("../../examples/iridium.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = string(file)
	if !small {
		return text, "svalbard", "fucino"
	}
	for from, to := range map[string]string{"planes: 6": "planes: 2", "phasing: 3": "phasing: 1", "raanSpread: 189.6deg": "raanSpread: 63.2deg"} {
		if !strings.Contains(text, from) {
			t.Fatalf("iridium.yaml has no %q", from)
		}
		text = strings.Replace(text, from, to, 1)
	}
	stations := regexp.MustCompile(`(?s)  stations:.*?\n\n`)
	if !stations.MatchString(text) {
		t.Fatal("iridium.yaml has no list of stations")
	}
	return stations.ReplaceAllString(text, `  stations:
    - {name: svalbard, position: {lat: 78.23deg, lon: 15.39deg}}
    - {name: south-pole, position: {lat: -90deg, lon: 0deg}}

`), "svalbard", "south-pole"
}

// TestIridium runs iridium.yaml as pods on two workers; with ORRERY_IRIDIUM=small, two of its planes:
//
//	w1                                  w2
//	┌────────────────────────────┐      ┌────────────────────────────┐
//	│ pods ═ TAPs ═ agent        │ UDP  │ agent ═ TAPs ═ pods        │
//	│ zebra, isisd in each       ├──────┤                            │
//	└────────────────────────────┘      └────────────────────────────┘
func TestIridium(t *testing.T) {
	b := install(t, cluster.Options{Workers: 2, IPv6: true, Multus: true, MaxPods: 200})
	ctx := patient(t)
	text, from, to := iridium(t, os.Getenv("ORRERY_IRIDIUM") == "small")

	b.refuses(ctx, t, text)
	began := time.Now()
	b.run(ctx, t, text)
	eventually(t, from+" reaches "+to, func() (bool, string) {
		_, err := b.Orrery(ctx, "path", from, to)
		return err == nil, fmt.Sprint(err)
	})
	t.Logf("%s reaches %s after %.1f s", from, to, time.Since(began).Seconds())
	t.Run("verbs", func(t *testing.T) { b.verbs(t, from, to) })
	t.Run("page", func(t *testing.T) { b.page(t, from, to) })
	t.Run("metrics", b.metrics)
	t.Run("crash", func(t *testing.T) { b.crash(t, from, to) })
	t.Run("away", func(t *testing.T) { b.away(t, from, to) })
	t.Run("lost", func(t *testing.T) { b.lost(t, from, to) })
	t.Run("deletion", b.deletion)
}

// TestCRIO runs two planes of iridium.yaml as pods on a worker whose container runtime is CRI-O.
func TestCRIO(t *testing.T) {
	b := install(t, cluster.Options{Workers: 1, IPv6: true, Multus: true, Runtime: cluster.CRIO})
	ctx := patient(t)
	text, from, to := iridium(t, true)
	b.run(ctx, t, text)
	eventually(t, from+" reaches "+to, func() (bool, string) {
		_, err := b.Orrery(ctx, "ping", from, to, "-c", "1")
		return err == nil, fmt.Sprint(err)
	})
	if out, err := b.Orrery(ctx, "exec", from, "--", "ip", "-6", "address"); err != nil || !strings.Contains(out, "fe80") {
		t.Errorf("exec: %v\n%s", err, out)
	}
	t.Run("deletion", b.deletion)
}

// run applies the scenario and waits until all of its pods are ready.
func (i *Installed) run(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	began := time.Now()
	if err := i.Apply(ctx, text); err != nil {
		t.Fatal(err)
	}
	if err := i.WaitFor(ctx, "condition=Running", "scenario/iridium"); err != nil {
		t.Fatal(err)
	}
	t.Logf("all pods are ready after %.1f s", time.Since(began).Seconds())
}

// deletion of the scenario takes its pods with it.
func (i *Installed) deletion(t *testing.T) {
	ctx := patient(t)
	if _, err := i.Kubectl(ctx, nil, "delete", "scenario", "iridium"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no pod is left", func() (bool, string) {
		out, err := i.Kubectl(ctx, nil, "get", "pods", "--output=name")
		return err == nil && len(out) == 0, fmt.Sprint(string(out), err)
	})
}

// refuses: the webhook that deploy/ installs keeps a scenario from being stored that
// only orrery validate can tell is wrong.
func (i *Installed) refuses(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	bad := strings.Replace(text, "hello: 1s", "hello: 10s", 1) // longer than dead
	eventually(t, "the webhook refuses a scenario", func() (bool, string) {
		_, err := i.Kubectl(ctx, []byte(bad), "apply", "--dry-run=server", "--filename=-")
		return err != nil && strings.Contains(err.Error(), "denied the request"), fmt.Sprint(err)
	})
}

// verbs do on the cluster what they do on one machine.
func (i *Installed) verbs(t *testing.T, from, to string) {
	ctx := patient(t)
	get := func(into any, args ...string) {
		t.Helper()
		out, err := i.Orrery(ctx, args...)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%v: %v in %s", args, err, out)
		}
	}
	var status struct {
		Name                        string
		Processes, ProcessesRunning int
		Problems                    []string
		Counters                    map[string]string
	}
	get(&status, "status", "iridium", "-o", "json")
	if status.Name != "iridium" || status.Processes == 0 || status.ProcessesRunning != status.Processes {
		t.Errorf("the status is %+v", status)
	}
	for _, p := range status.Problems {
		if strings.Contains(p, "after they were due") { // by a machine that has no time
			t.Logf("the machine is slow: %s", p)
			continue
		}
		t.Errorf("a problem: %s", p)
	}
	if n, _ := strconv.Atoi(status.Counters["receivedFrames"]); n == 0 {
		t.Errorf("no frame has arrived: %v", status.Counters)
	}
	var ping struct {
		Sent, Lost, ErrorSamples int
		MedianMS, ErrorP99Ms     float64
	}
	get(&ping, "ping", from, to, "-c", "10", "-i", "200ms", "-o", "json")
	if ping.Sent != 10 || ping.Lost == 10 || ping.ErrorSamples == 0 {
		t.Errorf("ping: %+v", ping)
	}
	t.Logf("ping: %+v", ping)
	var path struct {
		Kernel struct{ Hops []struct{ Node string } }
	}
	get(&path, "path", from, to, "-o", "json")
	workers := map[string]bool{}
	for _, h := range path.Kernel.Hops {
		out, err := i.Kubectl(ctx, nil, "get", "pod", "iridium--"+h.Node, "--output=jsonpath={.spec.nodeName}")
		if err != nil {
			t.Fatal(err)
		}
		workers[string(out)] = true
	}
	// Where pods are is the scheduler's affair; that workers exchange frames, their metrics show.
	t.Logf("the way %v is on %d workers", path.Kernel.Hops, len(workers))
	for _, c := range []struct {
		want string
		args []string
	}{
		{"inter-plane", []string{"links"}},
		{"pod:running", []string{"nodes", from}},
		{" ± ", []string{"workers", "iridium"}},
		{"fe80", []string{"exec", from, "--", "ip", "-6", "address"}},
	} {
		out, err := i.Orrery(ctx, c.args...)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%v: %v; %q is not in\n%s", c.args, err, c.want, out)
		}
		if c.args[0] == "workers" {
			t.Logf("\n%s", out)
		}
	}
	i.capture(t, i.links(t, from), from, to)
	i.speed(t)
	if out, err := i.Orrery(ctx, "exec", from, "--", "sh", "-c", "exit 7"); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("the exit code 7 of a command comes as %v, %s", err, out)
	}
	if _, err := i.Orrery(ctx, "pause"); err != nil {
		t.Fatal(err)
	}
	var paused struct{ Paused bool }
	eventually(t, "the sky stands", func() (bool, string) {
		get(&paused, "status", "-o", "json")
		return paused.Paused, "it moves"
	})
	if _, err := i.Orrery(ctx, "resume"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sky moves", func() (bool, string) {
		get(&paused, "status", "-o", "json")
		return !paused.Paused, "it stands"
	})
}

// metrics of each agent tell of its nodes, of frames, and of the other worker.
func (i *Installed) metrics(t *testing.T) {
	ctx := patient(t)
	agents, err := i.Agents(ctx)
	if err != nil || len(agents) != 2 {
		t.Fatalf("the agents are %q, %v", agents, err)
	}
	for worker, pod := range agents {
		figures, err := i.Figures(ctx, pod, 9490)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(figures)) {
			if strings.Contains(name, "lateness") || strings.Contains(name, "peer") || strings.HasPrefix(name, "orrery_attachment") || strings.HasPrefix(name, "rest_client") || strings.HasPrefix(name, "orrery_realtime") {
				t.Logf("%s: %s %g", worker, name, figures[name])
			}
		}
		for _, name := range []string{
			"orrery_nodes", "orrery_links_up", "orrery_frames_sent_total", "orrery_frames_delivered_total", "orrery_attachments_total",
			"orrery_peer_up", "orrery_peer_frames_received_total", "orrery_peer_clock_uncertainty_seconds",
		} {
			if Sum(figures, name) <= 0 {
				t.Errorf("%s: %s is %v", worker, name, Sum(figures, name))
			}
		}
	}
}

// killAgent ends the agent on the machine on which it is run, and not the process that keeps it.
const killAgent = `
for p in /proc/[0-9]*; do
  case "$(tr '\0' ' ' <$p/cmdline 2>/dev/null)" in
    "/usr/bin/orrery-agent --node-name="*) kill -KILL "${p#/proc/}" && found=yes ;;
  esac
done
[ -n "$found" ]`

// crash kills an agent. Its pods go on, their interfaces stay and keep their carriers, and
// frames flow again.
func (i *Installed) crash(t *testing.T, from, to string) {
	ctx := patient(t)
	worker, err := i.Kubectl(ctx, nil, "get", "pod", "iridium--"+from, "--output=jsonpath={.spec.nodeName}")
	if err != nil {
		t.Fatal(err)
	}
	// Numbers of interfaces are never used again, and tell with the start of the first
	// process whether these are the same.
	const state = "grep . /sys/class/net/*/ifindex; cut -d' ' -f1,22 /proc/1/stat"
	before, err := i.Exec(ctx, "default", "iridium--"+from, "sh", "-c", state)
	if err != nil {
		t.Fatal(err)
	}
	node, port, address := i.neighbour(ctx, t, string(worker))
	carrier := func() string { // of a link that is always up
		out, err := i.Exec(ctx, "default", "iridium--"+node, "cat", "/sys/class/net/"+port+"/carrier_changes")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	changes := carrier()
	loopback, err := i.Exec(ctx, "default", "iridium--"+to, "sh", "-c", "ip -6 -o address show dev lo scope global | sed 's/.*inet6 //;s,/.*,,'")
	if err != nil {
		t.Fatal(err)
	}
	network := i.pinging(ctx, t, from, strings.TrimSpace(loopback))
	time.Sleep(3 * time.Second) // so that there are answers before
	if text, err := i.Machine(string(worker)).Command(ctx, "sh", "-c", killAgent).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	killed := time.Now()
	loop := fmt.Sprintf("until ping -c 1 -W 1 %s%%%s; do sleep 0.05; done", address, port)
	if out, err := i.Exec(ctx, "default", "iridium--"+node, "sh", "-c", loop); err != nil {
		t.Errorf("no frame over the link %s:%s: %v\n%s", node, port, err, out)
	}
	t.Logf("an answer over the link %s:%s after %.1f s, with what kubectl exec takes", node, port, time.Since(killed).Seconds())
	answers, longest := network()
	t.Logf("from %s to %s: %d answers, none for %.1f s", from, to, answers, longest.Seconds())
	if answers == 0 {
		t.Errorf("from %s to %s: no answer at all", from, to)
	}
	eventually(t, to+" answers again", func() (bool, string) {
		_, err := i.Orrery(ctx, "ping", from, to, "-c", "1")
		return err == nil, fmt.Sprint(err)
	})
	if now := carrier(); now != changes {
		t.Errorf("the carrier of %s:%s has changed %s times, and %s times before the crash", node, port, now, changes)
	}
	after, err := i.Exec(ctx, "default", "iridium--"+from, "sh", "-c", state)
	if err != nil || after != before {
		t.Errorf("interfaces and the first process were\n%s\nand are, %v,\n%s", before, err, after)
	}
	if agents, err := i.Agents(ctx); err == nil {
		out, _ := i.Kubectl(ctx, nil, "--namespace=orrery-system", "logs", "--tail=6", "--container=agent", agents[string(worker)])
		t.Logf("the agent says\n%s", out)
	}
}

// neighbour is a satellite on a worker, its port to the next one of its plane, and that
// one's address on the link.
func (i *Installed) neighbour(ctx context.Context, t *testing.T, worker string) (node, port, address string) {
	t.Helper()
	out, err := i.Orrery(ctx, "nodes", "--output=json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Nodes []struct {
			Name  string
			Ports []struct{ Name, Peer, LinkLocal string }
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	for _, n := range list.Nodes {
		for _, p := range n.Ports {
			addresses[n.Name+":"+p.Name] = p.LinkLocal
		}
	}
	names, err := i.Kubectl(ctx, nil, "get", "pods", "--field-selector=spec.nodeName="+worker, `--output=jsonpath={.items[*].metadata.labels.orrery\.dev/node}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list.Nodes {
		for _, p := range n.Ports {
			if p.Name == "fore" && addresses[p.Peer] != "" && slices.Contains(strings.Fields(string(names)), n.Name) {
				return n.Name, p.Name, addresses[p.Peer]
			}
		}
	}
	t.Fatalf("no satellite on %s has a neighbour in its plane", worker)
	return "", "", ""
}

// pinging begins to send echo requests. What it returns waits for the end, and gives the
// number of answers and the longest time without one.
func (i *Installed) pinging(ctx context.Context, t *testing.T, from, to string) func() (int, time.Duration) {
	t.Helper()
	const interval = 100 * time.Millisecond
	ping := exec.CommandContext(ctx, i.programs.Dir+"/kubectl", "exec", "iridium--"+from, "--", "ping", "-W", "5", "-i", "0.1", "-c", "200", to)
	var out strings.Builder
	ping.Stdout, ping.Stderr = &out, &out
	if err := ping.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (answers int, longest time.Duration) {
		_ = ping.Wait() // losses are no failure here
		last := 0
		for _, m := range regexp.MustCompile(`seq=(\d+)`).FindAllStringSubmatch(out.String(), -1) {
			n, _ := strconv.Atoi(m[1])
			longest, last, answers = max(longest, time.Duration(n-last)*interval), n, answers+1
		}
		if answers == 0 {
			t.Logf("ping from %s to %s: %s", from, to, out.String())
		}
		return answers, longest
	}
}

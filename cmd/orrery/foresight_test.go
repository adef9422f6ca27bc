package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// twins are networks alike in everything but their routing, under one sky. Of each,
// station a sees satellites 1 and 2, and b sees 1 alone:
//
//	b ---- 1 ---- 2
//	        \    /
//	          a
//
// The way a-1-b ends as satellite 1 sets for a; a-2-1-b stays.
type twin struct {
	name, routing, properties string
	loses                     bool // it cannot but lose frames
	foresees                  bool
}

var twins = []twin{
	{name: "isis", routing: "protocol: isis, hello: 1s, dead: 4s, foresight: 15s", foresees: true},
	{name: "bird", routing: "protocol: ospf3, daemon: bird, hello: 1s, dead: 4s, foresight: 15s", foresees: true},
	{name: "ospf", routing: "protocol: ospf3, daemon: frr, hello: 1s, dead: 4s, foresight: 15s", foresees: true},
	{name: "react", routing: "protocol: isis, hello: 1s, dead: 4s"},
	{name: "mute", routing: "protocol: isis, hello: 1s, dead: 4s", properties: ", properties: {silent: true}", loses: true},
}

const foresightLead = 15 * time.Second

// twinScenario: satellites on a polar orbit over the meridian of Greenwich, which
// Greenwich's sidereal time at the epoch places; 1 is 12 degrees north of a, and sets
// below 10 degrees of elevation less than two minutes later.
func twinScenario() string {
	var b strings.Builder
	b.WriteString("apiVersion: orrery.dev/v1alpha1\nkind: Scenario\nmetadata: {name: twins}\nspec:\n  epoch: 2026-01-01T00:00:00Z\n  probes: none\n  constellations:\n")
	for _, w := range twins {
		fmt.Fprintf(&b, `    - name: %[1]s
      elements:
        - {name: "1", altitude: 780km, inclination: 90deg, raan: 100.6deg, meanAnomaly: 12deg}
        - {name: "2", altitude: 780km, inclination: 90deg, raan: 100.6deg, meanAnomaly: -11.5deg}
      links: {pattern: explicit, pairs: [[%[1]s-1, %[1]s-2]]}
      groundPorts: 2
`, w.name)
	}
	b.WriteString("  stations:\n")
	for _, w := range twins {
		fmt.Fprintf(&b, "    - {name: %[1]s-a, position: {lat: 0deg, lon: 0deg}}\n    - {name: %[1]s-b, position: {lat: 25deg, lon: 0deg}}\n", w.name)
	}
	b.WriteString("  groundLinks:\n")
	for _, w := range twins {
		fmt.Fprintf(&b, "    - {name: %[1]s, stations: [%[1]s-*], constellations: [%[1]s], minElevation: 10deg, antennas: 2%[2]s}\n", w.name, w.properties)
	}
	b.WriteString("  routing:\n")
	for _, w := range twins {
		fmt.Fprintf(&b, "    - {nodes: [%s-*], %s}\n", w.name, w.routing)
	}
	return b.String()
}

// setting is when satellite 1 sets for a, in scenario time.
func setting(t *testing.T, text, name string) time.Duration {
	t.Helper()
	s, err := scenario.Parse("twins.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	contacts, err := p.Contacts(context.Background(), 0, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for i := range contacts {
		c := &contacts[i]
		ends := []string{p.NodeOf(c.A).Name, p.NodeOf(c.B).Name}
		if c.Start == 0 && c.Ends && slices.Contains(ends, name+"-a") && slices.Contains(ends, name+"-1") {
			return c.End
		}
	}
	t.Fatalf("%s-a has no link to %s-1 that ends", name, name)
	return 0
}

// A planned handover loses nothing with foresight, where a network that has to
// notice the loss by its hellos does.
func TestForesightAgainstReaction(t *testing.T) {
	needKernel(t)
	if testing.Short() {
		t.Skip("-short: a satellite has to set")
	}
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("needs ping (Debian package iputils-ping)")
	}
	text := twinScenario()
	end := setting(t, text, twins[0].name)
	for _, w := range twins {
		if at := setting(t, text, w.name); at != end {
			t.Fatalf("the networks differ: 1 sets at %v and %v", end, at)
		}
	}
	r := startForeground(t, text)
	r.start(t)

	// way is how packets go from a to b, and the scenario time.
	way := func(w twin) (hops string, at time.Duration) {
		var reply struct {
			Kernel struct {
				Hops    []struct{ Node string }
				Problem string
			}
			ScenarioTime string
		}
		// It also fails, and answers, if the way does not arrive.
		out, err := r.orrery(t, "path", w.name+"-a", w.name+"-b", "-o", "json")
		if problem := json.NewDecoder(strings.NewReader(out)).Decode(&reply); problem != nil {
			return fmt.Sprintf("unknown (%v: %s)", err, out), 0
		}
		for _, h := range reply.Kernel.Hops {
			hops += strings.TrimPrefix(h.Node, w.name+"-")
		}
		if reply.Kernel.Problem != "" {
			hops += ", where it ends: " + reply.Kernel.Problem
		}
		at, _ = time.ParseDuration(reply.ScenarioTime)
		return hops, at
	}
	begin := end - foresightLead - 5*time.Second
	for _, w := range twins {
		until(t, "a reached b by satellite 1 in network "+w.name, func() bool {
			hops, at := way(w)
			if at > begin {
				t.Skipf("the network came up too late, at %v of the orbit: the machine is too slow", at)
			}
			return hops == "a1b"
		})
	}
	// The other way has to be there as well, before the first one goes.
	until(t, "all routers were adjacent to their neighbours", func() bool {
		var status struct{ Adjacencies, AdjacenciesPossible int }
		out, err := r.orrery(t, "status", "-o", "json")
		if err != nil || json.Unmarshal([]byte(out), &status) != nil {
			return false
		}
		if _, at := way(twins[0]); at > begin {
			t.Skipf("%d of %d adjacencies are there %v into the orbit: the machine is too slow", status.Adjacencies, status.AdjacenciesPossible, at)
		}
		return status.AdjacenciesPossible > 0 && status.Adjacencies == status.AdjacenciesPossible
	})
	for _, part := range []time.Duration{2, 1} { // until has patience for two minutes
		until(t, "the time had come", func() bool {
			_, at := way(twins[0])
			return at >= begin/part
		})
	}

	// Probes from before the metrics change until all is over.
	const interval = 50 * time.Millisecond
	count := int((foresightLead + 15*time.Second) / interval)
	sent, received := make([]int, len(twins)), make([]int, len(twins))
	var wg sync.WaitGroup
	for i, w := range twins {
		out, err := r.orrery(t, "exec", w.name+"-b", "--", "sh", "-c", "ip -6 -o address show dev lo scope global | sed 's/.*inet6 //; s#/.*##'")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		wg.Go(func() {
			// ping fails if an answer is missing; what it counted says so better.
			out, _ := r.orrery(t, "exec", w.name+"-a", "--", "ping", "-q", "-i", "0.05", "-W", "2", "-c", strconv.Itoa(count), strings.TrimSpace(out))
			if m := pingTotals.FindStringSubmatch(out); m != nil {
				sent[i], _ = strconv.Atoi(m[1])
				received[i], _ = strconv.Atoi(m[2])
			} else {
				t.Errorf("network %s: ping says %s", w.name, out)
			}
		})
	}
	wg.Wait()

	for i, w := range twins {
		hops, at := way(w)
		t.Logf("network %-5s (%s): %d of %d probes lost, way at %v %s", w.name, w.routing, sent[i]-received[i], sent[i], at, hops)
		if at < end {
			t.Errorf("network %s: probing ended at %v, before the link did at %v", w.name, at, end)
		}
		if hops != "a21b" {
			t.Errorf("network %s: the way is %s after the handover", w.name, hops)
		}
		switch lost := sent[i] - received[i]; {
		case w.foresees && lost > 0:
			t.Errorf("network %s: %d probes lost in spite of foresight", w.name, lost)
		case w.loses && lost == 0:
			t.Errorf("network %s: nothing was lost, though nobody told it that the link had ended", w.name)
		}
	}
	raised := make(map[string]int)
	for _, e := range r.events(t) {
		if e.Kind == "metric-raised" {
			name, _, _ := strings.Cut(e.A, "-")
			raised[name]++
		}
	}
	for _, w := range twins {
		if want := map[bool]int{true: 2}[w.foresees]; raised[w.name] < want || !w.foresees && raised[w.name] > 0 {
			t.Errorf("network %s: %d metrics were raised, want %d or more", w.name, raised[w.name], want)
		}
	}
}

var pingTotals = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

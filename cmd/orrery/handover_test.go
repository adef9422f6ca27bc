package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A TCP transfer over four hops and more goes on when a station at its end
// changes its satellite.
//
// The example's orbits at ten times their speed: tempe hands over at 00:03:53 and
// 00:04:35, svalbard at 00:04:30.
func TestTCPThroughHandover(t *testing.T) {
	needKernel(t)
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("needs iperf3 (Debian package iperf3)")
	}
	if testing.Short() {
		t.Skip("-short: the transfer takes half a minute")
	}
	example, err := os.ReadFile("../../examples/iridium.yaml")
	if err != nil {
		t.Fatal(err)
	}
	routing := "    - protocol: isis\n      daemon: frr\n      hello: 1s\n      dead: 4s\n"
	text := strings.Replace(string(example), routing, "    - protocol: oracle\n", 1)
	text = strings.Replace(text, "spec:\n", "spec:\n  speed: 10\n", 1)
	if !strings.Contains(text, "protocol: oracle") || !strings.Contains(text, "speed: 10") {
		t.Fatal("the example has changed: this test replaces its routing and its speed")
	}
	r := startForeground(t, text)
	r.start(t)
	until(t, "all pairs reached each other", func() bool {
		out, err := r.orrery(t, "status")
		return err == nil && strings.Contains(out, "15 of 15 reach each other")
	})

	// path is how packets go now, by nodes, and the scenario time.
	path := func() (nodes []string, at time.Duration) {
		t.Helper()
		var reply struct {
			Kernel struct {
				Hops     []struct{ Node string }
				Complete bool
			}
			ScenarioTime string
		}
		var out string
		until(t, "had a whole path", func() bool {
			var err error
			out, err = r.orrery(t, "path", "tempe", "svalbard", "-o", "json")
			return err == nil && json.Unmarshal([]byte(out), &reply) == nil && reply.Kernel.Complete
		})
		for _, h := range reply.Kernel.Hops {
			nodes = append(nodes, h.Node)
		}
		at, err := time.ParseDuration(reply.ScenarioTime)
		if err != nil || len(nodes) < 2 {
			t.Fatalf("orrery path: %s", out)
		}
		return nodes, at
	}
	before, begin := path()
	if len(before)-1 < 4 {
		t.Fatalf("only %d hops: %v", len(before)-1, before)
	}
	if begin > 200*time.Second {
		t.Skipf("the network came up at %v of the orbit, after the handovers: the machine is too slow", begin)
	}

	address, err := r.orrery(t, "exec", "svalbard", "--", "sh", "-c", "ip -6 -o address show dev lo scope global | sed 's/.*inet6 //; s#/.*##'")
	if err != nil {
		t.Fatalf("%v: %s", err, address)
	}
	serverDone := make(chan string, 1)
	go func() {
		out, _ := r.orrery(t, "exec", "svalbard", "--", "iperf3", "-s", "-1")
		serverDone <- out
	}()
	until(t, "listened", func() bool {
		out, err := r.orrery(t, "exec", "svalbard", "--", "ss", "-Htln", "sport", "=", "5201")
		return err == nil && strings.TrimSpace(out) != ""
	})
	out, err := r.orrery(t, "exec", "tempe", "--", "iperf3", "-c", strings.TrimSpace(address), "-t", "30", "-b", "10M", "-J")
	if err != nil {
		t.Fatalf("iperf3: %v\n%s", err, out)
	}
	after, end := path()
	<-serverDone

	var report struct {
		Intervals []struct{ Sum struct{ Bytes int64 } }
		End       struct {
			Received struct{ Bytes int64 } `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Intervals) < 20 {
		t.Fatalf("iperf3: %v\n%s", err, out)
	}
	handedOver := before[1] != after[1] || before[len(before)-2] != after[len(after)-2]
	if !handedOver || end < 235*time.Second {
		t.Fatalf("no handover from %v at %v to %v at %v", before, begin, after, end)
	}
	var late int64 // sent in the last third, when all handovers are over
	for _, i := range report.Intervals[len(report.Intervals)*2/3:] {
		late += i.Sum.Bytes
	}
	if late == 0 || report.End.Received.Bytes == 0 {
		t.Errorf("%d bytes were sent at last, and %d arrived in all", late, report.End.Received.Bytes)
	}
	t.Logf("%d hops at %v, %d hops at %v; %d bytes arrived, %d sent in the last third",
		len(before)-1, begin, len(after)-1, end, report.End.Received.Bytes, late)
}

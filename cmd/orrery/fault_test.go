package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"orrery.dev/orrery/router"
)

// events of a run's log, each as JSON.
func (r *foregroundRun) events(t *testing.T) (list []struct{ Kind, A, B, Text string }) {
	t.Helper()
	out, err := r.orrery(t, "events", "-o", "json")
	if err != nil {
		t.Fatalf("orrery events: %v\n%s", err, out)
	}
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var e struct{ Kind, A, B, Text string }
		if err := d.Decode(&e); err != nil {
			t.Fatalf("orrery events: %v\n%s", err, out)
		}
		list = append(list, e)
	}
	return list
}

func (r *foregroundRun) statusHas(t *testing.T, text string) func() bool {
	return func() bool {
		out, err := r.orrery(t, "status")
		return err == nil && strings.Contains(out, text)
	}
}

// An emulator that was suspended says so, and its network is as it should be
// afterwards.
func TestSuspendedEmulator(t *testing.T) {
	needKernel(t)
	r := startForeground(t, fmt.Sprintf(busyScenario, "protocol: oracle"))
	r.start(t)
	until(t, "both stations reached each other", r.statusHas(t, "1 of 1 reach each other"))
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second) // this is what is tested: more than the 3 s of a stall
	if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "said that it stood still", func() bool {
		for _, e := range r.events(t) {
			if e.Kind == "fidelity" && strings.HasPrefix(e.Text, "overloaded: the emulator stood still for") {
				return true
			}
		}
		return false
	})
	until(t, "both stations reached each other again", r.statusHas(t, "1 of 1 reach each other"))
}

// Daemons that are killed come back, and so does what they did; the log tells of
// both.
func TestKilledDaemons(t *testing.T) {
	needKernel(t)
	if _, err := router.Version(t.Context(), router.BIRD); err != nil {
		t.Skip(err)
	}
	r := startForeground(t, fmt.Sprintf(busyScenario, "protocol: ospf3\n      daemon: bird\n      hello: 1s\n      dead: 4s"))
	r.start(t)
	until(t, "both stations reached each other", r.statusHas(t, "1 of 1 reach each other"))
	killed := 0
	for pid, command := range takeSnapshot(t, r.root).processes {
		var n int
		if _, err := fmt.Sscan(pid, &n); err == nil && strings.Contains(command, "bird ") && killed < 2 { // a third of six
			if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed++
		}
	}
	if killed != 2 {
		t.Fatalf("%d daemons were found to be killed", killed)
	}
	until(t, "the log told of two daemons that were killed and came back", func() bool {
		downs, ups := map[string]int{}, map[string]int{}
		for _, e := range r.events(t) {
			switch {
			case e.Kind == "process-down" && strings.HasPrefix(e.Text, "bird: "):
				downs[e.A]++
			case e.Kind == "process-up" && e.Text == "bird":
				ups[e.A]++
			}
		}
		back := 0
		for node := range downs {
			if ups[node] > 1 {
				back++
			}
		}
		return back == killed
	})
	until(t, "both stations reached each other again", func() bool {
		out, err := r.orrery(t, "ping", "ground-a", "ground-b", "-c", "1")
		return err == nil && strings.Contains(out, "measured")
	})
}

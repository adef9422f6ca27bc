package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
		select {
		case err := <-r.done:
			t.Fatalf("the run ended: %v\n%s", err, r.out)
		default:
		}
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

// So does one whose process that carries frames was suspended.
func TestSuspendedFabric(t *testing.T) {
	needKernel(t)
	r := startForeground(t, fmt.Sprintf(busyScenario, "protocol: oracle"))
	r.start(t)
	until(t, "both stations reached each other", r.statusHas(t, "1 of 1 reach each other"))
	var fabric int
	for pid, command := range takeSnapshot(t, r.root).processes {
		if strings.HasPrefix(command, "orrery-fabric") {
			if _, err := fmt.Sscan(pid, &fabric); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fabric == 0 {
		t.Fatal("there is no process that carries frames")
	}
	if err := syscall.Kill(fabric, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "said that nothing carries frames", r.statusHas(t, "what carries frames stood still for"))
	if err := syscall.Kill(fabric, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "both stations reached each other again", func() bool {
		out, err := r.orrery(t, "ping", "ground-a", "ground-b", "-c", "1")
		return err == nil && strings.Contains(out, "measured")
	})
	until(t, "was faithful again, or said why not", func() bool {
		return !r.statusHas(t, "what carries frames stood still for")()
	})
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

// A disk that is full under the run directory costs records, and the run says
// so; the network goes on, and nothing is left in the end.
func TestFullDisk(t *testing.T) {
	needKernel(t)
	r := startForeground(t, fmt.Sprintf(busyScenario, "protocol: oracle"))
	disk, err := os.MkdirTemp("", "orr")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "size=24m,mode=755"); err != nil {
		_ = os.Remove(disk)
		t.Skipf("needs a small file system to fill: mount tmpfs: %v", err)
	}
	r.root = filepath.Join(disk, "r")
	t.Cleanup(func() {
		end(t, r.cmd.Path, r.root)
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("the run's file system is still in use: %v", err)
			return
		}
		_ = os.Remove(disk)
	})
	r.cmd.Env = append(os.Environ(), "ORRERY_RUNTIME_DIR="+r.root, "ORRERY_STATE_DIR="+filepath.Dir(r.root))
	r.cmd.Args = append(r.cmd.Args, "--record", filepath.Join(disk, "record"))
	r.start(t)
	until(t, "both stations reached each other", r.statusHas(t, "1 of 1 reach each other"))

	fill := filepath.Join(disk, "fill")
	if err := os.WriteFile(fill, make([]byte, 32<<20), 0o600); err == nil {
		t.Fatal("32 MiB fit into 24")
	}
	// Something to write about.
	for range 2 {
		if out, err := r.orrery(t, "pause"); err != nil {
			t.Fatalf("orrery pause: %v\n%s", err, out)
		}
		if out, err := r.orrery(t, "resume"); err != nil {
			t.Fatalf("orrery resume: %v\n%s", err, out)
		}
	}
	until(t, "said that it cannot write its record", func() bool {
		// A page of the file may have had room left.
		_, _ = r.orrery(t, "pause")
		_, _ = r.orrery(t, "resume")
		return r.statusHas(t, "no space left on device")()
	})
	if out, err := r.orrery(t, "ping", "ground-a", "ground-b", "-c", "1"); err != nil || !strings.Contains(out, "measured") {
		t.Errorf("the network does not go on: %v\n%s", err, out)
	}
	before := namespacesOf(t, r.root)
	// Who asked for a record is told that it is not whole; the run ends all the same.
	const broken = "/record is not whole"
	if out, err := r.orrery(t, "down"); err == nil || !strings.Contains(out, broken) {
		t.Errorf("orrery down: %v\n%s", err, out)
	}
	if err := r.wait(t); err == nil || !strings.Contains(r.out.String(), broken) {
		t.Errorf("after down: %v\n%s", err, r.out)
	}
	if len(before) != 6 {
		t.Errorf("%d namespaces", len(before))
	}
	if left := takeSnapshot(t, r.root).processes; len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Processes of nodes that want all of the CPU do not stop the network.
func TestGreedyProcesses(t *testing.T) {
	needKernel(t)
	greedy := "    - name: greedy\n      nodes: [\"*\"]\n      argv: [sh, -c, \"while :; do :; done\"]\n"
	r := startForeground(t, fmt.Sprintf(busyScenario, "protocol: oracle")+greedy)
	r.start(t)
	until(t, "both stations reached each other", r.statusHas(t, "1 of 1 reach each other"))
	until(t, "gave a verdict", r.statusHas(t, "verdict"))
	out, err := r.orrery(t, "ping", "ground-a", "ground-b", "-c", "20", "-i", "100ms")
	if err != nil || !strings.Contains(out, "20 sent, 0 lost") {
		t.Errorf("ping beside greedy processes: %v\n%s", err, out)
	}
	t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
}

package agent_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/kube/agent"
)

// newWorkers are two hosts with a wire between their namespaces, whose agents run:
//
//	w1: east, satellite ── veth, fd77::/64 ── w2: west
func newWorkers(t *testing.T, releases ...string) (one, two *host) {
	t.Helper()
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("ip is not there; install iproute2")
	}
	one, two = newHost(t), newHost(t)
	one.stage.Key = bytes.Repeat([]byte{7}, 32)
	one.stage.Workers = map[string]string{"sat-p01s01": "w1", "east": "w1", "west": "w2"}
	one.stage.Addresses = map[string]netip.Addr{"w1": netip.MustParseAddr("fd77::1"), "w2": netip.MustParseAddr("fd77::2")}
	one.stage.Members = map[string]string{"sat": "sat-p01s01", "east": "east", "west": "west"}
	dir := two.stage.Dir
	two.stage = one.stage
	two.stage.Dir, two.stage.Worker = dir, "w2"
	one.stage.Release, two.stage.Release = releases[0], releases[1]
	for _, h := range []*host{one, two} {
		h.namespace = h.pod("worker").namespace
	}
	run := func(h *host, args ...string) {
		t.Helper()
		err := pod{namespace: h.namespace}.in(func() error {
			out, err := exec.Command(ip, args...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("ip %v: %w: %s", args, err, out)
			}
			return nil
		})
		if err != nil {
			t.Skip(err)
		}
	}
	one.start() // so that its process names its namespace
	run(two, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", fmt.Sprint(one.agent.Process.Pid))
	for h, at := range map[*host]string{one: "fd77::1/64", two: "fd77::2/64"} {
		run(h, "link", "set", "lo", "up")
		run(h, "addr", "add", at, "dev", "up0", "nodad")
		run(h, "link", "set", "up0", "up")
	}
	two.start()
	return one, two
}

// add makes a pod a node.
func (h *host) add(name string) (pod, netip.Addr) {
	h.t.Helper()
	p := h.pod(name)
	out, failed := h.call("ADD", "", p.env()...)
	if failed {
		h.t.Fatalf("ADD of %s: %v", name, out)
	}
	return p, loopback(h.t, out)
}

// says tells whether a problem of the scenario's status on a worker has a text in it.
func (h *host) says(text string) bool {
	s, err := api.Dial(agent.ControlSocket(filepath.Join(h.stage.Dir, "state"), demo)).GetStatus(h.t.Context(), connect.NewRequest(&pb.GetStatusRequest{}))
	return err == nil && slices.ContainsFunc(s.Msg.GetStatus().GetProblems(), func(p string) bool { return strings.Contains(p, text) })
}

func TestLinksBetweenWorkers(t *testing.T) {
	one, two := newWorkers(t, "v1", "v1")
	one.add("sat")
	east, eastAt := one.add("east")
	west, westAt := two.add("west")
	one.eventually("frames go to the other worker", func() bool { return east.reaches(west, westAt) })
	one.eventually("and back", func() bool { return west.reaches(east, eastAt) })
	two.kill()
	one.eventually("the status says that a worker is silent", func() bool { return one.says("frames to it are dropped") })
	two.start()
	one.eventually("frames go to a worker whose agent was killed", func() bool { return east.reaches(west, westAt) })
}

// Agents of two releases refuse each other: both say so in their status and their log, and
// links between them have no carrier. Links of each go on, and when both are of one release
// all is well.
func TestAgentsOfTwoReleases(t *testing.T) {
	one, two := newWorkers(t, "v1", "v2")
	sat, _ := one.add("sat")
	east, eastAt := one.add("east")
	west, westAt := two.add("west")
	told := map[*host]string{
		one: `host w2 has release "v2", and this host "v1": run the same release on both`,
		two: `host w1 has release "v1", and this host "v2": run the same release on both`,
	}
	for h, want := range told {
		h.eventually("the status of "+h.stage.Worker+" says why", func() bool { return h.says(want) })
		h.eventually("the log of "+h.stage.Worker+" says why", func() bool {
			return strings.Contains(h.stderr.String(), strings.ReplaceAll(want, `"`, `\"`))
		})
	}
	one.eventually("links between the workers have no carrier", func() bool {
		between := 0
		for i := range 5 {
			if sat.carrier(t, fmt.Sprintf("gnd%d", i)) {
				between++
			}
		}
		return between == 1 && !west.carrier(t, "ant0") // the satellite's to east is up
	})
	one.eventually("a link of one worker is up", func() bool { return east.carrier(t, "ant0") && sat.reaches(east, eastAt) })
	if east.reaches(west, westAt) {
		t.Error("frames go to an agent of another release")
	}
	two.kill()
	two.stage.Release = "v1"
	two.start()
	one.eventually("frames go to the agent that is of the same release now", func() bool { return east.reaches(west, westAt) })
}

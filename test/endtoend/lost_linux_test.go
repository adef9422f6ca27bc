package endtoend

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// lost cuts a worker off from all others. Links to its pods are down elsewhere, the
// scenario says so, no pod is moved, and all is as before when the worker is back.
func (i *Installed) lost(t *testing.T, from, to string) {
	ctx := patient(t)
	out, err := i.Kubectl(ctx, nil, "--namespace=orrery-system", "get", "pods", "--selector=app.kubernetes.io/name=orrery-operator", "--output=jsonpath={.items[0].spec.nodeName}")
	if err != nil {
		t.Fatal(err)
	}
	here, worker := string(out), "w1"
	if here == worker {
		worker = "w2"
	}
	pods := func() string {
		out, err := i.Kubectl(ctx, nil, "get", "pods", `--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.spec.nodeName}{"\n"}{end}`)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := pods()
	agents, err := i.Agents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	peers := func(ctx context.Context) (float64, error) {
		f, err := i.Figures(ctx, agents[here], 9490)
		if err != nil {
			return 0, err
		}
		return Sum(f, "orrery_peer_up"), nil
	}
	if up, err := peers(ctx); err != nil || up != 1 {
		t.Fatalf("the agent on %s hears %g others, %v; want 1", here, up, err)
	}

	link := func(ctx context.Context, state string) {
		t.Helper()
		if out, err := i.Machine("control").Command(ctx, "ip", "link", "set", "dev", worker, state).CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v: %s", worker, state, err, out)
		}
	}
	link(ctx, "down")
	cut := time.Now()
	// Also when the test fails: its end talks to the kubelet.
	t.Cleanup(func() { link(patient(t), "up") })
	eventually(t, "the other agent finds that "+worker+" is away", func() (bool, string) {
		up, err := peers(ctx)
		return err == nil && up == 0, fmt.Sprint(up, err)
	})
	t.Logf("links to %s were down %.1f s after it was cut off", worker, time.Since(cut).Seconds())
	degraded := func() string {
		out, err := i.Kubectl(ctx, nil, "get", "scenario", "iridium", `--output=jsonpath={.status.conditions[?(@.type=="Degraded")].reason}: {.status.conditions[?(@.type=="Degraded")].message}`)
		return fmt.Sprint(string(out), err)
	}
	eventually(t, "the scenario says that "+worker+" is lost", func() (bool, string) {
		state := degraded()
		return strings.HasPrefix(state, "WorkerLost: worker "+worker), state
	})
	t.Logf("the scenario said so after %.1f s", time.Since(cut).Seconds())

	link(ctx, "up")
	back, ctx := time.Now(), patient(t)
	eventually(t, "the scenario is as desired again", func() (bool, string) {
		state := degraded()
		return strings.HasPrefix(state, "AsDesired"), state
	})
	eventually(t, to+" answers again", func() (bool, string) {
		_, err := i.Orrery(ctx, "ping", from, to, "-c", "1")
		return err == nil, fmt.Sprint(err)
	})
	t.Logf("all was well %.1f s after %s was back", time.Since(back).Seconds(), worker)
	if now := pods(); now != before {
		t.Errorf("pods were\n%s\nand are\n%s", before, now)
	}
}

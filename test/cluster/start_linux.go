package cluster

import (
	"context"
	"testing"
	"time"
)

// Start starts a cluster for a test and ends it with the test. It skips the
// test if this host cannot run clusters. If the test fails, it logs what there
// is to know of the cluster.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	if reason := Missing(o); reason != "" {
		t.Skip(reason)
	}
	if o.Log == nil {
		o.Log = t.Logf
	}
	// Apart from Up and its deadline: a build may take long, and its failure is
	// the host's, not the cluster's.
	runtime := Containerd
	if o.Workers > 0 {
		runtime = o.runtime()
	}
	if err := Build(context.Background(), o.Log, runtime); err != nil {
		t.Skipf("cannot build what a cluster runs: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c, err := Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.describe(t)
		}
		if err := c.Down(); err != nil {
			t.Errorf("end the cluster: %v", err)
		}
	})
	return c
}

// Patience is how long tests wait for what normally takes seconds, so that they
// can also run on a slow and busy machine.
const Patience = 5 * time.Minute

// describe logs what there is to know of a cluster.
func (c *Cluster) describe(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, args := range [][]string{
		{"get", "nodes,pods", "--all-namespaces", "--output=wide"},
		{"get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"},
	} {
		if out, err := c.Kubectl(ctx, nil, args...); err != nil {
			t.Log(err)
		} else {
			t.Logf("kubectl %v:\n%s", args, out)
		}
	}
	t.Logf("the last lines of each log:\n%s", c.Logs(40))
}

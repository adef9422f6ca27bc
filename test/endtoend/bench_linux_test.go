package endtoend

import (
	"context"
	"errors"
	"testing"
	"time"

	"orrery.dev/orrery/test/cluster"
)

// install starts a cluster with this tree's programs and applies deploy/multus.
func install(t *testing.T, o cluster.Options) *Installed {
	t.Helper()
	if reason := cluster.Missing(o); reason != "" {
		t.Skip(reason)
	}
	p, err := Build(patient(t), t.TempDir())
	if errors.Is(err, ErrPackages) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.Images = p.Images
	i, err := Install(patient(t), cluster.Start(t, o), p)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cluster.Patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(cluster.Patience)
	for {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s: %s", what, state)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

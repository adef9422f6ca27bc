package nodetest

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"orrery.dev/orrery/node"
)

func TestProcesses(t *testing.T) {
	ctx := context.Background()
	e := New(t.TempDir())
	if err := e.Create(ctx, []node.Spec{{Name: "a", Ports: []node.PortSpec{{Name: "fore"}}}}); err != nil {
		t.Fatal(err)
	}
	var ready atomic.Bool
	p := node.Process{Name: "bird", Argv: []string{"bird"}, Restart: node.Always, Ready: func(context.Context) error {
		if !ready.Load() {
			return errors.New("not yet")
		}
		return nil
	}}
	if err := e.Start(ctx, "a", p); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(ctx, "a", p); err == nil {
		t.Error("started twice")
	}
	if s := e.Processes()[0]; s.State != node.Starting {
		t.Errorf("before it is ready it is %s", s.State)
	}
	ready.Store(true)
	for e.Processes()[0].State != node.Running {
		time.Sleep(time.Millisecond)
	}
	ready.Store(false)
	if err := e.End("a", "bird", "killed by SIGSEGV"); err != nil {
		t.Fatal(err)
	}
	if s := e.Processes()[0]; s.State != node.Starting || s.Restarts != 1 || s.Reason != "killed by SIGSEGV" {
		t.Errorf("after its death: %+v", s)
	}
	if err := e.Stop(ctx, "a", "bird"); err != nil || len(e.Processes()) != 0 {
		t.Errorf("after Stop: %v, %v", err, e.Processes())
	}
	if err := e.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Device("a", "fore"); err == nil {
		t.Error("a device outlived its node")
	}
}

func TestRoutes(t *testing.T) {
	ctx := context.Background()
	e := New(t.TempDir())
	own, far := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	if err := e.Create(ctx, []node.Spec{{Name: "a", Loopback: []netip.Prefix{netip.PrefixFrom(own, 128)}, Ports: []node.PortSpec{{Name: "fore"}, {Name: "aft"}}}}); err != nil {
		t.Fatal(err)
	}
	defer e.Destroy(ctx)
	if _, err := e.Lookup(ctx, "a", far); !errors.Is(err, node.ErrUnreachable) {
		t.Errorf("without a route: %v", err)
	}
	routes := []node.Route{
		{Prefix: netip.MustParsePrefix("fd00::/64"), Port: "aft"},
		{Prefix: netip.PrefixFrom(far, 128), Port: "fore"},
	}
	for i, want := range []int{2, 2} { // the second time nothing changes
		if err := e.SetRoutes(ctx, "a", 201, routes); err != nil || e.Changes() != want {
			t.Errorf("round %d: %v, %d changes", i, err, e.Changes())
		}
	}
	if r, err := e.Lookup(ctx, "a", far); err != nil || r.Port != "fore" {
		t.Errorf("longest prefix: %+v, %v", r, err)
	}
	if r, err := e.Lookup(ctx, "a", own); err != nil || r.Port != "lo" {
		t.Errorf("own address: %+v, %v", r, err)
	}
	if err := e.SetRoutes(ctx, "a", 201, routes[:1]); err != nil || e.Changes() != 3 {
		t.Errorf("removal: %v, %d changes", err, e.Changes())
	}
	if r, err := e.Lookup(ctx, "a", far); err != nil || r.Port != "aft" {
		t.Errorf("after removal: %+v, %v", r, err)
	}
}

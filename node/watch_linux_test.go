package node

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// tables is what a watcher has told of all nodes.
type tables struct {
	mu    sync.Mutex
	nodes map[string]map[string]string // prefix and metric: hops
	lost  int
	count int
}

func (t *tables) apply(updates []RouteUpdate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range updates {
		key := fmt.Sprint(u.Prefix, " ", u.Metric)
		switch u.Op {
		case RoutesLost:
			t.nodes[u.Node] = map[string]string{}
			t.lost++
		case RouteSet:
			t.nodes[u.Node][key] = fmt.Sprint(u.Hops)
			t.count++
		case RouteGone:
			delete(t.nodes[u.Node], key)
			t.count++
		}
	}
}

func (t *tables) of(node string) map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.nodes[node])
}

// watch begins to watch nodes until the test ends.
func watch(t *testing.T, l *Linux, names []string) *tables {
	t.Helper()
	have := &tables{nodes: map[string]map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.WatchRoutes(ctx, names, have.apply) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return have
}

// agree waits until what was told is what the kernels have.
func agree(t *testing.T, l *Linux, names []string, have *tables) {
	t.Helper()
	for _, name := range names {
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			list, err := l.Routes(context.Background(), name)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			for _, r := range list {
				key := fmt.Sprint(r.Prefix, " ", r.Metric)
				hop := NextHop{r.Via, r.Port}
				if old, ok := want[key]; ok {
					want[key] = old[:len(old)-1] + " " + fmt.Sprint(hop) + "]"
				} else {
					want[key] = fmt.Sprint([]NextHop{hop})
				}
			}
			got := have.of(name)
			if maps.Equal(got, want) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("node %s: told of %v, the kernel has %v", name, got, want)
			}
		}
	}
}

// Thousands of changes in hundreds of namespaces come through one socket.
func TestWatchRoutes(t *testing.T) {
	const nodes, routes = 300, 10
	l := start(t, specs(nodes, 2))
	var names []string
	for i := range nodes {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	have := watch(t, l, names)
	set := func(first, port int) {
		t.Helper()
		for i, name := range names {
			var list []Route
			for k := range routes {
				list = append(list, Route{
					Prefix: netip.MustParsePrefix(fmt.Sprintf("fd00:0:%x:%x::1/128", i, first+k)),
					Via:    netip.MustParseAddr("fe80::99"), Port: fmt.Sprintf("isl%d", port), Metric: 20,
				})
			}
			if err := l.SetRoutes(context.Background(), name, oracle, list); err != nil {
				t.Fatal(err)
			}
		}
	}
	set(0, 0)
	agree(t, l, names, have)
	set(routes/2, 0) // half of them go
	set(routes/2, 1) // and all are replaced
	agree(t, l, names, have)
	have.mu.Lock()
	defer have.mu.Unlock()
	if least := nodes * routes * 3; have.count < least {
		t.Errorf("told of %d changes, want %d at least", have.count, least)
	}
}

// Routes with several next hops, which go one by one, and routes that discard.
func TestWatchMultipath(t *testing.T) {
	l := start(t, specs(1, 3))
	have := watch(t, l, []string{"n0"})
	ip := func(args ...string) {
		t.Helper()
		if code, err := l.Exec(context.Background(), "n0", append([]string{"ip", "-6", "route"}, args...), Stdio{}); err != nil || code != 0 {
			t.Fatalf("ip -6 route %v: exit %d, %v", args, code, err)
		}
	}
	eventually := func(what string, f func(map[string]string) bool) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); !f(have.of("n0")); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: told of %v", what, have.of("n0"))
			}
		}
	}
	ip("add", "fd99::/64", "metric", "5", "nexthop", "via", "fe80::1", "dev", "isl0", "nexthop", "via", "fe80::2", "dev", "isl1")
	eventually("both next hops", func(m map[string]string) bool { return m["fd99::/64 5"] == "[{fe80::1 isl0} {fe80::2 isl1}]" })
	ip("append", "fd99::/64", "metric", "5", "via", "fe80::3", "dev", "isl2")
	eventually("three next hops", func(m map[string]string) bool { return strings.Count(m["fd99::/64 5"], "isl") == 3 })
	ip("add", "unreachable", "fd98::/64", "metric", "7")
	eventually("a route that discards", func(m map[string]string) bool { return m["fd98::/64 7"] == "[]" })
	ip("replace", "fd99::/64", "metric", "5", "via", "fe80::4", "dev", "isl2")
	eventually("one next hop", func(m map[string]string) bool { return m["fd99::/64 5"] == "[{fe80::4 isl2}]" })
}

// A socket whose buffer is too small for what happens loses messages; the tables are
// right nevertheless in the end.
func TestWatchOverrun(t *testing.T) {
	l := start(t, specs(1, 1))
	n, err := l.node("n0")
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	err = thread.Do(func() (err error) {
		fd, err = hearAll([]*linuxNode{n})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4096); err != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
			t.Fatal(err)
		}
	}
	have := &tables{nodes: map[string]map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	messages, ended := make(chan heard, 16), make(chan error, 2)
	var list []Route
	for k := range 500 {
		list = append(list, Route{Prefix: netip.MustParsePrefix(fmt.Sprintf("fd00:0:1:%x::1/128", k)), Via: netip.MustParseAddr("fe80::99"), Port: "isl0", Metric: 20})
	}
	if err := l.SetRoutes(ctx, "n0", oracle, list); err != nil { // nobody reads yet
		t.Fatal(err)
	}
	go func() { ended <- hear(ctx, fd, messages); close(messages) }()
	go func() { ended <- interpret(ctx, []*linuxNode{n}, messages, have.apply) }()
	agree(t, l, []string{"n0"}, have)
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		have.mu.Lock()
		lost := have.lost
		have.mu.Unlock()
		if lost > 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing was said to be lost")
		}
	}
	agree(t, l, []string{"n0"}, have)
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

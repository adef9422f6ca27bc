package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/tap"
)

const oracle = 201

func protocolOnly(list []Route, protocol int) []Route {
	return slices.DeleteFunc(list, func(r Route) bool { return r.Protocol != protocol })
}

// Whatever sets of routes follow one another, the kernel has the last one, and
// an engine that has lost track of the former ones gets there as well.
func TestSetRoutesModel(t *testing.T) {
	l := start(t, specs(1, 3))
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		want := map[netip.Prefix]Route{}
		for range rapid.IntRange(0, 100).Draw(t, "routes") {
			var p netip.Prefix
			r := Route{Port: fmt.Sprintf("isl%d", rapid.IntRange(0, 2).Draw(t, "port")), Protocol: oracle}
			r.Via = netip.MustParseAddr(fmt.Sprintf("fe80::%x", rapid.IntRange(0x100, 0x103).Draw(t, "via")))
			n := rapid.IntRange(0, 150).Draw(t, "to")
			if rapid.Bool().Draw(t, "ipv4") {
				p = netip.MustParsePrefix(fmt.Sprintf("10.9.0.%d/32", n))
				r.Metric = 20
			} else {
				p = netip.MustParsePrefix(fmt.Sprintf("fd00:0:9:%x::/64", n))
				r.Metric = metricDefault6
			}
			r.Prefix = p
			want[p] = r
		}
		var list []Route
		for _, r := range want {
			list = append(list, r)
		}
		if rapid.Bool().Draw(t, "forget") {
			n, _ := l.node("n0")
			n.mu.Lock()
			clear(n.routes)
			n.doubt[oracle] = true
			n.mu.Unlock()
		}
		if err := l.SetRoutes(ctx, "n0", oracle, list); err != nil {
			t.Fatal(err)
		}
		have, err := l.Routes(ctx, "n0")
		if err != nil {
			t.Fatal(err)
		}
		got := map[netip.Prefix]Route{}
		for _, r := range protocolOnly(have, oracle) {
			got[r.Prefix] = r
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("kernel has %v, want %v", got, want)
		}
	})
}

func TestLookup(t *testing.T) {
	l := start(t, specs(1, 2))
	ctx := context.Background()
	far := netip.MustParseAddr("fd00:0:0:99::1")
	if _, err := l.Lookup(ctx, "n0", far); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without a route: %v", err)
	}
	for _, own := range []string{"fd00:0:0:1::1", "10.0.0.1"} {
		if r, err := l.Lookup(ctx, "n0", netip.MustParseAddr(own)); err != nil || r.Port != "lo" {
			t.Errorf("own address: %+v, %v", r, err)
		}
	}
	via := netip.MustParseAddr("fe80::99")
	routes := []Route{
		{Prefix: netip.PrefixFrom(far, 128), Via: via, Port: "isl0", Metric: 10},
		{Prefix: netip.PrefixFrom(far, 128), Via: via, Port: "isl1", Metric: 20},
		{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Via: via, Port: "isl0"},
	}
	if err := l.SetRoutes(ctx, "n0", oracle, routes); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Lookup(ctx, "n0", far); !errors.Is(err, ErrUnreachable) {
		t.Errorf("over ports without carrier: %v", err)
	}
	up := func(port string, up bool) {
		t.Helper()
		f, err := l.Device("n0", port)
		if err == nil {
			err = tap.SetCarrier(int(f.Fd()), up)
		}
		if err = errors.Join(err, announce(f)); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(dst netip.Addr, port string) {
		t.Helper()
		if r, err := l.Lookup(ctx, "n0", dst); err != nil || r.Port != port || r.Via != via {
			t.Errorf("%s: %+v, %v, want %s", dst, r, err, port)
		}
	}
	up("isl0", true)
	up("isl1", true)
	expect(far, "isl0")
	expect(netip.MustParseAddr("10.9.1.2"), "isl0")
	up("isl0", false) // the kernel turns to the other by itself
	expect(far, "isl1")

	if err := l.SetRoutes(ctx, "n0", oracle, append(routes, routes[0])); err == nil {
		t.Error("a route given twice was accepted")
	}
	if err := l.SetRoutes(ctx, "n0", oracle, []Route{{Prefix: routes[0].Prefix, Port: "none"}}); err == nil {
		t.Error("a port that is not there was accepted")
	}
	if err := l.SetRoutes(ctx, "n0", unix.RTPROT_KERNEL, nil); err == nil {
		t.Error("the kernel's own protocol number was accepted")
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWROUTE), []byte{unix.AF_INET6, 128, 0, 0, 254, 201, 0, 1, 0, 0, 0, 0, 20, 0, 1, 0, 0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(uint16(unix.RTM_NEWROUTE), append(make([]byte, 12), 16, 0, unix.RTA_MULTIPATH, 0, 8, 0, 0, 0, 1, 0, 0, 0))
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		r, err := parseRoute(message{typ: typ, data: data})
		if err == nil && r.typ != 0 && !r.prefix.IsValid() {
			t.Fatalf("%+v has no prefix", r)
		}
	})
}

func FuzzParseMessages(f *testing.F) {
	f.Add([]byte{16, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = parseMessages(b, func(m message) error {
			_ = m.errno()
			return parseAttrs(m.data, func(uint16, []byte) error { return nil })
		})
	})
}

func FuzzParseStat(f *testing.F) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	if start, state, err := parseStat(b); err != nil || start == 0 || state == 0 {
		f.Fatalf("own status: %d, %c, %v", start, state, err)
	}
	f.Add(b)
	f.Add([]byte("1 (a) b) c) S"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = parseStat(b) })
}

func BenchmarkSetRoutes(b *testing.B) {
	l := start(b, specs(1, 2))
	var sets [2][]Route
	for i := range 200 {
		r := Route{Prefix: netip.MustParsePrefix(fmt.Sprintf("fd00:0:9:%x::/64", i)), Via: netip.MustParseAddr("fe80::99"), Port: "isl0"}
		sets[0] = append(sets[0], r)
		if i%20 == 0 {
			r.Port = "isl1"
		}
		sets[1] = append(sets[1], r)
	}
	i := 0
	for b.Loop() { // 10 of 200 routes change
		if err := l.SetRoutes(context.Background(), "n0", oracle, sets[i%2]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

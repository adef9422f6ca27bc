package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/tap"
)

// network is a few nodes with two ports each, joined by a relay:
//
//	n0:right ---- left:n1:right ---- left:n2 …
type network struct {
	t     *testing.T
	l     *node.Linux
	specs []node.Spec
	r     scenario.Routing
	ipv4  bool
	wires []*wire
}

// wire carries frames of one port to the one that peer holds.
type wire struct {
	file *os.File
	peer atomic.Pointer[wire]
}

func newNetwork(t *testing.T, nodes int, r scenario.Routing, ipv4 bool) *network {
	t.Helper()
	if err := Preflight([]scenario.Routing{r}); err != nil {
		t.Skip(err)
	}
	// Not t.TempDir: the user frr may not enter that.
	dir, err := os.MkdirTemp("", "orrery-router-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := node.Config{RunDir: filepath.Join(dir, "run"), KeepFiles: true}
	n := &network{t: t, r: r, ipv4: ipv4}
	for i := range nodes {
		s := node.Spec{Name: fmt.Sprintf("n%d", i), Forward: true, Loopback: []netip.Prefix{address.Scheme{}.Loopback(i)}}
		if ipv4 {
			s.Loopback = append(s.Loopback, address.Loopback4(i))
		}
		for p, name := range []string{"left", "right"} {
			s.Ports = append(s.Ports, node.PortSpec{Name: name, MAC: address.MAC(i, p), MTU: 1500, Addresses: PortAddresses(r, ipv4, i, p)})
		}
		n.specs = append(n.specs, s)
	}
	if err := node.Preflight(cfg, n.specs); err != nil {
		t.Skip(err)
	}
	if n.l, err = node.NewLinux(cfg); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := n.l.Create(ctx, n.specs); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		for range n.wires {
			<-done
		}
		if err := n.l.Destroy(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, s := range n.specs {
		for _, p := range s.Ports {
			f, err := n.l.Device(s.Name, p.Name)
			if err != nil {
				t.Fatal(err)
			}
			w := &wire{file: f}
			n.wires = append(n.wires, w)
			go func() {
				w.carry(stop)
				done <- struct{}{}
			}()
		}
	}
	for i, s := range n.specs {
		in := n.input(i)
		out, err := Render(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(in.Dir, out); err != nil {
			t.Fatal(err)
		}
		for _, p := range out.Processes {
			if err := n.l.Start(ctx, s.Name, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

func (n *network) input(i int) Input {
	name := n.specs[i].Name
	in := Input{Name: name, Index: i, Routing: n.r, IPv4: n.ipv4, Dir: n.l.Dir(name), FRR: Release(), Ports: []Link{{Name: "left"}, {Name: "right"}}}
	if n.r.Protocol == Static { // a ring of two
		other := 1 - i
		in.Ports[0].Peer, in.Ports[1].Peer = address.LinkLocal(other, 1).Addr(), address.LinkLocal(other, 0).Addr()
		in.Ports[0].Peer4, in.Ports[1].Peer4 = address.Loopback4(other).Addr(), address.Loopback4(other).Addr()
		in.Resolve = func(string) (netip.Prefix, bool) { return address.Scheme{}.Loopback(other), true }
	}
	return in
}

func (w *wire) carry(stop <-chan struct{}) {
	buf := make([]byte, 70000)
	fd := int(w.file.Fd())
	for {
		select {
		case <-stop:
			return
		default:
		}
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 50); n <= 0 || err != nil {
			continue
		}
		n, err := unix.Read(fd, buf)
		if p := w.peer.Load(); err == nil && p != nil {
			_, _ = unix.Write(int(p.file.Fd()), buf[:n])
		}
	}
}

// join connects the right port of a with the left port of b.
func (n *network) join(a, b int) {
	n.t.Helper()
	x, y := n.wires[2*a+1], n.wires[2*b]
	x.peer.Store(y)
	y.peer.Store(x)
	for _, w := range []*wire{x, y} {
		if err := tap.SetCarrier(int(w.file.Fd()), true); err != nil {
			n.t.Fatal(err)
		}
	}
}

// part undoes join.
func (n *network) part(a, b int) {
	n.t.Helper()
	for _, w := range []*wire{n.wires[2*a+1], n.wires[2*b]} {
		w.peer.Store(nil)
		if err := tap.SetCarrier(int(w.file.Fd()), false); err != nil {
			n.t.Fatal(err)
		}
		// Announce leaves the thread in the node; Do brings it home.
		if err := n.l.Do(n.specs[a].Name, func() error { return tap.Announce(int(w.file.Fd())) }); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *network) eventually(what string, f func() error) {
	n.t.Helper()
	begin := time.Now()
	var err error
	for time.Since(begin) < 60*time.Second {
		if err = f(); err == nil {
			n.t.Logf("%s after %v", what, time.Since(begin).Round(time.Millisecond))
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	n.t.Errorf("%s: %v", what, err)
	for _, s := range n.l.Processes() {
		b, _ := os.ReadFile(s.Log)
		n.t.Logf("%s %s is %s (%s), log:\n%s", s.Node, s.Name, s.State, s.Reason, b)
	}
	for _, s := range n.specs {
		r, _ := n.l.Routes(context.Background(), s.Name)
		n.t.Logf("%s routes %v", s.Name, r)
	}
	n.t.FailNow()
}

// reaches sends a ping between loopbacks, without choosing a source.
func (n *network) reaches(a, b int) error {
	var to []netip.Addr
	if n.r.Protocol != OSPF2 {
		to = append(to, address.Scheme{}.Loopback(b).Addr())
	}
	if n.ipv4 {
		to = append(to, address.RouterID(b))
	}
	for _, dst := range to {
		var out strings.Builder
		code, err := n.l.Exec(context.Background(), fmt.Sprintf("n%d", a), []string{"ping", "-n", "-c1", "-W1", dst.String()}, node.Stdio{Out: &out, Err: &out})
		if code != 0 {
			return fmt.Errorf("n%d to %s: exit code %d, %v: %s", a, dst, code, err, out.String())
		}
	}
	return nil
}

func (n *network) up() error {
	for _, s := range n.l.Processes() {
		if s.State != node.Running {
			return fmt.Errorf("%s %s is %s: %s", s.Node, s.Name, s.State, s.Reason)
		}
	}
	return nil
}

var realDaemons = []struct {
	name string
	r    scenario.Routing
	ipv4 bool
}{
	{"isis", scenario.Routing{Protocol: ISIS, Hello: scenario.Duration(time.Second), Dead: scenario.Duration(3 * time.Second), SPFDelay: scenario.Duration(50 * time.Millisecond), BFD: &scenario.BFD{}}, true},
	{"ospf3-bird", scenario.Routing{Protocol: OSPF3, Hello: scenario.Duration(time.Second), Dead: scenario.Duration(3 * time.Second), BFD: &scenario.BFD{}}, false},
	{"ospf3-frr", scenario.Routing{Protocol: OSPF3, Daemon: FRR, Hello: scenario.Duration(time.Second), Dead: scenario.Duration(3 * time.Second), SPFDelay: scenario.Duration(50 * time.Millisecond), BFD: &scenario.BFD{}}, false},
	{"ospf2", scenario.Routing{Protocol: OSPF2, Hello: scenario.Duration(time.Second), Dead: scenario.Duration(3 * time.Second), BFD: &scenario.BFD{}}, true},
	{"bgp", scenario.Routing{Protocol: BGP}, true},
	{"bgp-bfd", scenario.Routing{Protocol: BGP, BFD: &scenario.BFD{}}, true},
}

// Real daemons on n0 - n1 - n2 find each other, and after n1 is replaced by n3,
// that n0 and n2 never met, find each other again.
func TestRealDaemons(t *testing.T) {
	for _, c := range realDaemons {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && (c.name == "ospf2" || c.name == "ospf3-frr") {
				t.Skip("-short: FRR's OSPF waits 5 s between its advertisements")
			}
			n := newNetwork(t, 4, c.r, c.ipv4)
			n.join(0, 1)
			n.join(1, 2)
			n.eventually("daemons are up", n.up)
			ends := func() error {
				if err := n.reaches(0, 2); err != nil {
					return err
				}
				return n.reaches(2, 0)
			}
			n.eventually("ends reach each other", ends)
			n.eventually("the route has a source", func() error { return n.sourced(0, 2) })
			n.eventually("the node between has both adjacencies", n.adjacencies("left", "right"))
			n.part(0, 1)
			n.eventually("the node between has one adjacency left", n.adjacencies("right"))
			n.part(1, 2)
			n.join(0, 3)
			n.join(3, 2)
			n.eventually("ends reach each other by the other way", ends)
		})
	}
}

// Each of two nodes has a route to the other.
//
//	n0:right ---- left:n1:right ---- left:n0
func TestStaticRoutes(t *testing.T) {
	for _, daemon := range []string{FRR, BIRD} {
		t.Run(daemon, func(t *testing.T) {
			n := newNetwork(t, 2, scenario.Routing{Protocol: Static, Daemon: daemon, Routes: []scenario.StaticRoute{{To: "other", Via: "right"}, {To: "0.0.0.0/0", Via: "right"}}}, true)
			n.join(0, 1)
			n.join(1, 0)
			n.eventually("daemons are up", n.up)
			for i := range 2 {
				n.eventually("the other is reached", func() error { return n.reaches(i, 1-i) })
				n.eventually("the route has a source", func() error { return n.sourced(i, 1-i) })
			}
		})
	}
}

// zebra and mgmtd, killed and started again, have their settings back.
func TestRestartedDaemons(t *testing.T) {
	n := newNetwork(t, 2, scenario.Routing{Protocol: Static, Routes: []scenario.StaticRoute{{To: "other", Via: "right"}}}, false)
	n.join(0, 1)
	n.join(1, 0)
	n.eventually("daemons are up", n.up)
	n.eventually("the route has a source", func() error { return n.sourced(0, 1) })
	programs, err := Programs(n.r, Release())
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{manager, "zebra"} {
		if !slices.Contains(programs, program) {
			continue
		}
		for _, s := range n.l.Processes() {
			if s.Node == "n0" && s.Name == program {
				if err := unix.Kill(s.PID, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		n.eventually(program+" is up again", func() error {
			for _, s := range n.l.Processes() {
				if s.Node == "n0" && s.Name == program && s.Restarts == 0 {
					return errors.New("not started again")
				}
			}
			return n.up()
		})
	}
	to := address.Scheme{}.Loopback(1).Addr().String()
	// What the first zebra has left in the kernel is none of the second one's.
	if _, err := n.l.Exec(context.Background(), "n0", []string{"ip", "-6", "route", "flush", to}, node.Stdio{}); err != nil {
		t.Fatal(err)
	}
	n.eventually("the route is there again", func() error { return n.sourced(0, 1) })
}

// sourced checks that packets of a to b's loopback are from a's: that is a
// setting of zebra, not of the protocol's daemon.
func (n *network) sourced(a, b int) error {
	from, to, family := address.Scheme{}.Loopback(a).Addr(), address.Scheme{}.Loopback(b).Addr(), "-6"
	if n.r.Protocol == OSPF2 {
		from, to, family = address.RouterID(a), address.RouterID(b), "-4"
	}
	var out strings.Builder
	code, err := n.l.Exec(context.Background(), fmt.Sprintf("n%d", a), []string{"ip", family, "route", "show", to.String()}, node.Stdio{Out: &out, Err: &out})
	if err != nil || code != 0 {
		return fmt.Errorf("exit code %d, %v: %s", code, err, out.String())
	}
	if !strings.Contains(out.String(), " src "+from.String()+" ") {
		return fmt.Errorf("n%d to %s is not from %s: %s", a, to, from, out.String())
	}
	return nil
}

// adjacencies checks that n1 has these neighbours, and no more, up.
func (n *network) adjacencies(ports ...string) func() error {
	return func() error {
		list, err := Adjacencies(context.Background(), n.l.Dir("n1"), n.r)
		if err != nil {
			return err
		}
		var up []string
		for _, a := range list {
			if a.Up {
				up = append(up, a.Port)
				if a.Neighbour == "" {
					return fmt.Errorf("a neighbour without a name: %+v", a)
				}
			}
		}
		if !slices.Equal(up, ports) {
			return fmt.Errorf("adjacencies are up on %v, want %v: %+v", up, ports, list)
		}
		return nil
	}
}

// On a ring of four, the way to the opposite node follows the costs.
//
//	n0:right - n1 - n2 - n3 - left:n0
func TestSetCosts(t *testing.T) {
	for _, c := range realDaemons {
		if c.r.Protocol == BGP {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && (c.name == "ospf2" || c.name == "ospf3-frr") {
				t.Skip("-short: FRR's OSPF waits 5 s between its advertisements")
			}
			n := newNetwork(t, 4, c.r, c.ipv4)
			for i := range 4 {
				n.join(i, (i+1)%4)
			}
			n.eventually("opposite nodes reach each other", func() error { return n.reaches(0, 2) })
			dst := address.Scheme{}.Loopback(2).Addr()
			if c.r.Protocol == OSPF2 {
				dst = address.RouterID(2)
			}
			for _, costs := range [][2]int{{40, 20}, {20, 40}} {
				in := n.input(0)
				in.Ports[0].Cost, in.Ports[1].Cost = costs[0], costs[1]
				want := "left"
				if costs[1] < costs[0] {
					want = "right"
				}
				if err := SetCosts(context.Background(), in); err != nil {
					t.Fatal(err)
				}
				n.eventually("the way is "+want, func() error {
					list, err := n.l.Routes(context.Background(), "n0")
					if err != nil {
						return err
					}
					var ports []string
					for _, r := range list {
						if r.Prefix.Addr() == dst && r.Prefix.IsSingleIP() {
							ports = append(ports, r.Port)
						}
					}
					if !slices.Equal(ports, []string{want}) {
						return fmt.Errorf("the way to %s is over %v", dst, ports)
					}
					return nil
				})
			}
		})
	}
}

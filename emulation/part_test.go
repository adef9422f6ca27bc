package emulation

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/node/nodetest"
	"orrery.dev/orrery/plan"
)

// partial is a part of a run over doubles.
type partial struct {
	*Run
	nodes  *nodetest.Engine
	fabric *memfabric.Fabric
	source *clock.Manual
	plan   *plan.Plan
}

func startPart(t *testing.T, p *plan.Plan, at time.Duration, cursor *plan.Cursor, planned func(*plan.Cursor)) *partial {
	t.Helper()
	h := &partial{nodes: nodetest.New(t.TempDir()), source: new(clock.Manual), plan: p}
	r, err := New(Config{
		Plan: p, Nodes: h.nodes, Timeline: clock.New(h.source, at, p.Scenario.Spec.Speed),
		Fabric: func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			h.fabric = memfabric.New(tl, len(ports), 1)
			for i := range ports {
				if err := h.fabric.Detach(fabric.PortID(i)); err != nil {
					return nil, err
				}
			}
			return h.fabric, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.StartPart(context.Background(), cursor, planned); err != nil {
		t.Fatal(err)
	}
	h.Run = r
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := h.nodes.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r.timeline.Resume()
	return h
}

// make makes nodes and has them join.
func (h *partial) make(t *testing.T, nodes ...int) {
	t.Helper()
	for _, n := range nodes {
		if err := h.nodes.Add(context.Background(), "", spec(h.plan, h.addresses, n)); err != nil {
			t.Fatal(err)
		}
		if err := h.Join(n); err != nil {
			t.Fatal(err)
		}
	}
}

// linked are the contacts of this moment both ports of which have carrier.
func (h *partial) linked() (n int) {
	for _, c := range h.Links() {
		a, b := h.fabric.Carrier(fabric.PortID(c.A)), h.fabric.Carrier(fabric.PortID(c.B))
		if a && b {
			n++
		}
	}
	return n
}

func all(p *plan.Plan) (list []int) {
	for i := range p.Nodes {
		list = append(list, i)
	}
	return list
}

func TestNodesJoinAndLeave(t *testing.T) {
	p := compile(t, smallSky)
	h := startPart(t, p, 0, p.Windows(time.Minute), nil)
	if len(h.Links()) == 0 {
		t.Fatal("the plan has no links at its beginning")
	}
	if n := h.linked(); n != 0 {
		t.Fatalf("%d links have carrier, and nobody is there", n)
	}
	h.make(t, all(p)...)
	if n := h.linked(); n != len(h.Links()) {
		t.Fatalf("%d links of %d have carrier, and everybody is there", n, len(h.Links()))
	}
	eventually(t, "routes of nodes that have joined", func() bool { return follows(h.Run, time.Second) })

	gone := p.Port(h.Links()[0].A).Node
	for range 2 {
		if err := h.Leave(gone); err != nil {
			t.Fatal(err)
		}
	}
	own := 0
	for _, c := range h.Links() {
		if p.Port(c.A).Node == gone || p.Port(c.B).Node == gone {
			own++
			if h.fabric.Carrier(fabric.PortID(c.A)) || h.fabric.Carrier(fabric.PortID(c.B)) {
				t.Error("a link to a node that has left has carrier")
			}
		}
	}
	if n := h.linked(); own == 0 || n != len(h.Links())-own {
		t.Errorf("%d links of %d have carrier, and %d are of the node that has left", n, len(h.Links()), own)
	}
	eventually(t, "routes that avoid who has left", func() bool {
		for i := range p.Nodes {
			for _, to := range h.stations() {
				if i == gone || to == gone {
					continue
				}
				for _, hop := range h.KernelPath(context.Background(), i, to).Hops {
					if hop.Node == gone {
						return false
					}
				}
			}
		}
		return true
	})
	h.nodes.Remove(h.name(gone))
	h.make(t, gone)
	if err := h.Join(gone); err != nil { // twice
		t.Fatal(err)
	}
	if n := h.linked(); n != len(h.Links()) {
		t.Errorf("%d links of %d have carrier after it has come back", n, len(h.Links()))
	}
	eventually(t, "routes through who has come back", func() bool { return follows(h.Run, time.Second) })
}

func TestLinksOfAPartFollowTheSky(t *testing.T) {
	p := compile(t, smallSky)
	h := startPart(t, p, 0, p.Windows(time.Minute), nil)
	h.make(t, all(p)[1:]...)
	changes := 0
	for range 25 {
		var next applied
		eventually(t, "a next event is planned", func() (ok bool) {
			if next, ok = h.director.next(); !ok {
				h.source.Advance(time.Second)
			}
			return ok
		})
		if now := h.timeline.Now(); next.at > now {
			h.source.Advance(next.at - now)
		}
		here := h.carries(p.Port(next.contact.A).Node) && h.carries(p.Port(next.contact.B).Node)
		eventually(t, "the carrier of a link", func() bool {
			c := h.director.contact(next.contact.A)
			up := c != nil && h.carries(p.Port(c.B).Node) && h.carries(p.Port(c.A).Node)
			return h.fabric.Carrier(fabric.PortID(next.contact.A)) == up
		})
		if here {
			changes++
		}
	}
	if changes == 0 {
		t.Error("no link between nodes that are here has changed")
	}
}

// A run that goes on from a snapshot of another has its links, under the same names.
func TestPartGoesOnFromASnapshot(t *testing.T) {
	p := compile(t, smallSky)
	var snapshots [][]byte
	taken := make(chan []byte, 100)
	first := startPart(t, p, 0, p.Windows(time.Minute), func(c *plan.Cursor) { taken <- c.Snapshot() })
	first.make(t, all(p)...)
	for len(snapshots) < 4 {
		select {
		case s := <-taken:
			snapshots = append(snapshots, s)
		case <-time.After(time.Millisecond):
			first.source.Advance(10 * time.Second)
		}
	}
	cursor, err := p.Resume(snapshots[len(snapshots)-1], time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	at := cursor.At() + 17*time.Second
	eventually(t, "the first run is there, too", func() bool {
		if now := first.timeline.Now(); now < at {
			first.source.Advance(min(at-now, time.Second))
		}
		next, ok := first.director.next()
		return first.timeline.Now() == at && ok && next.at > at
	})
	second := startPart(t, p, at, cursor, nil)
	second.make(t, all(p)...)
	ids := func(r *Run) (list []plan.ContactID) {
		for _, c := range r.Links() {
			list = append(list, c.ID)
		}
		return list
	}
	if got, want := ids(second.Run), ids(first.Run); !slices.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
	if n := second.linked(); n != len(second.Links()) {
		t.Errorf("%d links of %d have carrier", n, len(second.Links()))
	}
	if h := second.director.lateness(); h.Count() != 0 {
		t.Errorf("%d changes of before count as late", h.Count())
	}
}

func TestTimeOfAPartIsNotItsOwn(t *testing.T) {
	p := compile(t, smallSky)
	h := startPart(t, p, 0, p.Windows(time.Minute), nil)
	for what, err := range map[string]error{"pause": h.Pause(), "resume": h.Run.Resume(), "speed": h.SetSpeed(3)} {
		if !errors.Is(err, errSteer) {
			t.Errorf("%s: %v", what, err)
		}
	}
	whole, _, _ := startRun(t, smallSky, nil)
	for what, err := range map[string]error{"join": whole.Join(0), "leave": whole.Leave(0), "place": whole.Place(nil)} {
		if !errors.Is(err, errWhole) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What its nodes route with a part knows, though it does not run it.
func TestRoutingOfAPart(t *testing.T) {
	p := compile(t, smallSky)
	h := startPart(t, p, 0, p.Windows(time.Minute), nil)
	if got := h.Status().Routing; !slices.Equal(got, []string{"oracle"}) {
		t.Errorf("it routes with %q", got)
	}
}

// The failures of a part are those that it was told last, whatever it had before: links are cut and impaired as they say, and each that comes
// or goes is one event.
func TestFailuresOfAPart(t *testing.T) {
	p := compile(t, smallSky)
	h := startPart(t, p, 0, p.Windows(time.Minute), nil)
	h.make(t, all(p)...)
	links := len(h.Links())
	c := h.Links()[0]
	a, b := h.portName(c.A), h.portName(c.B)
	down := h.name(p.Port(c.A).Node)
	degree := 0
	for _, c := range h.Links() {
		if h.name(p.Port(c.A).Node) == down || h.name(p.Port(c.B).Node) == down {
			degree++
		}
	}
	for _, w := range []struct {
		list   []Failure
		links  int
		events string
		wrong  string
	}{
		{list: []Failure{{Kind: Cut, A: b, B: a, Since: time.Second}}, links: links - 1, events: "injected"},
		{list: []Failure{{Kind: Cut, A: a, B: b}}, links: links - 1}, // the same, by whoever writes it
		{list: []Failure{{Kind: Cut, A: a}, {Kind: Impair, A: a, B: b, Loss: 0.5}}, links: links - 1, events: "undone injected injected"},
		{list: []Failure{{Kind: Impair, A: a, B: b, Loss: 0.5}}, links: links, events: "undone"},
		{list: []Failure{{Kind: Impair, A: a, B: b, Loss: 0.25}, {Kind: Cut, A: "nobody:port"}}, links: links, events: "injected", wrong: "no port"},
		{list: []Failure{{Kind: KillNode, A: down}, {Kind: KillProcess, A: down, Process: "isisd"}}, links: links - degree, events: "undone injected", wrong: "not this host's"},
		{list: nil, links: links, events: "undone"},
	} {
		_, before, _ := h.events.since(0, eventsKept)
		err := h.SetFailures(t.Context(), w.list)
		if (err != nil) != (w.wrong != "") || err != nil && (!errors.Is(err, ErrFailure) || !strings.Contains(err.Error(), w.wrong)) {
			t.Errorf("%+v: %v, want %q", w.list, err, w.wrong)
		}
		if n := h.linked(); n != w.links {
			t.Errorf("%+v: %d links have carrier, want %d", w.list, n, w.links)
		}
		var kinds []string
		added, _, _ := h.events.since(before, eventsKept)
		for _, e := range added {
			if e.Kind == Injected || e.Kind == Undone {
				kinds = append(kinds, string(e.Kind))
			}
		}
		if got := strings.Join(kinds, " "); got != w.events {
			t.Errorf("%+v: the events %q, want %q", w.list, got, w.events)
		}
	}
	if _, err := h.Inject(t.Context(), Failure{Kind: Cut, A: a}); !errors.Is(err, errSteer) {
		t.Errorf("a part takes a failure of its own: %v", err)
	}
	if f, err := h.CheckFailure(Failure{Kind: Cut, A: b, B: a, Loss: 1}); err != nil || f.A != min(a, b) || f.Loss != 0 || len(h.Failures()) != 0 {
		t.Errorf("a failure that is only looked at: %+v, %v; there are %v", f, err, h.Failures())
	}
}

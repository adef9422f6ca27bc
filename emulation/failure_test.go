package emulation

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
)

// lastCarriers is a fabric that knows what each port was told last.
type lastCarriers struct {
	fabric.Fabric
	mu sync.Mutex // guards:
	up map[fabric.PortID]bool
}

func (l *lastCarriers) SetCarriers(carriers ...fabric.Carrier) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range carriers {
		l.up[c.Port] = c.Up
	}
	return l.Fabric.SetCarriers(carriers...)
}

func (l *lastCarriers) has(p plan.PortID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up[fabric.PortID(p)]
}

func inject(t rapid.TB, r *Run, f Failure) Failure {
	t.Helper()
	f, err := r.Inject(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func undo(t rapid.TB, r *Run, id string) {
	t.Helper()
	if _, ok, err := r.Undo(context.Background(), id); err != nil || !ok {
		t.Fatalf("undo %s: %v, %v", id, ok, err)
	}
}

// Whatever is injected and undone while the sky moves: ports have the links of the
// plan that no failure cuts, with what failures add, and carriers as these links.
func TestLinksAreThoseOfThePlanWithoutTheCutOnes(t *testing.T) {
	var told *lastCarriers
	r, _, source := startRun(t, smallSky, func(c *Config) {
		make := c.Fabric
		c.Fabric = func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			f, err := make(tl, ports)
			told = &lastCarriers{Fabric: f, up: map[fabric.PortID]bool{}}
			return told, err
		}
	})
	ctx := context.Background()
	horizon := 40 * time.Minute
	contacts, err := r.plan.Contacts(ctx, 0, horizon)
	if err != nil {
		t.Fatal(err)
	}
	port := rapid.Custom(func(t *rapid.T) string {
		return r.portName(plan.PortID(rapid.IntRange(0, r.plan.NumPorts()-1).Draw(t, "port")))
	})
	pair := rapid.Custom(func(t *rapid.T) [2]string {
		c := contacts[rapid.IntRange(0, len(contacts)-1).Draw(t, "contact")]
		return [2]string{r.portName(c.A), r.portName(c.B)}
	})
	rapid.Check(t, func(t *rapid.T) {
		defer func() {
			for _, f := range r.Failures() {
				undo(t, r, f.ID())
			}
		}()
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				inject(t, r, Failure{Kind: Cut, A: port.Draw(t, "cut")})
			case 1:
				ends := pair.Draw(t, "cut")
				inject(t, r, Failure{Kind: Cut, A: ends[0], B: ends[1]})
			case 2:
				inject(t, r, Failure{Kind: KillNode, A: r.name(rapid.IntRange(0, len(r.plan.Nodes)-1).Draw(t, "down"))})
			case 3:
				inject(t, r, Failure{Kind: Impair, A: port.Draw(t, "impair"), Loss: rapid.Float64Range(0.1, 1).Draw(t, "loss"), Delay: time.Millisecond})
			case 4:
				if all := r.Failures(); len(all) > 0 {
					f := rapid.SampledFrom(all).Draw(t, "undo")
					undo(t, r, f.ID())
				}
			case 5:
				if r.timeline.Now() < horizon-2*time.Minute {
					source.Advance(time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second)
				}
			}
			now := r.timeline.Now()
			eventually(t, "the director has caught up", func() bool {
				r.director.changing.Lock() // not between a change and its carriers
				defer r.director.changing.Unlock()
				next, ok := r.director.next()
				return ok && next.at > now
			})
			checkLinks(t, r, told, contacts, now)
		}
	})
}

// checkLinks compares the ports with the plan and the failures, naively.
func checkLinks(t *rapid.T, r *Run, told *lastCarriers, contacts []plan.Contact, now time.Duration) {
	want := map[plan.PortID]*plan.Contact{}
	for i := range contacts {
		c := &contacts[i]
		if c.Start > now || c.End <= now {
			continue
		}
		a, b := r.portName(c.A), r.portName(c.B)
		cut := slices.ContainsFunc(r.Failures(), func(f Failure) bool {
			on := func(s string) bool { return s == a || s == b }
			switch f.Kind {
			case Cut:
				return on(f.A) && (f.B == "" || on(f.B))
			case KillNode:
				return strings.HasPrefix(a, f.A+":") || strings.HasPrefix(b, f.A+":")
			case KillProcess, Impair:
			}
			return false
		})
		if !cut {
			want[c.A], want[c.B] = c, c
		}
	}
	for i := range r.plan.NumPorts() {
		p := plan.PortID(i)
		c, w := r.director.contact(p), want[p]
		if (c == nil) != (w == nil) || c != nil && c.ID != w.ID {
			t.Fatalf("at %v port %s has contact %v, want %v (failures %v)", now, r.portName(p), c, w, r.Failures())
		}
		if told.has(p) != (c != nil) {
			t.Fatalf("at %v port %s has carrier %v, and its contact is %v", now, r.portName(p), told.has(p), c)
		}
		if c == nil {
			continue
		}
		delay, pass := w.Delay.At(now), 1-w.Loss.At(now)
		for _, f := range r.Failures() {
			if f.Kind == Impair && (f.A == r.portName(c.A) || f.A == r.portName(c.B)) {
				delay, pass = delay+f.Delay.Seconds(), pass*(1-f.Loss)
			}
		}
		if math.Abs(c.Delay.At(now)-delay) > 1e-9 || math.Abs(1-c.Loss.At(now)-pass) > 1e-9 {
			t.Fatalf("port %s: delay %g s and loss %g, want %g and %g", r.portName(p), c.Delay.At(now), c.Loss.At(now), delay, 1-pass)
		}
	}
}

const commandsSky = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: failures}
spec:
  constellations:
    - name: sat
      elements: [{name: one, altitude: 35786km, inclination: 0deg, raan: 10deg}]
      groundPorts: 2
  stations:
    - {name: a, position: {lat: 0deg, lon: -90deg}}
    - {name: b, position: {lat: 1deg, lon: -91deg}}
  groundLinks: [{name: up, minElevation: 5deg}]
  routing: [{protocol: oracle}]
  commands:
    - {name: steady, nodes: ["*"], argv: [sleep, inf], restart: always}
    - {name: once, nodes: [a], argv: [sleep, inf]}
    - {name: late, nodes: [a], argv: [sleep, inf], start: 60s}
`

// alive are the names of a node's processes that run.
func alive(nodes Nodes, name string) (out []string) {
	for _, p := range nodes.Processes() {
		if p.Node == name && p.State == node.Running {
			out = append(out, p.Name)
		}
	}
	return out
}

func TestKilledProcessesComeBackWhenNothingHoldsThem(t *testing.T) {
	r, nodes, source := startRun(t, commandsSky, nil)
	eventually(t, "commands run", func() bool { return len(alive(nodes, "a")) == 2 })
	f := inject(t, r, Failure{Kind: KillProcess, A: "a", Process: "steady", B: "nonsense", Loss: 7})
	if id := f.ID(); id != "kill/a/steady" {
		t.Errorf("its id is %s", id)
	}
	if got := alive(nodes, "a"); !slices.Equal(got, []string{"once"}) {
		t.Fatalf("alive: %v", got)
	}
	inject(t, r, Failure{Kind: KillNode, A: "a"})
	if got := alive(nodes, "a"); len(got) != 0 || len(alive(nodes, "b")) != 1 {
		t.Fatalf("alive: %v", got)
	}
	// What is to start meanwhile waits for the node.
	source.Advance(61 * time.Second)
	eventually(t, "the late command waits", func() bool {
		r.failures.starting.RLock()
		defer r.failures.starting.RUnlock()
		return len(r.failures.killed) == 3
	})
	undo(t, r, "down/a")
	if got := alive(nodes, "a"); !slices.Equal(got, []string{"late", "once"}) {
		t.Fatalf("alive after the node is back: %v", got)
	}
	undo(t, r, "kill/a/steady")
	if got := alive(nodes, "a"); !slices.Equal(got, []string{"late", "once", "steady"}) {
		t.Fatalf("alive in the end: %v", got)
	}
	if _, ok, err := r.Undo(context.Background(), "kill/a/steady"); ok || err != nil {
		t.Errorf("undone twice: %v, %v", ok, err)
	}
}

func TestInjectingTwiceIsOneEvent(t *testing.T) {
	r, _, _ := startRun(t, commandsSky, nil)
	count := func(k EventKind) (n int) {
		history, _, cancel := r.Events()
		defer cancel()
		for _, e := range history {
			if e.Kind == k {
				n++
			}
		}
		return n
	}
	cut := Failure{Kind: Cut, A: "sat-one:gnd0", B: "a:ant0"}
	first := inject(t, r, cut)
	if first.A != "a:ant0" || first.ID() != "cut/a:ant0,sat-one:gnd0" {
		t.Errorf("ends are not in order: %s", first.ID())
	}
	if again := inject(t, r, Failure{Kind: Cut, A: "a:ant0", B: "sat-one:gnd0"}); again.ID() != first.ID() {
		t.Errorf("the same link the other way round is %s", again.ID())
	}
	inject(t, r, Failure{Kind: Impair, A: "b:ant0", Loss: 0.1})
	inject(t, r, Failure{Kind: Impair, A: "b:ant0", Loss: 0.1})
	inject(t, r, Failure{Kind: Impair, A: "b:ant0", Loss: 0.2})
	if n := count(Injected); n != 3 {
		t.Errorf("%d events of injection, want 3", n)
	}
	if n := count(LinkDown); n != 1 {
		t.Errorf("%d links went down, want 1", n)
	}
	if list := r.Failures(); len(list) != 2 || list[1].Loss != 0.2 {
		t.Errorf("failures %v", list)
	}
}

func TestFailuresThatMakeNoSense(t *testing.T) {
	r, _, _ := startRun(t, commandsSky, nil)
	for text, f := range map[string]Failure{
		`no port "a:nothing"`:   {Kind: Cut, A: "a:nothing"},
		`no port ""`:            {Kind: Cut},
		`no port "x"`:           {Kind: Cut, A: "a:ant0", B: "x"},
		"both ends":             {Kind: Cut, A: "a:ant0", B: "a:ant0"},
		`no node "x"`:           {Kind: KillNode, A: "x"},
		"it has [steady once":   {Kind: KillProcess, A: "a", Process: "zebra"},
		"neither loss nor":      {Kind: Impair, A: "a:ant0"},
		"a loss of 2":           {Kind: Impair, A: "a:ant0", Loss: 2},
		"a loss of NaN":         {Kind: Impair, A: "a:ant0", Loss: math.NaN()},
		"a delay of -1ns":       {Kind: Impair, A: "a:ant0", Delay: -1},
		`its kind is "explode"`: {Kind: "explode", A: "a"},
	} {
		if _, err := r.Inject(context.Background(), f); !errors.Is(err, ErrFailure) || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v, want %q", f, err, text)
		}
	}
	if n := len(r.Failures()); n != 0 {
		t.Errorf("%d failures are injected", n)
	}
}

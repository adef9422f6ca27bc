package emulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// faults are what failures mean for links, by ports. They do not change once made.
type faults struct {
	cut    map[plan.PortID]bool
	parted map[[2]plan.PortID]bool // the lower number first
	ports  map[plan.PortID]impairment
	pairs  map[[2]plan.PortID]impairment
}

// impairment is what comes on top of a link's own loss and delay.
type impairment struct {
	loss  float64 // probability
	delay time.Duration
}

// and is one impairment after another.
func (i impairment) and(j impairment) impairment {
	return impairment{1 - (1-i.loss)*(1-j.loss), i.delay + j.delay}
}

func pairOf(a, b plan.PortID) [2]plan.PortID { return [2]plan.PortID{min(a, b), max(a, b)} }

// of a contact: whether it is cut, and if not, what impairs it. No faults are nil.
func (f *faults) of(c *plan.Contact) (i impairment, cut bool) {
	if f == nil {
		return i, false
	}
	pair := pairOf(c.A, c.B)
	if f.cut[c.A] || f.cut[c.B] || f.parted[pair] {
		return i, true
	}
	return f.ports[c.A].and(f.ports[c.B]).and(f.pairs[pair]), false
}

// contact is a contact with the impairment: what paths are judged by.
func (i impairment) contact(c *plan.Contact) *plan.Contact {
	if i == (impairment{}) {
		return c
	}
	out := *c
	out.Delay = c.Delay.Affine(1, i.delay.Seconds())
	out.Loss = c.Loss.Affine(1-i.loss, i.loss)
	return &out
}

// wire is that for a link with a loss model, which does not follow the curve.
func (i impairment) wire(w *fabric.Wire) *fabric.Wire {
	if g := w.Loss.GilbertElliott; g != nil {
		w.Loss.GilbertElliott = &fabric.GilbertElliott{
			GoodToBad: g.GoodToBad, BadToGood: g.BadToGood,
			LossGood: i.loss + (1-i.loss)*g.LossGood, LossBad: i.loss + (1-i.loss)*g.LossBad,
		}
	}
	return w
}

// faults are the run's failures as far as they concern links.
func (r *Run) faults() *faults {
	f := &faults{
		cut: make(map[plan.PortID]bool), parted: make(map[[2]plan.PortID]bool),
		ports: make(map[plan.PortID]impairment), pairs: make(map[[2]plan.PortID]impairment),
	}
	for _, x := range r.failures.list {
		switch x.Kind {
		case KillProcess:
		case KillNode:
			n, _ := r.plan.Node(x.A)
			for i := range n.Ports {
				f.cut[n.Ports[i].ID] = true
			}
		case Cut:
			if a, b := r.port(x.A), r.port(x.B); b != nil {
				f.parted[pairOf(a.ID, b.ID)] = true
			} else {
				f.cut[a.ID] = true
			}
		case Impair:
			i := impairment{x.Loss, x.Delay}
			if a, b := r.port(x.A), r.port(x.B); b != nil {
				f.pairs[pairOf(a.ID, b.ID)] = i
			} else {
				f.ports[a.ID] = i
			}
		}
	}
	return f
}

// port by NODE:PORT, or nil.
func (r *Run) port(s string) *plan.Port {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return nil
	}
	p, _ := r.plan.PortByName(s[:i], s[i+1:])
	return p
}

// checkFailure says what is wrong with a failure, and puts it into its one form.
func (r *Run) checkFailure(f *Failure) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrFailure, fmt.Sprintf(format, args...))
	}
	if f.Kind != Impair {
		f.Loss, f.Delay = 0, 0
	}
	switch f.Kind {
	case Cut, Impair:
		f.Process = ""
		ends := []string{f.A, f.B}
		if f.B == "" && f.A != "" {
			ends = ends[:1] // all of that port's links
		}
		for _, s := range ends {
			if r.port(s) == nil {
				return wrong("there is no port %q; name one as NODE:PORT, 'orrery nodes NODE' lists them", s)
			}
		}
		if f.A == f.B {
			return wrong("both ends are %s; name two ports, or one for all of its links", f.A)
		}
		if f.B != "" && f.B < f.A {
			f.A, f.B = f.B, f.A
		}
	case KillProcess, KillNode:
		n, ok := r.plan.Node(f.A)
		if !ok {
			return wrong("there is no node %q; 'orrery nodes' lists them", f.A)
		}
		f.B = ""
		if f.Kind == KillNode {
			f.Process = ""
			break
		}
		if r.part != nil {
			return wrong("processes of node %s are not this host's, but its pod's; take the node down, or end the process by 'kubectl exec'", f.A)
		}
		if names := r.processNames(n.Index); !slices.Contains(names, f.Process) {
			return wrong("node %s has no process %q; it has %v", f.A, f.Process, names)
		}
	default:
		return wrong("its kind is %q; want cut, kill, down or impair", f.Kind)
	}
	if f.Kind != Impair {
		return nil
	}
	switch {
	case !(f.Loss >= 0 && f.Loss <= 1):
		return wrong("a loss of %g; want a probability from 0 to 1", f.Loss)
	case f.Delay < 0 || f.Delay > maxImpairDelay:
		return wrong("a delay of %v; want 0 to %v", f.Delay, maxImpairDelay)
	case f.Loss == 0 && f.Delay == 0:
		return wrong("neither loss nor delay is given; want at least one of them")
	}
	return nil
}

// runs tells whether a command is for a node.
func (r *Run) runs(c *scenario.Command, n int) bool { return scenario.Match(c.Nodes, r.name(n)) }

package agent

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"orrery.dev/orrery/fabric"
)

// other is another worker that has nodes of the scenario.
type other struct {
	address netip.AddrPort
	silent  time.Time // since when nothing can be sent to it; zero while something can
	away    bool      // for so long that its nodes count as absent
}

const (
	// listening is how often it is looked which workers answer.
	listening = time.Second
	// answers is how long one may be silent until links to its nodes lose their carriers.
	// It is longer than an agent needs that crashes and is started again, or that takes a
	// changed scenario over a little later than this one.
	answers = 3 * time.Second
)

// settle tells the fabric which worker has which node. The scenario's lock is held.
func (r *run) settle() error {
	if !r.agent.config.Underlay {
		return nil
	}
	placer, ok := r.part.Fabric().(fabric.Placer)
	if !ok {
		return errors.New("agent: the link engine knows no other workers")
	}
	present := make(map[string]bool)
	for _, name := range r.seen.Workers {
		at, known := r.seen.Addresses[name]
		if !known || name == r.agent.config.Worker || present[name] {
			continue
		}
		present[name] = true
		o := r.others[name]
		if o == nil {
			o = new(other)
			r.others[name] = o
		}
		o.address = netip.AddrPortFrom(at, r.seen.Port)
		if err := placer.SetHost(name, o.address); err != nil {
			return err
		}
	}
	for name := range r.others {
		if !present[name] {
			delete(r.others, name)
			if err := placer.SetHost(name, netip.AddrPort{}); err != nil {
				return err
			}
		}
	}
	hosts := make(map[int]string, len(r.plan.Nodes))
	for i := range r.plan.Nodes {
		host := r.seen.Workers[r.plan.Nodes[i].Name]
		if o := r.others[host]; o == nil || o.away {
			host = "" // here it counts as present when its sandbox is made
		}
		hosts[i] = host
	}
	return r.part.Place(hosts)
}

// listen looks which of the other workers answer, and says so where that changes. The
// scenario's lock is held.
func (r *run) listen(now time.Time) error {
	changed := false
	for _, p := range r.peers() {
		o := r.others[p.Host]
		switch {
		case o == nil || p.Up && !o.away:
			if o != nil {
				o.silent = time.Time{}
			}
		case p.Up:
			r.log.Info("another worker answers, and links to its nodes have carrier again", "worker", p.Host)
			*o, changed = other{address: o.address}, true
		case o.away:
		case o.silent.IsZero():
			o.silent = now
		case now.Sub(o.silent) >= answers:
			r.log.Warn("links to another worker's nodes have no carrier", "worker", p.Host, "reason", strings.Join(p.Warnings, "; "))
			o.away, changed = true, true
		}
	}
	if !changed {
		return nil
	}
	return r.settle()
}

package emulation

import (
	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// Demand is what a run of a plan takes of its host.
type Demand struct {
	Nodes, Ports int
	// Descriptors are the emulator's open files.
	Descriptors int
	// Programs counts processes by the name of their program, commands of the
	// scenario by their first word.
	Programs map[string]int
	// Routing has the entries that hold for some node.
	Routing []scenario.Routing
	// Bound counts processes that see directories of their node in place of the
	// host's, and so have a mount namespace each.
	Bound int
	// Views is how many nodes have processes with a private view.
	Views int
	// Routes4 and Routes6 count the entries of all nodes' tables when everybody
	// reaches everybody; Learned, by daemon, those of them that a daemon knows.
	Routes4, Routes6 int
	Learned          map[string]int
}

// Processes is how many run at the same time.
func (d *Demand) Processes() (n int) {
	for _, k := range d.Programs {
		n += k
	}
	return n
}

// DemandOf a plan, where FRR has that major version (router.Release).
func DemandOf(p *plan.Plan, frr int) (Demand, error) {
	scheme, err := assignment.Scheme(p)
	if err != nil {
		return Demand{}, err
	}
	d := Demand{
		Nodes: len(p.Nodes), Ports: p.NumPorts(),
		Descriptors: node.Descriptors(specs(p, scheme)),
		Programs:    make(map[string]int),
		Routing:     usedRouting(p),
		Learned:     make(map[string]int),
	}
	peers := peersOf(p)
	isolation := p.Scenario.Spec.Isolation
	for i := range p.Nodes {
		private := false
		if r := assignment.Routing(p, i); r != nil {
			programs, err := router.Programs(*r, frr)
			if err != nil {
				return Demand{}, err
			}
			for _, name := range programs {
				d.Programs[name]++
			}
			if daemon, _ := router.Daemon(*r); len(router.Binds(daemon, frr)) > 0 {
				d.Bound += len(programs)
			}
			private = isolation == isolateAll && len(programs) > 0
			d.routes(p, r, peers[domainOf(p, r, i)]-1)
		}
		for k := range p.Scenario.Spec.Commands {
			if c := &p.Scenario.Spec.Commands[k]; scenario.Match(c.Nodes, p.Nodes[i].Name) {
				d.Programs[c.Argv[0]]++
				private = private || isolation != isolateNone
			}
		}
		if private {
			d.Views++
		}
	}
	return d, nil
}

// domain is a set of nodes that learn of each other.
type domain struct{ protocol, area string }

// domainOf a node. All routers of a protocol learn of all, but for those of an
// IS-IS level-1 area.
func domainOf(p *plan.Plan, r *scenario.Routing, n int) domain {
	d := domain{protocol: r.Protocol}
	if r.Protocol == router.ISIS {
		d.area = assignment.Area(r, p.Nodes[n].Name)
	}
	return d
}

// peersOf counts the nodes of each domain; the backbone has those of all areas.
func peersOf(p *plan.Plan) map[domain]int {
	peers := make(map[domain]int)
	for i := range p.Nodes {
		if r := assignment.Routing(p, i); r != nil {
			own := domainOf(p, r, i)
			peers[own]++
			if own.area != "" {
				peers[domain{protocol: own.protocol}]++
			}
		}
	}
	return peers
}

// routes adds those of one node with so many peers.
func (d *Demand) routes(p *plan.Plan, r *scenario.Routing, peers int) {
	n := peers
	switch r.Protocol {
	case router.None:
		return
	case router.Static:
		n = len(r.Routes)
	case router.Oracle:
		n = len(p.Nodes) - 1
		if r.Destinations != "all" {
			n = 0
			for i := range p.Nodes {
				if p.Nodes[i].Kind == plan.Station {
					n++
				}
			}
		}
	}
	if r.Protocol != router.OSPF2 {
		d.Routes6 += n
	}
	if r.Protocol == router.OSPF2 || r.Protocol != router.OSPF3 && p.Scenario.Spec.Network.IPv4 {
		d.Routes4 += n
	}
	if daemon, err := router.Daemon(*r); err == nil && daemon != "" {
		d.Learned[daemon] += n
	}
}

// usedRouting are the entries that hold for some node.
func usedRouting(p *plan.Plan) []scenario.Routing {
	var used []scenario.Routing
	seen := make(map[*scenario.Routing]bool)
	for i := range p.Nodes {
		if r := assignment.Routing(p, i); r != nil && !seen[r] {
			seen[r] = true
			used = append(used, *r)
		}
	}
	return used
}

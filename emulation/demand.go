package emulation

import (
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
}

// Processes is how many run at the same time.
func (d *Demand) Processes() (n int) {
	for _, k := range d.Programs {
		n += k
	}
	return n
}

// DemandOf a plan.
func DemandOf(p *plan.Plan) (Demand, error) {
	scheme, err := addressScheme(p)
	if err != nil {
		return Demand{}, err
	}
	d := Demand{
		Nodes: len(p.Nodes), Ports: p.NumPorts(),
		Descriptors: node.Descriptors(specs(p, scheme)),
		Programs:    make(map[string]int),
		Routing:     usedRouting(p),
	}
	for i := range p.Nodes {
		if r := routingOf(p, i); r != nil {
			programs, err := router.Programs(*r)
			if err != nil {
				return Demand{}, err
			}
			for _, name := range programs {
				d.Programs[name]++
			}
		}
		for k := range p.Scenario.Spec.Commands {
			if c := &p.Scenario.Spec.Commands[k]; scenario.Match(c.Nodes, p.Nodes[i].Name) {
				d.Programs[c.Argv[0]]++
			}
		}
	}
	return d, nil
}

// usedRouting are the entries that hold for some node.
func usedRouting(p *plan.Plan) []scenario.Routing {
	var used []scenario.Routing
	seen := make(map[*scenario.Routing]bool)
	for i := range p.Nodes {
		if r := routingOf(p, i); r != nil && !seen[r] {
			seen[r] = true
			used = append(used, *r)
		}
	}
	return used
}

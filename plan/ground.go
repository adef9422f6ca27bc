package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// groundGroup is all links between stations and satellites: they are planned
// together, because they compete for the satellites' ports.
type groundGroup struct {
	plan      *Plan
	links     []*groundLink
	terminals []terminalSpec
	ports     []int // by node: ground ports of a satellite
	base      []int // by node: index of the first one
}

// groundLink is one entry of the scenario's groundLinks.
type groundLink struct {
	policy      policy
	rule        *sky.Rule
	above       *sky.Rule // the rule with the elevation raised by the hysteresis
	satellites  []int     // nodes, ascending
	antennas    int
	elevation   float64 // rad
	hysteresis  float64 // rad
	interval    time.Duration
	regular     bool // decisions only at multiples of the interval
	overlap     time.Duration
	acquisition time.Duration
	medium      *medium
}

// policy by which antennas choose.
type policy uint8

const (
	sticky policy = iota
	highest
	longest
)

// terminalSpec is one station's antennas for one ground link.
type terminalSpec struct {
	link *groundLink
	node int
	base int // index of the first antenna's port within the node
}

func (c *compiler) addGroundLinks() error {
	g := &groundGroup{plan: c.Plan, ports: make([]int, len(c.Nodes)), base: make([]int, len(c.Nodes))}
	served := map[string]bool{} // constellations
	for i := range c.Scenario.Spec.GroundLinks {
		if err := c.addGroundLink(g, i, served); err != nil {
			return err
		}
	}
	for i := range c.Scenario.Spec.Constellations {
		k := &c.Scenario.Spec.Constellations[i]
		ports := 0
		if served[k.Name] {
			ports = 1
		}
		if k.GroundPorts != nil {
			ports = *k.GroundPorts
		}
		for _, n := range c.satellite[i] {
			g.ports[n], g.base[n] = ports, len(c.Nodes[n].Ports)
			for j := range ports {
				c.addPort(n, fmt.Sprintf("gnd%d", j), RoleGround)
			}
		}
	}
	if len(g.links) > 0 {
		c.groups = append(c.groups, g)
	}
	return nil
}

func (c *compiler) addGroundLink(g *groundGroup, i int, served map[string]bool) error {
	l := &c.Scenario.Spec.GroundLinks[i]
	where := fmt.Sprintf("spec.groundLinks[%d]", i)
	elevation := float64(l.MinElevation) * orbit.Degree
	raised := elevation + float64(l.Hysteresis)*orbit.Degree
	k := &groundLink{
		rule:        sky.NewRule(sky.Limits{MaxRange: float64(l.MaxRange), MinElevation: &elevation}),
		above:       sky.NewRule(sky.Limits{MaxRange: float64(l.MaxRange), MinElevation: &raised}),
		antennas:    max(1, l.Antennas),
		elevation:   elevation,
		hysteresis:  float64(l.Hysteresis) * orbit.Degree,
		interval:    time.Duration(l.Interval),
		regular:     l.Interval > 0,
		overlap:     time.Duration(l.MakeBeforeBreak),
		acquisition: time.Duration(l.Acquisition),
		medium:      newMedium(&l.Properties),
	}
	switch l.Policy {
	case "", "sticky":
		k.policy = sticky
	case "highest":
		k.policy = highest
		if k.interval == 0 {
			k.interval = 10 * time.Second
		}
	case "longest":
		k.policy = longest
	default:
		return c.Scenario.Problem(where+".policy", fmt.Sprintf("the policy %q is unknown", l.Policy), "use highest, longest or sticky")
	}
	for j := range c.Scenario.Spec.Constellations {
		name := c.Scenario.Spec.Constellations[j].Name
		if l.Constellations == nil || slices.Contains(l.Constellations, name) {
			served[name] = true
			k.satellites = append(k.satellites, c.satellite[j]...)
		}
	}
	matched := false
	for _, n := range c.station {
		if l.Stations != nil && !scenario.Match(l.Stations, c.Nodes[n].Name) {
			continue
		}
		matched = true
		g.terminals = append(g.terminals, terminalSpec{link: k, node: n, base: len(c.Nodes[n].Ports)})
		taken := len(c.Nodes[n].Ports)
		for a := range k.antennas {
			c.addPort(n, fmt.Sprintf("ant%d", taken+a), RoleAntenna)
		}
	}
	if !matched && len(l.Stations) > 0 {
		return c.Scenario.Problem(where+".stations", "no station has such a name", "name stations of spec.stations, or patterns of their names")
	}
	g.links = append(g.links, k)
	return nil
}

func (g *groundGroup) begin(b *book) planner {
	p := &groundPlanner{
		groundGroup: g, book: b,
		used:     make([][]bool, len(g.ports)),
		cullings: make([]culling, len(g.links)),
	}
	for n, ports := range g.ports {
		p.used[n] = make([]bool, ports)
	}
	for i := range g.terminals {
		t := &g.terminals[i]
		p.terminals = append(p.terminals, &terminal{terminalSpec: t, index: i, antennas: make([]antenna, t.link.antennas)})
		for k, l := range g.links {
			if l == t.link {
				p.terminals[i].culling = &p.cullings[k]
			}
		}
	}
	for k, l := range g.links {
		p.cullings[k].link = l
		if l.interval > 0 {
			p.events.push(event{kind: tick, index: k})
		}
	}
	return p
}

// culling finds the satellites that a station might see in a block without
// looking at each one's elevation: those whose angle from the station, seen
// from the Earth's centre, is small enough.
type culling struct {
	link  *groundLink
	rows  []cullRow
	block time.Duration // the rows are those of the block that begins here, plus 1 ns
}

type cullRow struct {
	node     int32
	along    orbit.Vec // unit vector to the satellite in the middle of the block
	leastCos float64
}

// prepare computes the rows of a block.
//
// A satellite at distance r stands at elevation ε over a station at distance R
// where the central angle is acos(R/r·cos ε) - ε (Vallado, 4th ed., section
// 11.2). R is taken below any place on Earth, ε lower by how far the geodetic
// vertical may lean (0.2°), and the angle greater by what the satellite and the
// station move.
func (c *culling) prepare(b *block) {
	if c.block == b.from+1 {
		return
	}
	c.block = b.from + 1
	c.rows = c.rows[:0]
	const (
		lowest  = 6350.0
		lean    = 0.2 * orbit.Degree
		station = 1.0 / 6350 // rad/s: a mover at 1 km/s
	)
	elevation := c.link.elevation - lean
	cos := math.Cos(elevation)
	for _, n := range c.link.satellites {
		p := &b.paths[n]
		if len(p.Times) < 2 {
			continue
		}
		middle := len(p.Times) / 2
		at := &p.Ends[middle]
		far := 0.0
		rate := 0.0
		for k := range p.Ends {
			r := p.Ends[k].Position.Norm()
			far = max(far, r)
			rate = max(rate, p.Ends[k].Velocity.Norm()/r)
		}
		angle := math.Acos(min(1, lowest/far*cos)) - elevation
		away := max(p.Times[middle]-b.from, b.to-p.Times[middle]).Seconds()
		angle += (1.05*rate + station) * away
		least := -1.0
		if angle < math.Pi {
			least = math.Cos(angle)
		}
		c.rows = append(c.rows, cullRow{int32(n), at.Position.Scale(1 / at.Position.Norm()), least})
	}
}

package plan

import (
	"fmt"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// defaultGrazing is the default of minGrazingAltitude, in km.
const defaultGrazing = 80

// rules of links between satellites: with the polar cut-off, and without it for
// links within a plane.
func rules(l *scenario.Limits) (across, within *sky.Rule) {
	grazing := float64(defaultGrazing)
	if l.MinGrazingAltitude != nil {
		grazing = float64(*l.MinGrazingAltitude)
	}
	limits := sky.Limits{MaxRange: float64(l.MaxRange), MinGrazingAltitude: &grazing}
	within = sky.NewRule(limits)
	if l.MaxLatitude == nil {
		return within, within
	}
	latitude := float64(*l.MaxLatitude) * orbit.Degree
	limits.MaxLatitude = &latitude
	return sky.NewRule(limits), within
}

// addLinks makes the groups. Ports come in the order of Port.Role, so each kind
// of link is gone through for all constellations before the next.
func (c *compiler) addLinks() error {
	for i := range c.Scenario.Spec.Constellations {
		if err := c.addISL(i); err != nil {
			return err
		}
	}
	for i := range c.Scenario.Spec.InterLinks {
		if err := c.addInterLink(i); err != nil {
			return err
		}
	}
	return c.addGroundLinks()
}

func (c *compiler) addISL(i int) error {
	isl := c.Scenario.Spec.Constellations[i].Links
	if isl == nil {
		return nil
	}
	switch isl.Pattern {
	case "", "none":
	case "ring", "grid":
		return c.addGrid(i, isl)
	case "nearest":
		c.addNearest(i, isl)
	case "explicit":
		return c.addExplicit(i, isl)
	default:
		return c.Scenario.Problem(fmt.Sprintf("spec.constellations[%d].links.pattern", i),
			fmt.Sprintf("the pattern %q is unknown", isl.Pattern), "use none, ring, grid, nearest or explicit")
	}
	return nil
}

// addGrid makes the links of ring and grid.
func (c *compiler) addGrid(i int, isl *scenario.ISL) error {
	k := &c.Scenario.Spec.Constellations[i]
	where := fmt.Sprintf("spec.constellations[%d].links", i)
	if k.Walker == nil && k.File == nil {
		return c.Scenario.Problem(where+".pattern",
			fmt.Sprintf("a %s needs planes, which satellites given by elements do not have", isl.Pattern), "use nearest or explicit")
	}
	layout := c.layOut(i)
	across, within := rules(&isl.Limits)
	g := &fixedGroup{plan: c.Plan, acquisition: time.Duration(isl.Acquisition), medium: newMedium(&isl.Properties)}

	names := []string{"fore", "aft"}
	if isl.Pattern == "grid" {
		names = append(names, "left", "right")
	}
	for _, node := range c.satellite[i] {
		for _, name := range names {
			c.addPort(node, name, RoleISL)
		}
	}
	const fore, aft, left, right = 0, 1, 2, 3
	for _, l := range layout.ring() {
		g.links = append(g.links, fixedLink{IntraPlane, within, l[0], fore, l[1], aft})
	}
	if isl.Pattern == "grid" {
		closed := isl.Seam == "closed" || isl.Seam == "" && !layout.hasSeam()
		for _, l := range layout.across(closed) {
			g.links = append(g.links, fixedLink{InterPlane, across, l[0], right, l[1], left})
		}
	}
	c.groups = append(c.groups, g)
	return nil
}

// addExplicit gives every pair a port of its own on both sides.
func (c *compiler) addExplicit(i int, isl *scenario.ISL) error {
	_, rule := rules(&isl.Limits)
	across, _ := rules(&isl.Limits)
	g := &fixedGroup{plan: c.Plan, acquisition: time.Duration(isl.Acquisition), medium: newMedium(&isl.Properties)}
	for j, pair := range isl.Pairs {
		a, okA := c.byName[pair[0]]
		b, okB := c.byName[pair[1]]
		where := fmt.Sprintf("spec.constellations[%d].links.pairs[%d]", i, j)
		group := c.Scenario.Spec.Constellations[i].Name
		if !okA || !okB || a == b || c.Nodes[a].Group != group || c.Nodes[b].Group != group {
			return c.Scenario.Problem(where, fmt.Sprintf("%s and %s are not two satellites of %s", pair[0], pair[1], group), "name two of its satellites")
		}
		r := across
		if c.samePlane(a, b) {
			r = rule
		}
		l := fixedLink{class: Neighbour, rule: r, nodeA: a, nodeB: b}
		l.portA = c.addPort(a, fmt.Sprintf("isl%d", len(c.Nodes[a].Ports)), RoleISL)
		l.portB = c.addPort(b, fmt.Sprintf("isl%d", len(c.Nodes[b].Ports)), RoleISL)
		g.links = append(g.links, l)
	}
	c.groups = append(c.groups, g)
	return nil
}

// samePlane tells whether two satellites are known to share a plane.
func (p *Plan) samePlane(a, b int) bool {
	m, n := &p.Nodes[a], &p.Nodes[b]
	return m.Plane >= 0 && m.Plane == n.Plane && m.Group == n.Group
}

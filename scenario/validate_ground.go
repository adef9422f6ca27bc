package scenario

import (
	"fmt"
	"slices"
)

func (v *validator) stations() {
	names := v.unique("station")
	for i := range v.spec.Stations {
		s := &v.spec.Stations[i]
		at := fmt.Sprintf("spec.stations[%d]", i)
		names.see(s.Name, at+".name")
		v.exactlyOne(at, map[string]bool{"position": s.Position != nil, "waypoints": s.Waypoints != nil})
		if s.Loop && s.Waypoints == nil {
			v.only(at, "waypoints", map[string]any{"loop": true})
		}
		for k := 1; k < len(s.Waypoints); k++ {
			before, here := s.Waypoints[k-1].At, s.Waypoints[k].At
			if at := fmt.Sprintf("%s.waypoints[%d].at", at, k); here <= before {
				v.problem(at, fmt.Sprintf("this waypoint is at %v, the one before it at %v", here, before), "write waypoints in order of time, no two at the same")
			}
		}
	}
}

func (v *validator) groundLinks() {
	names := v.unique("ground link")
	var stations []string
	for _, s := range v.spec.Stations {
		stations = append(stations, s.Name)
	}
	for i := range v.spec.GroundLinks {
		l := &v.spec.GroundLinks[i]
		at := fmt.Sprintf("spec.groundLinks[%d]", i)
		names.see(l.Name, at+".name")
		for k, p := range l.Stations {
			if v.source == nil || v.source.has(at+".stations") || len(stations) == 0 {
				v.pattern(p, fmt.Sprintf("%s.stations[%d]", at, k), "a station", stations, nil, v.namesSound("spec.stations"))
			}
		}
		if len(l.Constellations) == 0 && v.sound(at, "spec.constellations") {
			v.problem(at, "the ground link names no constellation", "name one; there must be one in the scenario")
		}
		once := v.unique("constellation")
		for k, name := range l.Constellations {
			at := fmt.Sprintf("%s.constellations[%d]", at, k)
			v.constellation(name, at)
			if v.source == nil || v.source.has(at) {
				once.see(name, at)
			}
		}
		if l.MakeBeforeBreak > 0 && l.Antennas < 2 {
			v.problem(at+".makeBeforeBreak", "make before break needs a second antenna, and there is one", "write antennas: 2, or leave makeBeforeBreak out")
		}
		if l.Policy == "longest" {
			v.only(at, "the policies highest and sticky", map[string]any{"hysteresis": l.Hysteresis})
		}
		if l.Policy == "sticky" && l.MinElevation+l.Hysteresis >= 90 {
			v.problem(at+".hysteresis", fmt.Sprintf("minElevation and hysteresis come to %v", l.MinElevation+l.Hysteresis), "keep their sum below 90deg")
		}
		v.properties(&l.Properties, at+".properties", true)
	}
	v.unservedConstellations()
}

// unservedConstellations finds ground links to satellites without ports.
func (v *validator) unservedConstellations() {
	for i, c := range v.spec.Constellations {
		if c.GroundPorts == nil || *c.GroundPorts != 0 {
			continue
		}
		for k, l := range v.spec.GroundLinks {
			if at := fmt.Sprintf("spec.groundLinks[%d].constellations", k); slices.Contains(l.Constellations, c.Name) && v.source.has(at) {
				v.problem(fmt.Sprintf("spec.constellations[%d].groundPorts", i), fmt.Sprintf("constellation %q has no ground ports, but the ground link %q uses it", c.Name, l.Name),
					"write groundPorts: 1 or more, or take it out of the ground link")
			}
		}
	}
}

// properties checks the properties of a kind of links.
func (v *validator) properties(p *Properties, at string, ground bool) {
	rated := p.Rate > 0
	if t := p.Table; t != nil {
		for _, row := range t.Rows {
			rated = rated || row.Rate != nil
		}
		v.table(p, at+".table", ground)
	}
	if p.Queue != 0 && !rated {
		v.problemAtKey(at+".queue", "a queue forms in front of a rate only, and there is none", "give rate, or leave queue out")
	}
	if frame := Size(v.spec.Network.MTU + 14); p.Queue != 0 && p.Queue < frame && v.sound("spec.network") {
		v.problem(at+".queue", fmt.Sprintf("a queue of %v holds not even one frame (MTU %d and 14 bytes of Ethernet)", p.Queue, v.spec.Network.MTU), fmt.Sprintf("write at least %v", frame))
	}
	if l := p.Loss; l != nil {
		at := at + ".loss"
		v.exactlyOne(at, map[string]bool{"probability": l.Probability != 0 || v.source.has(at+".probability"), "gilbertElliott": l.GilbertElliott != nil})
	}
}

func (v *validator) table(p *Properties, at string, ground bool) {
	t := p.Table
	if !v.sound(at+".by", at+".rows") {
		return
	}
	if t.By == "elevation" && !ground {
		v.problem(at+".by", "links between satellites have no elevation", "write by: range")
		return
	}
	key, other := "elevation", "range"
	if t.By == "range" {
		key, other = other, key
	}
	before := 0.0
	for i, row := range t.Rows {
		at := fmt.Sprintf("%s.rows[%d]", at, i)
		var here float64
		switch {
		case t.By == "elevation" && row.Elevation != nil:
			here = float64(*row.Elevation)
		case t.By == "range" && row.Range != nil:
			here = float64(*row.Range)
		default:
			v.problem(at, fmt.Sprintf("the row has no %s", key), fmt.Sprintf("the table is by %s; add it to each row", key))
			continue
		}
		if t.By == "elevation" && row.Range != nil || t.By == "range" && row.Elevation != nil {
			v.problemAtKey(at+"."+other, fmt.Sprintf("the row has %s, but the table is by %s", other, t.By), "leave it out")
		}
		if row.Rate == nil && row.Loss == nil && row.ExtraDelay == nil {
			v.problem(at, "the row gives no property", "add rate, loss or extraDelay")
			continue
		}
		if i > 0 && here <= before {
			v.problem(at+"."+key, fmt.Sprintf("%s is not above that of the row before", key), "write rows in ascending order, no two alike")
		}
		before = here
		if row.Loss != nil && p.Loss != nil && p.Loss.GilbertElliott != nil {
			v.problemAtKey(at+".loss", "the table gives a loss, and the link has the Gilbert-Elliott model, too", "give one of them")
		}
		// A rate in some rows and not in others is interpolated towards the link's
		// own; without one there is nothing to interpolate to.
		if row.Rate == nil && p.Rate == 0 && slices.ContainsFunc(t.Rows, func(r TableRow) bool { return r.Rate != nil }) {
			v.problem(at, "the row has no rate, other rows have one, and the link has none of its own", "give the row a rate, or the link")
		}
	}
}

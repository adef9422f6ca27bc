package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// earthRadius is the radius that altitudes of elements count from, in km
// (WGS-84, equatorial); minPerigee is where an orbit ends in the atmosphere.
const (
	earthRadius = 6378.137
	minPerigee  = 100.0
)

func (v *validator) constellations() {
	names := v.unique("constellation")
	for i := range v.spec.Constellations {
		c := &v.spec.Constellations[i]
		at := fmt.Sprintf("spec.constellations[%d]", i)
		names.see(c.Name, at+".name")
		v.exactlyOne(at, map[string]bool{"walker": c.Walker != nil, "elements": c.Elements != nil, "file": c.File != nil})
		if c.Walker != nil {
			v.walker(c.Walker, at+".walker")
		}
		v.elements(c, at)
		if c.File != nil && c.File.Select != nil {
			v.selection(c.File.Select, at+".file.select")
		}
		if c.Links != nil {
			v.isl(c, at+".links")
		}
	}
}

// exactlyOne checks fields that exclude each other.
func (v *validator) exactlyOne(at string, fields map[string]bool) {
	var given []string
	names := sortedKeys(fields)
	for _, name := range names {
		if fields[name] || !v.sound(join(at, name)) {
			given = append(given, name)
		}
	}
	switch {
	case len(given) == 0:
		v.problem(at, fmt.Sprintf("%s has none of %s", at, strings.Join(names, ", ")), "give exactly one of them")
	case len(given) > 1:
		second := join(at, given[1])
		if v.source != nil { // point at the one that comes later
			slices.SortFunc(given, func(a, b string) int { return v.source.at(join(at, a)).line - v.source.at(join(at, b)).line })
			second = join(at, given[1])
		}
		v.problemAtKey(second, fmt.Sprintf("%s has both %s", at, strings.Join(given, " and ")), fmt.Sprintf("give exactly one of %s", strings.Join(names, ", ")))
	}
}

func (v *validator) walker(w *Walker, at string) {
	if w.Planes > 0 && w.SatellitesPerPlane > 0 && w.Planes*w.SatellitesPerPlane > MaxNodes {
		v.problem(at+".satellitesPerPlane", fmt.Sprintf("%d planes of %d satellites are %d", w.Planes, w.SatellitesPerPlane, w.Planes*w.SatellitesPerPlane),
			fmt.Sprintf("a scenario has %d nodes at most", MaxNodes))
		w.Planes, w.SatellitesPerPlane = 0, 0
		v.setBroken(at + ".planes")
		return
	}
	if v.sound(at+".planes", at+".phasing") && w.Phasing >= float64(w.Planes) {
		v.problem(at+".phasing", fmt.Sprintf("phasing %v is out of range", w.Phasing),
			fmt.Sprintf("write a number from 0 up to, but not including, the number of planes (%d)", w.Planes))
	}
}

func (v *validator) elements(c *Constellation, at string) {
	names := v.unique("element")
	for i := range c.Elements {
		e := &c.Elements[i]
		at := fmt.Sprintf("%s.elements[%d]", at, i)
		names.see(e.Name, at+".name")
		v.exactlyOne(at, map[string]bool{"altitude": e.Altitude != nil, "semiMajorAxis": e.SemiMajorAxis != nil})
		if !v.sound(at+".altitude", at+".semiMajorAxis", at+".eccentricity") {
			continue
		}
		axis := 0.0
		switch {
		case e.SemiMajorAxis != nil:
			axis = float64(*e.SemiMajorAxis)
		case e.Altitude != nil:
			axis = earthRadius + float64(*e.Altitude)
		default:
			continue
		}
		if perigee := axis*(1-e.Eccentricity) - earthRadius; perigee < minPerigee {
			v.problem(at+".eccentricity", fmt.Sprintf("the perigee lies at %.0f km altitude", perigee),
				fmt.Sprintf("choose the axis and the eccentricity so that it is at least %.0f km", minPerigee))
		}
	}
	if c.Elements != nil && len(c.Elements) == 0 {
		v.problem(at+".elements", "elements is empty", "give at least one satellite")
	}
}

func (v *validator) selection(s *Select, at string) {
	for i, p := range s.Names {
		v.goodPattern(p, fmt.Sprintf("%s.names[%d]", at, i))
	}
	if r := s.Inclination; r != nil {
		if r.Min == nil && r.Max == nil {
			v.problem(at+".inclination", "the range has neither min nor max", "give at least one of them")
		} else if r.Min != nil && r.Max != nil && *r.Min > *r.Max {
			v.problem(at+".inclination", fmt.Sprintf("min %v is above max %v", *r.Min, *r.Max), "swap them")
		}
	}
	if r := s.Altitude; r != nil {
		if r.Min == nil && r.Max == nil {
			v.problem(at+".altitude", "the range has neither min nor max", "give at least one of them")
		} else if r.Min != nil && r.Max != nil && *r.Min > *r.Max {
			v.problem(at+".altitude", fmt.Sprintf("min %v is above max %v", *r.Min, *r.Max), "swap them")
		}
	}
}

// only refuses fields that have a meaning under one condition only. The given
// values are those of the fields, to be zero when left out.
func (v *validator) only(at, condition string, fields map[string]any) {
	for _, name := range sortedKeys(fields) {
		if value := reflect.ValueOf(fields[name]); value.IsValid() && !value.IsZero() {
			v.problemAtKey(join(at, name), fmt.Sprintf("%s has no meaning here", name), fmt.Sprintf("it belongs to %s; leave it out", condition))
		}
	}
}

func (v *validator) isl(c *Constellation, at string) {
	l := c.Links
	v.properties(&l.Properties, at+".properties", false)
	if !v.sound(at + ".pattern") {
		return
	}
	if l.Pattern != "nearest" {
		v.only(at, "pattern nearest", map[string]any{"ports": l.Ports, "interval": l.Interval, "hysteresis": l.Hysteresis})
	}
	if l.Pattern != "explicit" {
		v.only(at, "pattern explicit", map[string]any{"pairs": l.Pairs})
	}
	if l.Pattern != "grid" {
		v.only(at, "pattern grid", map[string]any{"seam": l.Seam})
	}
	switch l.Pattern {
	case "ring", "grid":
		if c.Elements != nil {
			v.problem(at+".pattern", fmt.Sprintf("pattern %s needs planes, and explicit elements have none", l.Pattern), "use nearest or explicit, or a Walker constellation")
		}
	case "explicit":
		v.pairs(c, at+".pairs")
	}
}

func (v *validator) pairs(c *Constellation, at string) {
	if c.Links.Pairs == nil {
		v.problem(strings.TrimSuffix(at, ".pairs"), "pattern explicit lacks pairs", "add the pairs of satellite names")
		return
	}
	names := map[string]bool{}
	var list []string
	if v.sound(strings.TrimSuffix(at, ".links.pairs")) {
		c.eachName(func(n string) bool { names[n], list = true, append(list, n); return true })
	}
	seen := map[[2]string]string{}
	for i, pair := range c.Links.Pairs {
		at := fmt.Sprintf("%s[%d]", at, i)
		for k, name := range pair {
			if !names[name] && (c.File == nil || !c.catalogued(name)) && v.sound(strings.SplitN(at, ".links", 2)[0]) {
				right := v.suggest(name, list, nil)
				if c.File != nil {
					right = fmt.Sprintf("write %s-NUMBER", c.Name)
				}
				v.problem(fmt.Sprintf("%s[%d]", at, k), fmt.Sprintf("%q is not a satellite of constellation %q", clipped(name), c.Name), right)
			}
		}
		if pair[0] == pair[1] {
			v.problem(at, fmt.Sprintf("%q is paired with itself", clipped(pair[0])), "name two satellites")
			continue
		}
		if pair[0] > pair[1] {
			pair[0], pair[1] = pair[1], pair[0]
		}
		if first, ok := seen[pair]; ok {
			v.problem(at, fmt.Sprintf("this pair exists already in %s", v.line(first)), "leave it out")
		}
		seen[pair] = at
	}
}

func (v *validator) interLinks() {
	names := v.unique("inter-link")
	for i := range v.spec.InterLinks {
		l := &v.spec.InterLinks[i]
		at := fmt.Sprintf("spec.interLinks[%d]", i)
		names.see(l.Name, at+".name")
		for k, name := range l.Between {
			v.constellation(name, fmt.Sprintf("%s.between[%d]", at, k))
		}
		if l.Between[0] == l.Between[1] && l.Between[0] != "" {
			v.problem(at+".between[1]", fmt.Sprintf("%q is linked with itself", clipped(l.Between[0])), "name two constellations; links within one are its own \"links\"")
		}
		v.properties(&l.Properties, at+".properties", false)
	}
}

// constellation checks a reference to a constellation.
func (v *validator) constellation(name, at string) {
	var names []string
	for _, c := range v.spec.Constellations {
		names = append(names, c.Name)
	}
	if slices.Contains(names, name) || !v.namesSound("spec.constellations") {
		return
	}
	right := "there are none"
	if n := nearest(name, names); n != "" {
		right = fmt.Sprintf("did you mean %s?", n)
	} else if len(names) > 0 {
		right = "there are " + strings.Join(names[:min(len(names), 10)], ", ")
	}
	v.problem(at, fmt.Sprintf("there is no constellation %q", clipped(name)), right)
}

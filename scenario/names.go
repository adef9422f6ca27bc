package scenario

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// MaxNodeName is the longest name of a node, in bytes: it is a host name, a
// DNS label and the name of a pod.
const MaxNodeName = 63

// SatelliteName is the name of a Walker satellite; plane and slot count from 0
// here and from 1 in the name: "iridium-p01s03". Numbers have two digits, or
// as many as the largest one needs, so that names sort.
func (c *Constellation) SatelliteName(plane, slot int) string {
	p, s := 2, 2
	if w := c.Walker; w != nil {
		p, s = max(2, len(strconv.Itoa(w.Planes))), max(2, len(strconv.Itoa(w.SatellitesPerPlane)))
	}
	return fmt.Sprintf("%s-p%0*ds%0*d", c.Name, p, plane+1, s, slot+1)
}

// ElementName is the name of a satellite given by its elements: "geo-east".
func (c *Constellation) ElementName(e *Element) string {
	return c.Name + "-" + e.Name
}

// CatalogueName is the name of a satellite of an orbit file by its catalogue
// number: "oneweb-44057".
func (c *Constellation) CatalogueName(number int) string {
	return c.Name + "-" + strconv.Itoa(number)
}

// Match says whether any of the shell patterns matches a node's name. A
// pattern has the wildcards of path.Match: * ? [a-z].
func Match(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

// MatchFold is Match without regard to case, for names in orbit files.
func MatchFold(patterns []string, name string) bool {
	name = strings.ToLower(name)
	for _, p := range patterns {
		if ok, err := path.Match(strings.ToLower(p), name); ok && err == nil {
			return true
		}
	}
	return false
}

// known is how many satellites a constellation has, as far as the scenario
// says without its orbit file.
func (c *Constellation) known() int {
	if c.Walker != nil {
		return max(c.Walker.Planes, 0) * max(c.Walker.SatellitesPerPlane, 0)
	}
	return len(c.Elements)
}

// eachName calls f with the name of each known satellite until f returns false.
func (c *Constellation) eachName(f func(string) bool) {
	if c.Walker != nil {
		for p := range c.Walker.Planes {
			for s := range c.Walker.SatellitesPerPlane {
				if !f(c.SatelliteName(p, s)) {
					return
				}
			}
		}
		return
	}
	for i := range c.Elements {
		if !f(c.ElementName(&c.Elements[i])) {
			return
		}
	}
}

// longestName is the longest name that a satellite of the constellation has or
// may have.
func (c *Constellation) longestName() string {
	switch {
	case c.Walker != nil:
		return c.SatelliteName(c.Walker.Planes-1, c.Walker.SatellitesPerPlane-1)
	case c.File != nil:
		return c.CatalogueName(999999999)
	}
	long := ""
	for i := range c.Elements {
		if n := c.ElementName(&c.Elements[i]); len(n) > len(long) {
			long = n
		}
	}
	return long
}

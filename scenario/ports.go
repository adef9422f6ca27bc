package scenario

import (
	"fmt"
	"slices"
)

// SatellitePorts are the names of the ports of a satellite of constellation c:
// fore, aft, left, right or isl0 … for links within the constellation, up0 …
// where it is the first of an inter-link, down0 … where it is the second,
// gnd0 … for stations.
func (s *Scenario) SatellitePorts(c *Constellation, name string) []string {
	return s.Spec.satellitePorts(c, name)
}

// StationPorts are the names of the ports of a station: ant0 …, the antennas
// of each ground link that it takes part in, in order of the file.
func (s *Scenario) StationPorts(name string) []string {
	return s.Spec.stationPorts(name)
}

func (spec *Spec) satellitePorts(c *Constellation, name string) []string {
	var ports []string
	if l := c.Links; l != nil {
		switch l.Pattern {
		case "ring":
			ports = append(ports, "fore", "aft")
		case "grid":
			ports = append(ports, "fore", "aft", "left", "right")
		case "nearest":
			ports = numbered(ports, "isl", l.Ports)
		case "explicit":
			n := 0
			for _, p := range l.Pairs {
				if slices.Contains(p[:], name) {
					n++
				}
			}
			ports = numbered(ports, "isl", n)
		}
	}
	up, down := spec.interPorts(c.Name)
	ports = numbered(ports, "up", up)
	ports = numbered(ports, "down", down)
	if c.GroundPorts != nil {
		ports = numbered(ports, "gnd", *c.GroundPorts)
	}
	return ports
}

// interPorts counts the ports to other constellations, as the first and as the
// second of an inter-link.
func (spec *Spec) interPorts(constellation string) (up, down int) {
	for _, l := range spec.InterLinks {
		if len(l.Ports) != 2 {
			continue
		}
		if l.Between[0] == constellation {
			up += l.Ports[0]
		}
		if l.Between[1] == constellation {
			down += l.Ports[1]
		}
	}
	return up, down
}

func (spec *Spec) stationPorts(name string) []string {
	n := 0
	for _, l := range spec.GroundLinks {
		if Match(l.Stations, name) {
			n += l.Antennas
		}
	}
	return numbered(nil, "ant", n)
}

// numbered appends name0 … name(n-1). A count beyond MaxPorts is refused
// elsewhere and cut here.
func numbered(list []string, name string, n int) []string {
	for i := range min(n, MaxPorts+1) {
		list = append(list, fmt.Sprintf("%s%d", name, i))
	}
	return list
}

// ports checks that no node has more ports than MaxPorts.
func (v *validator) ports() {
	if !v.sound("spec.interLinks", "spec.groundLinks") || !v.nodesSound() {
		return
	}
	refuse := func(at, name string, n int) bool {
		if n > MaxPorts {
			v.problem(at, fmt.Sprintf("%s has more than %d ports", name, MaxPorts), "write fewer ports, links or antennas")
		}
		return n > MaxPorts
	}
	for i := range v.spec.Constellations {
		c := &v.spec.Constellations[i]
		at := fmt.Sprintf("spec.constellations[%d]", i)
		if refuse(at, "a satellite of "+c.Name, len(v.spec.satellitePorts(c, ""))) {
			continue
		}
		if c.Links == nil || c.Links.Pattern != "explicit" {
			continue
		}
		pairs := map[string]int{}
		for _, p := range c.Links.Pairs {
			pairs[p[0]]++
			pairs[p[1]]++
		}
		others := len(v.spec.satellitePorts(c, ""))
		for _, name := range sortedKeys(pairs) {
			if refuse(at+".links.pairs", name, pairs[name]+others) {
				break
			}
		}
	}
	for i, s := range v.spec.Stations {
		refuse(fmt.Sprintf("spec.stations[%d]", i), s.Name, len(v.spec.stationPorts(s.Name)))
	}
}

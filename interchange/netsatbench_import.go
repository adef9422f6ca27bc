package interchange

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"orrery.dev/orrery/orbit/gp"
	"orrery.dev/orrery/scenario"
)

// assumedElevation is the least elevation of ground links that an import gives, since
// NetSatBench says when links are there and not why.
const assumedElevation = 10

// ReadNetSatBench reads a scenario of NetSatBench: its configuration of nodes and the epoch
// files that this names. Satellites need a TLE and stations a location; which nodes are
// ever joined is taken from the epochs, and when they are from their orbits.
func ReadNetSatBench(fsys fs.FS, file string) (*Import, error) {
	text, err := read(fsys, file)
	if err != nil {
		return nil, err
	}
	var c satConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return nil, badJSON(file, text, err)
	}
	m := &satReader{importer: newImporter(baseName(file)), config: c, satellite: make(map[string]string), station: make(map[string]string)}
	if err := m.nodes(file); err != nil {
		return nil, err
	}
	if err := m.epochs(fsys, path.Dir(file)); err != nil {
		return nil, err
	}
	m.links()
	m.routing()
	m.unmapped("images, resources of containers, addresses and workers are left out")
	return m.finish("a scenario of NetSatBench")
}

// satReader reads a scenario of NetSatBench.
type satReader struct {
	*importer
	config             satConfig
	constellation      scenario.Constellation
	satellite, station map[string]string // node's name there: name here
	antennas           int               // the most of a station

	isl, ground, terrestrial medium
	first, last              time.Time
	commands                 int
}

// medium is what epochs say of a kind of links.
type medium struct {
	pairs map[[2]string]bool
	rates map[float64]int // how often each, bit/s
	loss  map[float64]int // per cent
}

func (k *medium) see(a, b string) {
	if k.pairs == nil {
		*k = medium{make(map[[2]string]bool), make(map[float64]int), make(map[float64]int)}
	}
	k.pairs[[2]string{min(a, b), max(a, b)}] = true
}

// nodes sorts nodes into satellites and stations.
func (m *satReader) nodes(file string) error {
	if len(m.config.Nodes) == 0 {
		return mistake(file, 0, "it has no nodes")
	}
	m.constellation = scenario.Constellation{Name: "sat", File: &scenario.OrbitFile{Path: orbitsName, Format: "tle"}}
	var orbits strings.Builder
	var nowhere []string
	names, seen := labels{}, make(map[int]string)
	for _, name := range sortedKeys(m.config.Nodes) {
		n := m.config.Nodes[name]
		antennas := n.Antennas
		if antennas == 0 {
			antennas = m.config.Common.Antennas
		}
		switch d := n.Metadata; {
		case d != nil && d.Orbit != nil && len(d.Orbit.TLE) >= 2:
			tle := d.Orbit.TLE[len(d.Orbit.TLE)-2:]
			e, err := gp.ParseTLE(name, tle[0], tle[1])
			if err != nil {
				return mistake(file, 0, "node %s: its TLE is wrong in %v", clip(name), err)
			}
			if other, ok := seen[e.Number]; ok {
				return mistake(file, 0, "nodes %s and %s have the same catalogue number %d", clip(other), clip(name), e.Number)
			}
			seen[e.Number] = name
			m.satellite[name] = m.constellation.CatalogueName(e.Number)
			fmt.Fprintf(&orbits, "%s\n%s\n%s\n", label(name, 24, "satellite"), strings.TrimSpace(tle[0]), strings.TrimSpace(tle[1]))
		case d != nil && d.Location != nil:
			l := d.Location
			if !(l.Latitude >= -90 && l.Latitude <= 90 && l.Longitude >= -180 && l.Longitude <= 180 && l.Altitude >= -1000 && l.Altitude <= 100_000) {
				return mistake(file, 0, "node %s: there is no place at latitude %g, longitude %g, altitude %g m", clip(name), l.Latitude, l.Longitude, l.Altitude)
			}
			m.station[name] = names.take(name, "station")
			m.antennas = max(m.antennas, antennas)
			m.scenario.Spec.Stations = append(m.scenario.Spec.Stations, scenario.Station{
				Name:     m.station[name],
				Position: &scenario.Position{Lat: scenario.Angle(l.Latitude), Lon: scenario.Angle(l.Longitude), Height: scenario.Distance(l.Altitude / 1000)},
			})
		default:
			nowhere = append(nowhere, clip(name))
		}
	}
	if len(m.satellite) == 0 {
		return mistake(file, 0, "no node has metadata.orbit.TLE, and without orbits there is no sky; NetSatBench's links at given times cannot be told otherwise")
	}
	if len(nowhere) > 0 {
		m.unmapped("%s have neither metadata.orbit.TLE nor metadata.location and are left out: %s", plural(len(nowhere), "node"), someOf(nowhere))
	}
	m.unmapped("satellites are called by their catalogue numbers; their names there are the titles in %s", orbitsName)
	m.Files[orbitsName] = []byte(orbits.String())
	return nil
}

// someOf a list, for messages.
func someOf(list []string) string {
	const most = 10
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}

// epochs reads the epoch files in order of the numbers at the ends of their names.
func (m *satReader) epochs(fsys fs.FS, folder string) error {
	pattern := m.config.Epochs.Pattern
	if pattern == "" {
		pattern = epochPattern
	}
	// The folder is relative to where NetSatBench runs; beside the configuration it has
	// its last name.
	var found []string
	for _, dir := range []string{m.config.Epochs.Dir, path.Join(folder, m.config.Epochs.Dir), path.Join(folder, path.Base(m.config.Epochs.Dir))} {
		dir = path.Clean(dir)
		if !fs.ValidPath(dir) {
			continue
		}
		list, err := fs.Glob(fsys, path.Join(escapeGlob(dir), pattern))
		if err != nil {
			return mistake("epoch-config", 0, "file-pattern %q: %v", clip(pattern), err)
		}
		if found = list; len(found) > 0 {
			break
		}
	}
	if len(found) == 0 {
		m.unmapped("there are no epoch files %s in %s, and so no links", clip(pattern), clip(m.config.Epochs.Dir))
		return nil
	}
	slices.SortFunc(found, func(a, b string) int { return epochNumber(a) - epochNumber(b) })
	for _, name := range found {
		text, err := read(fsys, name)
		if err != nil {
			return err
		}
		var e satEpoch
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return badJSON(name, text, err)
		}
		if err := m.epoch(name, &e); err != nil {
			return err
		}
	}
	return nil
}

// escapeGlob takes the meaning from the wildcards of path.Match.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// epochNumber is the number at the end of a file's name.
func epochNumber(name string) int {
	base := baseName(name)
	n, _ := strconv.Atoi(base[len(strings.TrimRight(base, "0123456789")):])
	return n
}

func (m *satReader) epoch(name string, e *satEpoch) error {
	at, err := time.Parse(time.RFC3339, e.Time)
	if err != nil {
		if at, err = time.Parse("2006-01-02T15:04:05", e.Time); err != nil {
			return mistake(name, 0, "time %q is none of ISO 8601, such as 2024-06-01T12:02:00Z", clip(e.Time))
		}
	}
	if m.first.IsZero() {
		m.first = at.UTC()
	}
	m.last = at.UTC()
	for _, commands := range e.Run {
		m.commands += len(commands)
	}
	for _, l := range slices.Concat(e.Add, e.Update) {
		if err := m.link(name, &l); err != nil {
			return err
		}
	}
	return nil
}

// link notes that two nodes are joined at times.
func (m *satReader) link(name string, l *satLink) error {
	for _, end := range []string{l.A, l.B} {
		if _, ok := m.config.Nodes[end]; !ok {
			return mistake(name, 0, "a link ends at %q, which is no node", clip(end))
		}
	}
	if l.A == l.B {
		return mistake(name, 0, "a link joins %q with itself", clip(l.A))
	}
	a, isA := m.satellite[l.A]
	b, isB := m.satellite[l.B]
	g, gA := m.station[l.A]
	h, gB := m.station[l.B]
	var k *medium
	switch {
	case isA && isB:
		k = &m.isl
		k.see(a, b)
	case isA && gB:
		k = &m.ground
		k.see(a, h)
	case gA && isB:
		k = &m.ground
		k.see(g, b)
	case gA && gB:
		k = &m.terrestrial
		k.see(g, h)
	default:
		return nil // one end has no place
	}
	if l.Rate != "" {
		bps, err := rateOfTC(l.Rate)
		if err != nil {
			return mistake(name, 0, "link %s - %s: %v", clip(l.A), clip(l.B), err)
		}
		k.rates[bps]++
	}
	if l.Loss != nil {
		if !(*l.Loss >= 0 && *l.Loss <= 100) {
			return mistake(name, 0, "link %s - %s: a loss of %g %%", clip(l.A), clip(l.B), *l.Loss)
		}
		k.loss[*l.Loss]++
	}
	return nil
}

// rateOfTC reads a rate as tc(8) writes it: a number and bit, kbit, Mbit, Gbit, Tbit or, in
// bytes, bps, kbps and so on.
func rateOfTC(s string) (bps float64, err error) {
	text := strings.ToLower(strings.TrimSpace(s))
	factor := 1.0
	switch {
	case strings.HasSuffix(text, "bit"):
		text = strings.TrimSuffix(text, "bit")
	case strings.HasSuffix(text, "bps"):
		text, factor = strings.TrimSuffix(text, "bps"), 8
	}
	for i, p := range []string{"k", "m", "g", "t"} {
		if t, ok := strings.CutSuffix(text, p); ok {
			text = t
			for range i + 1 {
				factor *= 1000
			}
			break
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if bps = v * factor; err != nil || !(bps > 0 && bps <= 1e15) {
		return 0, fmt.Errorf("%q is no rate, such as 10mbit", clip(s))
	}
	return bps, nil
}

// links makes links of the pairs that were seen.
func (m *satReader) links() {
	spec := &m.scenario.Spec
	if !m.first.IsZero() {
		spec.Epoch = &m.first
		if d := m.last.Sub(m.first); d > 0 && d.Seconds() < maxSeconds {
			spec.Duration = scenario.Duration(d)
		}
	}
	k := &m.constellation
	if len(m.isl.pairs) > 0 {
		k.Links = &scenario.ISL{Pattern: "explicit", Properties: m.isl.properties(m.importer, "satellites")}
		for p := range m.isl.pairs {
			k.Links.Pairs = append(k.Links.Pairs, p)
		}
		slices.SortFunc(k.Links.Pairs, func(a, b [2]string) int { return strings.Compare(a[0]+" "+a[1], b[0]+" "+b[1]) })
	}
	spec.Constellations = []scenario.Constellation{*k}
	if len(m.ground.pairs) > 0 {
		satellites := make(map[string]bool)
		for _, name := range m.satellite {
			satellites[name] = true
		}
		ports := make(map[string]int)
		most := 1
		for p := range m.ground.pairs {
			for _, end := range p {
				if satellites[end] {
					ports[end]++
					most = max(most, min(ports[end], mostPorts))
				}
			}
		}
		spec.Constellations[0].GroundPorts = &most
		spec.GroundLinks = []scenario.GroundLink{{
			Name: "ground", MinElevation: assumedElevation, Antennas: min(max(1, m.antennas), mostPorts), Properties: m.ground.properties(m.importer, "stations"),
		}}
		m.unmapped("stations choose satellites by themselves above %d degrees of elevation; which pairs the epochs join is not kept", assumedElevation)
	}
	if n := len(m.terrestrial.pairs); n > 0 {
		m.unmapped("%s between stations: links join satellites with satellites and stations", plural(n, "link"))
	}
	if len(m.isl.pairs)+len(m.ground.pairs) > 0 {
		m.unmapped("times of links are those of view and not those of the epochs, and delays follow from ranges")
	}
	if m.commands > 0 {
		m.unmapped("%s of epochs are lines for a shell and left out; write them as spec.commands", plural(m.commands, "command"))
	}
}

// properties that most of a kind's links have.
func (k *medium) properties(m *importer, what string) scenario.Properties {
	usual := func(seen map[float64]int, name string) (v float64) {
		if len(seen) > 1 {
			m.unmapped("links of %s have %d values of %s; here all have the most frequent one", what, len(seen), name)
		}
		for x, n := range seen {
			if n > seen[v] || n == seen[v] && x > v {
				v = x
			}
		}
		return v
	}
	return properties(usual(k.rates, "rate"), usual(k.loss, "loss"))
}

// routing takes the module that NetSatBench would load.
func (m *satReader) routing() {
	module := ""
	if l := m.config.Common.L3; l != nil && l.Routing {
		module = l.Module
	}
	m.scenario.Spec.Routing = []scenario.Routing{{Protocol: "oracle"}}
	switch {
	case strings.Contains(module, "isis"):
		m.scenario.Spec.Routing[0] = scenario.Routing{Protocol: "isis"}
		m.scenario.Spec.Network.IPv4 = !strings.Contains(module, "v6")
	case module != "" && !strings.Contains(module, "oracle"):
		m.unmapped("the routing module %s is not known; routes are the oracle's", clip(module))
	}
}

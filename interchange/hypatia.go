package interchange

import (
	"errors"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"orrery.dev/orrery/orbit/gp"
	"orrery.dev/orrery/scenario"
)

// orbitsName is the orbit file of an import.
const orbitsName = "satellites.tle"

// The files of a network of Hypatia (satgenpy). All but the first may be missing.
const (
	hypatiaTLEs        = "tles.txt"
	hypatiaISLs        = "isls.txt"
	hypatiaStations    = "ground_stations.txt"
	hypatiaBasic       = "ground_stations.basic.txt"
	hypatiaInterfaces  = "gsl_interfaces_info.txt"
	hypatiaDescription = "description.txt"
)

// mostPorts is how many ground ports and antennas a scenario may give a node.
const mostPorts = 64

// Hypatia reads the generated network of Hypatia in a folder, or any folder with TLEs and
// a list of links in its way: TLEs, links between satellites, ground stations, interfaces
// and the longest lengths of links. Name is the scenario's.
func Hypatia(fsys fs.FS, name string) (*Import, error) {
	m := newImporter(name)
	k := scenario.Constellation{Name: label(name, 20, "sat"), File: &scenario.OrbitFile{Path: orbitsName, Format: "tle"}}
	numbers, err := m.hypatiaOrbits(fsys)
	if err != nil {
		return nil, err
	}
	k.Links = &scenario.ISL{Pattern: "none"}
	if err := hypatiaLinks(fsys, &k, numbers); err != nil {
		return nil, err
	}
	if m.scenario.Spec.Stations, err = hypatiaPlaces(fsys); err != nil {
		return nil, err
	}
	g := scenario.GroundLink{Name: "gsl"}
	if err := m.hypatiaPorts(fsys, &k, &g, len(numbers)); err != nil {
		return nil, err
	}
	if err := m.hypatiaLengths(fsys, &k, &g); err != nil {
		return nil, err
	}
	m.scenario.Spec.Constellations = []scenario.Constellation{k}
	if len(m.scenario.Spec.Stations) > 0 {
		m.scenario.Spec.GroundLinks = []scenario.GroundLink{g}
		m.unmapped("stations choose satellites by policy %q; Hypatia's forwarding state sends over any satellite in range, and one interface to several stations at once, which links between two ports do not", "sticky")
	}
	if _, err := fs.Stat(fsys, "dynamic_state"); err == nil {
		m.unmapped("dynamic_state (forwarding tables and bandwidths at instants) is left out: routes come from the routing protocol, here oracle")
	}
	m.scenario.Spec.Routing = []scenario.Routing{{Protocol: "oracle"}}
	return m.finish("a network of Hypatia")
}

// hypatiaOrbits takes the TLEs and gives the catalogue number of each satellite. Hypatia's first
// line tells orbits and satellites per orbit; a plain file of TLEs has none.
func (m *importer) hypatiaOrbits(fsys fs.FS) ([]int, error) {
	body, err := read(fsys, hypatiaTLEs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mistake(hypatiaTLEs, 0, "it is not there; name a folder that satgenpy has made, or one with TLEs under that name")
	}
	if err != nil {
		return nil, err
	}
	head, rest, _ := strings.Cut(body, "\n")
	count, told := hypatiaCount(head)
	if told {
		body = rest
	}
	sets, err := gp.Read(strings.NewReader(body), gp.Format("tle"))
	if e := new(gp.FieldError); told && errors.As(err, &e) {
		e.Line++ // of the file with its first line
	}
	switch {
	case err != nil:
		return nil, mistake(hypatiaTLEs, 0, "%v", err)
	case len(sets) == 0:
		return nil, mistake(hypatiaTLEs, 0, "it has no satellites")
	case told && len(sets) != count[0]*count[1]:
		return nil, mistake(hypatiaTLEs, 0, "it has %s, and its first line tells of %d × %d", plural(len(sets), "satellite"), count[0], count[1])
	}
	numbers := make([]int, len(sets))
	seen := make(map[int]bool, len(sets))
	for i := range sets {
		numbers[i] = sets[i].Number
		if seen[numbers[i]] {
			return nil, mistake(hypatiaTLEs, 0, "two satellites have the catalogue number %d", numbers[i])
		}
		seen[numbers[i]] = true
	}
	m.Files[orbitsName] = []byte(body)
	return numbers, nil
}

// hypatiaCount reads the first line of Hypatia's file of TLEs: two numbers.
func hypatiaCount(head string) (count [2]int, ok bool) {
	f := strings.Fields(head)
	if len(f) != 2 {
		return count, false
	}
	for i := range f {
		n, err := strconv.Atoi(f[i])
		if err != nil || n < 1 || n > 100_000 {
			return count, false
		}
		count[i] = n
	}
	return count, true
}

// hypatiaLinks takes pairs of satellites, by their places in the file of TLEs.
func hypatiaLinks(fsys fs.FS, k *scenario.Constellation, numbers []int) error {
	text, err := read(fsys, hypatiaISLs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	seen := make(map[[2]int]bool)
	for n, line := range lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 {
			return mistake(hypatiaISLs, n, "%q is not two satellites", clip(line))
		}
		var ends [2]int
		for i := range f {
			if ends[i], err = strconv.Atoi(f[i]); err != nil || ends[i] < 0 || ends[i] >= len(numbers) {
				return mistake(hypatiaISLs, n, "there is no satellite %q; there are 0 to %d", clip(f[i]), len(numbers)-1)
			}
		}
		if ends[0] == ends[1] {
			return mistake(hypatiaISLs, n, "satellite %d is linked with itself", ends[0])
		}
		key := [2]int{min(ends[0], ends[1]), max(ends[0], ends[1])}
		if seen[key] {
			continue // written from both ends
		}
		seen[key] = true
		k.Links.Pairs = append(k.Links.Pairs, [2]string{k.CatalogueName(numbers[ends[0]]), k.CatalogueName(numbers[ends[1]])})
	}
	if len(seen) > 0 {
		k.Links.Pattern = "explicit"
	}
	return nil
}

// hypatiaPlaces takes the ground stations: five columns, or eight with the cartesian
// position, which follows from the others.
func hypatiaPlaces(fsys fs.FS) ([]scenario.Station, error) {
	file := hypatiaStations
	text, err := read(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		file = hypatiaBasic
		text, err = read(fsys, file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := labels{}
	var list []scenario.Station
	for n, line := range lines(text) {
		f := strings.Split(line, ",")
		if len(f) != 5 && len(f) != 8 {
			return nil, mistake(file, n, "it has %d columns, not 5 or 8", len(f))
		}
		var v [3]float64 // latitude, longitude, height
		for i, bound := range [3]float64{90, 180, 100_000} {
			if v[i], err = strconv.ParseFloat(strings.TrimSpace(f[2+i]), 64); err != nil || !(math.Abs(v[i]) <= bound) || i == 2 && v[i] < -1000 {
				return nil, mistake(file, n, "%q is no %s", clip(f[2+i]), [3]string{"latitude", "longitude", "elevation in metres"}[i])
			}
		}
		list = append(list, scenario.Station{
			Name:     names.take("gs-"+f[1], "gs"),
			Position: &scenario.Position{Lat: scenario.Angle(v[0]), Lon: scenario.Angle(v[1]), Height: scenario.Distance(v[2] / 1000)},
		})
	}
	return list, nil
}

// hypatiaPorts takes how many ground interfaces nodes have: stations come after the
// satellites.
func (m *importer) hypatiaPorts(fsys fs.FS, k *scenario.Constellation, g *scenario.GroundLink, satellites int) error {
	text, err := read(fsys, hypatiaInterfaces)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var most, least [2]int
	for n, line := range lines(text) {
		f := strings.Split(line, ",")
		if len(f) != 3 {
			return mistake(hypatiaInterfaces, n, "it has %d columns, not 3", len(f))
		}
		id, err := strconv.Atoi(strings.TrimSpace(f[0]))
		if err != nil || id < 0 {
			return mistake(hypatiaInterfaces, n, "%q is no node", clip(f[0]))
		}
		count, err := strconv.Atoi(strings.TrimSpace(f[1]))
		if err != nil || count < 0 {
			return mistake(hypatiaInterfaces, n, "%q is no number of interfaces", clip(f[1]))
		}
		kind := 0
		if id >= satellites {
			kind = 1
		}
		if least[kind] == 0 || count < least[kind] {
			least[kind] = count
		}
		most[kind] = max(most[kind], count)
	}
	for i, what := range []string{"satellites", "stations"} {
		if most[i] > mostPorts {
			m.unmapped("%s have up to %d ground interfaces; here they have %d", what, most[i], mostPorts)
		} else if most[i] != least[i] {
			m.unmapped("%s have from %d to %d ground interfaces; here each has the most", what, least[i], most[i])
		}
	}
	if most[0] > 0 {
		ports := min(most[0], mostPorts)
		k.GroundPorts = &ports
	}
	g.Antennas = min(most[1], mostPorts)
	m.unmapped("bandwidths of ground interfaces have no unit in Hypatia's files; set properties.rate of links")
	return nil
}

// hypatiaLengths takes the longest lengths of links, in metres.
func (m *importer) hypatiaLengths(fsys fs.FS, k *scenario.Constellation, g *scenario.GroundLink) error {
	text, err := read(fsys, hypatiaDescription)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for n, line := range lines(text) {
		key, value, ok := strings.Cut(line, "=")
		length, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		switch {
		case !ok:
			return mistake(hypatiaDescription, n, "%q is not of the form key=value", clip(line))
		case key != "max_gsl_length_m" && key != "max_isl_length_m":
			m.unmapped("%s of %s is not known", clip(key), hypatiaDescription)
		case err != nil || !(length > 0 && length < 1e15):
			return mistake(hypatiaDescription, n, "%q is no length in metres", clip(value))
		case key == "max_gsl_length_m":
			g.MaxRange = scenario.Distance(length / 1000)
		default:
			k.Links.MaxRange = scenario.Distance(length / 1000)
		}
	}
	if k.Links.Pattern == "none" {
		k.Links.MaxRange = 0
	}
	return nil
}

// clip shortens what somebody has written, for messages.
func clip(s string) string {
	if s = printable(s); len(s) > 40 {
		s = strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// baseName of a folder or file without its ending, as the name of a scenario.
func baseName(name string) string {
	return strings.TrimSuffix(path.Base(name), path.Ext(name))
}

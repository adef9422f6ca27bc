package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"orrery.dev/orrery/scenario"
)

// starryShell is one of its shells. Files of older versions have one, at their top.
type starryShell struct {
	Altitude    float64 `json:"Altitude (km)"`
	Inclination float64 // deg
	Orbits      int
	PerOrbit    int     `json:"Satellites per orbit"`
	Phase       float64 `json:"Phase shift"`
}

// StarryNet reads StarryNet's configuration, a file of JSON.
func StarryNet(fsys fs.FS, file string) (*Import, error) {
	text, err := read(fsys, file)
	if err != nil {
		return nil, err
	}
	// Its keys have quotation marks in them, which tags of fields cannot have.
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, badJSON(file, text, err)
	}
	var wrong error
	get := func(key string, into any) {
		v, ok := raw[key]
		delete(raw, key)
		if !ok || wrong != nil {
			return
		}
		if err := json.Unmarshal(v, into); err != nil {
			wrong = mistake(file, 0, "%s: %v", key, err)
		}
	}
	var (
		name, link, ip, policy, handover                                    string
		shells                                                              []starryShell
		one                                                                 starryShell
		duration, step, linkRate, groundRate, linkLoss, groundLoss, horizon float64
		antennas                                                            int
		machines                                                            []json.RawMessage
	)
	get("Name", &name)
	get("Shells", &shells)
	get("Altitude (km)", &one.Altitude)
	get("Inclination", &one.Inclination)
	get("# of orbit", &one.Orbits)
	get("# of satellites", &one.PerOrbit)
	get("Phase shift", &one.Phase)
	get("Duration (s)", &duration)
	get("step (s)", &step)
	get(`satellite link bandwidth ("X" Gbps)`, &linkRate)
	get(`sat-ground bandwidth ("X" Gbps)`, &groundRate)
	get(`satellite link loss ("X"% )`, &linkLoss)
	get(`sat-ground loss ("X"% )`, &groundLoss)
	get("antenna number", &antennas)
	get("antenna elevation angle", &horizon)
	get("Satellite link", &link)
	get("IP version", &ip)
	get("Link policy", &policy)
	get("Handover policy", &handover)
	get("Machines", &machines)
	if wrong != nil {
		return nil, wrong
	}
	if len(shells) == 0 && one.Orbits > 0 {
		shells = []starryShell{one}
	}
	switch {
	case len(shells) == 0:
		return nil, mistake(file, 0, "it has no Shells")
	case !(duration >= 0 && duration <= maxSeconds):
		return nil, mistake(file, 0, "a duration of %g s", duration)
	}
	m := newImporter(name)
	spec := &m.scenario.Spec
	spec.Duration = scenario.Duration(duration * float64(time.Second))
	name = label(name, 20, "shell")
	for i, s := range shells {
		k := scenario.Constellation{Name: name, Walker: &scenario.Walker{
			Pattern: "delta", Planes: s.Orbits, SatellitesPerPlane: s.PerOrbit, Phasing: s.Phase,
			Inclination: scenario.Angle(s.Inclination), Altitude: scenario.Distance(s.Altitude),
		}}
		if len(shells) > 1 {
			k.Name = fmt.Sprintf("%s%d", name, i+1)
		}
		if link == "Grid" {
			k.Links = &scenario.ISL{Pattern: "grid", Seam: "closed", Properties: properties(linkRate*1e9, linkLoss)}
		}
		spec.Constellations = append(spec.Constellations, k)
	}
	spec.Network.IPv4 = strings.EqualFold(ip, "IPv4")
	spec.Routing = []scenario.Routing{{Protocol: "ospf3", Daemon: "bird"}}
	if spec.Network.IPv4 {
		spec.Routing = []scenario.Routing{{Protocol: "ospf2", Daemon: "frr"}}
		m.unmapped("OSPF of BIRD for IPv4 is OSPF of FRR here")
	}
	if link != "Grid" {
		m.unmapped("the satellite link %q is not known, and satellites have no links; Grid is", clip(link))
	}
	m.unmapped("ground stations are in the program that calls StarryNet and not in its configuration: add stations, groundPorts, and groundLinks with minElevation: %gdeg, antennas: %d, properties: {rate: %gGbit, loss: {probability: %g}}",
		horizon, antennas, groundRate, groundLoss/100)
	m.unmapped("times of damage, recovery and measurements are in that program, too")
	m.unmapped("StarryNet has an epoch, an Earth radius (6371.393 km) and an eccentricity (0.001) of its own; here satellites are at their places in Walker's pattern at the scenario's epoch")
	m.unmapped("versions of StarryNet that shift neighbouring planes by 18 whatever the phase shift says are not followed")
	m.unmapped("delays are range over the speed of light, and not over 0.587 of it")
	if step > 0 {
		m.unmapped("the step of %g s is not needed: delays change continuously", step)
	}
	if policy != "" || handover != "" {
		m.unmapped("the policies %q and %q belong to groundLinks: highest comes nearest to the least delay", clip(policy), clip(handover))
	}
	if len(machines) > 0 {
		m.unmapped("machines are left out, and what it takes to log in to them")
	}
	for _, key := range sortedKeys(raw) {
		m.unmapped("%q is not known", clip(key))
	}
	return m.finish("a configuration of StarryNet")
}

// maxSeconds is the longest duration that is read: a hundred years.
const maxSeconds = 100 * 365.25 * 86400

// properties of links, by rate in bit/s and loss in per cent; what is 0 is left out.
func properties(bps, percent float64) scenario.Properties {
	p := scenario.Properties{Rate: scenario.Rate(bps)}
	if percent > 0 {
		p.Loss = &scenario.Loss{Probability: scenario.Fraction(percent / 100)}
	}
	return p
}

// badJSON says where a text is no JSON, or not of the shape that it should have.
func badJSON(file, text string, err error) error {
	offset := int64(-1)
	if e := new(json.SyntaxError); errors.As(err, &e) {
		offset = e.Offset
	}
	if e := new(json.UnmarshalTypeError); errors.As(err, &e) {
		offset = e.Offset
		err = fmt.Errorf("%s is a %s", clip(e.Field), e.Value)
	}
	line := 0
	if offset >= 0 && offset <= int64(len(text)) {
		line = 1 + strings.Count(text[:offset], "\n")
	}
	return mistake(file, line, "%v", err)
}

// sortedKeys of a map, so that files and messages are the same each time.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

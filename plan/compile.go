package plan

import (
	"fmt"
	"os"
	"slices"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/orbit/gp"
	"orrery.dev/orrery/orbit/sgp4"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// Plan is a scenario ready to be planned: all nodes and ports, and the rules by
// which they are joined. It is immutable and safe for concurrent use.
type Plan struct {
	Scenario *scenario.Scenario
	// Epoch is the instant of scenario time 0.
	Epoch time.Time
	Nodes []Node
	// Warnings say what Compile found doubtful but not wrong.
	Warnings []Warning

	ports  []*Port // by PortID
	mates  map[PortID]PortID
	byName map[string]int
	movers []*sky.Mover       // by node
	kinks  []waypointInstants // by node
	groups []group
}

// Warning is something that the reader of a plan ought to know.
type Warning struct {
	At   time.Duration // scenario time
	Node string        // "" if it is about no node
	Text string
}

func (w Warning) String() string {
	if w.Node == "" {
		return fmt.Sprintf("at %v: %s", w.At, w.Text)
	}
	return fmt.Sprintf("at %v: %s: %s", w.At, w.Node, w.Text)
}

// group is a set of links that are planned together: it never shares a port
// with another group.
type group interface {
	// begin makes the state with which a cursor starts at scenario time 0.
	begin(b *book) planner
	// media are the kinds of its links, always in the same order.
	media() []*medium
}

// defaultEpoch is the epoch of a scenario without one and without element files.
var defaultEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Compile reads the element files of a valid scenario and makes its inventory.
// It computes no contacts.
func Compile(s *scenario.Scenario) (*Plan, error) {
	c := compiler{Plan: &Plan{Scenario: s, byName: map[string]int{}}, file: map[string][]gp.Elements{}}
	if err := c.readFiles(); err != nil {
		return nil, err
	}
	if err := c.addNodes(); err != nil {
		return nil, err
	}
	if err := c.addLinks(); err != nil {
		return nil, err
	}
	c.numberPorts()
	c.mates = c.fixedPeers()
	return c.Plan, nil
}

// Node finds a node by its name.
func (p *Plan) Node(name string) (*Node, bool) {
	i, ok := p.byName[name]
	if !ok {
		return nil, false
	}
	return &p.Nodes[i], true
}

// NumPorts is the number of ports of all nodes.
func (p *Plan) NumPorts() int { return len(p.ports) }

// Port is the port of a number, 0 … NumPorts()-1.
func (p *Plan) Port(id PortID) *Port { return p.ports[id] }

// PortByName finds a port by its node's name and its own.
func (p *Plan) PortByName(node, port string) (*Port, bool) {
	n, ok := p.Node(node)
	if !ok {
		return nil, false
	}
	for i := range n.Ports {
		if n.Ports[i].Name == port {
			return &n.Ports[i], true
		}
	}
	return nil, false
}

// NodeOf is the node that a port belongs to.
func (p *Plan) NodeOf(id PortID) *Node { return &p.Nodes[p.ports[id].Node] }

// FixedPeer is the one port that a port ever meets: that of ring, grid and
// explicit links. Others meet many, and have none.
func (p *Plan) FixedPeer(id PortID) (PortID, bool) {
	peer, ok := p.mates[id]
	return peer, ok
}

type compiler struct {
	*Plan
	file      map[string][]gp.Elements // by path as written
	satellite [][]int                  // nodes of each constellation
	station   []int
}

// readFiles reads the element files, each once, and settles the epoch.
func (c *compiler) readFiles() error {
	var newest time.Time
	for i := range c.Scenario.Spec.Constellations {
		f := c.Scenario.Spec.Constellations[i].File
		if f == nil || c.file[f.Path] != nil {
			continue
		}
		sets, err := readElements(c.Scenario.Path(f.Path), gp.Format(f.Format))
		if err != nil {
			return c.Scenario.Problem(fmt.Sprintf("spec.constellations[%d].file.path", i),
				err.Error(), "name a file of TLE or OMM element sets")
		}
		c.file[f.Path] = sets
		for _, e := range sets {
			if e.Epoch.After(newest) {
				newest = e.Epoch
			}
		}
	}
	switch {
	case c.Scenario.Spec.Epoch != nil:
		c.Epoch = *c.Scenario.Spec.Epoch
	case !newest.IsZero():
		c.Epoch = newest
	default:
		c.Epoch = defaultEpoch
	}
	c.Epoch = c.Epoch.UTC()
	return nil
}

func readElements(path string, format gp.Format) ([]gp.Elements, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sets, err := gp.Read(f, format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sets, nil
}

func (c *compiler) addNodes() error {
	for i := range c.Scenario.Spec.Constellations {
		first := len(c.Nodes)
		if err := c.addConstellation(i); err != nil {
			return err
		}
		nodes := make([]int, 0, len(c.Nodes)-first)
		for n := first; n < len(c.Nodes); n++ {
			nodes = append(nodes, n)
		}
		c.satellite = append(c.satellite, nodes)
	}
	for i := range c.Scenario.Spec.Stations {
		if err := c.addStation(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) addConstellation(i int) error {
	k := &c.Scenario.Spec.Constellations[i]
	where := fmt.Sprintf("spec.constellations[%d]", i)
	switch {
	case k.Walker != nil:
		w := walker(k.Walker)
		if err := w.Check(); err != nil {
			return c.Scenario.Problem(where+".walker", err.Error(), "")
		}
		for p := range w.Planes {
			for s := range w.PerPlane {
				m, err := orbit.NewKepler(w.Elements(p, s), c.Epoch)
				if err != nil {
					return c.Scenario.Problem(where+".walker", err.Error(), "")
				}
				if err := c.add(where, Node{Name: k.SatelliteName(p, s), Group: k.Name, Plane: p, Slot: s, Motion: m}); err != nil {
					return err
				}
			}
		}
	case k.File != nil:
		sets := choose(c.file[k.File.Path], k.File.Select)
		if len(sets) == 0 {
			return c.Scenario.Problem(where+".file.select", "no satellite of the file is selected", "widen the selection")
		}
		for _, e := range sets {
			m, err := sgp4.NewSatellite(e, c.Epoch)
			if err != nil {
				return c.Scenario.Problem(where+".file", err.Error(), "")
			}
			if err := c.add(where, Node{Name: k.CatalogueName(e.Number), Group: k.Name, Plane: -1, Slot: -1, Motion: m}); err != nil {
				return err
			}
		}
	default:
		for j := range k.Elements {
			e := &k.Elements[j]
			m, err := orbit.NewKepler(elements(e), c.Epoch)
			if err != nil {
				return c.Scenario.Problem(fmt.Sprintf("%s.elements[%d]", where, j), err.Error(), "")
			}
			if err := c.add(where, Node{Name: k.ElementName(e), Group: k.Name, Plane: -1, Slot: -1, Motion: m}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *compiler) addStation(i int) error {
	s := &c.Scenario.Spec.Stations[i]
	where := fmt.Sprintf("spec.stations[%d]", i)
	node := Node{Name: s.Name, Kind: Station, Plane: -1, Slot: -1}
	var kinks waypointInstants
	if len(s.Waypoints) == 0 {
		if s.Position == nil {
			return c.Scenario.Problem(where, "the station has neither position nor waypoints", "give one of them")
		}
		node.Motion = orbit.NewFixed(geodetic(s.Position))
	} else {
		points := make([]orbit.Waypoint, len(s.Waypoints))
		for j := range s.Waypoints {
			w := &s.Waypoints[j]
			points[j] = orbit.Waypoint{At: time.Duration(w.At), Place: geodetic(&w.Position)}
			kinks.at = append(kinks.at, time.Duration(w.At))
		}
		kinks.loop = s.Loop
		m, err := orbit.NewWaypoints(points, s.Loop)
		if err != nil {
			return c.Scenario.Problem(where+".waypoints", err.Error(), "")
		}
		node.Motion = m
	}
	if err := c.add(where, node); err != nil {
		return err
	}
	n := len(c.Nodes) - 1
	c.kinks[n] = kinks
	c.station = append(c.station, n)
	return nil
}

// add appends a node. One without a position at the epoch stays, and never has
// a contact.
func (c *compiler) add(where string, n Node) error {
	n.Index = len(c.Nodes)
	if _, taken := c.byName[n.Name]; taken {
		return c.Scenario.Problem(where, fmt.Sprintf("there are two nodes called %s", n.Name), "give each node a name of its own")
	}
	var m *sky.Mover
	if n.Kind == Station {
		var err error
		if m, err = sky.NewObserver(n.Motion); err != nil {
			return c.Scenario.Problem(where, err.Error(), "")
		}
	} else {
		m = sky.NewMover(n.Motion)
		if _, err := m.At(0); err != nil {
			c.Warnings = append(c.Warnings, Warning{0, n.Name, fmt.Sprintf("has no position at the epoch, and so no contacts: %v", err)})
		}
	}
	c.byName[n.Name] = n.Index
	c.Nodes = append(c.Nodes, n)
	c.movers = append(c.movers, m)
	c.kinks = append(c.kinks, waypointInstants{})
	return nil
}

// addPort gives a node one more port and says its index within the node.
func (c *compiler) addPort(node int, name string, role Role) int {
	n := &c.Nodes[node]
	n.Ports = append(n.Ports, Port{Node: node, Index: len(n.Ports), Name: name, Role: role})
	return len(n.Ports) - 1
}

func (c *compiler) numberPorts() {
	for i := range c.Nodes {
		for j := range c.Nodes[i].Ports {
			p := &c.Nodes[i].Ports[j]
			p.ID = PortID(len(c.ports))
			c.ports = append(c.ports, p)
		}
	}
}

// id is the number of a node's port.
func (p *Plan) id(node, port int) PortID { return p.Nodes[node].Ports[port].ID }

// choose keeps the element sets that a selection wants.
func choose(sets []gp.Elements, sel *scenario.Select) []gp.Elements {
	if sel == nil {
		return sets
	}
	var kept []gp.Elements
	for _, e := range sets {
		if sel.Count > 0 && len(kept) == sel.Count {
			break
		}
		if len(sel.Names) > 0 && !scenario.MatchFold(sel.Names, e.Name) {
			continue
		}
		if len(sel.Numbers) > 0 && !slices.Contains(sel.Numbers, e.Number) {
			continue
		}
		if r := sel.Inclination; r != nil && (r.Min != nil && e.Inclination < float64(*r.Min) || r.Max != nil && e.Inclination > float64(*r.Max)) {
			continue
		}
		if r := sel.Altitude; r != nil {
			h := e.MeanAltitude()
			if r.Min != nil && h < float64(*r.Min) || r.Max != nil && h > float64(*r.Max) {
				continue
			}
		}
		kept = append(kept, e)
	}
	return kept
}

// walker, elements and geodetic turn the file's degrees into radians.
func walker(w *scenario.Walker) orbit.Walker {
	spread := orbit.Delta
	if w.Pattern == "star" {
		spread = orbit.Star
	}
	if w.RAANSpread != nil {
		spread = float64(*w.RAANSpread) * orbit.Degree
	}
	return orbit.Walker{
		Planes: w.Planes, PerPlane: w.SatellitesPerPlane, Phasing: w.Phasing, Spread: spread,
		RAAN:        float64(w.RAANOffset) * orbit.Degree,
		Anomaly:     float64(w.AnomalyOffset) * orbit.Degree,
		Inclination: float64(w.Inclination) * orbit.Degree,
		Altitude:    float64(w.Altitude),
	}
}

func elements(e *scenario.Element) orbit.Elements {
	k := orbit.Elements{
		Eccentricity:      e.Eccentricity,
		Inclination:       float64(e.Inclination) * orbit.Degree,
		RAAN:              float64(e.RAAN) * orbit.Degree,
		ArgumentOfPerigee: float64(e.ArgumentOfPerigee) * orbit.Degree,
		MeanAnomaly:       float64(e.MeanAnomaly) * orbit.Degree,
	}
	switch {
	case e.SemiMajorAxis != nil:
		k.SemiMajorAxis = float64(*e.SemiMajorAxis)
	case e.Altitude != nil:
		k.SemiMajorAxis = orbit.EarthRadius + float64(*e.Altitude)
	}
	return k
}

func geodetic(p *scenario.Position) orbit.Geodetic {
	return orbit.Degrees(float64(p.Lat), float64(p.Lon), float64(p.Height))
}

// waypointInstants are the instants at which a station's velocity jumps.
type waypointInstants struct {
	at   []time.Duration
	loop bool
}

// within appends the instants in (from, to), ascending.
func (w *waypointInstants) within(dst []time.Duration, from, to time.Duration) []time.Duration {
	if len(w.at) == 0 {
		return dst
	}
	if !w.loop {
		for _, t := range w.at {
			if t > from && t < to {
				dst = append(dst, t)
			}
		}
		return dst
	}
	first := w.at[0]
	period := w.at[len(w.at)-1] - first
	if from < first {
		if first < to && first > from {
			dst = append(dst, first)
		}
		from = first
	}
	for base := first + (from-first)/period*period; base < to; base += period {
		for _, t := range w.at[1:] {
			if s := base + t - first; s > from && s < to {
				dst = append(dst, s)
			}
		}
	}
	return dst
}

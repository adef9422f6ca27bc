package scenario

import "time"

// APIVersion and Kind name the file format. The same document is the custom
// resource on Kubernetes.
const (
	APIVersion = "orrery.dev/v1alpha1"
	Kind       = "Scenario"
)

// Scenario is a moving network: a pure function from time to topology, and
// the software that its nodes run.
type Scenario struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       Spec     `json:"spec"`
}

// Metadata names the scenario. Further Kubernetes metadata is accepted and
// ignored by the native engine.
type Metadata struct {
	// Name is a DNS label: lower-case letters, digits and '-', 63 at most.
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Spec is what moves, who may talk to whom, and what runs.
type Spec struct {
	// Epoch is the instant, UTC, at which scenario time is 0. When absent it
	// is the newest epoch of the element files, or 2026-01-01T00:00:00Z if
	// there are none, so that a file always means the same sky.
	Epoch *time.Time `json:"epoch,omitempty"`
	// Duration is how long the scenario runs; 0 or absent means until stopped.
	Duration Duration `json:"duration,omitempty"`
	// Speed is orbital seconds per real second. Default 1.
	Speed float64 `json:"speed,omitempty"`
	// Seed of everything that is random. Default 1.
	Seed uint64 `json:"seed,omitempty"`

	Constellations []Constellation `json:"constellations,omitempty"`
	Stations       []Station       `json:"stations,omitempty"`
	// InterLinks join satellites of different constellations.
	InterLinks []InterLink `json:"interLinks,omitempty"`
	// GroundLinks join stations and satellites.
	GroundLinks []GroundLink `json:"groundLinks,omitempty"`
	// Network holds addressing and interface settings for all nodes.
	Network Network `json:"network,omitempty"`
	// Routing says which nodes run which protocol; a node takes the first
	// entry that matches it, and none if none does.
	Routing []Routing `json:"routing,omitempty"`
	// Commands are the users' own processes, started in nodes' namespaces.
	Commands []Command `json:"commands,omitempty"`
}

// Constellation is a set of satellites with one source of orbits: exactly one
// of Walker, Elements and File.
type Constellation struct {
	// Name begins the names of its satellites: "sat" gives sat-p01s03 (plane 1,
	// slot 3, counted from 1) for Walker; explicit elements are named sat-NAME,
	// satellites of a file sat-CATALOGUENUMBER.
	Name     string     `json:"name"`
	Walker   *Walker    `json:"walker,omitempty"`
	Elements []Element  `json:"elements,omitempty"`
	File     *OrbitFile `json:"file,omitempty"`
	// Links between satellites of this constellation. Absent means none.
	Links *ISL `json:"links,omitempty"`
	// GroundPorts is how many stations a satellite can serve at once. Default 1
	// if a ground link names the constellation, else 0.
	GroundPorts *int `json:"groundPorts,omitempty"`
}

// Walker is a constellation in Walker's notation i:t/p/f (J. G. Walker, 1984).
type Walker struct {
	// Pattern is "delta" (planes spread over 360 deg) or "star" (over 180 deg).
	Pattern            string `json:"pattern"`
	Planes             int    `json:"planes"`
	SatellitesPerPlane int    `json:"satellitesPerPlane"`
	// Phasing is Walker's f, 0 … planes-1: satellites in neighbouring planes are
	// shifted by f·360°/t. Fractions are allowed (Iridium's half spacing is
	// f = planes/2). Default 0.
	Phasing     float64  `json:"phasing,omitempty"`
	Inclination Angle    `json:"inclination"`
	Altitude    Distance `json:"altitude"`
	// RAANSpread is the arc over which the planes' nodes are spread. Default
	// 360 deg for delta, 180 deg for star.
	RAANSpread *Angle `json:"raanSpread,omitempty"`
	// RAANOffset is the right ascension of the first plane. Default 0.
	RAANOffset Angle `json:"raanOffset,omitempty"`
	// AnomalyOffset is the argument of latitude of the first satellite.
	AnomalyOffset Angle `json:"anomalyOffset,omitempty"`
}

// Element is one satellite by its mean Kepler elements at the scenario's epoch.
type Element struct {
	Name string `json:"name"`
	// Exactly one of Altitude (of a circular or mean orbit above 6378.137 km)
	// and SemiMajorAxis.
	Altitude          *Distance `json:"altitude,omitempty"`
	SemiMajorAxis     *Distance `json:"semiMajorAxis,omitempty"`
	Eccentricity      float64   `json:"eccentricity,omitempty"`
	Inclination       Angle     `json:"inclination"`
	RAAN              Angle     `json:"raan,omitempty"`
	ArgumentOfPerigee Angle     `json:"argumentOfPerigee,omitempty"`
	MeanAnomaly       Angle     `json:"meanAnomaly,omitempty"`
}

// OrbitFile is a file of real elements.
type OrbitFile struct {
	// Path is relative to the scenario file.
	Path string `json:"path"`
	// Format is tle, omm-json, omm-csv, omm-xml, omm-kvn; absent: found by content.
	Format string  `json:"format,omitempty"`
	Select *Select `json:"select,omitempty"`
}

// Select keeps the satellites of a file that meet all that is given.
type Select struct {
	// Names are shell patterns ("ONEWEB-*"), case-insensitive; any may match.
	Names []string `json:"names,omitempty"`
	// Numbers are catalogue numbers.
	Numbers []int `json:"numbers,omitempty"`
	// Inclination and Altitude (mean, above 6378.135 km) bound a shell.
	Inclination *AngleRange    `json:"inclination,omitempty"`
	Altitude    *DistanceRange `json:"altitude,omitempty"`
	// Count keeps the first so many after all else, in order of the file.
	Count int `json:"count,omitempty"`
}

// AngleRange is a closed interval; an absent bound is open.
type AngleRange struct {
	Min *Angle `json:"min,omitempty"`
	Max *Angle `json:"max,omitempty"`
}

// DistanceRange is a closed interval; an absent bound is open.
type DistanceRange struct {
	Min *Distance `json:"min,omitempty"`
	Max *Distance `json:"max,omitempty"`
}

// ISL says how satellites of one constellation are linked.
type ISL struct {
	// Pattern:
	//   none     no links;
	//   ring     fore and aft along each plane;
	//   grid     ring, and left and right to the neighbouring planes (+grid);
	//   nearest  each satellite to its nearest neighbours in range;
	//   explicit the pairs of Pairs, whenever they are in view.
	// grid and ring need planes: Walker, or a file, whose planes are found
	// from the nodes of its orbits.
	Pattern string `json:"pattern"`
	// Seam of a grid: "open" leaves out the links between the first and the last
	// plane (where a star's planes counter-rotate), "closed" has them. Default:
	// open for star, closed for delta.
	Seam string `json:"seam,omitempty"`
	// Ports per satellite for nearest. Default 4.
	Ports int `json:"ports,omitempty"`
	// Pairs of satellite names for explicit.
	Pairs [][2]string `json:"pairs,omitempty"`
	// Interval of nearest: at its multiples satellites with a free port seek
	// partners and may change to better ones. Default 10 s.
	Interval Duration `json:"interval,omitempty"`
	// Hysteresis of nearest: a new neighbour must be nearer than the present
	// one by this. Default 0.
	Hysteresis Distance `json:"hysteresis,omitempty"`
	Limits     `json:",inline"`
	// Properties of each link.
	Properties Properties `json:"properties,omitempty"`
}

// Limits end a contact between satellites where they are exceeded.
type Limits struct {
	// MaxRange between the two ends. Absent: no limit.
	MaxRange Distance `json:"maxRange,omitempty"`
	// MinGrazingAltitude is how high the line of sight must stay above the
	// spherical Earth (6378.137 km). Default 80 km.
	MinGrazingAltitude *Distance `json:"minGrazingAltitude,omitempty"`
	// MaxLatitude is the polar cut-off: links between planes are off while
	// either end's geocentric latitude is beyond it. Absent: no cut-off.
	MaxLatitude *Angle `json:"maxLatitude,omitempty"`
	// Acquisition is how long pointing takes, from the instant of mutual view
	// until the link carries frames. Default 0.
	Acquisition Duration `json:"acquisition,omitempty"`
}

// InterLink joins two constellations.
type InterLink struct {
	Name string `json:"name"`
	// Between are two constellations; each satellite of the first seeks a
	// partner in the second.
	Between [2]string `json:"between"`
	// Pattern is "nearest".
	Pattern string `json:"pattern,omitempty"`
	// Ports on each satellite of the first (default 1) and the second (default 4).
	Ports []int `json:"ports,omitempty"`
	// Interval and Hysteresis as in ISL.
	Interval   Duration `json:"interval,omitempty"`
	Hysteresis Distance `json:"hysteresis,omitempty"`
	Limits     `json:",inline"`
	Properties Properties `json:"properties,omitempty"`
}

// Station is a node on or near the surface: a fixed position, or waypoints.
type Station struct {
	Name     string    `json:"name"`
	Position *Position `json:"position,omitempty"`
	// Waypoints in order of time; between two the station moves along the great
	// circle at constant speed. Before the first and after the last it rests,
	// unless Loop.
	Waypoints []Waypoint `json:"waypoints,omitempty"`
	// Loop starts again at the first waypoint after the last.
	Loop bool `json:"loop,omitempty"`
}

// Position is geodetic, WGS-84.
type Position struct {
	Lat    Angle    `json:"lat"`
	Lon    Angle    `json:"lon"`
	Height Distance `json:"height,omitempty"`
}

// Waypoint is a position at a scenario time.
type Waypoint struct {
	At       Duration `json:"at"`
	Position `json:",inline"`
}

// GroundLink says which stations talk to which satellites, and how they choose.
type GroundLink struct {
	Name string `json:"name"`
	// Stations are shell patterns of names. Default: all.
	Stations []string `json:"stations,omitempty"`
	// Constellations by name. Default: all.
	Constellations []string `json:"constellations,omitempty"`
	// MinElevation above the station's horizon (geodetic vertical).
	MinElevation Angle `json:"minElevation"`
	// MaxRange. Absent: no limit.
	MaxRange Distance `json:"maxRange,omitempty"`
	// Antennas per station. Default 1.
	Antennas int `json:"antennas,omitempty"`
	// Policy by which a free antenna chooses among satellites in view with a
	// free ground port:
	//   highest  the highest elevation, changing whenever another is higher by
	//            Hysteresis at a decision instant;
	//   longest  the one that stays in view for the longest time, kept to its end;
	//   sticky   the highest, kept until it sets below MinElevation+Hysteresis or
	//            is lost.
	// Default sticky.
	Policy     string `json:"policy,omitempty"`
	Hysteresis Angle  `json:"hysteresis,omitempty"`
	// Interval fixes decision instants to its multiples (Starlink: 15s). Absent:
	// decisions are made when a satellite rises or sets, and, for highest, each 10 s.
	Interval Duration `json:"interval,omitempty"`
	// MakeBeforeBreak takes up the next satellite this long before the present
	// one is left, where a second antenna is free. 0: break before make.
	MakeBeforeBreak Duration `json:"makeBeforeBreak,omitempty"`
	// Acquisition as in Limits.
	Acquisition Duration   `json:"acquisition,omitempty"`
	Properties  Properties `json:"properties,omitempty"`
}

// Properties of a link, alike in both directions.
type Properties struct {
	// Rate of the link. Absent: not limited by the emulator.
	Rate Rate `json:"rate,omitempty"`
	// Queue in front of the link, drop-tail. Default: 50 ms at Rate, at least 64 kB.
	Queue Size `json:"queue,omitempty"`
	// Loss of frames on the way.
	Loss *Loss `json:"loss,omitempty"`
	// ExtraDelay is added to the geometric delay (processing, coding).
	ExtraDelay Duration `json:"extraDelay,omitempty"`
	// Table makes rate, loss and extra delay depend on geometry.
	Table *Table `json:"table,omitempty"`
	// Silent keeps the carrier up when the contact ends, so that daemons must
	// find out by themselves.
	Silent bool `json:"silent,omitempty"`
}

// Loss is one of Bernoulli and Gilbert-Elliott.
type Loss struct {
	// Probability of losing each frame by itself.
	Probability    Fraction        `json:"probability,omitempty"`
	GilbertElliott *GilbertElliott `json:"gilbertElliott,omitempty"`
}

// GilbertElliott is the two-state loss model (Gilbert 1960, Elliott 1963). The
// state may change at each frame.
type GilbertElliott struct {
	// GoodToBad and BadToGood are the transition probabilities per frame.
	GoodToBad Fraction `json:"goodToBad"`
	BadToGood Fraction `json:"badToGood"`
	// LossGood and LossBad are the loss probabilities in each state. Default 0 and 1.
	LossGood Fraction  `json:"lossGood,omitempty"`
	LossBad  *Fraction `json:"lossBad,omitempty"`
}

// Table gives properties at elevations or ranges, interpolated linearly between
// its rows and constant outside of them.
type Table struct {
	// By is "elevation" (ground links) or "range".
	By   string     `json:"by"`
	Rows []TableRow `json:"rows"`
}

// TableRow is one row; what it leaves out is as in Properties.
type TableRow struct {
	Elevation  *Angle    `json:"elevation,omitempty"`
	Range      *Distance `json:"range,omitempty"`
	Rate       *Rate     `json:"rate,omitempty"`
	Loss       *Fraction `json:"loss,omitempty"`
	ExtraDelay *Duration `json:"extraDelay,omitempty"`
}

// Network holds what is common to all nodes' interfaces.
type Network struct {
	// IPv4 gives every node an IPv4 loopback besides IPv6. Default false.
	IPv4 bool `json:"ipv4,omitempty"`
	// Prefix of the loopbacks, a /32 of unique local space. Default fd00::/32.
	Prefix string `json:"prefix,omitempty"`
	// MTU of every port. Default 1500.
	MTU int `json:"mtu,omitempty"`
}

// Routing is what a group of nodes runs.
type Routing struct {
	// Nodes are shell patterns of node names. Default: all.
	Nodes []string `json:"nodes,omitempty"`
	// Protocol: isis, ospf3, ospf2, bgp, static, oracle, none.
	Protocol string `json:"protocol"`
	// Daemon: bird, frr. Default: frr for isis and ospf2, bird for ospf3 and bgp.
	// oracle and none have none.
	Daemon string `json:"daemon,omitempty"`
	// Hello, Dead (hold) and SPF delays; absent: the daemon's defaults.
	Hello    Duration `json:"hello,omitempty"`
	Dead     Duration `json:"dead,omitempty"`
	SPFDelay Duration `json:"spfDelay,omitempty"`
	// BFD watches each adjacency (FRR: bfdd; BIRD: built in).
	BFD *BFD `json:"bfd,omitempty"`
	// Areas group nodes; a node is in the first that matches, else in the
	// backbone (OSPF area 0, IS-IS level 2 only).
	Areas []Area `json:"areas,omitempty"`
	// Metric is "delay" (microseconds of geometric delay / 100 when a link comes
	// up) or "hops". Default hops.
	Metric string `json:"metric,omitempty"`
	// Template is a file (Go text/template) that replaces the daemon's built-in
	// configuration; relative to the scenario file.
	Template string `json:"template,omitempty"`
	// Lead of oracle routes: a link that is going to end is left this much earlier.
	// Default 100 ms.
	Lead Duration `json:"lead,omitempty"`
	// Destinations of oracle routes: "stations" or "all" loopbacks. Default stations.
	Destinations string `json:"destinations,omitempty"`
	// Static routes, for protocol static.
	Routes []StaticRoute `json:"routes,omitempty"`
}

// BFD timers (RFC 5880).
type BFD struct {
	Interval   Duration `json:"interval,omitempty"`   // default 100 ms
	Multiplier int      `json:"multiplier,omitempty"` // default 3
}

// Area is an OSPF area or IS-IS level-1 area.
type Area struct {
	// ID as the protocol writes it: 0.0.0.1 or 1 (OSPF), 49.0001 (IS-IS).
	ID    string   `json:"id"`
	Nodes []string `json:"nodes"`
}

// StaticRoute of protocol static.
type StaticRoute struct {
	// To is a prefix, or a node's name for its loopback.
	To string `json:"to"`
	// Via is a port of the node.
	Via string `json:"via"`
}

// Command is a process in a node's namespace.
type Command struct {
	Name string `json:"name"`
	// Nodes are shell patterns of names.
	Nodes []string `json:"nodes"`
	// Argv is program and arguments; no shell is involved. In arguments ${node},
	// ${loopback} and ${loopback:NODE} stand for names and addresses.
	Argv []string          `json:"argv"`
	Env  map[string]string `json:"env,omitempty"`
	// Start is the scenario time of the start. Default 0.
	Start Duration `json:"start,omitempty"`
	// Restart: "never" (default), "on-failure", "always".
	Restart string `json:"restart,omitempty"`
}

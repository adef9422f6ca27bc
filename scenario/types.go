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
	// APIVersion and Kind say what the document is.
	APIVersion string `json:"apiVersion" enum:"orrery.dev/v1alpha1"`
	// Kind is that of the resource.
	Kind string `json:"kind" enum:"Scenario"`
	// Metadata names the scenario.
	Metadata Metadata `json:"metadata"`
	// Spec is the scenario itself.
	Spec Spec `json:"spec"`

	source *source // where it was read from, nil for none
}

// Metadata names the scenario. Further Kubernetes metadata is accepted and
// ignored by the native engine.
type Metadata struct {
	// Name is a DNS label: lower-case letters, digits and '-', 63 at most.
	Name string `json:"name" format:"label"`
	// Namespace, Labels and Annotations are for Kubernetes and for the user's own use.
	Namespace string `json:"namespace,omitempty"`
	// Labels as on Kubernetes.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations as on Kubernetes.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Spec is what moves, who may talk to whom, and what runs.
type Spec struct {
	// Epoch is the instant, UTC, at which scenario time is 0. When absent it
	// is the newest epoch of the element files, or 2026-01-01T00:00:00Z if
	// there are none, so that a file always means the same sky.
	Epoch *time.Time `json:"epoch,omitempty"`
	// Duration is how long the scenario runs; 0 or absent means until stopped.
	Duration Duration `json:"duration,omitempty" min:"0s"`
	// Speed is orbital seconds per real second. Default 1.
	Speed float64 `json:"speed,omitempty" default:"1" above:"0" max:"100000"`
	// Seed of everything that is random. Default 1.
	Seed uint64 `json:"seed,omitempty" default:"1" min:"1"`

	// Constellations of satellites.
	Constellations []Constellation `json:"constellations,omitempty"`
	// Stations on the ground, at sea and in the air.
	Stations []Station `json:"stations,omitempty"`
	// InterLinks join satellites of different constellations.
	InterLinks []InterLink `json:"interLinks,omitempty"`
	// GroundLinks join stations and satellites.
	GroundLinks []GroundLink `json:"groundLinks,omitempty"`
	// Fidelity is how exact the emulation must be to be trusted.
	Fidelity Fidelity `json:"fidelity,omitzero"`
	// Probes are echo requests by which the emulator watches the network: between
	// all pairs of stations, all the time, or none. They are traffic as any other,
	// and without them nobody sees which stations reach each other.
	Probes string `json:"probes,omitempty" default:"stations" enum:"stations,none"`
	// Network holds addressing and interface settings for all nodes.
	Network Network `json:"network,omitzero"`
	// Routing says which nodes run which protocol; a node takes the first
	// entry that matches it, and none if none does.
	Routing []Routing `json:"routing,omitempty"`
	// Boot is what there is first:
	//   links    links: daemons start under the sky of time 0, and their network
	//            grows as they come up;
	//   routers  routing daemons: no port has a carrier before each of them is up
	//            or has failed. Then all links of that moment come up at once, and
	//            no daemon computes routes for a network that is still growing.
	// Scenario time runs meanwhile. Default links.
	Boot string `json:"boot,omitempty" default:"links" enum:"links,routers"`
	// Commands are the users' own processes, started in nodes' namespaces.
	Commands []Command `json:"commands,omitempty"`
	// Isolation says which processes see nothing of other nodes: no processes, no
	// files, and /tmp, /run and the like of their own.
	//   none      none: all see the host as it is;
	//   commands  Commands and what `orrery exec` runs;
	//   all       routing daemons too.
	// Default commands.
	Isolation string `json:"isolation,omitempty" default:"commands" enum:"none,commands,all"`
	// Kubernetes says how nodes run as pods. `orrery up` reads it and does nothing
	// with it.
	Kubernetes Kubernetes `json:"kubernetes,omitzero"`
}

// Constellation is a set of satellites with one source of orbits: exactly one
// of Walker, Elements and File.
type Constellation struct {
	// Name begins the names of its satellites: "sat" gives sat-p01s03 (plane 1,
	// slot 3, counted from 1) for Walker; explicit elements are named sat-NAME,
	// satellites of a file sat-CATALOGUENUMBER.
	Name string `json:"name" format:"label"`
	// Walker gives the orbits by a regular pattern.
	Walker *Walker `json:"walker,omitempty"`
	// Elements give the orbit of each satellite.
	Elements []Element `json:"elements,omitempty"`
	// File holds real orbits: TLE or OMM.
	File *OrbitFile `json:"file,omitempty"`
	// Links between satellites of this constellation. Absent means none.
	Links *ISL `json:"links,omitempty"`
	// GroundPorts is how many stations a satellite can serve at once. Default 1
	// if a ground link names the constellation, else 0.
	GroundPorts *int `json:"groundPorts,omitempty" min:"0" max:"64"`
}

// Walker is a constellation in Walker's notation i:t/p/f (J. G. Walker, 1984).
type Walker struct {
	// Pattern is "delta" (planes spread over 360 deg) or "star" (over 180 deg).
	Pattern string `json:"pattern" enum:"delta,star"`
	// Planes is p, the number of orbital planes.
	Planes int `json:"planes" min:"1" max:"100000"`
	// SatellitesPerPlane is t/p. The product with Planes is 100,000 at most.
	SatellitesPerPlane int `json:"satellitesPerPlane" min:"1" max:"100000"`
	// Phasing is Walker's f, 0 … planes-1: satellites in neighbouring planes are
	// shifted by f·360°/t. Fractions are allowed (Iridium's half spacing is
	// f = planes/2). Default 0.
	Phasing float64 `json:"phasing,omitempty" min:"0"`
	// Inclination of the planes to the equator.
	Inclination Angle `json:"inclination" min:"0deg" max:"180deg"`
	// Altitude of the circular orbits above 6378.137 km.
	Altitude Distance `json:"altitude" min:"100km" max:"1000000km"`
	// RAANSpread is the arc over which the planes' nodes are spread: neighbouring
	// planes are RAANSpread/Planes apart. Default 360 deg for delta, 180 deg for star.
	RAANSpread *Angle `json:"raanSpread,omitempty" above:"0deg" max:"360deg"`
	// RAANOffset is the right ascension of the first plane. Default 0.
	RAANOffset Angle `json:"raanOffset,omitempty" min:"-360deg" max:"360deg"`
	// AnomalyOffset is the argument of latitude of the first satellite.
	AnomalyOffset Angle `json:"anomalyOffset,omitempty" min:"-360deg" max:"360deg"`
}

// Element is one satellite by its mean Kepler elements at the scenario's epoch.
type Element struct {
	// Name is appended to that of the constellation.
	Name string `json:"name" format:"label"`
	// Exactly one of Altitude (of a circular or mean orbit above 6378.137 km)
	// and SemiMajorAxis.
	Altitude *Distance `json:"altitude,omitempty" min:"100km" max:"1000000km"`
	// SemiMajorAxis of the mean orbit, from the Earth's centre.
	SemiMajorAxis *Distance `json:"semiMajorAxis,omitempty" min:"6478.137km" max:"1006378.137km"`
	// Eccentricity; the perigee lies at 100 km at least. Default 0.
	Eccentricity float64 `json:"eccentricity,omitempty" min:"0" below:"1"`
	// Inclination of the orbit to the equator.
	Inclination Angle `json:"inclination" min:"0deg" max:"180deg"`
	// RAAN is the right ascension of the ascending node. Default 0.
	RAAN Angle `json:"raan,omitempty" min:"-360deg" max:"360deg"`
	// ArgumentOfPerigee, counted from the ascending node. Default 0.
	ArgumentOfPerigee Angle `json:"argumentOfPerigee,omitempty" min:"-360deg" max:"360deg"`
	// MeanAnomaly at the epoch. Default 0.
	MeanAnomaly Angle `json:"meanAnomaly,omitempty" min:"-360deg" max:"360deg"`
}

// OrbitFile is a file of real elements.
type OrbitFile struct {
	// Path is relative to the scenario file.
	Path string `json:"path"`
	// Format is tle, omm-json, omm-csv, omm-xml, omm-kvn; absent: found by content.
	Format string `json:"format,omitempty" enum:"tle,omm-json,omm-csv,omm-xml,omm-kvn"`
	// Select keeps some of the satellites. Absent: all.
	Select *Select `json:"select,omitempty"`
}

// Select keeps the satellites of a file that meet all that is given.
type Select struct {
	// Names are shell patterns ("ONEWEB-*"), case-insensitive; any may match.
	Names []string `json:"names,omitempty" count:"1.."`
	// Numbers are catalogue numbers.
	Numbers []int `json:"numbers,omitempty" count:"1.." min:"1" max:"999999999"`
	// Inclination and Altitude bound a shell.
	Inclination *AngleRange `json:"inclination,omitempty"`
	// Altitude is that of the mean semi-major axis above 6378.135 km.
	Altitude *DistanceRange `json:"altitude,omitempty"`
	// Count keeps the first so many after all else, in order of the file.
	Count int `json:"count,omitempty" min:"1"`
}

// AngleRange is a closed interval; an absent bound is open.
type AngleRange struct {
	// Min is the least value.
	Min *Angle `json:"min,omitempty" min:"0deg" max:"180deg"`
	// Max is the greatest value.
	Max *Angle `json:"max,omitempty" min:"0deg" max:"180deg"`
}

// DistanceRange is a closed interval; an absent bound is open.
type DistanceRange struct {
	// Min is the least value.
	Min *Distance `json:"min,omitempty" min:"0km"`
	// Max is the greatest value.
	Max *Distance `json:"max,omitempty" min:"0km"`
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
	Pattern string `json:"pattern" enum:"none,ring,grid,nearest,explicit"`
	// Seam of a grid: "open" leaves out the links between the first and the last
	// plane (where a star's planes counter-rotate), "closed" has them. Default:
	// open for star, closed for delta; for a file what its planes look like.
	Seam string `json:"seam,omitempty" enum:"open,closed"`
	// Ports per satellite for nearest. Default 4.
	Ports int `json:"ports,omitempty" min:"1" max:"64"`
	// Pairs of satellite names for explicit.
	Pairs [][2]string `json:"pairs,omitempty" count:"1.."`
	// Interval of nearest: at its multiples satellites with a free port seek
	// partners and may change to better ones. Default 10 s.
	Interval Duration `json:"interval,omitempty" min:"100ms"`
	// Hysteresis of nearest: a new neighbour must be nearer than the present
	// one by this. Default 0.
	Hysteresis Distance `json:"hysteresis,omitempty" min:"0km"`
	Limits     `json:",inline"`
	// Properties of each link.
	Properties Properties `json:"properties,omitzero"`
}

// Limits end a contact between satellites where they are exceeded.
type Limits struct {
	// MaxRange between the two ends. Absent: no limit.
	MaxRange Distance `json:"maxRange,omitempty" above:"0km"`
	// MinGrazingAltitude is how high the line of sight must stay above the
	// spherical Earth (6378.137 km). Default 80 km.
	MinGrazingAltitude *Distance `json:"minGrazingAltitude,omitempty" default:"80km" min:"0km" max:"2000km"`
	// MaxLatitude is the polar cut-off: links between planes are off while
	// either end's geocentric latitude is beyond it. Absent: no cut-off.
	MaxLatitude *Angle `json:"maxLatitude,omitempty" min:"0deg" max:"90deg"`
	// Acquisition is how long pointing takes, from the instant of mutual view
	// until the link carries frames. Default 0.
	Acquisition Duration `json:"acquisition,omitempty" min:"0s" max:"1h"`
}

// InterLink joins two constellations.
type InterLink struct {
	// Name of the inter-link, unique.
	Name string `json:"name" format:"label"`
	// Between are two constellations; each satellite of the first seeks a
	// partner in the second.
	Between [2]string `json:"between"`
	// Pattern is "nearest".
	Pattern string `json:"pattern,omitempty" default:"nearest" enum:"nearest"`
	// Ports on each satellite of the first (default 1) and the second (default 4).
	Ports []int `json:"ports,omitempty" count:"2" min:"1" max:"64"`
	// Interval and Hysteresis as in ISL.
	Interval Duration `json:"interval,omitempty" default:"10s" min:"100ms"`
	// Hysteresis is by how much a new partner must be nearer than the present one. Default 0.
	Hysteresis Distance `json:"hysteresis,omitempty" min:"0km"`
	Limits     `json:",inline"`
	// Properties of each link.
	Properties Properties `json:"properties,omitzero"`
}

// Station is a node on or near the surface: a fixed position, or waypoints.
type Station struct {
	// Name of the node.
	Name string `json:"name" format:"label"`
	// Position of a station that rests.
	Position *Position `json:"position,omitempty"`
	// Waypoints in order of time; between two the station moves along the great
	// circle at constant speed. Before the first and after the last it rests,
	// unless Loop.
	Waypoints []Waypoint `json:"waypoints,omitempty" count:"2.."`
	// Loop starts again at the first waypoint after the last.
	Loop bool `json:"loop,omitempty"`
}

// Position is geodetic, WGS-84.
type Position struct {
	// Lat is the geodetic latitude, positive north.
	Lat Angle `json:"lat" min:"-90deg" max:"90deg"`
	// Lon is the longitude, positive east.
	Lon Angle `json:"lon" min:"-180deg" max:"180deg"`
	// Height above the ellipsoid. Default 0.
	Height Distance `json:"height,omitempty" min:"-1km" max:"100km"`
}

// Waypoint is a position at a scenario time.
type Waypoint struct {
	// At is the scenario time of the arrival.
	At       Duration `json:"at" min:"0s"`
	Position `json:",inline"`
}

// GroundLink says which stations talk to which satellites, and how they choose.
type GroundLink struct {
	// Name of the ground link, unique.
	Name string `json:"name" format:"label"`
	// Stations are shell patterns of names. Default: all.
	Stations []string `json:"stations,omitempty"`
	// Constellations by name. Default: all.
	Constellations []string `json:"constellations,omitempty"`
	// MinElevation above the station's horizon (geodetic vertical).
	MinElevation Angle `json:"minElevation" min:"-10deg" max:"90deg"`
	// MaxRange. Absent: no limit.
	MaxRange Distance `json:"maxRange,omitempty" above:"0km"`
	// Antennas per station. Default 1.
	Antennas int `json:"antennas,omitempty" default:"1" min:"1" max:"64"`
	// Policy by which a free antenna chooses among satellites in view with a
	// free ground port:
	//   highest  the highest elevation, changing whenever another is higher by
	//            Hysteresis at a decision instant;
	//   longest  the one that stays in view for the longest time, kept to its end;
	//   sticky   the highest, kept until it sets below MinElevation+Hysteresis or
	//            is lost.
	// Default sticky.
	Policy string `json:"policy,omitempty" default:"sticky" enum:"highest,longest,sticky"`
	// Hysteresis of the policies highest and sticky. Default 0.
	Hysteresis Angle `json:"hysteresis,omitempty" min:"0deg" max:"90deg"`
	// Interval fixes decision instants to its multiples (Starlink: 15s). Absent:
	// decisions are made when a satellite rises or sets, and, for highest, each 10 s.
	Interval Duration `json:"interval,omitempty" min:"100ms"`
	// MakeBeforeBreak takes up the next satellite this long before the present
	// one is left, where a second antenna is free. 0: break before make.
	MakeBeforeBreak Duration `json:"makeBeforeBreak,omitempty" min:"0s" max:"1h"`
	// Acquisition as in Limits.
	Acquisition Duration `json:"acquisition,omitempty" min:"0s" max:"1h"`
	// Properties of each link.
	Properties Properties `json:"properties,omitzero"`
}

// Properties of a link, alike in both directions.
type Properties struct {
	// Rate of the link. Absent: not limited by the emulator.
	Rate Rate `json:"rate,omitempty" above:"0bit" max:"1000Tbit"`
	// Queue in front of the link, drop-tail. Default: 50 ms at Rate (the highest
	// one of a table), at least 64 kB. Without a rate there is none.
	Queue Size `json:"queue,omitempty" min:"1B"`
	// Loss of frames on the way.
	Loss *Loss `json:"loss,omitempty"`
	// ExtraDelay is added to the geometric delay (processing, coding).
	ExtraDelay Duration `json:"extraDelay,omitempty" min:"0s" max:"1h"`
	// Table makes rate, loss and extra delay depend on geometry.
	Table *Table `json:"table,omitempty"`
	// Silent keeps the carrier up when the contact ends, so that daemons must
	// find out by themselves.
	Silent bool `json:"silent,omitempty"`
}

// Loss is one of Bernoulli and Gilbert-Elliott.
type Loss struct {
	// Probability of losing each frame by itself.
	Probability Fraction `json:"probability,omitempty"`
	// GilbertElliott loses frames in bursts.
	GilbertElliott *GilbertElliott `json:"gilbertElliott,omitempty"`
}

// GilbertElliott is the two-state loss model (Gilbert 1960, Elliott 1963). The
// state may change at each frame.
type GilbertElliott struct {
	// GoodToBad is the probability of leaving the good state, per frame.
	GoodToBad Fraction `json:"goodToBad"`
	// BadToGood is the probability of leaving the bad state.
	BadToGood Fraction `json:"badToGood"`
	// LossGood is the probability of losing a frame in the good state. Default 0.
	LossGood Fraction `json:"lossGood,omitempty"`
	// LossBad is the probability of losing a frame in the bad state. Default 1.
	LossBad *Fraction `json:"lossBad,omitempty" default:"1"`
}

// Table gives properties at elevations or ranges, interpolated linearly between
// its rows and constant outside of them.
type Table struct {
	// By is "elevation" (ground links) or "range".
	By string `json:"by" enum:"elevation,range"`
	// Rows in ascending order of elevation or range.
	Rows []TableRow `json:"rows" count:"1.."`
}

// TableRow is one row; what it leaves out is as in Properties.
type TableRow struct {
	// Elevation that the row is for, in a table by elevation.
	Elevation *Angle `json:"elevation,omitempty" min:"-90deg" max:"90deg"`
	// Range that the row is for, in a table by range.
	Range *Distance `json:"range,omitempty" min:"0km"`
	// Rate of the link there.
	Rate *Rate `json:"rate,omitempty" above:"0bit" max:"1000Tbit"`
	// Loss is the probability of losing a frame there.
	Loss *Fraction `json:"loss,omitempty"`
	// ExtraDelay there.
	ExtraDelay *Duration `json:"extraDelay,omitempty" min:"0s" max:"1h"`
}

// Network holds what is common to all nodes' interfaces.
type Network struct {
	// IPv4 gives every node an IPv4 loopback besides IPv6. Default false.
	IPv4 bool `json:"ipv4,omitempty"`
	// Prefix of the loopbacks, a /32 of unique local space. Default fd00::/32.
	Prefix string `json:"prefix,omitempty" default:"fd00::/32"`
	// MTU of every port. Default 1500.
	MTU int `json:"mtu,omitempty" default:"1500" min:"1280" max:"65521"`
	// SourceValidation is what becomes of frames that bear a source address which
	// is not their node's: "count" them, "drop" them, or "none". Transit is no
	// forgery. Default count.
	SourceValidation string `json:"sourceValidation,omitempty" default:"count" enum:"none,count,drop"`
}

// Fidelity is the budget of lateness, in host time. A run that exceeds it says
// so: its verdict is degraded, or overloaded.
type Fidelity struct {
	// Frames is what 99 of 100 deliveries may be late by. Default 1 ms.
	Frames Duration `json:"frames,omitempty" default:"1ms" above:"0s"`
	// Events is what every topology event may be late by. Default 10 ms.
	Events Duration `json:"events,omitempty" default:"10ms" above:"0s"`
}

// Routing is what a group of nodes runs.
type Routing struct {
	// Nodes are shell patterns of node names. Default: all.
	Nodes []string `json:"nodes,omitempty"`
	// Protocol: isis, ospf3, ospf2, bgp, static, oracle, none. ospf3 routes IPv6
	// alone and ospf2 IPv4 alone; the others route both where the network has both.
	Protocol string `json:"protocol" enum:"isis,ospf3,ospf2,bgp,static,oracle,none"`
	// Daemon that speaks the protocol: frr for isis, ospf2 and bgp; bird or frr for
	// ospf3 and static; none for oracle and none. Default: bird for ospf3, else
	// frr. BIRD has no BGP here: it cannot begin a session with a neighbour whose
	// address it was not told, and neighbours change with the sky.
	Daemon string `json:"daemon,omitempty" enum:"bird,frr,none"`
	// Hello is the interval of hellos (BGP: keepalives), in whole seconds. Absent,
	// as with Dead and SPFDelay: the daemon's own default.
	Hello Duration `json:"hello,omitempty" min:"1s"`
	// Dead is after how long without a hello a neighbour is lost (hold time).
	Dead Duration `json:"dead,omitempty" min:"1s"`
	// SPFDelay is from a change to the computation of routes. BIRD computes routes
	// and advertises its own changes at multiples of it, in whole seconds. A large
	// network on a small machine needs long ones: with each computation before the
	// flood is over, work for all routes is done in vain.
	SPFDelay Duration `json:"spfDelay,omitempty" min:"0s" max:"10m"`
	// Retransmit is after how long OSPF sends again what was not acknowledged, in
	// whole seconds. Half of it is how long BIRD gathers acknowledgements.
	Retransmit Duration `json:"retransmit,omitempty" min:"1s" max:"1h"`
	// AdvertiseAfter is how long a router that starts makes adjacencies before it
	// advertises itself, so that it does so once for all its links; in whole
	// seconds. It is BIRD's recovery from a graceful restart (RFC 3623, RFC 5187)
	// and ends at the next multiple of SPFDelay. Absent: at once.
	AdvertiseAfter Duration `json:"advertiseAfter,omitempty" min:"1s" max:"30m"`
	// NotifyAfter is for how long, after links have come up at last (boot: routers),
	// the kernel tells BIRD of no change of links, addresses and routes; it finds
	// changes of links by its own scan, every 10 s. With a thousand daemons on one
	// machine telling them of each other's new routes takes half of the CPU time.
	// Absent: it is told all the time.
	NotifyAfter Duration `json:"notifyAfter,omitempty" min:"1s" max:"1h"`
	// MaxPaths is how many next hops a route may have where several ways cost the
	// same; 1 for a single one. Absent: 16 with BIRD, FRR's own default with FRR.
	MaxPaths int `json:"maxPaths,omitempty" min:"1" max:"64"`
	// Nice is the daemons' place when CPU time is short (nice(1)): 0 as all others,
	// 19 the last, so that the emulator comes before them. Default 0.
	Nice int `json:"nice,omitempty" min:"0" max:"19"`
	// BFD watches each adjacency (FRR: bfdd; BIRD: built in).
	BFD *BFD `json:"bfd,omitempty"`
	// Areas group nodes; a node is in the first that matches, else in the
	// backbone (OSPF area 0, IS-IS level 2 only).
	Areas []Area `json:"areas,omitempty"`
	// Metric is "delay" (one for each 100 microseconds of the link's one-way delay,
	// taken anew each time that it comes up) or "hops". Default hops.
	Metric string `json:"metric,omitempty" default:"hops" enum:"delay,hops"`
	// Foresight is how long before its planned end a link becomes the last choice, in
	// real time: both its ends give it the highest metric of the protocol, so that routes
	// leave it while it still carries frames (RFC 9657). A port has its usual metric again
	// when its next contact begins. For isis, ospf2 and ospf3 under `orrery up`. Absent:
	// daemons learn of an end when it has happened.
	Foresight Duration `json:"foresight,omitempty" min:"100ms" max:"1m"`
	// Template is a file (Go text/template) that replaces the daemon's built-in
	// configuration; relative to the scenario file.
	Template string `json:"template,omitempty"`
	// Lead of oracle routes: a link that is going to end is left this much earlier.
	// Default 100 ms.
	Lead Duration `json:"lead,omitempty" min:"1us" max:"1m"`
	// Destinations of oracle routes: "stations" or "all" loopbacks. Default stations.
	Destinations string `json:"destinations,omitempty" enum:"stations,all"`
	// Static routes, for protocol static.
	Routes []StaticRoute `json:"routes,omitempty"`
}

// BFD timers (RFC 5880).
type BFD struct {
	// Interval between packets, both ways. Default 100 ms.
	Interval Duration `json:"interval,omitempty" default:"100ms" min:"10ms" max:"1m"`
	// Multiplier is after how many intervals without a packet a session is down.
	// Default 3.
	Multiplier int `json:"multiplier,omitempty" default:"3" min:"1" max:"255"`
}

// Area is an OSPF area or IS-IS level-1 area.
type Area struct {
	// ID as the protocol writes it: 0.0.0.1 or 1 (OSPF), 49.0001 (IS-IS).
	ID string `json:"id"`
	// Nodes are shell patterns of node names.
	Nodes []string `json:"nodes" count:"1.."`
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
	// Name of the process, unique.
	Name string `json:"name" format:"label"`
	// Nodes are shell patterns of names.
	Nodes []string `json:"nodes" count:"1.."`
	// Argv is program and arguments; no shell is involved. In arguments ${node},
	// ${loopback} and ${loopback:NODE} stand for names and addresses.
	Argv []string `json:"argv" count:"1.."`
	// Env is added to the environment.
	Env map[string]string `json:"env,omitempty"`
	// Start is the scenario time of the start. Default 0.
	Start Duration `json:"start,omitempty" min:"0s"`
	// Restart: "never" (default), "on-failure", "always".
	Restart string `json:"restart,omitempty" default:"never" enum:"never,on-failure,always"`
}

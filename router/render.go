package router

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/template"
	"time"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/scenario"
)

// Daemons by the names that scenarios have for them.
const (
	BIRD = "bird"
	FRR  = "frr"
)

// Protocols by the names that scenarios have for them.
const (
	ISIS   = "isis"
	OSPF3  = "ospf3"
	OSPF2  = "ospf2"
	BGP    = "bgp"
	Static = "static"
	Oracle = "oracle"
	None   = "none"
)

// ErrUnsupported is wrapped by errors about what a daemon cannot do.
var ErrUnsupported = errors.New("not supported")

// Daemon is the daemon that speaks an entry's protocol: what the entry says,
// or the protocol's default. It is empty for protocols without one.
func Daemon(r scenario.Routing) (string, error) {
	able := map[string][]string{ // the default first
		ISIS: {FRR}, OSPF3: {BIRD, FRR}, OSPF2: {FRR}, BGP: {FRR}, Static: {FRR, BIRD}, Oracle: nil, None: nil,
	}
	list, known := able[r.Protocol]
	switch {
	case !known:
		return "", fmt.Errorf("routing: protocol %q is none of isis, ospf3, ospf2, bgp, static, oracle, none", r.Protocol)
	case (r.Daemon == "" || r.Daemon == None) && len(list) == 0:
		return "", nil
	case r.Daemon == "":
		return list[0], nil
	case r.Daemon == BIRD && r.Protocol == BGP:
		return "", fmt.Errorf("routing: BIRD cannot begin a BGP session with a neighbour whose address it was not told, and here neighbours change; use frr: %w", ErrUnsupported)
	case len(list) == 0:
		return "", fmt.Errorf("routing: protocol %s needs no daemon; leave daemon out: %w", r.Protocol, ErrUnsupported)
	case !slices.Contains(list, r.Daemon):
		return "", fmt.Errorf("routing: %s is spoken by %s here, not by %q: %w", r.Protocol, strings.Join(list, " and "), r.Daemon, ErrUnsupported)
	}
	return r.Daemon, nil
}

// Input is all that a node's configuration is made from.
type Input struct {
	Name    string // of the node
	Index   int    // its number in the plan, from 0
	Ports   []Link // in the order of their index
	Routing scenario.Routing
	Scheme  address.Scheme
	// IPv4 routes the nodes' IPv4 loopbacks too.
	IPv4 bool
	// MTU of every port; 0 means 1500.
	MTU int
	// Dir is the node's directory.
	Dir string
	// FRR is its major version, as Release tells it.
	FRR int
	// Template is the text of the user's template file, empty for none.
	Template string
	// Area of the node as the scenario names it; empty for the backbone.
	Area string
	// Resolve gives the loopback that a node's name in a static route means.
	Resolve func(name string) (netip.Prefix, bool)
}

// Link is a port and what is known beforehand of its peers.
type Link struct {
	Name string // of the interface
	Role string // for templates: isl, intershell, ground, antenna
	// Areas of the nodes that it may ever meet, empty string for the backbone.
	// None at all means that they are in the node's own area.
	Areas []string
	// Peer is the link-local address of the one port that it ever meets, and
	// Peer4 the IPv4 loopback of that port's node; invalid if its peer changes.
	Peer, Peer4 netip.Addr
	// Cost of the link for the protocol; 0 means 10.
	Cost int
}

// Output is what a node needs to run its protocol.
type Output struct {
	Daemon    string // empty: nothing to run
	Files     []File
	Processes []node.Process // in the order in which they are to be started
}

// File is a file in the node's directory.
type File struct {
	Name    string
	Content []byte
}

// Data is what templates are executed with.
type Data struct {
	Name     string // of the node
	Host     string // its host name
	Index    int    // its number, from 0
	Protocol string
	Dir      string // the node's directory
	IPv4     bool

	RouterID  netip.Addr
	Loopback  netip.Prefix // IPv6, /128
	Loopback4 netip.Prefix // IPv4, /32, whether IPv4 is on or not
	ASN       uint32

	NET   string // IS-IS network entity title
	Level string // IS-IS: level-1, level-1-2, level-2-only

	// Area of the node's loopback in OSPF: 0.0.0.0 is the backbone.
	Area  string
	Areas []Area // OSPF: the areas that the node is in, with their ports
	Ports []Port

	// Timers as the daemon wants them; 0 means the daemon's default.
	Hello      int // seconds
	Dead       int // seconds
	Multiplier int // Dead in hellos
	SPFDelay   int // milliseconds
	Tick       int // SPFDelay in seconds, for BIRD
	Retransmit int // seconds

	AdvertiseAfter int // seconds, of BIRD

	MaxPaths int // next hops of a route; 0 means the daemon's default

	BFD *BFD // nil: off

	Routes []Route // of protocol static

	// Routing is the scenario's entry, as it is.
	Routing scenario.Routing
}

// Port of a node, as templates see it.
type Port struct {
	Name  string
	Index int    // from 0
	Role  string // isl, intershell, ground, antenna
	Area  string // OSPF area of its link
	Cost  int
	MTU   int
}

// Area of OSPF and the ports whose links are in it.
type Area struct {
	ID    string
	Ports []Port
}

// BFD timers (RFC 5880).
type BFD struct {
	Interval   int // milliseconds, both directions
	Multiplier int
}

// Route is a static route to a port's peer: for IPv6 through its link-local
// address, for IPv4 through its node's loopback, which ports without IPv4 addresses
// of their own answer for (ARP, RFC 826) and which therefore counts as on the link.
type Route struct {
	Prefix netip.Prefix
	Via    netip.Addr
	Port   string
}

//go:embed templates
var builtIn embed.FS

// Render makes the configuration of a node. It is a pure function.
func Render(in Input) (Output, error) {
	daemon, err := Daemon(in.Routing)
	if err != nil || daemon == "" {
		return Output{}, err
	}
	data, err := newData(in)
	if err != nil {
		return Output{}, fmt.Errorf("node %s: %w", in.Name, err)
	}
	set, err := parse(daemon, in)
	if err != nil {
		return Output{}, err
	}
	out := Output{Daemon: daemon}
	programs := programsOf(daemon, in.Routing, in.FRR)
	for _, p := range programs {
		name := p + ".conf"
		var b bytes.Buffer
		if err := set.ExecuteTemplate(&b, name, data); err != nil {
			return Output{}, fmt.Errorf("node %s: template: %w", in.Name, err)
		}
		out.Files = append(out.Files, File{Name: name, Content: tidy(b.Bytes())})
	}
	if daemon == BIRD {
		out.Processes = []node.Process{birdProcess(in.Dir, in.Routing.AdvertiseAfter > 0)}
	} else {
		for _, p := range programs {
			out.Processes = append(out.Processes, frrProcess(in.Dir, p, in.Routing, in.FRR))
		}
	}
	for i := range out.Processes {
		out.Processes[i].Nice = in.Routing.Nice
	}
	return out, nil
}

// programsOf lists the programs that an entry needs, in order of start. Each
// has a configuration file of its name.
func programsOf(daemon string, r scenario.Routing, frr int) []string {
	if daemon == BIRD {
		return []string{"bird"}
	}
	var list []string
	if managed(r.Protocol, frr) {
		list = append(list, manager)
	}
	list = append(list, "zebra")
	if r.BFD != nil && r.Protocol != Static {
		list = append(list, "bfdd")
	}
	return append(list, speaker(r.Protocol))
}

// speaker is FRR's program for a protocol.
func speaker(protocol string) string {
	return map[string]string{ISIS: "isisd", OSPF3: "ospf6d", OSPF2: "ospfd", BGP: "bgpd", Static: "staticd"}[protocol]
}

// parse reads the built-in templates and the user's over them.
func parse(daemon string, in Input) (*template.Template, error) {
	set, err := template.New(daemon).ParseFS(builtIn, "templates/*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("router: %w", err) // a mistake of the program
	}
	if in.Template == "" {
		return set, nil
	}
	user := in.Routing.Template
	if user == "" {
		user = "template"
	}
	main, err := set.New(user).Parse(in.Template)
	if err != nil {
		return nil, fmt.Errorf("routing: %w", err)
	}
	if main.Tree != nil && main.Root != nil && strings.TrimSpace(main.Root.String()) != "" && !onlySpace(main) {
		name := "bird.conf"
		if daemon == FRR {
			name = speaker(in.Routing.Protocol) + ".conf"
		}
		if _, err := set.AddParseTree(name, main.Tree); err != nil {
			return nil, fmt.Errorf("routing: %w", err)
		}
	}
	return set, nil
}

// onlySpace says that a template has nothing outside of its definitions.
func onlySpace(t *template.Template) bool {
	for _, n := range t.Root.Nodes {
		if strings.TrimSpace(n.String()) != "" {
			return false
		}
	}
	return true
}

// tidy removes blank lines that templates leave.
func tidy(b []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		if line := bytes.TrimRight(line, " \t\n"); len(line) > 0 {
			out.Write(line)
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func newData(in Input) (Data, error) {
	r := in.Routing
	d := Data{
		Name: in.Name, Host: address.HostName(in.Name), Index: in.Index, Protocol: r.Protocol, Dir: in.Dir, IPv4: in.IPv4,
		RouterID: address.RouterID(in.Index), Loopback: in.Scheme.Loopback(in.Index), Loopback4: address.Loopback4(in.Index),
		ASN: address.ASN(in.Index), Routing: r,
	}
	if err := d.setTimers(r); err != nil {
		return Data{}, err
	}
	mtu := cmp.Or(in.MTU, 1500)
	for i, l := range in.Ports {
		d.Ports = append(d.Ports, Port{Name: l.Name, Index: i, Role: l.Role, Cost: cost(r.Protocol, l.Cost), MTU: mtu})
	}
	switch r.Protocol {
	case ISIS:
		d.setLevel(in)
	case OSPF3, OSPF2:
		if err := d.setAreas(in); err != nil {
			return Data{}, err
		}
	case Static:
		if err := d.setRoutes(in); err != nil {
			return Data{}, err
		}
	}
	return d, nil
}

// setTimers converts timers to what daemons accept and refuses what they would
// have to round.
func (d *Data) setTimers(r scenario.Routing) error {
	hello, dead, spf, retransmit := r.Hello.Std(), r.Dead.Std(), r.SPFDelay.Std(), r.Retransmit.Std()
	for _, t := range []struct {
		name  string
		value time.Duration
		unit  time.Duration
	}{{"hello", hello, time.Second}, {"dead", dead, time.Second}, {"spfDelay", spf, time.Millisecond}, {"retransmit", retransmit, time.Second}} {
		if t.value < 0 || t.value%t.unit != 0 {
			return fmt.Errorf("routing: %s %v: routing daemons take whole multiples of %v; use BFD to notice losses sooner", t.name, t.value, t.unit)
		}
	}
	if hello != 0 && dead != 0 && dead < 2*hello {
		return fmt.Errorf("routing: dead %v is less than two hellos of %v", dead, hello)
	}
	d.Hello, d.Dead, d.SPFDelay = int(hello/time.Second), int(dead/time.Second), int(spf/time.Millisecond)
	d.AdvertiseAfter = int(r.AdvertiseAfter.Std() / time.Second)
	d.Tick, d.Retransmit, d.MaxPaths = int((spf+time.Second-1)/time.Second), int(retransmit/time.Second), r.MaxPaths
	// IS-IS and OSPF count in hellos, by default every 10 s in OSPF and 3 s in
	// FRR's IS-IS.
	if d.Dead != 0 {
		base := cmp.Or(d.Hello, map[string]int{ISIS: 3}[r.Protocol], 10)
		d.Multiplier = max(2, (d.Dead+base-1)/base)
	}
	if r.BFD != nil {
		d.BFD = &BFD{Interval: 100, Multiplier: 3}
		if v := r.BFD.Interval.Std(); v != 0 {
			if v < 10*time.Millisecond || v > time.Minute || v%time.Millisecond != 0 {
				return fmt.Errorf("routing: bfd interval %v: it is whole milliseconds, from 10 ms to 1 min", v)
			}
			d.BFD.Interval = int(v / time.Millisecond)
		}
		if v := r.BFD.Multiplier; v != 0 {
			if v < 2 || v > 255 {
				return fmt.Errorf("routing: bfd multiplier %d is outside of 2 … 255", v)
			}
			d.BFD.Multiplier = v
		}
	}
	return nil
}

// backboneISIS is the area address of nodes outside of all areas.
const backboneISIS = "49.0000"

func (d *Data) setLevel(in Input) {
	area := in.Area
	d.Level = "level-2-only"
	if area == "" {
		area = backboneISIS
	} else {
		d.Level = "level-1"
		for _, l := range in.Ports {
			for _, a := range l.Areas {
				if a != in.Area {
					d.Level = "level-1-2"
				}
			}
		}
	}
	d.NET = address.NET(area, in.Index)
}

func (d *Data) setAreas(in Input) error {
	own, err := AreaID(in.Area)
	if err != nil {
		return err
	}
	d.Area = own
	byID := map[string][]Port{}
	for i := range d.Ports {
		p := &d.Ports[i]
		p.Area = own
		same, other := false, false
		for _, a := range in.Ports[i].Areas {
			id, err := AreaID(a)
			if err != nil {
				return err
			}
			if id == own {
				same = true
			} else {
				other = true
			}
		}
		if same && other && own != backboneOSPF {
			return fmt.Errorf("routing: port %s meets nodes of its own area %s and of others at different times, and OSPF has one area per port; make the areas so that they do not mix, or use isis", p.Name, own)
		}
		if other {
			p.Area = backboneOSPF
		}
		byID[p.Area] = append(byID[p.Area], *p)
	}
	if _, ok := byID[own]; !ok {
		byID[own] = nil // the loopback's
	}
	for id, ports := range byID {
		d.Areas = append(d.Areas, Area{ID: id, Ports: ports})
	}
	slices.SortFunc(d.Areas, func(a, b Area) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// backboneOSPF is area 0 (RFC 2328).
const backboneOSPF = "0.0.0.0"

// AreaID writes an OSPF area as an IPv4 address: "1" is 0.0.0.1, and the empty
// string the backbone.
func AreaID(s string) (string, error) {
	if s == "" {
		return backboneOSPF, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		return a.String(), nil
	}
	var n uint32
	if _, err := fmt.Sscanf(s+"\n", "%d\n", &n); err != nil {
		return "", fmt.Errorf("routing: area %q is neither a number nor written as 0.0.0.1", s)
	}
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String(), nil
}

func (d *Data) setRoutes(in Input) error {
	for _, r := range in.Routing.Routes {
		prefix, err := netip.ParsePrefix(r.To)
		if err != nil {
			ok := false
			if in.Resolve != nil {
				prefix, ok = in.Resolve(r.To)
			}
			if !ok {
				return fmt.Errorf("routing: static route to %q: it is neither a prefix nor a node", r.To)
			}
		}
		i := slices.IndexFunc(in.Ports, func(l Link) bool { return l.Name == r.Via })
		if i < 0 {
			return fmt.Errorf("routing: static route to %s: the node has no port %q", r.To, r.Via)
		}
		if !in.Ports[i].Peer.IsValid() {
			return fmt.Errorf("routing: static route to %s: the peer of port %s changes, and with it the next hop; use oracle or a routing protocol", r.To, r.Via)
		}
		via := in.Ports[i].Peer
		if prefix.Addr().Is4() {
			if via = in.Ports[i].Peer4; !in.IPv4 || !via.IsValid() {
				return fmt.Errorf("routing: static route to %s: the network has no IPv4; set network.ipv4", r.To)
			}
		}
		d.Routes = append(d.Routes, Route{Prefix: prefix, Via: via, Port: r.Via})
	}
	return nil
}

// PortAddresses are the addresses that a port needs for an entry's protocol:
// its link-local one, and for protocols that route IPv4 by next hops of IPv4,
// the node's IPv4 loopback (an unnumbered point-to-point interface).
func PortAddresses(r scenario.Routing, ipv4 bool, nodeIndex, port int) []netip.Prefix {
	list := []netip.Prefix{address.LinkLocal(nodeIndex, port)}
	if r.Protocol == OSPF2 || r.Protocol == ISIS && ipv4 {
		list = append(list, address.Loopback4(nodeIndex))
	}
	return list
}

package scenario

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// daemons are the programs that speak each protocol.
var daemons = map[string][]string{
	"isis":   {"frr"},
	"ospf3":  {"bird", "frr"},
	"ospf2":  {"frr"},
	"bgp":    {"frr"}, // BIRD cannot begin a session with a neighbour that it was not told
	"static": {"frr", "bird"},
	"oracle": {"none"},
	"none":   {"none"},
}

// daemonProcesses are the names under which daemons run in a node; a command
// must not take one of them.
var daemonProcesses = []string{
	"bird", "zebra", "mgmtd", "staticd", "isisd", "ospfd", "ospf6d", "bgpd", "bfdd", "watchfrr", "oracle",
}

// maxPatternWork bounds the effort to find the nodes of static routes.
const maxPatternWork = 5_000_000

func (v *validator) network() {
	n := v.spec.Network
	const at = "spec.network.prefix"
	const right = "write a /32 of unique local space (fd00::/8, RFC 4193), such as fd00::/32"
	p, err := netip.ParsePrefix(n.Prefix)
	switch {
	case err != nil:
		v.problem(at, fmt.Sprintf("%q is not an IPv6 prefix", clipped(n.Prefix)), right)
	case !p.Addr().Is6() || p.Addr().Is4In6() || p.Bits() != 32 || p.Addr().As16()[0] != 0xfd:
		v.problem(at, fmt.Sprintf("the prefix %s cannot hold the loopbacks", n.Prefix), right)
	case p != p.Masked():
		v.problem(at, fmt.Sprintf("the prefix %s has bits beyond its length", n.Prefix), "write "+p.Masked().String())
	}
}

func (v *validator) routing() {
	work := 0
	for i := range v.spec.Routing {
		r := &v.spec.Routing[i]
		at := fmt.Sprintf("spec.routing[%d]", i)
		if v.source == nil || v.source.has(at+".nodes") {
			v.patterns(r.Nodes, at+".nodes")
		}
		if !v.sound(at+".protocol", at+".daemon") {
			continue
		}
		v.protocol(r, at)
		v.timers(r, at)
		v.areas(r, at+".areas")
		if r.Protocol == "static" {
			v.staticRoutes(r, at, &work)
		}
	}
}

// protocol checks what goes together with a routing protocol.
func (v *validator) protocol(r *Routing, at string) {
	if allowed := daemons[r.Protocol]; !slices.Contains(allowed, r.Daemon) {
		what, right := fmt.Sprintf("%s does not speak %s", r.Daemon, r.Protocol), "write daemon: "+listed(allowed, "or")
		switch {
		case len(allowed) == 1 && allowed[0] == "none":
			what, right = fmt.Sprintf("protocol %s needs no daemon", r.Protocol), "leave daemon out"
		case r.Daemon == "none":
			what = fmt.Sprintf("protocol %s needs a daemon", r.Protocol)
		}
		v.problem(at+".daemon", what, right)
		return
	}
	if r.Protocol == "ospf2" && !v.spec.Network.IPv4 && v.sound("spec.network") {
		v.problem(at+".protocol", "ospf2 routes IPv4, which the network does not have", "set network.ipv4: true, or use ospf3")
	}
	linkState := slices.Contains([]string{"isis", "ospf2", "ospf3"}, r.Protocol)
	if !linkState {
		v.only(at, "the protocols isis, ospf2 and ospf3", map[string]any{"spfDelay": r.SPFDelay, "areas": r.Areas, "foresight": r.Foresight})
	}
	if r.Protocol != "ospf2" && r.Protocol != "ospf3" {
		v.only(at, "the protocols ospf2 and ospf3", map[string]any{"retransmit": r.Retransmit})
	}
	if r.Protocol != "ospf3" || r.Daemon != "bird" {
		v.only(at, "the daemon bird with the protocol ospf3", map[string]any{"advertiseAfter": r.AdvertiseAfter})
	}
	if r.Daemon != "bird" || v.spec.Boot != "routers" {
		v.only(at, "the daemon bird with boot: routers", map[string]any{"notifyAfter": r.NotifyAfter})
	}
	if r.Protocol == "static" || r.Daemon == "none" {
		v.only(at, "routing protocols of daemons", map[string]any{"maxPaths": r.MaxPaths})
	}
	if !linkState && r.Protocol != "bgp" {
		v.only(at, "the protocols isis, ospf2, ospf3 and bgp", map[string]any{"hello": r.Hello, "dead": r.Dead, "bfd": r.BFD})
	}
	if !linkState && r.Protocol != "oracle" && r.Metric == "delay" {
		v.problem(at+".metric", fmt.Sprintf("protocol %s knows no metric of links", r.Protocol), "leave metric out")
	}
	if r.Protocol != "oracle" {
		v.only(at, "the protocol oracle", map[string]any{"lead": r.Lead, "destinations": r.Destinations})
	}
	if r.Protocol != "static" {
		v.only(at, "the protocol static", map[string]any{"routes": r.Routes})
	}
	if r.Daemon == "none" {
		v.only(at, "entries with a daemon", map[string]any{"template": r.Template, "nice": r.Nice})
	}
}

// timers checks that a daemon can be given its timers: all of them count hello
// and dead intervals in whole seconds, and BIRD its SPF delay, too.
func (v *validator) timers(r *Routing, at string) {
	whole := func(name string, d, most Duration) {
		switch {
		case d%Duration(time.Second) != 0:
			right := "write whole seconds"
			if name == "hello" || name == "dead" {
				right += "; bfd detects more quickly"
			}
			v.problem(at+"."+name, fmt.Sprintf("%s is %v, and %s counts it in whole seconds", name, d, r.Daemon), right)
		case d > most:
			v.problem(at+"."+name, fmt.Sprintf("%s %v is out of range", name, d), fmt.Sprintf("write at most %v", most))
		}
	}
	// FRR's isis hello-interval ends at 600 s; the fields of RFC 2328 and RFC 4271
	// at 65535 s.
	most := Duration(65535 * time.Second)
	if r.Protocol == "isis" {
		most = Duration(600 * time.Second)
	}
	whole("hello", r.Hello, most)
	whole("dead", r.Dead, Duration(65535*time.Second))
	whole("retransmit", r.Retransmit, Duration(time.Hour))
	whole("advertiseAfter", r.AdvertiseAfter, Duration(30*time.Minute))
	if r.Daemon == "bird" {
		whole("spfDelay", r.SPFDelay, Duration(10*time.Minute))
	}
	if r.Hello != 0 && r.Dead != 0 && r.Dead <= r.Hello {
		v.problem(at+".dead", fmt.Sprintf("dead is %v and hello %v", r.Dead, r.Hello), "write dead as three to four times hello")
	}
	if r.Foresight != 0 && r.Foresight <= r.SPFDelay {
		v.problem(at+".foresight", fmt.Sprintf("foresight is %v, and routes are computed only %v after a change", r.Foresight, r.SPFDelay), "write more than spfDelay and the time of a flood")
	}
	if r.Protocol == "bgp" && r.Dead != 0 && r.Dead < Duration(3*time.Second) {
		v.problem(at+".dead", fmt.Sprintf("the hold time is %v", r.Dead), "write at least 3s (RFC 4271, section 4.2)")
	}
}

// isisArea is an area address without system ID: an AFI byte and pairs of bytes.
var isisArea = regexp.MustCompile(`^[0-9a-fA-F]{2}(\.[0-9a-fA-F]{4}){0,6}$`)

func (v *validator) areas(r *Routing, at string) {
	ids := v.unique("area")
	for i, a := range r.Areas {
		at := fmt.Sprintf("%s[%d]", at, i)
		var canonical string
		if r.Protocol == "isis" {
			if !isisArea.MatchString(a.ID) {
				v.problem(at+".id", fmt.Sprintf("%q is not an IS-IS area", clipped(a.ID)), "write it as \"49.0001\"")
				continue
			}
			canonical = strings.ToLower(a.ID)
		} else {
			n, ok := ospfArea(a.ID)
			if !ok {
				v.problem(at+".id", fmt.Sprintf("%q is not an OSPF area", clipped(a.ID)), "write it as \"0.0.0.1\" or \"1\"")
				continue
			}
			canonical = strconv.FormatUint(uint64(n), 10)
		}
		ids.see(canonical, at+".id")
		v.patterns(a.Nodes, at+".nodes")
	}
}

// ospfArea reads 0.0.0.1 or 1.
func ospfArea(id string) (uint32, bool) {
	if n, err := strconv.ParseUint(id, 10, 32); err == nil {
		return uint32(n), true
	}
	a, err := netip.ParseAddr(id)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), true
}

func (v *validator) staticRoutes(r *Routing, at string, work *int) {
	if len(r.Routes) == 0 && v.sound(at+".routes") {
		v.problem(at, "protocol static lacks routes", "add the routes, or use protocol none")
		return
	}
	nodes := v.samples(r.Nodes, work)
	for i, route := range r.Routes {
		at := fmt.Sprintf("%s.routes[%d]", at, i)
		v.destination(route.To, at+".to")
		if !v.nodesSound() || !v.sound("spec.interLinks", "spec.groundLinks") {
			continue
		}
		for _, n := range nodes {
			if !slices.Contains(n.ports, route.Via) {
				right := n.name + " has no port"
				if len(n.ports) > 0 {
					right = fmt.Sprintf("%s has %s", n.name, strings.Join(n.ports, ", "))
				}
				v.problem(at+".via", fmt.Sprintf("%q is not a port of %s", clipped(route.Via), n.name), right)
				break
			}
		}
	}
}

// destination checks the target of a static route.
func (v *validator) destination(to, at string) {
	if strings.Contains(to, "/") {
		p, err := netip.ParsePrefix(to)
		switch {
		case err != nil:
			v.problem(at, fmt.Sprintf("%q is not a prefix", clipped(to)), "write a prefix such as fd00::/32, or a node's name")
		case p.Addr().Is4() && !v.spec.Network.IPv4:
			v.problem(at, fmt.Sprintf("%s is IPv4, which the network does not have", to), "set network.ipv4: true, or write an IPv6 prefix")
		case p != p.Masked():
			v.problem(at, fmt.Sprintf("the prefix %s has bits beyond its length", to), "write "+p.Masked().String())
		}
		return
	}
	v.node(to, at)
}

// node checks a reference to one node.
func (v *validator) node(name, at string) {
	if _, ok := v.names[name]; ok || !v.nodesSound() {
		return
	}
	if slices.ContainsFunc(v.files, func(c *Constellation) bool { return c.catalogued(name) }) {
		return
	}
	v.problem(at, fmt.Sprintf("there is no node %q", clipped(name)), v.suggest(name, v.list, v.files))
}

// sample is a node with its ports.
type sample struct {
	name  string
	ports []string
}

// samples are nodes that patterns match, at least one of each set of ports:
// the satellites of a constellation have the same ones unless the links are
// explicit.
func (v *validator) samples(patterns []string, work *int) []sample {
	var list []sample
	match := func(name string) bool {
		*work += len(patterns)
		return *work <= maxPatternWork && Match(patterns, name)
	}
	for i := range v.spec.Constellations {
		c := &v.spec.Constellations[i]
		each := c.Links != nil && c.Links.Pattern == "explicit"
		c.eachName(func(name string) bool {
			if !match(name) {
				return *work <= maxPatternWork
			}
			list = append(list, sample{name, v.spec.satellitePorts(c, name)})
			return each && len(list) < 1000
		})
	}
	for _, s := range v.spec.Stations {
		if match(s.Name) {
			list = append(list, sample{s.Name, v.spec.stationPorts(s.Name)})
		}
	}
	return list
}

// variable is ${name} or ${name:argument} in an argument of a command.
var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

func (v *validator) commands() {
	names := v.unique("command")
	for i := range v.spec.Commands {
		c := &v.spec.Commands[i]
		at := fmt.Sprintf("spec.commands[%d]", i)
		names.see(c.Name, at+".name")
		if slices.Contains(daemonProcesses, c.Name) {
			v.problem(at+".name", fmt.Sprintf("%q is the name of a routing daemon's process", c.Name), "choose another name")
		}
		v.patterns(c.Nodes, at+".nodes")
		for k, argument := range c.Argv {
			at := fmt.Sprintf("%s.argv[%d]", at, k)
			if k == 0 && argument == "" {
				v.problem(at, "the program has no name", "write the program's name or path")
			}
			if strings.ContainsRune(argument, 0) {
				v.problem(at, "the argument holds a NUL", "leave it out")
			}
			v.variables(argument, at)
		}
		for _, name := range sortedKeys(c.Env) {
			if at := at + ".env." + name; name == "" || strings.ContainsAny(name, "=\x00") {
				v.problem(at, fmt.Sprintf("%q is not the name of an environment variable", clipped(name)), "write a name without '='")
			}
		}
	}
}

// variables checks what stands for names and addresses in an argument.
func (v *validator) variables(text, at string) {
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		name, node, ok := strings.Cut(m[1], ":")
		switch {
		case ok && name == "loopback":
			v.node(node, at)
		case ok || name != "node" && name != "loopback":
			v.problem(at, fmt.Sprintf("%s stands for nothing", clipped(m[0])), "there are ${node}, ${loopback} and ${loopback:NODE}")
		}
	}
}

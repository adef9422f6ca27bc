// Package assignment says what each node of a plan runs: the routing entry that
// holds for it, the configuration that its daemons are rendered from, and the
// user's commands with names and addresses filled in. It is the same whether the
// node is a namespace of the native engine or a pod.
package assignment

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// Routing is the entry that holds for a node, or nil.
func Routing(p *plan.Plan, n int) *scenario.Routing {
	for i := range p.Scenario.Spec.Routing {
		r := &p.Scenario.Spec.Routing[i]
		if scenario.Match(r.Nodes, p.Nodes[n].Name) {
			return r
		}
	}
	return nil
}

// Area is a node's area by its entry; empty for the backbone.
func Area(r *scenario.Routing, name string) string {
	if r != nil {
		for _, a := range r.Areas {
			if scenario.Match(a.Nodes, name) {
				return a.ID
			}
		}
	}
	return ""
}

// Label is an entry in a word, such as "isis/frr" or "oracle".
func Label(r *scenario.Routing) string {
	daemon, err := router.Daemon(*r)
	if err != nil || daemon == "" {
		return r.Protocol
	}
	return r.Protocol + "/" + daemon
}

// Scheme is the scenario's plan of addresses.
func Scheme(p *plan.Plan) (address.Scheme, error) {
	prefix, err := netip.ParsePrefix(p.Scenario.Spec.Network.Prefix)
	if err != nil {
		return address.Scheme{}, fmt.Errorf("network prefix: %w", err)
	}
	return address.New(prefix)
}

// Assigner makes the inputs of a plan's routers. It keeps what is the same for
// all nodes; it is not safe for concurrent use.
type Assigner struct {
	plan      *plan.Plan
	scheme    address.Scheme
	areas     []string          // by node
	templates map[string]string // by path
}

// New reads the areas of all nodes.
func New(p *plan.Plan) (*Assigner, error) {
	scheme, err := Scheme(p)
	if err != nil {
		return nil, err
	}
	a := &Assigner{plan: p, scheme: scheme, areas: make([]string, len(p.Nodes)), templates: map[string]string{}}
	for i := range p.Nodes {
		a.areas[i] = Area(Routing(p, i), p.Nodes[i].Name)
	}
	return a, nil
}

// Input is what the configuration of a node with this entry is rendered from.
// Its files are to be in dir. Costs of ports are the protocol's default.
func (a *Assigner) Input(n int, entry *scenario.Routing, dir string) (router.Input, error) {
	own := &a.plan.Nodes[n]
	network := a.plan.Scenario.Spec.Network
	in := router.Input{
		Name: own.Name, Index: n, Routing: *entry, Scheme: a.scheme, IPv4: network.IPv4, MTU: network.MTU,
		Dir: dir, FRR: router.Release(), Area: a.areas[n], Resolve: a.resolve,
	}
	if entry.Template != "" {
		text, err := a.template(a.plan.Scenario.Path(entry.Template))
		if err != nil {
			return router.Input{}, err
		}
		in.Template = text
	}
	for k := range own.Ports {
		p := &own.Ports[k]
		l := router.Link{Name: p.Name, Role: p.Role.String()}
		if peer, ok := a.plan.FixedPeer(p.ID); ok {
			q := a.plan.Port(peer)
			l.Peer = address.LinkLocal(q.Node, q.Index).Addr()
			l.Peer4 = address.Loopback4(q.Node).Addr()
		}
		if len(entry.Areas) > 0 {
			l.Areas = a.behind(n, p)
		}
		in.Ports = append(in.Ports, l)
	}
	return in, nil
}

func (a *Assigner) template(file string) (string, error) {
	if text, ok := a.templates[file]; ok {
		return text, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("routing template: %w", err)
	}
	a.templates[file] = string(b)
	return a.templates[file], nil
}

func (a *Assigner) resolve(name string) (netip.Prefix, bool) {
	n, ok := a.plan.Node(name)
	if !ok {
		return netip.Prefix{}, false
	}
	return a.scheme.Loopback(n.Index), true
}

// behind are the areas of the nodes that a port may ever meet. The ports of a
// grid meet their own plane or the neighbouring ones, all others anybody.
func (a *Assigner) behind(n int, p *plan.Port) []string {
	own := &a.plan.Nodes[n]
	seen := make(map[string]bool)
	var out []string
	for i := range a.plan.Nodes {
		other := &a.plan.Nodes[i]
		switch p.Name {
		case "fore", "aft":
			if other.Group != own.Group || other.Plane != own.Plane {
				continue
			}
		case "left", "right":
			if other.Group != own.Group || !neighbouringPlanes(own.Plane, other.Plane) {
				continue
			}
		}
		if i != n && !seen[a.areas[i]] {
			seen[a.areas[i]] = true
			out = append(out, a.areas[i])
		}
	}
	return out
}

// neighbouringPlanes is true also across the seam, whose planes are the first
// and the last: a port that never crosses it is so in one area too many at most.
func neighbouringPlanes(a, b int) bool {
	return a-b == 1 || b-a == 1 || a == 0 || b == 0
}

// Command is what a scenario's command is on a node: its arguments and what is
// added to the environment, as NAME=value in order of the names.
func Command(p *plan.Plan, scheme address.Scheme, c *scenario.Command, n int) (argv, env []string) {
	for _, a := range c.Argv {
		argv = append(argv, Expand(p, scheme, a, n))
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, k+"="+Expand(p, scheme, c.Env[k], n))
	}
	return argv, env
}

// Expand fills in ${node}, ${loopback} and ${loopback:NODE}; what else looks
// like a variable stays as it is.
func Expand(p *plan.Plan, scheme address.Scheme, s string, n int) string {
	loopback := func(n int) string { return scheme.Loopback(n).Addr().String() }
	return os.Expand(s, func(v string) string {
		switch {
		case v == "node":
			return p.Nodes[n].Name
		case v == "loopback":
			return loopback(n)
		case strings.HasPrefix(v, "loopback:"):
			if other, ok := p.Node(strings.TrimPrefix(v, "loopback:")); ok {
				return loopback(other.Index)
			}
		}
		return "${" + v + "}"
	})
}

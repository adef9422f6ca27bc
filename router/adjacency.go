package router

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"orrery.dev/orrery/scenario"
)

// Adjacency is a neighbour that a daemon knows on a port.
type Adjacency struct {
	Port string `json:"port"`
	// Neighbour as the protocol names it: a router id (OSPF), a host name or
	// system id (IS-IS), a host name or AS number (BGP).
	Neighbour string `json:"neighbour"`
	// State as the daemon writes it: Full/PtP, Up, Established …
	State string `json:"state"`
	// Up says that routes are learned over it: Full in OSPF, Up in IS-IS,
	// Established in BGP.
	Up bool `json:"up"`
}

// HasAdjacencies tells whether nodes of a routing entry have neighbours of whom their daemons know.
func HasAdjacencies(r scenario.Routing) bool {
	daemon, err := Daemon(r)
	return err == nil && daemon != "" && r.Protocol != Static
}

// Adjacencies asks a node's running daemon for its neighbours, on the sockets
// in the node's directory. Protocols without neighbours have none.
func Adjacencies(ctx context.Context, dir string, r scenario.Routing) ([]Adjacency, error) {
	daemon, err := Daemon(r)
	if err != nil {
		return nil, err
	}
	var list []Adjacency
	switch {
	case !HasAdjacencies(r):
		return nil, nil
	case daemon == BIRD:
		var lines []string
		if lines, err = askBIRD(ctx, filepath.Join(dir, "bird.ctl"), "show ospf neighbors"); err == nil {
			list = parseBIRDNeighbours(lines)
		}
	default:
		q := frrQuestions[r.Protocol]
		var answer []byte
		if answer, err = askFRR(ctx, filepath.Join(dir, speaker(r.Protocol)+".vty"), q.command); err == nil {
			list, err = q.parse(answer)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("router: adjacencies in %s: %w", dir, err)
	}
	slices.SortFunc(list, func(a, b Adjacency) int {
		return cmp.Or(strings.Compare(a.Port, b.Port), strings.Compare(a.Neighbour, b.Neighbour))
	})
	return list, nil
}

var frrQuestions = map[string]struct {
	command string
	parse   func([]byte) ([]Adjacency, error)
}{
	ISIS:  {"show isis neighbor json", parseISIS},
	OSPF3: {"show ipv6 ospf6 neighbor json", parseOSPF6},
	OSPF2: {"show ip ospf neighbor json", parseOSPF},
	BGP:   {"show bgp summary json", parseBGP},
}

// parseBIRDNeighbours reads the table of `show ospf neighbors`:
//
//	Router ID    Pri  State     DTime  Interface  Router IP
//	10.0.0.1       1  Full/PtP  2.905  left       fe80::1:0:2
func parseBIRDNeighbours(lines []string) []Adjacency {
	var list []Adjacency
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) < 6 || strings.Count(f[0], ".") != 3 {
			continue
		}
		list = append(list, Adjacency{Port: f[4], Neighbour: f[0], State: f[2], Up: strings.HasPrefix(f[2], "Full")})
	}
	return list
}

func parseISIS(b []byte) ([]Adjacency, error) {
	var answer struct {
		Areas []struct {
			Circuits []struct {
				Adj, Interface, State string
			}
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("isisd: %w", err)
	}
	var list []Adjacency
	for _, a := range answer.Areas {
		for _, c := range a.Circuits {
			if c.Interface != "" { // a circuit without a neighbour has none
				list = append(list, Adjacency{Port: c.Interface, Neighbour: c.Adj, State: c.State, Up: c.State == "Up"})
			}
		}
	}
	return list, nil
}

func parseOSPF6(b []byte) ([]Adjacency, error) {
	var answer struct {
		Neighbors []struct {
			NeighborID    string `json:"neighborId"`
			State         string `json:"state"`
			InterfaceName string `json:"interfaceName"`
		} `json:"neighbors"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("ospf6d: %w", err)
	}
	var list []Adjacency
	for _, n := range answer.Neighbors {
		list = append(list, Adjacency{Port: n.InterfaceName, Neighbour: n.NeighborID, State: n.State, Up: n.State == "Full"})
	}
	return list, nil
}

func parseOSPF(b []byte) ([]Adjacency, error) {
	var answer struct {
		Neighbors map[string][]struct {
			State     string `json:"state"`
			NbrState  string `json:"nbrState"`
			IfaceName string `json:"ifaceName"`
		} `json:"neighbors"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("ospfd: %w", err)
	}
	var list []Adjacency
	for id, neighbours := range answer.Neighbors {
		for _, n := range neighbours {
			port, _, _ := strings.Cut(n.IfaceName, ":") // left:10.0.0.2
			state := cmp.Or(n.NbrState, n.State)
			list = append(list, Adjacency{Port: port, Neighbour: id, State: state, Up: strings.HasPrefix(state, "Full")})
		}
	}
	return list, nil
}

// parseBGP takes the sessions from all address families: a port that is in
// several has one session for all of them.
func parseBGP(b []byte) ([]Adjacency, error) {
	var answer map[string]struct {
		Peers map[string]struct {
			Hostname string `json:"hostname"`
			RemoteAS uint32 `json:"remoteAs"`
			State    string `json:"state"`
		} `json:"peers"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("bgpd: %w", err)
	}
	sessions := map[string]Adjacency{}
	for _, family := range answer {
		for port, p := range family.Peers {
			name := p.Hostname
			if name == "" && p.RemoteAS != 0 {
				name = fmt.Sprint(p.RemoteAS)
			}
			sessions[port] = Adjacency{Port: port, Neighbour: name, State: p.State, Up: p.State == "Established"}
		}
	}
	list := make([]Adjacency, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, s)
	}
	return list, nil
}

package doctor

import (
	"slices"

	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
)

// Need is what a run asks of its host. The zero value asks for the general
// abilities only: namespaces, devices, and so on.
type Need struct {
	Nodes       int
	Descriptors int // open files of the emulator
	Neighbours  int // entries in the host's neighbour tables
	Processes   int // daemons and commands
	Daemons     int // routing daemons among them
	Threads     int // of all processes and the emulator
	Commands    int // the scenario's own among the processes
	Memory      int64
	// Software lists the routing suites that are needed: router.BIRD, router.FRR.
	Software []string
}

// Memory in bytes; doc.go says where the figures are from. A program that is
// not listed counts as much as an isisd.
const (
	kernelPerNode  = 700 << 10
	emulatorMemory = 64 << 20
	otherProgram   = 4 << 20
)

var programMemory = map[string]int64{"bird": 800 << 10, "zebra": 7 << 20, "isisd": 4 << 20}

// Threads: as many as zebra has, which has the most of FRR's daemons (BIRD has
// one), and several times what the emulator was seen with.
const (
	frrThreads      = 5
	emulatorThreads = 64
)

// neighboursPerPort are a port's peer, the peer's loopback, and multicast
// groups; with as much again for those of the loopback devices.
const neighboursPerPort = 4

// NeedOf a plan.
func NeedOf(p *plan.Plan) (Need, error) {
	d, err := emulation.DemandOf(p)
	if err != nil {
		return Need{}, err
	}
	n := Need{
		Nodes: d.Nodes, Descriptors: d.Descriptors,
		Neighbours: neighboursPerPort * (d.Nodes + d.Ports),
		Processes:  d.Processes(),
		Threads:    emulatorThreads,
		Memory:     emulatorMemory + int64(d.Nodes)*kernelPerNode,
	}
	routing := make(map[string]bool)
	for _, r := range d.Routing {
		programs, err := router.Programs(r)
		if err != nil {
			return Need{}, err
		}
		for _, name := range programs {
			routing[name] = true
		}
		if len(programs) > 0 {
			daemon, _ := router.Daemon(r) // Programs has asked it already
			n.Software = append(n.Software, daemon)
		}
	}
	slices.Sort(n.Software)
	n.Software = slices.Compact(n.Software)
	for name, count := range d.Programs {
		memory, threads := int64(otherProgram), 1
		if m, ok := programMemory[name]; ok {
			memory = m
		}
		if routing[name] {
			n.Daemons += count
			if name != "bird" {
				threads = frrThreads
			}
		} else {
			n.Commands += count
		}
		n.Memory += int64(count) * memory
		n.Threads += count * threads
	}
	return n, nil
}

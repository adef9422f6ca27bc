package doctor

import (
	"math"
	"slices"
	"time"

	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// Need is what a run asks of its host. The zero value asks for the general
// abilities only: namespaces, devices, and so on.
type Need struct {
	Nodes       int
	Descriptors int // open files of the emulator
	HostFiles   int // open files of all processes
	Neighbours  int // entries in the host's neighbour tables
	Processes   int // daemons and commands
	Daemons     int // routing daemons among them
	Threads     int // of all processes and the emulator
	Commands    int // the scenario's own among the processes
	Bound       int // processes with a mount namespace each
	Views       int // nodes with a private view for their processes
	Memory      int64
	// Disk and Inodes that the run directory takes.
	Disk   int64
	Inodes int

	// SocketBuffer is the largest receive buffer that the emulator asks for.
	SocketBuffer int64
	// Ancillary is the most that a daemon's socket takes of optmem_max.
	Ancillary int64
	// Rate of the fastest link in bit/s, 0 if none is limited, and how long the
	// longest round trip may be by geometry.
	Rate      float64
	RoundTrip time.Duration

	// Requests of all pods, if nodes are pods: CPUs and bytes.
	PodCPU, PodMemory float64
	// Containers is the runtime that makes pods.
	Containers Containers

	// Software lists the routing suites that are needed: router.BIRD, router.FRR.
	Software []string
}

// Typical is the need of a large network that "orrery tune" makes room for when
// it is told of none: 2,000 nodes with five ports each, two daemons a node, and
// links of 1 Gbit/s in a low orbit.
func Typical() Need {
	const nodes, ports, processes = 2000, 5, 2
	return Need{
		Nodes:        nodes,
		Descriptors:  nodes*(ports+1) + 256,
		HostFiles:    nodes*(ports+1) + nodes*processes*programs["zebra"].files,
		Neighbours:   neighboursPerPort * nodes * (ports + 1),
		Processes:    nodes * processes,
		Views:        nodes,
		Threads:      emulatorThreads + nodes*(programs["zebra"].threads+otherProgram.threads+2),
		Commands:     nodes,
		Inodes:       nodes * (filesPerNode + processes*filesPerProcess),
		SocketBuffer: emulation.EchoBuffer,
		Rate:         1e9, RoundTrip: 200 * time.Millisecond,
	}
}

// NeedOf a plan, where FRR has that major version (router.Release).
func NeedOf(p *plan.Plan, frr int) (Need, error) {
	d, err := emulation.DemandOf(p, frr)
	if err != nil {
		return Need{}, err
	}
	n := Need{
		Nodes: d.Nodes, Descriptors: d.Descriptors, HostFiles: d.Descriptors,
		Neighbours: neighboursPerPort * (d.Nodes + d.Ports),
		Processes:  d.Processes(),
		Views:      d.Views,
		Bound:      d.Bound,
		Threads:    emulatorThreads + 2*d.Views,
		Memory: emulatorMemory + int64(d.Nodes)*(kernelPerNode+emulatorPerNode) + int64(d.Views)*memoryPerView +
			int64(d.Routes6)*kernelPerRoute6 + int64(d.Routes4)*kernelPerRoute4,
		Inodes:       d.Nodes*filesPerNode + d.Processes()*filesPerProcess + d.Bound*filesPerBound,
		SocketBuffer: emulation.EchoBuffer,
		Rate:         fastest(&p.Scenario.Spec),
		RoundTrip:    roundTrip(p),
	}
	if n.PodCPU, n.PodMemory, err = requests(p); err != nil {
		return Need{}, err
	}
	n.Disk = int64(d.Nodes*filesPerNode+d.Processes()*filesPerProcess)*block + int64(d.Bound)*bytesPerBound + roomForLogs
	routing := make(map[string]bool)
	for _, r := range d.Routing {
		names, err := router.Programs(r, frr)
		if err != nil {
			return Need{}, err
		}
		for _, name := range names {
			routing[name] = true
		}
		if len(names) > 0 {
			daemon, _ := router.Daemon(r) // Programs has asked it already
			n.Software = append(n.Software, daemon)
		}
	}
	slices.Sort(n.Software)
	n.Software = slices.Compact(n.Software)
	if len(n.Software) > 0 {
		for i := range p.Nodes {
			n.Ancillary = max(n.Ancillary, int64(len(p.Nodes[i].Ports)*membershipsPerPort*membership))
		}
	}
	for daemon, count := range d.Learned {
		n.Memory += int64(count) * learned[daemon]
	}
	for name, count := range d.Programs {
		each, ok := programs[name]
		if !ok {
			each = otherProgram
		}
		if routing[name] {
			n.Daemons += count
		} else {
			n.Commands += count
		}
		n.Memory += int64(count) * (each.memory + kernelPerProcess)
		n.Threads += count * each.threads
		n.HostFiles += count * each.files
	}
	return n, nil
}

// requests of a plan's pods, in CPUs and bytes, where the operator has its defaults.
func requests(p *plan.Plan) (cpu, memory float64, err error) {
	kubernetes := &p.Scenario.Spec.Kubernetes
	for i := range p.Nodes {
		daemon := ""
		if entry := assignment.Routing(p, i); entry != nil {
			if daemon, err = router.Daemon(*entry); err != nil {
				return 0, 0, err
			}
		}
		list := scenario.DefaultRequests(daemon)
		if g := kubernetes.Group(p.Nodes[i].Name); g >= 0 && kubernetes.Pods[g].Requests != nil {
			list = kubernetes.Pods[g].Requests
		}
		for name, sum := range map[string]*float64{"cpu": &cpu, "memory": &memory} {
			if text, ok := list[name]; ok {
				v, err := scenario.Amount(text)
				if err != nil {
					return 0, 0, err
				}
				*sum += v
			}
		}
	}
	return cpu, memory, nil
}

// fastest is the highest rate of any link, 0 if none is limited.
func fastest(s *scenario.Spec) (rate float64) {
	look := func(p *scenario.Properties) {
		rate = max(rate, float64(p.Rate))
		if p.Table != nil {
			for _, r := range p.Table.Rows {
				if r.Rate != nil {
					rate = max(rate, float64(*r.Rate))
				}
			}
		}
	}
	for i := range s.Constellations {
		if l := s.Constellations[i].Links; l != nil {
			look(&l.Properties)
		}
	}
	for i := range s.InterLinks {
		look(&s.InterLinks[i].Properties)
	}
	for i := range s.GroundLinks {
		look(&s.GroundLinks[i].Properties)
	}
	return rate
}

// roundTrip bounds the longest round trip by geometry alone, without queues and
// extra delays: from the horizon up to the highest satellite's height at
// scenario time 0 and down again, and with links between satellites half way
// round the Earth at that height.
func roundTrip(p *plan.Plan) time.Duration {
	var highest float64 // km from the Earth's centre
	for i := range p.Nodes {
		if p.Nodes[i].Kind != plan.Satellite {
			continue
		}
		if at, err := p.Nodes[i].Motion.State(0); err == nil {
			highest = max(highest, at.Position.Norm())
		}
	}
	if highest <= orbit.EarthRadius {
		return 0
	}
	way := 2 * math.Sqrt(highest*highest-orbit.EarthRadius*orbit.EarthRadius)
	for i := range p.Scenario.Spec.Constellations {
		if l := p.Scenario.Spec.Constellations[i].Links; l != nil && l.Pattern != "none" {
			way += math.Pi * highest
			break
		}
	}
	return time.Duration(2 * way / sky.SpeedOfLight * float64(time.Second))
}

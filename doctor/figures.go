package doctor

// Figures measured on the development machine: Debian 12, Linux 6.18, 2 cores,
// BIRD 2.0.12, FRR 8.4.4; programs of Debian 13 too: BIRD 2.17.6, FRR 10.3.

// Memory in bytes.
const (
	// 2,000 namespaces with 5 TAPs each hold 1.35 GB of the kernel's memory.
	kernelPerNode = 700 << 10
	// An entry of a routing table: 100,000 took 63 to 72 MB (IPv6), 13 to 16 MB (IPv4).
	kernelPerRoute6 = 700
	kernelPerRoute4 = 160
	// A process that does nothing costs the kernel 70 to 150 kB beside its own.
	kernelPerProcess = 100 << 10
	// A private view is two processes of 115 kB each, and 180 to 400 kB in the
	// kernel, where there are 300 mounts to copy.
	memoryPerView = 600 << 10
	// An emulator of 60, 72 and 297 nodes with daemons has 37, 41 and 65 MB
	// resident, one of 1,594 nodes under oracle routing 114 MB.
	emulatorMemory  = 32 << 20
	emulatorPerNode = 120 << 10
)

// learned is what a daemon's processes take for each destination that they
// learn: mean PSS of BIRD's OSPFv3 among 15 and 297 routers (0.92 and 1.20 MB),
// of isisd and zebra among 15 and 72 (9.2 and 9.7 MB).
var learned = map[string]int64{"bird": 1 << 10, "frr": 9 << 10}

// program is what one process takes.
type program struct {
	memory  int64 // proportional set size (PSS) once it is up, bytes
	threads int
	files   int // open files, on a node of four ports
}

// programs by name. Memory is the greatest of what was measured, on one node and
// as the mean of 15 nodes of each version; threads and files are the most that
// any of them had.
var programs = map[string]program{
	"bird":    {1800 << 10, 1, 13},
	"mgmtd":   {5700 << 10, 1, 17},
	"zebra":   {7 << 20, 7, 44},
	"isisd":   {5 << 20, 1, 17},
	"ospfd":   {4400 << 10, 1, 19},
	"ospf6d":  {4 << 20, 1, 14},
	"bgpd":    {12 << 20, 4, 28},
	"bfdd":    {2800 << 10, 1, 24},
	"staticd": {2500 << 10, 1, 14},
}

// otherProgram stands for one that was not measured: the scenario's
// commands.
var otherProgram = program{4 << 20, 4, 24}

// The emulator itself had 15 threads at 2 CPUs.
const emulatorThreads = 64

// neighboursPerPort are a port's peer, the peer's loopback, and multicast
// groups; the loopback device counts as a port. 60 routers with 240 ports added
// 662 IPv6 and 180 IPv4 entries to the host's tables, 2.2 and 0.6 for each.
const neighboursPerPort = 4

// membership is what joining one multicast group on one port takes of a
// socket's optmem_max: 20,480 bytes sufficed for 365 memberships of IPv6 and 426
// of IPv4. A daemon may join two groups a port by one socket (RFC 2328 and
// 5340: AllSPFRouters, AllDRouters).
const (
	membership         = 57
	membershipsPerPort = 2
)

// In the run directory: a node has a directory, and a process up to five files
// (configuration, log, process id, sockets), of a 4 KiB block each, as 15 nodes
// of each daemon had. Logs grow with what happens: room for them is a guess of
// ours, as are captures and the journal.
const (
	filesPerNode, filesPerProcess = 2, 5
	block                         = 4 << 10

	// A daemon with its node's directory in place of /var/tmp/frr has one there,
	// with a buffer of 8 KiB for each thread's log: 12 files of 72 KiB for three.
	filesPerBound, bytesPerBound = 4, 24 << 10
	roomForLogs                  = 16 << 20
)

// daemonsPerCPU is how many routing daemons one CPU has carried well: OneWeb's
// 365 BIRD routers reached each other within 15 s on 2 CPUs, while of 1,584 with
// default timers each held 18 % of its routes after 3 minutes.
const daemonsPerCPU = 180

// The kernel's defaults of how much the network softirq does in one go, with
// which all figures of this project were measured (Documentation/admin-guide/sysctl/net.rst).
const (
	netdevBudget  = 300
	netdevBacklog = 1000
)

// Versions of the routing suites that the tests run with.
var testedVersions = map[string]string{"bird": "2.0.12", "frr": "8.4.4"}

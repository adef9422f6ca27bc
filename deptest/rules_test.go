package deptest

// Patterns are import paths, in this module without the module's path. One
// that ends in "/..." also stands for everything below.

// pure packages compute the same on every system from what they are given.
var pure = []string{
	"address", "curve", "interchange", "observe", "orbit/...", "plan/...", "route/...", "scenario/...", "sky/...",
}

// generators run on a developer's machine only.
var generators = []string{"scenario/internal/reference/...", "scripts/..."}

// A forbidding keeps packages from importing others, by whatever detour.
type forbidding struct {
	packages  []string
	except    []string
	forbidden []string
	because   string
}

var forbiddings = []forbidding{
	{
		packages: pure, except: generators,
		forbidden: []string{"os/exec", "os/signal", "os/user", "net", "net/http", "syscall", "golang.org/x/sys/...", "github.com/vishvananda/..."},
		because:   "the pure packages ask nothing of the system that they run on, and so can be tested on any",
	},
	{
		packages: pure, except: generators,
		forbidden: []string{"clock", "tap", "fabric/...", "node/...", "router", "emulation", "observe", "api/...", "cmd/...", "celestrak", "rundir"},
		because:   "what is computed from the scenario knows nothing of what runs it",
	},
	{
		packages:  []string{"fabric/...", "node/...", "tap"},
		forbidden: []string{"scenario/...", "orbit/...", "sky", "plan/...", "route", "router", "emulation", "api/..."},
		because:   "the engines carry frames and keep processes; they know nothing of orbits, and the same values can come from elsewhere",
	},
	{
		packages:  []string{"fabric/..."},
		forbidden: []string{"node/..."},
		because:   "the two engines do not know each other: a port's device is handed over as a value",
	},
	{
		packages:  []string{"node/..."},
		forbidden: []string{"fabric/..."},
		because:   "the two engines do not know each other: a port's device is handed over as a value",
	},
	{
		packages:  []string{"router/..."},
		forbidden: []string{"fabric/...", "plan/...", "emulation", "api/..."},
		because:   "a daemon's configuration names no peer, so it needs no plan",
	},
	{
		packages:  []string{"celestrak"},
		forbidden: []string{"scenario/...", "plan/...", "fabric/...", "node/...", "emulation", "api/..."},
		because:   "fetching element sets needs to know element sets only",
	},
	{
		packages:  []string{"record"},
		forbidden: []string{"scenario/...", "plan/...", "fabric/...", "node/...", "router", "observe/...", "emulation", "api/...", "cmd/..."},
		because:   "a record is read where no run is: by reports, on other machines",
	},
	{
		// net/http is reserved below. By detours it cannot be kept out: parquet-go has
		// it from a compressor's helper that nobody calls.
		packages:  []string{"emulation"},
		forbidden: []string{"api/...", "cmd/..."},
		because:   "a run can be driven by a test or a program without any server",
	},
	{
		packages:  []string{"experiment/...", "report/...", "index"},
		forbidden: []string{"emulation", "fabric/...", "node/...", "api/...", "cmd/..."},
		because:   "what was recorded is compared without the means to run it; runs are carried out by a launcher that is handed in",
	},
	{
		packages:  []string{"report/...", "index"},
		forbidden: []string{"plan/...", "orbit/..."},
		because:   "a report follows from records alone, whatever made them",
	},
	{
		packages:  []string{"cmd/orrery-init", "kube/supervise"},
		forbidden: []string{"scenario/...", "plan/...", "router", "net/http", "text/template", "github.com/spf13/..."},
		because:   "it stays in each of thousands of pods, and has to be small",
	},
	{
		packages:  []string{"cmd/orrery/..."},
		forbidden: []string{"k8s.io/...", "sigs.k8s.io/..."},
		because:   "the command line stays one small binary; only the operator links Kubernetes",
	},
	{
		packages:  []string{"kube/gateway", "kube/kubectl", "cmd/kubectl-orrery/..."},
		forbidden: []string{"k8s.io/...", "sigs.k8s.io/..."},
		because:   "the plugin of kubectl runs kubectl, which knows all ways to a cluster, and stays small",
	},
	{
		packages:  []string{"kube/cni", "cmd/orrery-cni"},
		forbidden: []string{"k8s.io/...", "sigs.k8s.io/...", "net/http", "plan/...", "node/...", "fabric/...", "emulation"},
		because:   "a runtime starts the plugin for each pod: it asks the agent and does nothing itself",
	},
	{
		packages:  []string{"provision/dhcp", "provision/radv", "provision/tftp", "provision/site", "provision/manifest", "provision/protocol", "provision/registry"},
		forbidden: []string{"provision", "provision/lab", "provision/firstboot", "nodeimage", "emulation", "node/...", "fabric/...", "net/http"},
		because:   "each service answers by what it is told; they meet in provision",
	},
	{
		packages:  []string{"cmd/orrery-boot", "provision/firstboot"},
		forbidden: []string{"scenario/...", "plan/...", "provision", "provision/site", "provision/lab", "nodeimage", "github.com/spf13/..."},
		because:   "it is in every initial file system, which firmware loads block by block",
	},
	{
		packages: []string{"..."}, except: []string{"test/..."},
		forbidden: []string{"test/..."},
		because:   "the product does not depend on the clusters that it is tested in",
	},
	{
		packages: []string{"..."}, except: []string{"test/..."},
		forbidden: []string{"testing", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/rogpeppe/go-internal/..."},
		because:   "what tests need is no part of the product",
	},
}

// A reserve lists all packages that may import something themselves.
type reserve struct {
	imported []string
	for_     []string
	because  string
}

var reserves = []reserve{
	{
		imported: []string{"golang.org/x/sys/...", "github.com/vishvananda/...", "syscall", "unsafe"},
		for_: []string{
			"clock",                 // reads CLOCK_MONOTONIC by the vDSO
			"tap", "fabric", "node", // the kernel rooms
			"tap/taptest",             // asks the kernel of carriers, for tests
			"thread",                  // which thread is the process's first
			"fabric/underlay",         // many datagrams by one call
			"userns",                  // namespaces of an ordinary user
			"provision/registry",      // the lock on its journal
			"provision/firstboot",     // the first process of a node
			"provision/lab",           // a segment in a namespace of its own
			"provision",               // errno of a socket that nobody listens at
			"emulation",               // echo sockets of the prober
			"socket",                  // a socket's owner and mode
			"kube/agent",              // the lock on its state
			"kube/fdstore",            // files in messages
			"doctor",                  // limits of processes and file systems
			"router",                  // whose a directory is
			"tune",                    // the lock on its record
			"cmd/...",                 // signals, terminals
			"celestrak",               // errno of a full disk
			"scripts/soak",            // signals
			"test/...",                // machines of test clusters are namespaces
			"kube/pod",                // becomes the daemon
			"kube/supervise",          // the first process of a pod
			"api/orrery/v1alpha1/...", // generated
		},
		because: "only the rooms that touch the kernel talk to it directly",
	},
	{
		imported: []string{"net/http", "connectrpc.com/connect"},
		for_:     []string{"celestrak", "api/...", "metrics", "cmd/...", "web/...", "kube/operator", "kube/agent", "kube/gateway", "provision", "provision/firstboot", "test/..."},
		because:  "Orrery goes out to the world to fetch element sets, serves its control API and figures about itself, answers the API server about scenarios, lets the operator look at agents, gives nodes their images and configurations, puts its control APIs on several workers together, and does nothing else over HTTP; tests ask an apiserver",
	},
	{
		imported: []string{"os/exec"},
		for_:     []string{"node", "router", "userns", "cmd/...", "scripts/...", "images/debian", "nodeimage", "provision/lab", "provision/firstboot", "kube/pod", "kube/kubectl", "test/..."},
		because:  "processes belong to the node engine, which alone can end them all; the router asks daemons for their versions and neighbours; images are built by apt and dpkg; virtual machines are processes; a node's first boot calls orrery; a pod looks for its programs; kubectl is a program",
	},
	{
		imported: []string{"github.com/google/go-containerregistry/..."},
		for_:     []string{"images/..."},
		because:  "images are made when Orrery is released and tested, and never by a run",
	},
	{
		imported: []string{"k8s.io/...", "sigs.k8s.io/..."},
		for_:     []string{"kube/...", "cmd/orrery-operator/...", "cmd/orrery-agent/..."},
		because:  "only the operator and the agent link Kubernetes",
	},
	{
		imported: []string{"github.com/parquet-go/..."},
		for_:     []string{"record"},
		because:  "one package knows how what was observed is kept",
	},
	{
		imported: []string{"modernc.org/..."},
		for_:     []string{"index"},
		because:  "the index of runs is the one thing in a database",
	},
	{
		imported: []string{"math/rand"},
		for_:     nil,
		because:  "math/rand/v2 has generators that can be seeded reproducibly, and no global seed",
	},
}

// meaningless names say nothing of what a package is for.
var meaningless = []string{
	"utils", "util", "types", "errors", "common", "helpers", "helper", "misc", "base", "shared", "lib", "core", "pkg", "internal",
}

// clockReaders are the packages that may read the clock or sleep by the
// functions of package time: those in which host time is meant.
var clockReaders = []string{
	"clock",
	"node/...",            // life of processes
	"router",              // deadlines of sockets
	"emulation",           // pacing of probes, stamps of events
	"fabric",              // stamps of captured frames
	"kube/operator",       // ages of pods, certificates
	"kube/supervise",      // pauses before what has ended is started again
	"kube/cni",            // deadlines of sockets
	"kube/agent",          // clocks of workers, pacing of snapshots
	"kube/watch",          // changes are gathered for a moment
	"thread",              // until threads have left a control group
	"provision",           // when machines were seen
	"provision/dhcp",      // delayed answers
	"provision/radv/...",  // intervals
	"provision/tftp",      // time-outs
	"provision/firstboot", // time-outs
	"provision/lab",       // deadlines of machines
	"kube/gateway",        // pacing of statuses
	"kube/kubectl",        // how old an answer is
	"api/...", "cmd/...", "scripts/...", "celestrak", "test/...",
}

// clockFunctions of package time read the clock or wait for it.
var clockFunctions = []string{
	"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker",
}

// seeded is what package math/rand/v2 has for generators of a given seed; all
// its other functions draw from a source that nobody has seeded.
var seeded = []string{
	"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf",
}

package record

// Event is something that happened: to the topology, to the network, to a process,
// or by a user's hand.
type Event struct {
	At   int64 `json:"t_us" parquet:"t_us,delta"`
	Host int64 `json:"host_us" parquet:"host_us,delta"` // Unix time
	// Kind: link-up, link-down (At is the plan's exact instant), injected, undone, metric-raised, metric-restored,
	// process-up, process-down, process-failed, reachable, unreachable, converged,
	// paused, resumed, speed, fidelity, note.
	Kind string `json:"kind" parquet:"kind,dict"`
	// A and B are what it is about: ports as NODE:PORT, or nodes.
	A    string `json:"a,omitempty" parquet:"a,dict"`
	B    string `json:"b,omitempty" parquet:"b,dict"`
	Text string `json:"text,omitempty" parquet:"text,dict"` // of a link its class, of others what is to be said
}

// RouteChange is one change of one kernel table.
type RouteChange struct {
	At   int64  `json:"t_us" parquet:"t_us,delta"`
	Node string `json:"node" parquet:"node,dict"`
	// Op: "set" (the route is now this one, whether new or in place of another with
	// the same prefix and metric), "gone", or "lost" (what happened in the node
	// between this and its next rows was not seen and was read again).
	Op       string `json:"op" parquet:"op,dict"`
	Prefix   string `json:"prefix,omitempty" parquet:"prefix,dict"`
	Hops     []Hop  `json:"hops,omitempty" parquet:"hops,list"`
	Metric   int32  `json:"metric,omitempty" parquet:"metric"`
	Protocol int32  `json:"protocol,omitempty" parquet:"protocol"` // rtnetlink's RTPROT_*: who installed it
}

// Hop is one next hop of a route.
type Hop struct {
	Via  string `json:"via,omitempty" parquet:"via,dict"` // address, empty if there is none
	Port string `json:"port" parquet:"port,dict"`         // interface
}

// The states of a pair.
const (
	PairReachable = "reachable"
	PairBlackHole = "black-hole"
	PairLoop      = "loop"
	PairNoPath    = "no-path" // no path exists in the sky, whatever the tables say
)

// PairState is how the tables of all nodes forward from a source to a destination,
// from At on.
type PairState struct {
	At          int64  `json:"t_us" parquet:"t_us,delta"`
	Source      string `json:"source" parquet:"source,dict"`
	Destination string `json:"destination" parquet:"destination,dict"`
	// State: reachable, black-hole, loop, no-path.
	State string `json:"state" parquet:"state,dict"`
	// Partly tells that the pair is not reachable by all of several ways of equal cost,
	// but by some: which one a packet takes is up to its flow.
	Partly bool `json:"partly,omitempty" parquet:"partly"`
	// Sample marks rows that repeat a state while nothing but delay changes.
	Sample bool `json:"sample,omitempty" parquet:"sample"`
	// Path holds the nodes from the source to where packets end up.
	Path []string `json:"path,omitempty" parquet:"path,list"`
	// Delay is the geometric one-way delay along the path if it is reachable, and
	// Oracle that of the shortest path that exists; in µs, nil if there is none.
	Delay  *float64 `json:"delay_us,omitempty" parquet:"delay_us,optional"`
	Oracle *float64 `json:"oracle_us,omitempty" parquet:"oracle_us,optional"`
	// Stretch is Delay over Oracle.
	Stretch *float64 `json:"stretch,omitempty" parquet:"stretch,optional"`
	Reason  string   `json:"reason,omitempty" parquet:"reason,dict"` // why it is not reachable
}

// Convergence is what followed one change of topology: all links that came or went at
// one instant.
type Convergence struct {
	At    int64  `json:"t_us" parquet:"t_us,delta"`
	Kind  string `json:"kind" parquet:"kind,dict"` // link-up, link-down, or mixed
	Links int32  `json:"links" parquet:"links"`    // how many came or went
	A     string `json:"a" parquet:"a,dict"`       // the first of these
	B     string `json:"b" parquet:"b,dict"`
	Class string `json:"class" parquet:"class,dict"`
	// Changes of tables from the event to the next one, the nodes that they were
	// made in, and when the last was made; nil if there was none.
	Changes    int32  `json:"changes" parquet:"changes"`
	Nodes      int32  `json:"nodes" parquet:"nodes"`
	LastChange *int64 `json:"last_change_us,omitempty" parquet:"last_change_us,optional"`
	// Ahead are changes of tables before the event, by routers that act ahead of it: the
	// oracle, and daemons with foresight. They are not in Changes.
	Ahead int32 `json:"ahead,omitempty" parquet:"ahead"`
	// Pairs that it took the way from, when all of these forwarded again, and until
	// when the last of them was cut off. Restored is nil if that ended for some since
	// the sky had no way for them any more, or did not end; both are if there was none.
	Pairs     int32  `json:"pairs" parquet:"pairs"`
	Restored  *int64 `json:"restored_us,omitempty" parquet:"restored_us,optional"`
	Until     *int64 `json:"until_us,omitempty" parquet:"until_us,optional"`
	Lost      int64  `json:"lost_us" parquet:"lost_us"` // sum over pairs of the time without a way although one existed
	Loop      int64  `json:"loop_us" parquet:"loop_us"` // sum over pairs of the time in a loop
	LoopPairs int32  `json:"loop_pairs" parquet:"loop_pairs"`
	// Overlapped: another change of topology came, or routers acted ahead of it, before
	// this one was over, so that some table changes counted for that one may be due to this.
	Overlapped bool `json:"overlapped,omitempty" parquet:"overlapped"`
	// Open: the run ended before it was over.
	Open bool `json:"open,omitempty" parquet:"open"`
}

// Outage is a period in which a pair was cut off.
type Outage struct {
	From        int64  `json:"t_us" parquet:"t_us"`
	To          int64  `json:"to_us" parquet:"to_us"` // of one that lasted at the run's end: that
	Source      string `json:"source" parquet:"source,dict"`
	Destination string `json:"destination" parquet:"destination,dict"`
	// By whom it was seen: "tables" (exact, by the verifier), "probe" (one-way
	// streams: between the last packet that came and the next one).
	By string `json:"by" parquet:"by,dict"`
	// Cause, of tables: the state that lasted longest: black-hole, loop, no-path.
	Cause string `json:"cause,omitempty" parquet:"cause,dict"`
	// Open: it lasted at the run's end.
	Open bool `json:"open,omitempty" parquet:"open"`
	// Lost, of tables, is how long of it a way existed in the sky; nil in older records.
	Lost *int64 `json:"lost_us,omitempty" parquet:"lost_us,optional"`
}

// RoundTrip is one echo request between two stations.
type RoundTrip struct {
	At   int64  `json:"t_us" parquet:"t_us,delta"`
	A    string `json:"a" parquet:"a,dict"`
	B    string `json:"b" parquet:"b,dict"`
	Lost bool   `json:"lost,omitempty" parquet:"lost"`
	// Measured, Geometric along the kernels' paths there and back, and Oracle along
	// the shortest path, in µs of host time; nil where there is none.
	Measured  *float64 `json:"measured_us,omitempty" parquet:"measured_us,optional"`
	Geometric *float64 `json:"geometric_us,omitempty" parquet:"geometric_us,optional"`
	Oracle    *float64 `json:"oracle_us,omitempty" parquet:"oracle_us,optional"`
	Hops      int32    `json:"hops,omitempty" parquet:"hops"`
}

// Probe sums up an interval of a one-way UDP stream, by when packets were sent.
type Probe struct {
	At          int64  `json:"t_us" parquet:"t_us,delta"`
	Interval    int64  `json:"interval_us" parquet:"interval_us"`
	Source      string `json:"source" parquet:"source,dict"`
	Destination string `json:"destination" parquet:"destination,dict"`
	Sent        int64  `json:"sent" parquet:"sent"`
	Received    int64  `json:"received" parquet:"received"`
	Lost        int64  `json:"lost" parquet:"lost"`
	// Reordered packets came after one that was sent later (RFC 4737, section 3);
	// Duplicated ones had come before.
	Reordered  int64 `json:"reordered" parquet:"reordered"`
	Duplicated int64 `json:"duplicated" parquet:"duplicated"`
	// Delays in µs of host time; nil if nothing came.
	DelayMin *float64 `json:"delay_min_us,omitempty" parquet:"delay_min_us,optional"`
	DelayP50 *float64 `json:"delay_p50_us,omitempty" parquet:"delay_p50_us,optional"`
	DelayP90 *float64 `json:"delay_p90_us,omitempty" parquet:"delay_p90_us,optional"`
	DelayP99 *float64 `json:"delay_p99_us,omitempty" parquet:"delay_p99_us,optional"`
	DelayMax *float64 `json:"delay_max_us,omitempty" parquet:"delay_max_us,optional"`
	// Jitter is the mean of the differences between delays of packets that follow
	// each other (RFC 5481, section 4.1: inter-packet delay variation), in µs of host time.
	Jitter *float64 `json:"jitter_us,omitempty" parquet:"jitter_us,optional"`
}

// Flow is an interval of a workload's traffic.
type Flow struct {
	At          int64   `json:"t_us" parquet:"t_us,delta"`
	Interval    int64   `json:"interval_us" parquet:"interval_us"`
	Name        string  `json:"name" parquet:"name,dict"`
	Source      string  `json:"source" parquet:"source,dict"`
	Destination string  `json:"destination" parquet:"destination,dict"`
	Protocol    string  `json:"protocol" parquet:"protocol,dict"`               // tcp, udp
	Congestion  string  `json:"congestion,omitempty" parquet:"congestion,dict"` // cubic, bbr
	Rate        float64 `json:"bit_per_s" parquet:"bit_per_s"`                  // received, or for TCP sent
	Retransmits int64   `json:"retransmits" parquet:"retransmits"`              // TCP segments
	RTT         int64   `json:"rtt_us" parquet:"rtt_us"`                        // TCP's smoothed round trip
	Window      int64   `json:"window_bytes" parquet:"window_bytes"`            // TCP's congestion window
	Lost        int64   `json:"lost" parquet:"lost"`                            // UDP datagrams
	Datagrams   int64   `json:"datagrams" parquet:"datagrams"`                  // UDP datagrams that were expected
	Jitter      float64 `json:"jitter_us" parquet:"jitter_us"`                  // UDP, RFC 3550
	Problem     string  `json:"problem,omitempty" parquet:"problem,dict"`       // why the flow could not go on
}

// Control counts what one protocol sent in an interval.
type Control struct {
	At       int64 `json:"t_us" parquet:"t_us,delta"`
	Interval int64 `json:"interval_us" parquet:"interval_us"`
	// Port is where it was sent, as NODE:PORT; empty for the sum over all ports.
	Port string `json:"port,omitempty" parquet:"port,dict"`
	// Peer is the port at the link's other end at the end of the interval.
	Peer string `json:"peer,omitempty" parquet:"peer,dict"`
	// Protocol: ospf, isis, bgp, bfd, ndp, other.
	Protocol string `json:"protocol" parquet:"protocol,dict"`
	Frames   uint64 `json:"frames" parquet:"frames"`
	Bytes    uint64 `json:"bytes" parquet:"bytes"` // whole Ethernet frames without their check sequence
}

// Resource is what a process used in an interval.
type Resource struct {
	At       int64  `json:"t_us" parquet:"t_us,delta"`
	Interval int64  `json:"interval_us" parquet:"interval_us"`  // host time
	Node     string `json:"node,omitempty" parquet:"node,dict"` // empty for the emulator
	Process  string `json:"process" parquet:"process,dict"`
	PID      int32  `json:"pid" parquet:"pid"`
	CPU      int64  `json:"cpu_us" parquet:"cpu_us"` // user and system time in the interval
	Resident int64  `json:"rss_bytes" parquet:"rss_bytes"`
	// Proportional is its share of memory, pages in common divided by their users
	// (PSS); nil where it was not read.
	Proportional *int64 `json:"pss_bytes,omitempty" parquet:"pss_bytes,optional"`
}

// Fidelity is the verdict of one moment and what it stands on, in host time.
type Fidelity struct {
	At       int64   `json:"t_us" parquet:"t_us,delta"`
	Level    string  `json:"level" parquet:"level,dict"` // faithful, degraded, overloaded
	Reason   string  `json:"reason,omitempty" parquet:"reason,dict"`
	Frames   uint64  `json:"frames" parquet:"frames"` // delivered since the last row
	FrameP50 int64   `json:"frame_p50_us" parquet:"frame_p50_us"`
	FrameP99 int64   `json:"frame_p99_us" parquet:"frame_p99_us"`
	FrameMax int64   `json:"frame_max_us" parquet:"frame_max_us"`
	EventMax int64   `json:"event_max_us" parquet:"event_max_us"`
	Lost     uint64  `json:"lost" parquet:"lost"`                   // frames that the scenario did not ask to lose
	Busy     float64 `json:"cpu_busy" parquet:"cpu_busy"`           // share of the CPUs' time
	Steal    float64 `json:"cpu_steal" parquet:"cpu_steal"`         // share that the hypervisor withheld
	Ahead    int64   `json:"plan_ahead_us" parquet:"plan_ahead_us"` // of scenario time
}

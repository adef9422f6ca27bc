package experiment

import (
	"orrery.dev/orrery/scenario"
)

// Kind names the file format, beside scenario.APIVersion.
const Kind = "Experiment"

// Experiment is a question about a moving network: one scenario, several variants
// of it, and how often and how long each is run.
type Experiment struct {
	// APIVersion and Kind say what the document is.
	APIVersion string `json:"apiVersion" enum:"orrery.dev/v1alpha1"`
	// Kind is that of the document.
	Kind string `json:"kind" enum:"Experiment"`
	// Metadata names the experiment.
	Metadata scenario.Metadata `json:"metadata"`
	// Spec is the experiment itself.
	Spec Spec `json:"spec"`

	document *scenario.Document
	dir      string
	text     []byte
	variants []*Variant
}

// Spec is what is asked, and how.
type Spec struct {
	// Title is the question, for the report's head.
	Title string `json:"title,omitempty"`
	// Scenario is a scenario file, relative to this one.
	Scenario string `json:"scenario"`
	// Set changes fields of the scenario for all variants.
	Set scenario.Changes `json:"set,omitempty"`
	// Variants differ in fields of the scenario. Absent: one, named "base", which
	// the matrix multiplies.
	Variants []Case `json:"variants,omitempty" count:"1.."`
	// Matrix multiplies: each variant is run with each value of each axis, and named
	// variant-value-value.
	Matrix []Axis `json:"matrix,omitempty" count:"1.."`
	// Without are shell patterns of names of variants, as they are after the
	// matrix, that are left out.
	Without []string `json:"without,omitempty"`
	// Baseline is the variant that the others are compared with. Absent: the first.
	Baseline string `json:"baseline,omitempty"`
	// Repetitions of each variant. With one there are no intervals. Default 3.
	Repetitions int `json:"repetitions,omitempty" default:"3" min:"1" max:"1000"`
	// Seed of the first repetition; each later one has the next number. Default 1.
	Seed uint64 `json:"seed,omitempty" default:"1" min:"1" max:"1000000000"`
	// WarmUp is the orbital time before the measured span, in which daemons start and
	// find each other. Default 60 s.
	WarmUp scenario.Duration `json:"warmUp,omitempty" default:"60s" min:"0s" max:"30d"`
	// Span is the orbital time that is measured, after WarmUp.
	Span scenario.Duration `json:"span" min:"1s" max:"30d"`
	// Observe is what is recorded beside the tables of the stations' pairs.
	Observe Observe `json:"observe,omitzero"`
}

// Case is a variant: a name, and fields of the scenario with other values.
type Case struct {
	// Name of the variant, in tables and directories.
	Name string `json:"name" format:"label"`
	// Title says in the report what it is. Default: Name.
	Title string `json:"title,omitempty"`
	// Set changes fields of the scenario, after those of all variants.
	Set scenario.Changes `json:"set,omitempty"`
}

// Axis is something that is varied by itself.
type Axis struct {
	// Name of the axis.
	Name string `json:"name" format:"label"`
	// Values that it takes.
	Values []Case `json:"values" count:"1.."`
}

// Observe is what is watched in each run beside the stations' pairs.
type Observe struct {
	// Pairs whose way through the tables of all nodes is followed: those of
	// stations, or of all nodes.
	Pairs string `json:"pairs,omitempty" default:"stations" enum:"stations,all"`
	// Probes are one-way streams of UDP packets.
	Probes []Probe `json:"probes,omitempty" count:"1.."`
	// Workloads are users' traffic.
	Workloads []Workload `json:"workloads,omitempty" count:"1.."`
}

// Probe is a stream of UDP packets from one node to another.
type Probe struct {
	// Source is a node.
	Source string `json:"source"`
	// Destination is a node.
	Destination string `json:"destination"`
	// Interval between packets, in host time. Default 20 ms.
	Interval scenario.Duration `json:"interval,omitempty" default:"20ms" min:"1ms" max:"10s"`
}

// Workload is traffic of iperf3 from one node to another, all the time.
type Workload struct {
	// Name of the workload.
	Name string `json:"name" format:"label"`
	// Source is a node.
	Source string `json:"source"`
	// Destination is a node.
	Destination string `json:"destination"`
	// Protocol is tcp or udp. Default tcp.
	Protocol string `json:"protocol,omitempty" default:"tcp" enum:"tcp,udp"`
	// Congestion control of TCP. Default cubic.
	Congestion string `json:"congestion,omitempty" enum:"cubic,bbr,reno"`
	// Rate that is sent at; absent with TCP: as much as there is room for.
	Rate scenario.Rate `json:"rate,omitempty" above:"0bit"`
}

package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kubernetes says how the nodes run as pods.
type Kubernetes struct {
	// Files is the name of a ConfigMap in the scenario's namespace. It holds the
	// files that the scenario names (orbit files and templates), since an object
	// has no directory: each under its name, or gzipped under its name with ".gz"
	// appended. Paths in the scenario are then plain names.
	Files string `json:"files,omitempty" format:"subdomain"`
	// Pods are the settings of groups of nodes; a node takes the first entry that
	// matches it, and the operator's defaults if none does.
	Pods []PodGroup `json:"pods,omitempty"`
}

// PodGroup is what the pods of a group of nodes are like.
type PodGroup struct {
	// Nodes are shell patterns of node names. Default: all.
	Nodes []string `json:"nodes,omitempty"`
	// Image of the container, which has the routing daemons and orrery in it.
	// Default: the operator's.
	Image string `json:"image,omitempty"`
	// ImagePullPolicy as on Kubernetes. Default: Kubernetes's own, by the image's tag.
	ImagePullPolicy string `json:"imagePullPolicy,omitempty" enum:"Always,IfNotPresent,Never"`
	// Requests of resources by their names, such as cpu: 10m and memory: 16Mi.
	// Absent: the operator's defaults, which follow from the daemon.
	Requests map[string]string `json:"requests,omitempty"`
	// Limits of resources by their names. Absent: none.
	Limits map[string]string `json:"limits,omitempty"`
	// NodeSelector is what the workers' labels must be.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations of workers' taints, as on Kubernetes.
	Tolerations []Toleration `json:"tolerations,omitempty"`
	// Spread says how the group's pods are laid over workers:
	//   none  none: as the scheduler likes;
	//   even  even: as many on each, where there is room;
	// Default even.
	Spread string `json:"spread,omitempty" default:"even" enum:"none,even"`
}

// Toleration lets pods run on workers with a taint.
type Toleration struct {
	// Key of the taint. Absent, with operator Exists: any.
	Key string `json:"key,omitempty"`
	// Operator is Equal (default) or Exists.
	Operator string `json:"operator,omitempty" default:"Equal" enum:"Equal,Exists"`
	// Value of the taint, for Equal.
	Value string `json:"value,omitempty"`
	// Effect of the taint. Absent: any.
	Effect string `json:"effect,omitempty" enum:"NoSchedule,PreferNoSchedule,NoExecute"`
}

// Group is the number of the entry of Pods that holds for a node, or -1.
func (k *Kubernetes) Group(node string) int {
	return slices.IndexFunc(k.Pods, func(g PodGroup) bool { return Match(g.Nodes, node) })
}

// DefaultRequests are what the pod of a node requests if nobody says otherwise. daemon is
// "bird", "frr", or "" for none.
//
// CPU: what daemons took of a 66-satellite network at rest, hellos every second, on two
// cores at 2.6 GHz: BIRD's OSPFv3 0.6 thousandths of a CPU, FRR's ospf6d and zebra 1.1, its
// isisd and zebra 2.2. Without a daemon there is nothing to measure but the pod's first
// process, which waits; a thousandth, the least that can be requested, would let no worker
// have 1,000 pods a CPU. Memory: the proportional set size of the daemons (docs/scale.md)
// with the pod's first process and the largest tables that were seen.
func DefaultRequests(daemon string) map[string]string {
	switch daemon {
	case "frr":
		return map[string]string{"cpu": "3m", "memory": "24Mi"}
	case "bird":
		return map[string]string{"cpu": "1m", "memory": "8Mi"}
	default:
		return map[string]string{"memory": "4Mi"}
	}
}

// Amount is the value of an amount of a resource, such as 0.01 for 10m of a CPU, and
// 16,777,216 for 16Mi of memory.
func Amount(text string) (float64, error) {
	if !amountForm.MatchString(text) {
		return 0, fmt.Errorf("%q is not an amount; write one such as 10m or 16Mi", clipped(text))
	}
	number := strings.TrimRight(text, "mkKMGTPi")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, err
	}
	switch suffix := text[len(number):]; {
	case suffix == "m":
		v /= 1000
	case strings.HasSuffix(suffix, "i"):
		for range strings.Index("KMGTP", suffix[:1]) + 1 {
			v *= 1024
		}
	case suffix != "":
		for range strings.Index("kMGTP", suffix) + 1 {
			v *= 1000
		}
	}
	return v, nil
}

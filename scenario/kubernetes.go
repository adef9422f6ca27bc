package scenario

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
	// Absent: the operator's defaults.
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

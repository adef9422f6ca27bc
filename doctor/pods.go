package doctor

import (
	"fmt"
)

// Containers is what a worker's container runtime takes for pods of one container with five interfaces, as measured on the development machine with
// Kubernetes 1.37 and runc 1.1.5.
type Containers struct {
	Name string
	// Descriptors are those of the runtime's own process for each pod, and Itself those before the first. They are what bounds the number of pods first.
	Descriptors, Itself int
	// Threads of a pod with what the runtime keeps beside it.
	Threads int
	// Files are all of a pod's open files, with those of what the runtime keeps beside it.
	Files int
	// Mounts of a pod on its worker: root file systems, shared memory, namespaces, and the volumes with the scenario and of the node's directory.
	Mounts int
	// Memory of a pod in bytes, with what the kernel, the runtime and the kubelet take for it.
	Memory int64
}

var (
	// Containerd has 12 descriptors a pod: 4 of the shim's logs, 4 of the container's output, 3 sockets, and the container's log. 1.6 and 2.4 do not
	// differ in that. A shim has 2.9 MiB, a container that sleeps 1.1, the pause container 0.05: 7.6 to 9 MiB from 300 to 1,664 pods.
	// Of 27,169 threads at 1,400 pods most were the shims'.
	Containerd = Containers{Name: "containerd", Descriptors: 12, Itself: 200, Threads: 20, Files: 60, Mounts: 6, Memory: 9 << 20}
	// CRIO holds a descriptor of three of a pod's namespaces. A process of C beside each container, conmon, writes its log, and no container pauses. 2,000 pods took
	// 4,243 threads, 84,526 open files (16,256 of them the agent's) and 14,051 mounts of the host, and 4.9 to 5.7 MiB each.
	CRIO = Containers{Name: "cri-o", Descriptors: 3, Itself: 200, Threads: 3, Files: 32, Mounts: 7, Memory: 6 << 20}
)

// ContainersOf is the runtime of that name.
func ContainersOf(name string) (Containers, error) {
	for _, c := range []Containers{Containerd, CRIO} {
		if c.Name == name {
			return c, nil
		}
	}
	return Containers{}, fmt.Errorf("there is no container runtime %q: choose %s or %s", name, Containerd.Name, CRIO.Name)
}

// memoryOfWorker is what kubelet, runtime and a control plane on the same host have before the first pod.
const memoryOfWorker = 512 << 20

// kubeletPods is how many pods a kubelet takes if nobody tells it otherwise (maxPods).
const kubeletPods = 110

// NeedOfWorker is what one of so many workers needs for its share of a scenario whose nodes
// are pods, of what they all need on one host. Their software is in their image.
func NeedOfWorker(whole Need, workers int, c Containers) Need {
	share := func(n int) int { return (n + workers - 1) / workers }
	pods := share(whole.Nodes)
	return Need{
		Nodes:       pods,
		Containers:  c,
		Descriptors: share(whole.Descriptors),
		HostFiles:   share(whole.HostFiles) + pods*(c.Files+c.Descriptors),
		Neighbours:  share(whole.Neighbours),
		Processes:   share(whole.Processes) + 2*pods,
		Views:       pods,
		Threads:     share(whole.Threads) + pods*c.Threads,
		Memory:      memoryOfWorker + whole.Memory/int64(workers) + int64(pods)*c.Memory,
		PodCPU:      whole.PodCPU / float64(workers),
		PodMemory:   whole.PodMemory / float64(workers),
	}
}

// ExamineWorker compares what a worker needs (NeedOfWorker) with what this host has.
func ExamineWorker(need Need, have Facts) []Finding {
	var out []Finding
	for _, check := range []func(Need, Facts) []Finding{
		kernel, privileges, devices, ipv6,
		descriptors, runtimeFiles, hostFiles, processes, namespaces, podMounts, neighbours,
		podsOfKubelet, podAddresses, podRequests, memory, processors, podPriority,
	} {
		out = append(out, check(need, have)...)
	}
	return out
}

// runtimeFiles: a runtime is one process, and its limit is what bounded the number of pods
// first.
func runtimeFiles(need Need, have Facts) []Finding {
	c := need.Containers
	want := c.Itself + need.Nodes*c.Descriptors
	f := Finding{Check: "open files of " + c.Name, Have: number(have.DescriptorsMost) + " at most here", Need: number(want)}
	if have.DescriptorsMost < uint64(want) {
		remedy := fmt.Sprintf("set LimitNOFILE= of %s's service to more, which needs CAP_SYS_RESOURCE; or spread the pods over more workers", c.Name)
		if c.Descriptors > CRIO.Descriptors {
			remedy += fmt.Sprintf("; or use CRI-O, which holds %d of a pod for %s's %d", CRIO.Descriptors, c.Name, c.Descriptors)
		}
		return f.worse(Missing, fmt.Sprintf("no pod is made after the first %s", number((int64(have.DescriptorsMost)-int64(c.Itself))/int64(c.Descriptors))), remedy)
	}
	return f.fine()
}

func podMounts(need Need, have Facts) []Finding {
	want := need.Containers.Mounts * need.Nodes
	f := Finding{Check: "mounts", Have: fmt.Sprintf("%s, %s there", number(have.Mounts), number(have.MountsNow)), Need: atLeast(want)}
	if have.Mounts-have.MountsNow < int64(want) {
		return f.tunable(Missing, "not all pods can be made", sysctl("fs.mount-max", max(roomyNamespaces, 2*want)))
	}
	return f.fine()
}

// podsOfKubelet: what the kubelet is told cannot be seen from here.
func podsOfKubelet(need Need, _ Facts) []Finding {
	f := Finding{Check: "maxPods of the kubelet", Have: fmt.Sprintf("not seen; %d by default", kubeletPods), Need: number(need.Nodes)}
	if need.Nodes > kubeletPods {
		return f.worse(Note, "pods beyond it stay Pending", fmt.Sprintf("set maxPods: %d or more in the kubelet's configuration, or spread the pods over more workers", need.Nodes+kubeletPods/10))
	}
	return f.fine()
}

// othersShare of a worker is what other pods request, the agent among them.
const othersShare = 0.1

// podRequests: the scheduler gives a worker no more pods than fit by what they request,
// whatever they use.
func podRequests(need Need, have Facts) []Finding {
	cpu, bytes := have.CPUs*(1-othersShare), float64(have.MemoryAvailable)*(1-othersShare)
	f := Finding{
		Check: "requests of pods", Have: fmt.Sprintf("%.3g CPUs, %s, less a tenth for others", have.CPUs, size(have.MemoryAvailable)),
		Need: fmt.Sprintf("%.3g CPUs, %s", need.PodCPU, size(int64(need.PodMemory))),
	}
	fit := 1.0
	if need.PodCPU > cpu {
		fit = cpu / need.PodCPU
	}
	if need.PodMemory > bytes {
		fit = min(fit, bytes/need.PodMemory)
	}
	if fit < 1 {
		return f.worse(Missing, fmt.Sprintf("pods beyond the first %s stay Pending", number(int(fit*float64(need.Nodes)))),
			`set requests of less in the scenario's kubernetes.pods, such as {cpu: "0", memory: 4Mi}, or spread the pods over more workers`)
	}
	return f.fine()
}

// podPriority: the agent has CAP_SYS_NICE, which is not enough in a control group without
// real-time (Documentation/scheduler/sched-rt-group.rst).
func podPriority(_ Need, have Facts) []Finding {
	f := Finding{Check: "real-time priority of containers", Have: "allowed", Need: "better allowed"}
	if have.RealTimeGroups {
		f.Have = "control groups have none"
		return f.worse(Note, "the agent makes a group of its own below the root, with what real-time other groups have left; without that frames are late when the CPUs are busy",
			"use control groups of version 2; or see that the groups below the root leave some cpu.rt_runtime_us, and that the agent's log says so")
	}
	return f.fine()
}

// podAddresses: the cluster's own network gives each pod one, from its worker's prefix.
func podAddresses(need Need, _ Facts) []Finding {
	const usual = 254 // of the /24 that controller-managers hand out
	f := Finding{Check: "addresses for pods", Have: fmt.Sprintf("not seen; %d in a /24, which is usual", usual), Need: number(need.Nodes)}
	if need.Nodes > usual {
		bits := 24
		for 1<<(32-bits)-2 < need.Nodes && bits > 8 {
			bits--
		}
		return f.worse(Note, "pods beyond it stay in ContainerCreating", fmt.Sprintf("give workers a /%d or more (--node-cidr-mask-size-ipv4 of kube-controller-manager, or the network's own setting); IPv6 needs nothing", bits))
	}
	return f.fine()
}

package doctor

import (
	"fmt"
)

// Figures of pods on the development machine: containerd 1.6.20, runc 1.1.5, Kubernetes 1.37,
// pods of one container with five interfaces.
const (
	// A shim has 2.9 MiB, a container that sleeps 1.1, the pause container 0.05; with
	// what the kernel, containerd and the kubelet take for each it was 7.6 to 9 MiB, from
	// 300 to 1,664 pods.
	memoryPerPod = 9 << 20
	// kubelet, containerd and a control plane on the same host, before the first pod.
	memoryOfWorker = 512 << 20
	// 27,169 threads at 1,400 pods, of which most are the shims'.
	threadsPerPod = 20
	// containerd has 12 descriptors a pod: 4 of the shim's logs, 4 of the container's
	// output, 3 sockets, and the container's log. 1.6 and 2.4 do not differ in that.
	containerdPerPod, containerdItself = 12, 200
	// All of a pod's open files, with those of its shim.
	filesPerPod = 60
	// Mounts of a pod on its worker: two root file systems, shared memory, the namespace,
	// and the volumes with the scenario and of the node's directory.
	mountsPerPod = 6
)

// kubeletPods is how many pods a kubelet takes if nobody tells it otherwise (maxPods).
const kubeletPods = 110

// NeedOfWorker is what one of so many workers needs for its share of a scenario whose nodes
// are pods, of what they all need on one host. Their software is in their image.
func NeedOfWorker(whole Need, workers int) Need {
	share := func(n int) int { return (n + workers - 1) / workers }
	pods := share(whole.Nodes)
	return Need{
		Nodes:       pods,
		Descriptors: share(whole.Descriptors),
		HostFiles:   share(whole.HostFiles) + pods*(filesPerPod+containerdPerPod),
		Neighbours:  share(whole.Neighbours),
		Processes:   share(whole.Processes) + 2*pods,
		Views:       pods,
		Threads:     share(whole.Threads) + pods*threadsPerPod,
		Memory:      memoryOfWorker + whole.Memory/int64(workers) + int64(pods)*memoryPerPod,
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

// runtimeFiles: containerd is one process, and its limit is what bounded the number of pods
// first.
func runtimeFiles(need Need, have Facts) []Finding {
	want := containerdItself + need.Nodes*containerdPerPod
	f := Finding{Check: "open files of containerd", Have: number(have.DescriptorsMost) + " at most here", Need: number(want)}
	if have.DescriptorsMost < uint64(want) {
		return f.worse(Missing, fmt.Sprintf("no pod is made after the first %s", number((int64(have.DescriptorsMost)-containerdItself)/containerdPerPod)),
			"set LimitNOFILE= of containerd's service to more, which needs CAP_SYS_RESOURCE; or spread the pods over more workers")
	}
	return f.fine()
}

func podMounts(need Need, have Facts) []Finding {
	want := mountsPerPod * need.Nodes
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

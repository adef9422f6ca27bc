package doctor_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"orrery.dev/orrery/doctor"
)

// roomy is a host that lacks nothing.
func roomy() doctor.Facts {
	f := doctor.Facts{
		Kernel: "6.18", Root: true, InitialUser: true, IPv6: true, RealTime: true, CPUs: 64, RealTimeRuntime: -1,
		DescriptorsNow: 1 << 30, DescriptorsMost: 1 << 30, FileMax: doctor.Unlimited, PIDMax: 4194304, ThreadsMax: doctor.Unlimited,
		CgroupPIDs: doctor.Unlimited, UserProcesses: doctor.Unlimited, Mounts: 1 << 30, MemoryAvailable: 1 << 50, MemoryCgroup: doctor.Unlimited,
	}
	for i := range f.Namespaces {
		f.Namespaces[i] = doctor.Unlimited
	}
	for i := range f.Neighbours {
		f.Neighbours[i] = [3]int64{doctor.Unlimited, doctor.Unlimited, doctor.Unlimited}
	}
	return f
}

func find(t testing.TB, list []doctor.Finding, check string) doctor.Finding {
	t.Helper()
	for _, f := range list {
		if f.Check == check {
			return f
		}
	}
	t.Fatalf("nothing is found of %q", check)
	return doctor.Finding{}
}

// The descriptors of containerd ended at some 1,660 pods where 20,000 were the limit: that
// is said beforehand, and that two workers have room.
func TestPodsThatDoNotFit(t *testing.T) {
	whole := doctor.Need{Nodes: 2000, Descriptors: 12256, Memory: 2 << 30}
	have := roomy()
	have.DescriptorsNow, have.DescriptorsMost = 20000, 20000
	f := find(t, doctor.ExamineWorker(doctor.NeedOfWorker(whole, 1, doctor.Containerd), have), "open files of containerd")
	if f.Verdict != doctor.Missing || !strings.Contains(f.Consequence, "the first 1,650") {
		t.Errorf("2,000 pods on one worker: %s", f.Sentence())
	}
	if crio := doctor.ExamineWorker(doctor.NeedOfWorker(whole, 1, doctor.CRIO), have); !doctor.Healthy(crio) {
		t.Errorf("2,000 pods on one worker with CRI-O: %v", doctor.Refusals(crio))
	}
	two := doctor.ExamineWorker(doctor.NeedOfWorker(whole, 2, doctor.Containerd), have)
	if !doctor.Healthy(two) {
		t.Errorf("2,000 pods on two workers: %v", doctor.Refusals(two))
	}
	for check, want := range map[string]string{"maxPods of the kubelet": "maxPods: 1011", "addresses for pods": "a /22"} {
		if f := find(t, two, check); f.Verdict != doctor.Note || !strings.Contains(f.Remedy, want) {
			t.Errorf("%s is told as %q, want %q in it", check, f.Sentence(), want)
		}
	}
	have.RealTimeGroups = true
	if f := find(t, doctor.ExamineWorker(doctor.NeedOfWorker(whole, 2, doctor.Containerd), have), "real-time priority of containers"); f.Verdict != doctor.Note {
		t.Errorf("control groups without real-time: %s", f.Sentence())
	}
	have.PIDMax = 32768
	if f := find(t, doctor.ExamineWorker(doctor.NeedOfWorker(whole, 1, doctor.Containerd), have), "threads"); f.Verdict != doctor.Missing || len(f.Settings) == 0 {
		t.Errorf("40,000 threads with a pid_max of 32768: %s", f.Sentence())
	}
}

// The scheduler counts what pods request: a worker of two CPUs took 376 pods of 5m each.
func TestRequestsOfPods(t *testing.T) {
	have := roomy()
	have.CPUs, have.MemoryAvailable = 2, 24<<30
	for _, c := range []struct {
		cpu, memory float64
		want        string
	}{{10, 2000 * 16 << 20, "the first 360 stay"}, {1, 2000 * 16 << 20, "the first 1,382 stay"}, {1.8, 8 << 30, ""}} {
		f := find(t, doctor.ExamineWorker(doctor.NeedOfWorker(doctor.Need{Nodes: 2000, PodCPU: c.cpu, PodMemory: c.memory}, 1, doctor.Containerd), have), "requests of pods")
		if c.want == "" && f.Verdict != doctor.OK || c.want != "" && (f.Verdict != doctor.Missing || !strings.Contains(f.Consequence, c.want)) {
			t.Errorf("%g CPUs, %g bytes: %s, want %q", c.cpu, c.memory, f.Sentence(), c.want)
		}
	}
}

// More workers never need more of one of them, and all shares together are no less than the
// whole.
func TestSharesOfWorkers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := doctor.Need{
			Nodes: rapid.IntRange(1, 10000).Draw(t, "nodes"), Threads: rapid.IntRange(0, 100000).Draw(t, "threads"),
			Memory: rapid.Int64Range(0, 1<<40).Draw(t, "memory"),
		}
		workers := rapid.IntRange(1, 50).Draw(t, "workers")
		few, many := doctor.NeedOfWorker(whole, workers, doctor.Containerd), doctor.NeedOfWorker(whole, workers+1, doctor.Containerd)
		if many.Nodes > few.Nodes || many.Threads > few.Threads || many.Memory > few.Memory {
			t.Fatalf("%d workers need %+v, one more needs %+v", workers, few, many)
		}
		if few.Nodes*workers < whole.Nodes || few.Threads*workers < whole.Threads {
			t.Fatalf("%d shares of %+v are less than %+v", workers, few, whole)
		}
	})
}

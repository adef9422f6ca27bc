package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// quantities that must not grow, in the order in which they are printed.
var quantities = []struct{ name, unit string }{
	{"emulator, anonymous memory", "kB"},
	{"emulator, Go heap in use", "kB"},
	{"emulator, descriptors", ""},
	{"emulator, threads", ""},
	{"goroutines", ""},
	{"kernel, slab that stays", "kB"},
	{"kernel, per-CPU memory", "kB"},
	{"kernel, stacks", "kB"},
	{"kernel, open files", ""},
}

// reading of all quantities at one moment.
type reading struct {
	at     time.Duration
	values [9]float64
}

// read takes a reading of the emulator, with the processes that it started of
// its own program, and of the kernel.
func read(s status) (r reading, err error) {
	heap, err := strconv.ParseFloat(s.Emulator.HeapBytes, 64)
	if err != nil {
		return r, fmt.Errorf("heap of the emulator: %w", err)
	}
	for _, pid := range family(s.Emulator.PID) {
		fields, err := fileFields(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return r, err
		}
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return r, err
		}
		r.values[0] += fields["RssAnon"]
		r.values[2] += float64(len(open))
		r.values[3] += fields["Threads"]
	}
	k, err := readKernel()
	if err != nil {
		return r, err
	}
	r.values[1] = heap / 1024
	r.values[4] = float64(s.Emulator.Goroutines)
	r.values[5], r.values[6], r.values[7], r.values[8] = k.slab, k.perCPU, k.stacks, k.files
	return r, nil
}

// family is a process and its children of the same program.
func family(pid int) []int {
	own, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	out := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(data)) {
			child, err := strconv.Atoi(f)
			if exe, e := os.Readlink("/proc/" + f + "/exe"); err == nil && e == nil && exe == own {
				out = append(out, child)
			}
		}
	}
	return out
}

// kernel is what the kernel holds, in kB, and the number of open files. Of its slabs
// only what it cannot give back counts: names of files fill the rest.
type kernel struct{ slab, perCPU, stacks, files float64 }

func readKernel() (kernel, error) {
	mem, err := fileFields("/proc/meminfo")
	if err != nil {
		return kernel{}, err
	}
	data, err := os.ReadFile("/proc/sys/fs/file-nr")
	if err != nil {
		return kernel{}, err
	}
	k := kernel{slab: mem["SUnreclaim"], perCPU: mem["Percpu"], stacks: mem["KernelStack"]}
	if _, err := fmt.Sscan(string(data), &k.files); err != nil {
		return k, fmt.Errorf("/proc/sys/fs/file-nr: %w", err)
	}
	return k, nil
}

func (k kernel) beyond(o kernel) string {
	return fmt.Sprintf("slab %+.0f MB, per-CPU %+.0f MB, %+.0f open files", (k.slab-o.slab)/1024, (k.perCPU-o.perCPU)/1024, k.files-o.files)
}

// fileFields reads lines of the form "Name:   123 kB".
func fileFields(path string) (map[string]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64)
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); len(f) > 0 {
			if v, err := strconv.ParseFloat(f[0], 64); err == nil {
				out[name] = v
			}
		}
	}
	return out, nil
}

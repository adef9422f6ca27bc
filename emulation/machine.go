package emulation

import (
	"context"
	"io/fs"
	"runtime"
	"strconv"
	"strings"

	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/router"
)

// describeMachine says what the host is, from its root directory. What it does not
// find stays empty.
func describeMachine(root fs.FS) record.Machine {
	m := record.Machine{Architecture: runtime.GOARCH, Cores: runtime.NumCPU()}
	read := func(name string) string {
		b, _ := fs.ReadFile(root, name)
		return string(b)
	}
	field := func(text, key string) string {
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(line, key); ok && strings.TrimSpace(k) == "" {
				return strings.Trim(strings.TrimSpace(v), `:="`+" \t")
			}
		}
		return ""
	}
	m.System = field(read("etc/os-release"), "PRETTY_NAME=")
	m.Kernel = strings.TrimSpace(read("proc/sys/kernel/osrelease"))
	m.CPU = field(read("proc/cpuinfo"), "model name")
	if kib, ok := strings.CutSuffix(field(read("proc/meminfo"), "MemTotal:"), " kB"); ok {
		n, _ := strconv.ParseInt(strings.TrimSpace(kib), 10, 64)
		m.Memory = n << 10
	}
	return m
}

// daemonVersions of the routing software that a plan uses.
func daemonVersions(ctx context.Context, p *plan.Plan) map[string]string {
	out := make(map[string]string)
	for i := range p.Nodes {
		entry := assignment.Routing(p, i)
		if entry == nil {
			continue
		}
		daemon, err := router.Daemon(*entry)
		if _, known := out[daemon]; err != nil || known || daemon == "" {
			continue
		}
		version, err := router.Version(ctx, daemon)
		if err != nil {
			version = "unknown"
		}
		out[daemon] = version
	}
	return out
}

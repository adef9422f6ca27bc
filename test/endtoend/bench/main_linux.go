// Bench measures Orrery on a Kubernetes cluster of this host: it makes so many pods with
// five ports each, keeps them, deletes them, and prints what that took.
//
//	go run ./test/endtoend/bench -pods 2000 -workers 1 -keep 30m
//
// Every figure is measured in this run. What the host lacks is said before anything is made,
// by orrery doctor --kubernetes; -force goes on nevertheless.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"orrery.dev/orrery/doctor"
	"orrery.dev/orrery/test/cluster"
	"orrery.dev/orrery/test/endtoend"
)

type options struct {
	pods, workers int
	first         int // pods of the first worker; 0 for an equal share
	keep          time.Duration
	routing       string
	runtime       cluster.Runtime
	force         bool
}

func main() {
	var o options
	flag.IntVar(&o.pods, "pods", 50, "how many pods, 10 at least")
	flag.IntVar(&o.workers, "workers", 1, "on how many workers, all on this host")
	flag.IntVar(&o.first, "first", 0, "how many of them the first worker takes; an equal share by default")
	flag.DurationVar(&o.keep, "keep", 30*time.Second, "how long to keep them")
	flag.StringVar(&o.routing, "routing", "oracle", "routing protocol: oracle, ospf3 (BIRD) or isis (FRR)")
	flag.TextVar(&o.runtime, "runtime", cluster.Containerd, "what makes containers: containerd, containerd2 or cri-o; the last two are built from their modules")
	flag.BoolVar(&o.force, "force", false, "go on although something is missing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// containers is the runtime as orrery doctor calls it.
func (o *options) containers() string {
	if o.runtime == cluster.CRIO {
		return doctor.CRIO.Name
	}
	return doctor.Containerd.Name
}

// margin is room on a worker for what is not measured: agent and operator.
const margin = 20

func run(ctx context.Context, o *options) (err error) {
	if o.pods < 10 || o.workers < 1 || o.first < 0 || o.first > o.pods || flag.NArg() > 0 {
		return errors.New("want 10 pods and 1 worker at least, and no arguments")
	}
	share := (o.pods + o.workers - 1) / o.workers
	if o.first > 0 && o.workers > 1 {
		share = (o.pods - o.first + o.workers - 2) / (o.workers - 1)
	}
	c := cluster.Options{
		Workers: o.workers, IPv6: true, Multus: true, Runtime: o.runtime,
		MaxPods: share + margin, PodCIDRs: prefixes,
		Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	if o.first > 0 {
		c.FirstPods = o.first + margin
	}
	if reason := cluster.Missing(c); reason != "" {
		return errors.New(reason)
	}
	dir, err := os.MkdirTemp("", "orrery-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := endtoend.Build(ctx, dir)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "scenario.yaml")
	if err := os.WriteFile(file, []byte(scenarioOf(o)), 0o600); err != nil {
		return err
	}
	doctor := exec.CommandContext(ctx, filepath.Join(dir, "orrery"), "doctor", "--kubernetes", fmt.Sprintf("--workers=%d", o.workers), "--runtime="+o.containers(), file)
	doctor.Stdout, doctor.Stderr = os.Stdout, os.Stderr
	if err := doctor.Run(); err != nil && !o.force {
		return fmt.Errorf("the host lacks something, see above; -force goes on nevertheless: %w", err)
	}
	c.Images = programs.Images
	started, err := cluster.Up(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, started.Down()) }()
	installed, err := endtoend.Install(ctx, started, programs)
	if err != nil {
		return err
	}
	m := &measurement{options: o, cluster: installed, file: file}
	return m.take(ctx)
}

// prefixes of a worker's pods: room for thousands in each family.
func prefixes(worker int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("fd6f:7272:6572:%d::/64", 100+worker)),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + worker), 0, 0}), 16),
	}
}

// stations are where the pings go to and from.
var stations = []string{"equator", "north", "south", "east", "west"}

// scenarioOf has so many nodes with five ports each: satellites in a grid, which have four
// neighbours and a port to the ground, and a few stations, which have five antennas. Time goes fast, for links to
// change while the pods are kept.
func scenarioOf(o *options) string {
	satellites := o.pods - len(stations)
	planes := 1
	for p := 2; p*p <= satellites; p++ {
		if satellites%p == 0 {
			planes = p
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: bench}
spec:
  speed: 10
  constellations:
    - name: sat
      walker: {pattern: delta, planes: %d, satellitesPerPlane: %d, inclination: 60deg, altitude: 1200km}
      links: {pattern: grid}
      groundPorts: 1
  groundLinks: [{name: user, minElevation: 5deg, antennas: 5}]
  routing: [{protocol: %s}]
  stations:
`, planes, satellites/planes, o.routing)
	for i, s := range stations {
		at := [][2]int{{0, 0}, {45, 30}, {-40, -60}, {20, 100}, {30, -110}}[i]
		fmt.Fprintf(&b, "    - {name: %s, position: {lat: %ddeg, lon: %ddeg}}\n", s, at[0], at[1])
	}
	return b.String()
}

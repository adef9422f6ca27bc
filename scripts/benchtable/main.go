// Command benchtable prints the output of "go test -bench" as a table: the
// median of each benchmark's repetitions, how far they scatter, and ratios
// within the run, which mean the same on every machine.
//
//	go test -bench . -count 6 ./... | go run ./scripts/benchtable
//
// The column "sincos" is the time of one operation in units of one math.Sincos
// on the same machine in the same run, if BenchmarkSincos of this package was
// among the benchmarks.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	in := os.Stdin
	if len(args) > 0 {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	t, err := read(in)
	if err != nil {
		return err
	}
	return t.print(os.Stdout)
}

// comparison sets one benchmark beside another that does the same by other
// means. Each "*" of a name stands for any text without a slash, the same in both.
type comparison struct {
	what, name, with string
	unit             string
}

var comparisons = []comparison{
	{"frames per second, fabric with one worker over bare veth", "Frames/*/*/workers=1", "Frames/*/*/veth", "frames/s"},
	{"frames per second, fabric with two workers over bare veth", "Frames/*/*/workers=2", "Frames/*/*/veth", "frames/s"},
	{"frames per second between two hosts over an underlay, over those on one host", "Hosts/*/hosts=2/mtu=1500", "Hosts/*/hosts=1", "frames/s"},
	{"lateness (p99) between two hosts over that on one", "HostsDelay/hosts=2", "HostsDelay/hosts=1", "p99-µs"},
	{"datagrams from program to program, fabric over bare veth", "UDP/fabric", "UDP/veth", "datagrams/s"},
	{"TCP over one hop, fabric over bare veth", "TCP/fabric", "TCP/veth", "Gbit/s"},
	{"frames per second and thread, the fabric's steps over bare system calls", "Relay/*/delay=0s", "Relay/*/bare", "frames/s"},
	{"the same with a delay of 1 µs", "Relay/*/delay=1µs", "Relay/*/bare", "frames/s"},
	{"lateness at 100,000 frames/s, median, polling over sleeping", "Lateness100k/spin=true", "Lateness100k/spin=false", "p50-µs"},
	{"lateness at 100,000 frames/s, 99th of 100, polling over sleeping", "Lateness100k/spin=true", "Lateness100k/spin=false", "p99-µs"},
	{"median distance from the delay, fabric over netem", "DelayBesideNetem/*/fabric", "DelayBesideNetem/*/netem", "p50-µs"},
	{"datagrams over a link with delay, fabric over netem", "ThroughputBesideNetem/UDP/fabric", "ThroughputBesideNetem/UDP/netem", "datagrams/s"},
	{"TCP over a link with delay, fabric over netem", "ThroughputBesideNetem/TCP/fabric", "ThroughputBesideNetem/TCP/netem", "Gbit/s"},
	{"time until a burst of lost carriers is told, fabric over one by one", "SetCarriers/*/fabric", "SetCarriers/*/settled", "µs/burst-lost"},
	{"changes of a link, fabric over netlink", "Set/fabric", "Set/netlink", "changes/s"},
	{"changes of a link, fabric over forking tc", "Set/fabric", "Set/tc", "changes/s"},
	{"making 2,000 nodes with 5 ports, node engine over bare system calls", "DensityOnce/engine", "DensityOnce/floor", "create-s"},
	{"ending them until nothing is left, node engine over bare system calls", "DensityOnce/engine", "DensityOnce/floor", "destroy-s"},
	{"time for shortest paths, gonum over ours", "GonumTree10000", "Tree10000", "ns/op"},
}

// benchmark is what all repetitions of one benchmark gave, by unit.
type benchmark struct {
	pkg, name string
	values    map[string][]float64
}

type table struct {
	benchmarks []*benchmark
	byName     map[string]*benchmark
}

// line of a result (https://go.googlesource.com/proposal/+/master/design/14313-benchmark-format.md).
var line = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

func read(in io.Reader) (*table, error) {
	t := &table{byName: map[string]*benchmark{}}
	pkg := ""
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			return t, lines.Err()
		}
		if p, ok := strings.CutPrefix(lines.Text(), "pkg: "); ok {
			pkg = p[strings.LastIndexByte(p, '/')+1:]
			continue
		}
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		b := t.byName[pkg+"."+m[1]]
		if b == nil {
			b = &benchmark{pkg, m[1], map[string][]float64{}}
			t.benchmarks, t.byName[pkg+"."+m[1]] = append(t.benchmarks, b), b
		}
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", lines.Text(), err)
			}
			b.values[fields[i+1]] = append(b.values[fields[i+1]], v)
		}
	}
}

// median of the repetitions, and half the distance between the largest and
// the smallest, relative to the median.
func (b *benchmark) median(unit string) (median, scatter float64, ok bool) {
	v := slices.Sorted(slices.Values(b.values[unit]))
	if len(v) == 0 {
		return 0, 0, false
	}
	median = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	if median != 0 {
		scatter = (v[len(v)-1] - v[0]) / 2 / median
	}
	return median, scatter, true
}

func (t *table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var reference float64
	if b := t.byName["benchtable.Sincos"]; b != nil {
		reference, _, _ = b.median("ns/op")
	}
	fmt.Fprintln(w, "\nbenchmark\ttime\t±\tsincos\tallocs\tother")
	for _, b := range t.benchmarks {
		ns, scatter, _ := b.median("ns/op")
		ratio := ""
		if reference > 0 && ns > 0 {
			ratio = number(ns / reference)
		}
		allocs := ""
		if n, _, ok := b.median("allocs/op"); ok {
			allocs = number(n)
		}
		fmt.Fprintf(w, "%s %s\t%s\t%.0f%%\t%s\t%s\t%s\n", b.pkg, b.name, duration(ns), 100*scatter, ratio, allocs, strings.Join(b.others(), ", "))
	}
	if rows := t.compare(); len(rows) > 0 {
		fmt.Fprintf(w, "\nratios within this run\n%s\n", strings.Join(rows, "\n"))
	}
	return w.Flush()
}

// others are the figures that a benchmark reports by itself.
func (b *benchmark) others() []string {
	var out []string
	for unit := range b.values {
		switch unit {
		case "ns/op", "B/op", "allocs/op":
			continue
		}
		m, _, _ := b.median(unit)
		out = append(out, number(m)+" "+unit)
	}
	slices.Sort(out)
	return out
}

func (t *table) compare() []string {
	var rows []string
	for _, c := range comparisons {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(c.name), `\*`, `([^/]*)`) + "$")
		for _, b := range t.benchmarks {
			m := pattern.FindStringSubmatch(b.name)
			if m == nil {
				continue
			}
			with, detail := c.with, ""
			if len(m) > 1 {
				for _, text := range m[1:] {
					with = strings.Replace(with, "*", text, 1)
				}
				detail = " (" + strings.Join(m[1:], ", ") + ")"
			}
			other := t.byName[b.pkg+"."+with]
			if other == nil {
				continue
			}
			x, _, okX := b.median(c.unit)
			y, _, okY := other.median(c.unit)
			if okX && okY && y != 0 {
				rows = append(rows, fmt.Sprintf("%s%s\t%.3g", c.what, detail, x/y))
			}
		}
	}
	return rows
}

// number with three digits, or all before the point if there are more.
func number(v float64) string {
	if v >= 1000 || v == float64(int64(v)) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// duration in a unit that leaves few digits.
func duration(ns float64) string {
	switch {
	case ns == 0:
		return ""
	case ns < 1e3:
		return strconv.FormatFloat(ns, 'g', 3, 64) + " ns"
	case ns < 1e6:
		return strconv.FormatFloat(ns/1e3, 'g', 3, 64) + " µs"
	case ns < 1e9:
		return strconv.FormatFloat(ns/1e6, 'g', 3, 64) + " ms"
	}
	return strconv.FormatFloat(ns/1e9, 'g', 3, 64) + " s"
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/scenario"
)

// recordOptions are the flags of up that say what is recorded.
type recordOptions struct {
	dir       string
	warmUp    time.Duration
	span      time.Duration
	labels    []string
	pairs     string
	probes    []string
	workloads []string
}

func (o *recordOptions) add(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "record", "", "directory, without a record yet, to keep all that is observed in")
	f.DurationVar(&o.warmUp, "warm-up", 0, "orbital time, from the beginning on, that is recorded and does not count")
	f.DurationVar(&o.span, "span", 0, "end when so much orbital time after the warm-up was measured; default all that comes")
	f.StringArrayVar(&o.labels, "label", nil, "KEY=VALUE to keep with the record; may be given several times")
	f.StringVar(&o.pairs, "pairs", "stations", `whose ways through the tables are followed: "stations", or "all" nodes`)
	f.StringArrayVar(&o.probes, "probe", nil, "stream of UDP packets, SOURCE,DESTINATION[,INTERVAL]; may be given several times")
	f.StringArrayVar(&o.workloads, "workload", nil, "traffic of iperf3, NAME=SOURCE,DESTINATION[,tcp|udp[,CONGESTION[,RATE]]]; may be given several times")
}

// arguments are the flags again, for another process.
func (o *recordOptions) arguments() []string {
	argv := []string{"--record", o.dir, "--warm-up", o.warmUp.String(), "--span", o.span.String(), "--pairs", o.pairs}
	for flag, values := range map[string][]string{"--label": o.labels, "--probe": o.probes, "--workload": o.workloads} {
		for _, v := range values {
			argv = append(argv, flag, v)
		}
	}
	return argv
}

// recording is what the flags ask for, nil for nothing. Its error is one of usage.
func (o *recordOptions) recording() (*emulation.Recording, error) {
	if o.dir == "" {
		if o.warmUp != 0 || o.span != 0 || len(o.labels)+len(o.probes)+len(o.workloads) > 0 {
			return nil, usageError(fmt.Errorf("--warm-up, --span, --label, --probe and --workload are about a record: give --record DIR, too"))
		}
		return nil, nil
	}
	if o.warmUp < 0 || o.span < 0 {
		return nil, usageError(fmt.Errorf("--warm-up %v, --span %v: want no negative times", o.warmUp, o.span))
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	r := &emulation.Recording{
		Dir: dir, Orrery: version, Labels: make(map[string]string), WarmUp: o.warmUp, Span: o.span, AllPairs: o.pairs == "all",
	}
	if !slices.Contains([]string{"stations", "all"}, o.pairs) {
		return nil, usageError(fmt.Errorf("--pairs %s: want stations or all", o.pairs))
	}
	for _, l := range o.labels {
		k, v, ok := strings.Cut(l, "=")
		if !ok || k == "" {
			return nil, usageError(fmt.Errorf("--label %s: want KEY=VALUE", l))
		}
		r.Labels[k] = v
	}
	for _, p := range o.probes {
		s, err := parseStream(p)
		if err != nil {
			return nil, usageError(fmt.Errorf("--probe %s: %w", p, err))
		}
		r.Streams = append(r.Streams, s)
	}
	for _, w := range o.workloads {
		x, err := parseWorkload(w)
		if err != nil {
			return nil, usageError(fmt.Errorf("--workload %s: %w", w, err))
		}
		r.Workloads = append(r.Workloads, x)
	}
	return r, nil
}

// list enters the record into the index of this host's runs. A run needs no index, so what fails is a note.
func (o *recordOptions) list() {
	if o.dir == "" {
		return
	}
	if err := addToIndex(o.dir); err != nil {
		fmt.Fprintln(os.Stderr, "orrery: note: the run is not in the index: "+err.Error())
	}
}

func parseStream(text string) (s emulation.Stream, err error) {
	f := strings.Split(text, ",")
	if len(f) < 2 || len(f) > 3 {
		return s, fmt.Errorf("want SOURCE,DESTINATION or SOURCE,DESTINATION,INTERVAL")
	}
	s.Source, s.Destination = f[0], f[1]
	if len(f) == 3 {
		if s.Interval, err = time.ParseDuration(f[2]); err == nil && s.Interval < time.Millisecond {
			err = fmt.Errorf("want an interval of 1ms at least")
		}
	}
	return s, err
}

func parseWorkload(text string) (w emulation.Workload, err error) {
	name, rest, ok := strings.Cut(text, "=")
	f := strings.Split(rest, ",")
	if !ok || name == "" || len(f) < 2 || len(f) > 5 {
		return w, fmt.Errorf("want NAME=SOURCE,DESTINATION, and after that a protocol, a congestion control and a rate if need be")
	}
	for len(f) < 5 {
		f = append(f, "")
	}
	w.Name, w.Source, w.Destination, w.Congestion = name, f[0], f[1], f[3]
	switch f[2] {
	case "", "tcp":
	case "udp":
		w.UDP = true
	default:
		return w, fmt.Errorf("protocol %s: want tcp or udp", strconv.Quote(f[2]))
	}
	if w.UDP && w.Congestion != "" {
		return w, fmt.Errorf("UDP has no congestion control: leave it empty")
	}
	if f[4] != "" {
		rate, err := scenario.ParseRate(f[4])
		if err != nil {
			return w, err
		}
		w.Rate = float64(rate)
	}
	return w, nil
}

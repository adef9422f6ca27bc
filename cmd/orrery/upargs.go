package main

import (
	"fmt"
	"maps"
	"slices"

	"orrery.dev/orrery/experiment"
)

// upArguments are those of "orrery up" for a run of an experiment.
func upArguments(j *experiment.Job) []string {
	args := []string{"up", j.Scenario, "--plain", "--name", j.Name, "--record", j.Record, "--warm-up", j.WarmUp.String(), "--span", j.Span.String()}
	for _, name := range slices.Sorted(maps.Keys(j.Labels)) {
		args = append(args, "--label", name+"="+j.Labels[name])
	}
	if j.Observe.Pairs == "all" {
		args = append(args, "--all-pairs")
	}
	for _, p := range j.Observe.Probes {
		args = append(args, "--probe", fmt.Sprintf("%s,%s,%s", p.Source, p.Destination, p.Interval))
	}
	for _, w := range j.Observe.Workloads {
		args = append(args, "--workload", fmt.Sprintf("%s,%s,%s,%s,%s,%.0f", w.Name, w.Source, w.Destination, w.Protocol, w.Congestion, float64(w.Rate)))
	}
	return args
}

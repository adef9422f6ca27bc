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
	if j.Observe.Pairs != "" {
		args = append(args, "--pairs", j.Observe.Pairs)
	}
	for _, p := range j.Observe.Probes {
		args = append(args, "--probe", fmt.Sprintf("%s,%s,%s", p.Source, p.Destination, p.Interval))
	}
	for _, w := range j.Observe.Workloads {
		text := fmt.Sprintf("%s=%s,%s,%s,%s", w.Name, w.Source, w.Destination, w.Protocol, w.Congestion)
		if w.Rate > 0 {
			text += "," + w.Rate.String()
		}
		args = append(args, "--workload", text)
	}
	return args
}

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"orrery.dev/orrery/kube/kubectl"
)

// chosen is the scenario that a verb's only argument names; without one it is the only one that there is.
func (o *options) chosen(ctx context.Context, verb string, args []string) (string, error) {
	switch len(args) {
	case 0:
		return o.only(ctx)
	case 1:
		names, err := o.scenarios(ctx) // which fills the namespace in
		if err == nil && !slices.Contains(names, args[0]) {
			err = fmt.Errorf("namespace %s has no scenario %q; it has %q", o.namespace, args[0], names)
		}
		return args[0], err
	default:
		return "", fmt.Errorf("usage: kubectl orrery %s [SCENARIO]; %w", verb, errUsage)
	}
}

// workers prints how workers carry a scenario, and how they hear each other.
func (o *options) workers(ctx context.Context, out io.Writer, args []string) error {
	name, err := o.chosen(ctx, "workers", args)
	if err != nil {
		return err
	}
	list, err := kubectl.Open(ctx, o.program, o.namespace, name, o.system).Workers(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("scenario %s has no pod on a worker", name)
	}
	return printWorkers(out, list)
}

func printWorkers(out io.Writer, list []kubectl.Worker) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WORKER\tNODES\tVERDICT\tFRAMES LATE, P99\tREAL TIME\tPEER\tCLOCK AHEAD\tLATENCY P50\tP99\tLOST\tLATE")
	for _, w := range list {
		if w.Err != nil {
			fmt.Fprintf(t, "%s\t%v\n", w.Name, w.Err)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s", w.Name, w.Nodes, w.Verdict, milliseconds(w.Lateness), map[bool]string{true: "yes", false: "no"}[w.RealTime])
		for i, p := range w.Peers {
			if i > 0 {
				fmt.Fprint(t, "\t\t\t\t") // the columns of the worker
			}
			clock := "does not answer"
			switch {
			case p.Differs != "":
				clock = "refused: another " + p.Differs
			case p.Up:
				clock = fmt.Sprintf("%s ± %s", milliseconds(p.Offset), milliseconds(p.Uncertainty))
			}
			fmt.Fprintf(t, "\t%s\t%s\t%s\t%s\t%d\t%d\n", p.Name, clock, milliseconds(p.LatencyP50), milliseconds(p.LatencyP99), p.Lost, p.Late)
		}
		if len(w.Peers) == 0 {
			fmt.Fprintln(t)
		}
	}
	return t.Flush()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

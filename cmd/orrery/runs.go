package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/index"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/report"
)

func runsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "runs [DIR]",
		Short: "List recorded runs",
		Long: `List the runs that were recorded on this host, the newest first, or those below
a directory. The list is an index, which 'orrery up --record' and 'orrery experiment
run' keep; the runs' directories hold all that it says, and --add and --rebuild read
them.`,
		Example: "  orrery runs --label variant=isis --trusted\n  orrery runs --rebuild iridium-protocols,others",
		Args:    cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "csv")
	var f index.Filter
	var state string
	var rebuild, add []string
	var forget bool
	flags := c.Flags()
	flags.StringVar(&f.Scenario, "scenario", "", "only runs of the scenario of this name")
	flags.StringVar(&state, "state", "", "only runs in this state: going, complete, interrupted, failed")
	flags.StringToStringVar(&f.Labels, "label", nil, "only runs with these labels, such as variant=isis")
	flags.BoolVar(&f.Trusted, "trusted", false, "only runs that are complete and were faithful")
	flags.StringSliceVar(&add, "add", nil, "first enter all runs below these directories")
	flags.StringSliceVar(&rebuild, "rebuild", nil, "first make the index anew from all runs below these directories")
	flags.BoolVar(&forget, "forget", false, "first remove the entries of directories that are gone")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		f.State = record.State(state)
		if len(args) > 0 {
			below, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			f.Below = below
		}
		i, err := index.Open(cmd.Context(), index.DefaultPath())
		if err != nil {
			return err
		}
		defer func() { _ = i.Close() }() // what it was to keep is written at once
		if err := changeIndex(cmd.Context(), i, rebuild, add, forget); err != nil {
			return err
		}
		runs, err := i.List(cmd.Context(), f)
		if err != nil {
			return err
		}
		return printRuns(runs, *output)
	}
	return c
}

// changeIndex does what is asked for before the index is listed.
func changeIndex(ctx context.Context, i *index.Index, rebuild, add []string, forget bool) error {
	find := func(roots []string) ([]string, error) {
		var dirs []string
		for _, root := range roots {
			found, err := report.Find(root)
			if err != nil {
				return nil, err
			}
			dirs = append(dirs, found...)
		}
		return dirs, nil
	}
	if rebuild != nil {
		dirs, err := find(rebuild)
		if err != nil {
			return err
		}
		_, problems, err := i.Rebuild(ctx, dirs)
		for _, p := range problems {
			fmt.Fprintln(os.Stderr, "orrery: note: "+p.Error())
		}
		if err != nil {
			return err
		}
	}
	dirs, err := find(add)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		err = errors.Join(err, i.Add(ctx, dir))
	}
	if forget {
		_, e := i.Forget(ctx)
		err = errors.Join(err, e)
	}
	return err
}

func printRuns(runs []index.Run, format string) error {
	if format == "json" {
		if runs == nil {
			runs = []index.Run{}
		}
		return printJSON(os.Stdout, runs)
	}
	t := table{head: []string{"started", "scenario", "routing", "span", "state", "fidelity", "labels", "directory"}}
	for i := range runs {
		r := &runs[i]
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
			if name != "digest" {
				labels = append(labels, name+"="+r.Labels[name])
			}
		}
		level, dir := r.Fidelity, r.Dir
		if !r.Trusted() {
			level += " †"
		}
		if r.Gone {
			dir += " (gone)"
		}
		t.add(r.Started.Format(time.DateTime), r.Scenario, r.Routing, r.Span.Round(time.Millisecond).String(), string(r.State), level, strings.Join(labels, " "), dir)
	}
	if len(runs) == 0 && format == "table" {
		fmt.Println("There is no such run.")
		return nil
	}
	if err := t.print(os.Stdout, format); err != nil || format != "table" {
		return err
	}
	if slices.ContainsFunc(runs, func(r index.Run) bool { return !r.Trusted() }) {
		fmt.Println("† not complete or not faithful: left out of comparisons")
	}
	return nil
}

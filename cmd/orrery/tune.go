package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/doctor"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/rundir"
	"orrery.dev/orrery/tune"
)

type tuneOptions struct {
	scenario              string
	dryRun, undo, persist bool
	output                *string
}

func tuneCommand() *cobra.Command {
	var o tuneOptions
	c := &cobra.Command{
		Use:   "tune",
		Short: "Raise the limits of this host that are sysctls, or take that back",
		Long: `Set the sysctls that doctor finds too low for a scenario, or without one for
a network of 2,000 nodes with five ports each. What they were is kept in
ORRERY_STATE_DIR (default /var/lib/orrery) from before the first is changed, and
--undo restores it, also after this program was killed half way. Limits that are
no sysctls are for doctor to tell of.`,
		Example: "  orrery tune --scenario examples/starlink-shell1.yaml --dry-run\n  orrery tune --scenario examples/starlink-shell1.yaml\n  orrery tune --undo",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runTune(cmd.Context(), &o) },
	}
	f := c.Flags()
	f.StringVar(&o.scenario, "scenario", "", "scenario file whose needs are to be met")
	f.BoolVar(&o.dryRun, "dry-run", false, "only show what would be set")
	f.BoolVar(&o.undo, "undo", false, "restore what all tunings since the last undo have changed")
	f.BoolVar(&o.persist, "persist", false, "also set it at each boot, by a file in /etc/sysctl.d")
	o.output = outputFlag(c, "table", "json")
	return c
}

func runTune(ctx context.Context, o *tuneOptions) error {
	if o.undo && (o.dryRun || o.persist || o.scenario != "") {
		return usageError(errors.New("--undo goes with no other flag but --output"))
	}
	if o.dryRun && o.persist {
		return usageError(errors.New("give --dry-run or --persist, not both"))
	}
	tuner, err := tune.Host()
	if err != nil {
		return err
	}
	if o.undo {
		changes, err := tuner.Undo()
		if errors.Is(err, tune.ErrNothing) {
			return &exitError{exitHost, err}
		}
		return errors.Join(printChanges(os.Stdout, changes, *o.output), err)
	}
	need := doctor.Typical()
	if o.scenario != "" {
		p, err := load(o.scenario)
		if err != nil {
			return err
		}
		if need, err = doctor.NeedOf(p, router.Release()); err != nil {
			return usageError(err)
		}
	}
	settings := doctor.Settings(doctor.Examine(need, doctor.Gather(ctx, doctor.System{}, need, rundir.Root())))
	var changes []tune.Change
	if o.dryRun {
		changes, err = tuner.Rehearse(settings)
	} else {
		changes, err = tuner.Apply(settings, o.persist)
	}
	return errors.Join(printChanges(os.Stdout, changes, *o.output), err)
}

func printChanges(w io.Writer, changes []tune.Change, format string) error {
	if format == "json" {
		if changes == nil {
			changes = []tune.Change{}
		}
		return printJSON(w, changes)
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "Nothing needs to be changed.")
		return err
	}
	t := table{head: []string{"sysctl", "was", "now", "outcome"}}
	for _, c := range changes {
		outcome := outcomes[c.Outcome]
		if c.Reason != "" {
			outcome += ": " + c.Reason
		}
		t.add(c.Sysctl, c.Was, c.Now, outcome)
	}
	return t.print(w, format)
}

// outcomes in words.
var outcomes = map[tune.Outcome]string{
	tune.Set: "set", tune.WouldSet: "would be set", tune.Same: "has it already", tune.Restored: "restored",
	tune.Theirs: "changed by somebody else since, not touched", tune.Absent: "not there", tune.Failed: "failed",
}

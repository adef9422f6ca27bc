package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"orrery.dev/orrery/doctor"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/rundir"
	"orrery.dev/orrery/userns"
)

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor [FILE]",
		Short: "Say what this host lacks for a scenario, and what to do",
		Long: `Compare what a scenario needs with what this host has, or without a scenario
what every scenario needs. Nothing is changed. The exit code is 3 if something
is missing.

With --kubernetes this host is one of the workers of a cluster on which the
scenario's nodes are pods.`,
		Example: "  orrery doctor\n  orrery doctor examples/iridium.yaml\n  orrery doctor --kubernetes --workers 3 examples/starlink-shell1.yaml",
		Args:    cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "csv")
	kubernetes := c.Flags().Bool("kubernetes", false, "judge this host as a worker that has the nodes as pods")
	workers := c.Flags().Int("workers", 1, "with --kubernetes: over how many workers the pods are spread")
	runtime := c.Flags().String("runtime", doctor.Containerd.Name, "with --kubernetes: the workers' container runtime, containerd or cri-o")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		containers, err := doctor.ContainersOf(*runtime)
		switch {
		case err != nil:
			return usageError(err)
		case *workers < 1:
			return usageError(fmt.Errorf("%d workers: want 1 at least", *workers))
		case *kubernetes && len(args) == 0:
			return usageError(errors.New("--kubernetes needs a scenario file: what a worker needs follows from the number of pods"))
		}
		// What an ordinary user's run will find is found where it will run.
		if !mayMakeNodes() && userns.Available(cmd.Context()) == nil {
			return again(cmd.Context(), os.Args[1:]...)
		}
		var need doctor.Need
		if len(args) == 1 {
			p, err := load(args[0])
			if err != nil {
				return err
			}
			if need, err = doctor.NeedOf(p, router.Release()); err != nil {
				return usageError(err)
			}
		}
		examine := doctor.Examine
		if *kubernetes {
			need, examine = doctor.NeedOfWorker(need, *workers, containers), doctor.ExamineWorker
		}
		findings := examine(need, doctor.Gather(cmd.Context(), doctor.System{}, need, rundir.Root()))
		if err := printFindings(os.Stdout, findings, *output); err != nil {
			return err
		}
		if !doctor.Healthy(findings) {
			return &exitError{code: exitHost}
		}
		return nil
	}
	return c
}

// preflight refuses what this host cannot run, and says on standard error what
// will go worse than expected, both in doctor's words.
func preflight(ctx context.Context, p *plan.Plan) error {
	need, err := doctor.NeedOf(p, router.Release())
	if err != nil {
		return usageError(err)
	}
	findings := doctor.Examine(need, doctor.Gather(ctx, doctor.System{}, need, rundir.Root()))
	if refusals := doctor.Refusals(findings); len(refusals) > 0 {
		return &exitError{exitHost, errors.New(strings.Join(refusals, "\norrery: "))}
	}
	for _, w := range doctor.Warnings(findings) {
		fmt.Fprintln(os.Stderr, "orrery: warning: "+w)
	}
	return nil
}

func printFindings(w io.Writer, findings []doctor.Finding, format string) error {
	switch format {
	case "json":
		return printJSON(w, findings)
	case "csv":
		t := table{head: []string{"check", "verdict", "have", "need", "consequence", "remedy"}}
		for _, f := range findings {
			t.add(f.Check, string(f.Verdict), f.Have, f.Need, f.Consequence, f.Remedy)
		}
		return t.print(w, format)
	}
	t := table{head: []string{"check", "verdict", "have", "need"}}
	for _, f := range findings {
		t.add(f.Check, string(f.Verdict), f.Have, f.Need)
	}
	if err := t.print(w, format); err != nil {
		return err
	}
	// Sentences are not for columns.
	for _, f := range findings {
		if f.Verdict != doctor.OK {
			fmt.Fprintf(w, "\n%s, %s: %s\n", f.Verdict, f.Check, f.Consequence)
			fmt.Fprintln(w, indent(f.Remedy, "  ", textWidth()))
		}
	}
	return nil
}

// textWidth is how wide a paragraph may be.
func textWidth() int {
	if columns, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		return min(columns, 100)
	}
	return 100
}

// indent wraps a text between words.
func indent(text, by string, width int) string {
	wrapped := ansi.Wordwrap(text, width-len(by), " ")
	return by + strings.ReplaceAll(wrapped, "\n", "\n"+by)
}

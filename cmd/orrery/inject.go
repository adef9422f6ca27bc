package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

func injectCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "inject",
		Short: "Break something on purpose, until it is undone",
		Long: `Break something on purpose. A failure holds until 'orrery undo', whatever the sky
does meanwhile: a port that is cut has no link with its next peer either. It is
recorded as an event, and has an id, which is printed.`,
		Example: `  orrery inject cut iridium-p01s01:fore
  orrery inject cut iridium-p01s01:fore iridium-p01s02:aft
  orrery inject impair tempe:ant0 --loss 5% --delay 20ms
  orrery inject kill tempe isisd
  orrery inject down iridium-p01s01
  orrery undo --all`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		injectVerb("cut PORT [PORT]", "Cut all links of a port, or the link between two", cobra.RangeArgs(1, 2), func(*cobra.Command) func([]string) (*pb.Failure, error) {
			return func(args []string) (*pb.Failure, error) {
				return &pb.Failure{Kind: pb.Failure_KIND_CUT, A: args[0], B: strings.Join(args[1:], "")}, nil
			}
		}),
		injectVerb("impair PORT [PORT]", "Have a port's links, or the link between two, lose more and take longer", cobra.RangeArgs(1, 2), func(c *cobra.Command) func([]string) (*pb.Failure, error) {
			loss := c.Flags().String("loss", "", "frames lost beside those that are anyway, such as 5% or 0.05")
			delay := c.Flags().Duration("delay", 0, "one-way delay that is added, such as 20ms")
			return func(args []string) (*pb.Failure, error) {
				p, err := share(*loss)
				if err != nil {
					return nil, usageError(fmt.Errorf("--loss %s: %w", *loss, err))
				}
				return &pb.Failure{Kind: pb.Failure_KIND_IMPAIR, A: args[0], B: strings.Join(args[1:], ""), Loss: p, Delay: durationpb.New(*delay)}, nil
			}
		}),
		injectVerb("kill NODE PROCESS", "Kill a process, and keep it dead", cobra.ExactArgs(2), func(*cobra.Command) func([]string) (*pb.Failure, error) {
			return func(args []string) (*pb.Failure, error) {
				return &pb.Failure{Kind: pb.Failure_KIND_KILL_PROCESS, A: args[0], Process: args[1]}, nil
			}
		}),
		injectVerb("down NODE", "Kill all processes of a node, and cut all of its links", cobra.ExactArgs(1), func(*cobra.Command) func([]string) (*pb.Failure, error) {
			return func(args []string) (*pb.Failure, error) {
				return &pb.Failure{Kind: pb.Failure_KIND_KILL_NODE, A: args[0]}, nil
			}
		}),
	)
	return c
}

// injectVerb is a verb below inject. prepare adds its flags, and gives what makes a
// failure of its arguments.
func injectVerb(use, short string, args cobra.PositionalArgs, prepare func(*cobra.Command) func([]string) (*pb.Failure, error)) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: countArgs(args)}
	run := runFlag(c)
	failure := prepare(c)
	c.ValidArgsFunction = completeNodes(run)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := failure(args)
		if err != nil {
			return err
		}
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		res, err := cl.Inject(cmd.Context(), connect.NewRequest(&pb.InjectRequest{Failure: f}))
		if err != nil {
			return err
		}
		fmt.Println(res.Msg.GetFailure().GetId())
		return nil
	}
	return c
}

// share is a probability, as a number or in per cent.
func share(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, errors.New("want a share such as 5% or 0.05")
	}
	return v, nil
}

func undoCommand() *cobra.Command {
	c := &cobra.Command{Use: "undo [ID …]", Short: "Take injected failures back"}
	run := runFlag(c)
	all := c.Flags().Bool("all", false, "take all of them back")
	c.ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		if cl, err := dial(*run); err == nil {
			if res, err := cl.ListFailures(cmd.Context(), connect.NewRequest(&pb.ListFailuresRequest{})); err == nil {
				for _, f := range res.Msg.GetFailures() {
					ids = append(ids, f.GetId())
				}
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 0) != *all {
			return usageError(errors.New("give ids, as 'orrery failures' lists them, or --all"))
		}
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		res, err := cl.Undo(cmd.Context(), connect.NewRequest(&pb.UndoRequest{Ids: args, All: *all}))
		if err != nil {
			return err
		}
		undone := make(map[string]bool)
		for _, f := range res.Msg.GetUndone() {
			undone[f.GetId()] = true
			fmt.Println(f.GetId())
		}
		for _, id := range args {
			if !undone[id] {
				return connect.NewError(connect.CodeNotFound, fmt.Errorf("no failure %q is injected; 'orrery failures' lists those that are", id))
			}
		}
		return nil
	}
	return c
}

func failuresCommand() *cobra.Command {
	c := &cobra.Command{Use: "failures", Short: "List the failures that are injected", Args: cobra.NoArgs}
	run, output := runFlag(c), outputFlag(c, "table", "json", "csv")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		res, err := cl.ListFailures(cmd.Context(), connect.NewRequest(&pb.ListFailuresRequest{}))
		if err != nil {
			return err
		}
		if *output == "json" {
			return printMessage(os.Stdout, res.Msg)
		}
		t := table{head: []string{"id", "since", "loss", "delay"}}
		for _, f := range res.Msg.GetFailures() {
			loss, delay := "", ""
			if f.GetLoss() > 0 {
				loss = fmt.Sprintf("%g %%", 100*f.GetLoss())
			}
			if d := f.GetDelay().AsDuration(); d > 0 {
				delay = d.Round(time.Microsecond).String()
			}
			t.add(f.GetId(), scenarioTime(f.GetSince().AsDuration()), loss, delay)
		}
		return t.print(os.Stdout, *output)
	}
	return c
}

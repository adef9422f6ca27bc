package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/rundir"
)

// reached tells whether a run is as far as --wait asks, or why it never will be.
func reached(st *pb.Status, wait string) (bool, error) {
	if failed := st.GetFailedProcesses(); len(failed) > 0 {
		return false, &exitError{exitNotUp, fmt.Errorf("%s failed, first %s of %s: %s", plural(len(failed), "process"), failed[0].GetName(), failed[0].GetNode(), failed[0].GetReason())}
	}
	if wait == "converged" {
		return st.GetConvergedAfter() != nil, nil
	}
	return st.GetPhase() != pb.Phase_PHASE_STARTING && st.GetProcesses() == st.GetProcessesRunning(), nil
}

// pathFinder follows the kernels' tables: a run's server, or its client.
type pathFinder interface {
	GetPath(context.Context, *connect.Request[pb.GetPathRequest]) (*connect.Response[pb.GetPathResponse], error)
}

// notInTime says how far a run got. Its last status may be nil: a busy host may
// not have answered once.
func notInTime(ctx context.Context, st *pb.Status, paths pathFinder, o *upOptions) error {
	text := fmt.Sprintf("not %s within %v: ", o.wait, o.within)
	if st == nil {
		return &exitError{exitNotUp, errors.New(text + "the run has not answered yet")}
	}
	var far []string
	if st.GetProcesses() > 0 {
		far = append(far, fmt.Sprintf("%d of %d processes run", st.GetProcessesRunning(), st.GetProcesses()))
	}
	var apart []*pb.Pair
	for _, p := range st.GetPairs() {
		if !p.GetReachable() {
			apart = append(apart, p)
		}
	}
	if len(apart) > 0 && o.wait == "converged" {
		far = append(far, fmt.Sprintf("%s apart, first %s-%s%s", plural(len(apart), "pair"), apart[0].GetA(), apart[0].GetB(), whyApart(ctx, apart[0], paths)))
	}
	return &exitError{exitNotUp, errors.New(text + strings.Join(far, ", "))}
}

// whyApart says where the way between two stations ends, in one of the two
// directions, as far as that can be found out within a second.
func whyApart(ctx context.Context, p *pb.Pair, paths pathFinder) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, ends := range [][2]string{{p.GetA(), p.GetB()}, {p.GetB(), p.GetA()}} {
		res, err := paths.GetPath(ctx, connect.NewRequest(&pb.GetPathRequest{From: ends[0], To: ends[1]}))
		if err != nil {
			return ""
		}
		if way := res.Msg.GetKernel(); !way.GetComplete() {
			return fmt.Sprintf(" (from %s: %s)", ends[0], way.GetProblem())
		}
	}
	return " (the nodes' tables lead both ways)"
}

func downCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "down [RUN]",
		Short: "End a run and remove all of it, also after a crash",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !all {
				name, err := rundir.Choose(strings.Join(args, ""))
				if err != nil {
					return err
				}
				return down(cmd.Context(), name)
			}
			if len(args) > 0 {
				return usageError(errors.New("give a run or --all, not both"))
			}
			names, err := rundir.List()
			if err != nil {
				return err
			}
			var errs []error
			for _, n := range names {
				errs = append(errs, down(cmd.Context(), n))
			}
			return errors.Join(errs...)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names, _ := rundir.List()
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().BoolVar(&all, "all", false, "end all runs")
	return c
}

// down asks the emulator to end the run or, where none answers any more, removes
// what is left.
func down(ctx context.Context, name string) error {
	began := time.Now()
	if alive(name) == nil {
		res, err := api.Dial(rundir.Socket(name)).Stop(ctx, connect.NewRequest(&pb.StopRequest{}))
		if err == nil {
			waitGone(ctx, rundir.Dir(name))
			if p := res.Msg.GetProblem(); p != "" {
				return errors.New(p)
			}
			fmt.Printf("%s ended in %s\n", name, short(time.Since(began)))
			return nil
		}
		if alive(name) == nil {
			return err
		}
	}
	if !mayMakeNodes() && node.Remains(rundir.Dir(name)) {
		return again(ctx, "down", name)
	}
	if err := remove(ctx, name); err != nil {
		return err
	}
	fmt.Printf("%s: its emulator was gone; what was left is removed, in %s\n", name, short(time.Since(began)))
	return nil
}

// waitGone waits until the emulator has removed its directory, which it does
// after its last answer, and ends soon in any case.
func waitGone(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(filepath.Dir(dir)) // fails while there are other runs
			return
		}
		time.Sleep(time.Millisecond)
	}
}

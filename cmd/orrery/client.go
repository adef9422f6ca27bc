package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/rundir"
)

type client = orreryv1alpha1connect.ControlServiceClient

// runFlag adds --run to a verb.
func runFlag(c *cobra.Command) *string {
	name := c.Flags().StringP("run", "r", "", "name of the run, if there are several")
	_ = c.RegisterFlagCompletionFunc("run", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names, _ := rundir.List()
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return name
}

// dial finds the run and makes a client of it.
func dial(name string) (client, error) {
	name, err := rundir.Choose(name)
	if err != nil {
		return nil, err
	}
	if err := alive(name); err != nil {
		return nil, err
	}
	return api.Dial(rundir.Socket(name)), nil
}

// alive tells whether somebody answers on a run's control socket, and if not, why.
func alive(name string) error {
	c, err := net.Dial("unix", rundir.Socket(name))
	if err == nil {
		return c.Close()
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("run %s belongs to somebody else: %w", name, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: the emulator of %s does not answer, it is still starting or has died; 'orrery down %s' removes what is left of it", rundir.ErrNoRun, name, name)
	}
	return err
}

// completeNodes offers the names of a run's nodes.
func completeNodes(run *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := dial(*run)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		nodes, err := listNodes(cmd.Context(), c, "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, n := range nodes {
			names = append(names, n.GetName())
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// isTerminal tells whether a file is one that a person looks at.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

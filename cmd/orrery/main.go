// Orrery emulates moving networks: satellites, ground stations and the real
// routing software that has to live with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/rundir"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/tap"
	"orrery.dev/orrery/userns"
)

// The exit codes, as docs/cli.md lists them.
const (
	exitOK       = 0
	exitFailure  = 1 // something went wrong while working
	exitUsage    = 2 // the command line or an input file is wrong
	exitHost     = 3 // the host lacks what the scenario needs; nothing was made
	exitNoRun    = 4 // the run or the node does not exist
	exitNotUp    = 5 // --wait: daemons failed, or no convergence in time
	exitNoAnswer = 6 // ping: not one answer; path: it does not arrive
)

// exitError ends the program with a code of its own. A nil err prints nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(err error) error { return &exitError{exitUsage, err} }

func main() {
	fabric.Main()
	userns.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	os.Exit(exitCode(err))
}

// exitCode prints what went wrong and gives the code for it.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var own *exitError
	if errors.As(err, &own) && own.err == nil {
		return own.code
	}
	text := err.Error()
	if ce := new(connect.Error); errors.As(err, &ce) {
		text = ce.Message()
	}
	fmt.Fprintln(os.Stderr, "orrery: "+strings.TrimSpace(text))
	switch {
	case own != nil:
		return own.code
	case errors.Is(err, rundir.ErrNoRun), connect.CodeOf(err) == connect.CodeNotFound:
		return exitNoRun
	case connect.CodeOf(err) == connect.CodeInvalidArgument:
		return exitUsage
	case errors.As(err, new(scenario.Errors)), errors.As(err, new(*scenario.Problem)):
		return exitUsage
	}
	for _, missing := range []error{router.ErrMissing, tap.ErrUnavailable, node.ErrNotPermitted, node.ErrDescriptors, node.ErrInUse, node.ErrLeftOver, node.ErrSpec, userns.ErrUnavailable} {
		if errors.Is(err, missing) {
			return exitHost
		}
	}
	return exitFailure
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "orrery",
		Short: "Emulate moving networks of real routers",
		Long: `Orrery turns one scenario file into a running, moving network: satellites and
ground stations as network namespaces, links that come and go with line of
sight, and real routing daemons that have to live with it.`,
		SilenceUsage:  true,
		SilenceErrors: true,

		Args:                       unknownCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w; see '%s --help'", err, c.CommandPath()))
	})
	root.AddGroup(
		&cobra.Group{ID: "file", Title: "Scenario files:"},
		&cobra.Group{ID: "host", Title: "The host:"},
		&cobra.Group{ID: "life", Title: "Life of a run:"},
		&cobra.Group{ID: "look", Title: "Looking at a run:"},
		&cobra.Group{ID: "steer", Title: "Steering a run:"},
		&cobra.Group{ID: "compare", Title: "Recorded runs and experiments:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("file", validateCommand(), planCommand(), schemaCommand(), fetchCommand(), exportCommand(), importCommand())
	add("host", doctorCommand(), tuneCommand(), imageCommand(), provisionCommand())
	add("life", upCommand(), downCommand())
	add("look", statusCommand(), nodesCommand(), linksCommand(), contactsCommand(), eventsCommand(), pathCommand(), pingCommand(), captureCommand(), urlCommand())
	add("steer", execCommand(), shellCommand(), pauseCommand(), resumeCommand(), speedCommand(), injectCommand(), undoCommand(), failuresCommand())
	add("compare", experimentCommand(), reportCommand(), runsCommand())
	root.AddCommand(versionCommand(), nodeCommand())
	for _, c := range root.Commands() {
		c.Args = countArgs(c.Args)
		for _, sub := range c.Commands() {
			sub.Args = countArgs(sub.Args)
		}
	}
	return root
}

// countArgs makes a wrong number of arguments an error of usage.
func countArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError(fmt.Errorf("%w; usage: %s", err, c.UseLine()))
		}
		return nil
	}
}

// unknownCommand is what the root makes of a first argument that is no verb.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text += ", did you mean " + strings.Join(near, " or ") + "?"
	} else {
		text += "; 'orrery --help' lists all"
	}
	return usageError(errors.New(text))
}

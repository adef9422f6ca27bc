package main

import (
	"encoding/json"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/kube/pod"
)

// nodeCommand holds what the operator puts into pods; it is nothing for users.
func nodeCommand() *cobra.Command {
	var o pod.Options
	c := &cobra.Command{Use: "node", Short: "Be a node in a pod of Kubernetes", Hidden: true}
	flags := c.PersistentFlags()
	flags.StringVar(&o.Node, "node", os.Getenv(pod.NodeKey), "name of the node")
	flags.StringVar(&o.Bundle, "scenario", pod.Bundle, "file with the packed scenario")
	flags.StringVar(&o.Dir, "dir", pod.Dir, "the node's directory")
	run := &cobra.Command{
		Use: "run", Short: "Write the node's files and become its software", Args: countArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if o.Node == "" {
				return usageError(errors.New("which node? set --node or " + pod.NodeKey))
			}
			l, err := pod.Prepare(o)
			if err != nil {
				return err
			}
			return l.Become()
		},
	}
	ready := &cobra.Command{
		Use: "ready", Short: "Tell whether the node's daemons take questions", Args: countArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return pod.Ready(o.Dir) },
	}
	neighbours := &cobra.Command{
		Use: "neighbours", Short: "Print what the node's daemon says of its neighbours, as JSON", Args: countArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := pod.Neighbours(cmd.Context(), o.Dir)
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(list)
		},
	}
	console := &cobra.Command{
		Use: "console", Short: "Become the console of the node's daemons", Args: countArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			l, err := pod.Console(o.Dir)
			if err != nil {
				return err
			}
			return l.Become()
		},
	}
	c.AddCommand(run, ready, neighbours, console)
	return c
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/celestrak"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// compactLine writes JSON on one line.
func compactLine(w io.Writer, s string) error {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s)); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(w)
	return err
}

// load reads a scenario and makes its inventory.
func load(path string) (*plan.Plan, error) {
	s, err := scenario.Load(path)
	if err != nil {
		return nil, usageError(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		return nil, usageError(err)
	}
	return p, nil
}

func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE …",
		Short: "Check scenario files",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var errs []error
			for _, path := range args {
				p, err := load(path)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				kinds := countKinds(p)
				fmt.Printf("%s: %s: %s, %s, %s\n", path, p.Scenario.Metadata.Name,
					plural(kinds[plan.Satellite], "satellite"), plural(kinds[plan.Station], "station"), plural(p.NumPorts(), "port"))
				for _, w := range p.Warnings {
					fmt.Printf("%s: note: %s\n", path, w)
				}
			}
			return errors.Join(errs...)
		},
	}
}

func countKinds(p *plan.Plan) map[plan.NodeKind]int {
	n := make(map[plan.NodeKind]int)
	for i := range p.Nodes {
		n[p.Nodes[i].Kind]++
	}
	return n
}

func planCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan FILE",
		Short: "Compute a scenario's contacts without running anything",
		Example: `  orrery plan examples/iridium.yaml
  orrery plan examples/iridium.yaml --show events --length 1h -o csv > events.csv`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "csv")
	show := c.Flags().String("show", "nodes", "one of contacts, events, nodes (a summary per node)")
	from := c.Flags().Duration("from", 0, "scenario time to begin at")
	length := c.Flags().Duration("length", 0, "how much of the plan; default the scenario's duration, else 1h")
	node := c.Flags().String("node", "", "only what touches this node")
	web := c.Flags().Bool("web", false, "serve a page that shows the plan, and edits the scenario, until interrupted")
	serve := serveOptions{listen: defaultListen}
	serve.flags(c.Flags())
	_ = c.RegisterFlagCompletionFunc("show", cobra.FixedCompletions([]string{"contacts", "events", "nodes"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *web {
			return serve.preview(cmd.Context(), args[0])
		}
		p, err := load(args[0])
		if err != nil {
			return err
		}
		only := -1
		if *node != "" {
			n, ok := p.Node(*node)
			if !ok {
				return usageError(fmt.Errorf("%s has no node %q", args[0], *node))
			}
			only = n.Index
		}
		if *length == 0 {
			*length = time.Duration(p.Scenario.Spec.Duration)
		}
		if *length == 0 {
			*length = time.Hour
		}
		if *from < 0 || *length < 0 {
			return usageError(errors.New("--from and --length: want durations of 0 or more"))
		}
		contacts, err := p.Contacts(cmd.Context(), *from, *from+*length)
		if err != nil {
			return err
		}
		if only >= 0 {
			kept := contacts[:0]
			for _, c := range contacts {
				if p.Port(c.A).Node == only || p.Port(c.B).Node == only {
					kept = append(kept, c)
				}
			}
			contacts = kept
		}
		switch *show {
		case "contacts":
			return printContacts(p, contacts, *output)
		case "events":
			return printEvents(p, plan.Events(contacts, *from, *from+*length), *output)
		case "nodes":
			return printNodeSummary(p, contacts, *from, *from+*length, only, *output)
		}
		return usageError(fmt.Errorf("--show %s: want one of contacts, events, nodes", *show))
	}
	return c
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files, for editors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := os.Stdout.Write(scenario.Schema())
			return err
		},
	}
}

func fetchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "fetch GROUP|CATALOGUE-NUMBER",
		Short: "Fetch real orbital elements from CelesTrak into a file",
		Long: `Fetch general perturbations data (GP) of a group such as starlink, oneweb,
iridium-NEXT or gps-ops, or of one catalogue number, from CelesTrak. An answer
is kept for two hours, since CelesTrak asks not to be asked more often.`,
		Example: "  orrery fetch oneweb -o oneweb.json",
		Args:    cobra.ExactArgs(1),
	}
	file := c.Flags().StringP("output", "o", "", "file to write; default GROUP with the format's ending")
	format := c.Flags().String("format", "json", "one of json, csv, xml, kvn, tle")
	force := c.Flags().Bool("force", false, "ask again even if a fresh answer is kept")
	base := c.Flags().String("url", celestrak.BaseURL, "base URL of the service")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return fetch(cmd.Context(), args[0], *file, *format, *base, *force)
	}
	return c
}

func fetch(ctx context.Context, what, file, format, base string, force bool) error {
	q, err := celestrak.ParseQuery(what, celestrak.Format(format))
	if err != nil {
		return usageError(err)
	}
	cache, err := celestrak.CacheDir()
	if err != nil {
		return err
	}
	if file == "" {
		file = filepath.Base(what) + "." + format
	}
	cl := celestrak.Client{BaseURL: base, Cache: cache, Force: force, UserAgent: "orrery/" + version}
	data, info, err := cl.Fetch(ctx, q)
	if err != nil {
		return err
	}
	if err := celestrak.WriteFile(file, data); err != nil {
		return err
	}
	fmt.Printf("%s: %s from %s, epochs %s to %s\n", file, plural(info.Sets, "element set"), info.Source,
		info.Oldest.Format(time.DateTime), info.Newest.Format(time.DateTime))
	for _, problem := range []error{info.Problem, info.CacheProblem} {
		if problem != nil {
			fmt.Fprintln(os.Stderr, "orrery: note: "+problem.Error())
		}
	}
	return nil
}

// version is set when the binary is linked.
var version = "development"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Printf("orrery %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if bi, ok := debug.ReadBuildInfo(); ok {
				for _, s := range bi.Settings {
					if s.Key == "vcs.revision" {
						fmt.Println("revision", s.Value)
					}
				}
			}
		},
	}
}

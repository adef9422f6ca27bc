package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/interchange"
)

// exportFormats are what `orrery export` writes. netsatbench is a folder, the others are files.
var exportFormats = []string{"csv", "netsatbench", "tvr", "czml"}

func exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "Write a scenario's plan in a format of other programs",
		Long: `Write the plan of a stretch of time, without running anything:

  csv          contact plan, a row for each contact
  netsatbench  sat-config.json and epoch files of NetSatBench, into the folder of --output
  tvr          schedules after draft-ietf-tvr-schedule-yang, as JSON
  czml         positions and links for Cesium`,
		Example: `  orrery export examples/iridium.yaml --to 1h > contacts.csv
  orrery export examples/iridium.yaml --format czml --to 100m -o iridium.czml`,
		Args: cobra.ExactArgs(1),
	}
	format := c.Flags().String("format", "csv", "one of "+strings.Join(exportFormats, ", "))
	from := c.Flags().Duration("from", 0, "scenario time to begin at")
	to := c.Flags().Duration("to", 0, "scenario time to end at; default the scenario's duration, else an hour after --from")
	step := c.Flags().Duration("step", 0, "between epochs (netsatbench, default 10s) or positions (czml, default 1m)")
	output := c.Flags().StringP("output", "o", "", "file or folder to write; default standard output")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(exportFormats, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case !slices.Contains(exportFormats, *format):
			return usageError(fmt.Errorf("--format %s: want one of %s", *format, strings.Join(exportFormats, ", ")))
		case *format == "netsatbench" && *output == "":
			return usageError(errors.New("--format netsatbench writes many files: name a folder by --output"))
		case *step != 0 && *format != "netsatbench" && *format != "czml":
			return usageError(fmt.Errorf("--step has no meaning for --format %s, which has exact instants; leave it out", *format))
		case *step < 0:
			return usageError(errors.New("--step: want a duration above 0"))
		}
		p, err := load(args[0])
		if err != nil {
			return err
		}
		if *to == 0 {
			*to = max(time.Duration(p.Scenario.Spec.Duration), 0)
		}
		if *to == 0 {
			*to = *from + time.Hour
		}
		span := interchange.Span{From: *from, To: *to}
		if *from < 0 || *to <= *from {
			return usageError(fmt.Errorf("--from %v, --to %v: want 0 or more, and an end after the beginning", *from, *to))
		}
		ctx := cmd.Context()
		if *format == "netsatbench" {
			return interchange.NetSatBench(ctx, creator(*output), p, span, *step)
		}
		return writing(*output, func(w io.Writer) error {
			switch *format {
			case "tvr":
				return interchange.Schedules(ctx, w, p, span)
			case "czml":
				return interchange.CZML(ctx, w, p, span, *step)
			}
			return interchange.ContactPlan(ctx, w, p, span)
		})
	}
	return c
}

// creator makes files in a folder, and the folders on the way to them.
func creator(folder string) func(string) (io.WriteCloser, error) {
	return func(name string) (io.WriteCloser, error) {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		return os.Create(file)
	}
}

// writing writes to a file, which is there only if all went well, or to standard output if
// the name is empty.
func writing(name string, write func(io.Writer) error) (err error) {
	if name == "" {
		return write(os.Stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".orrery-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// importFormats are what `orrery import` reads.
var importFormats = map[string]func(path string) (*interchange.Import, error){
	"hypatia": func(path string) (*interchange.Import, error) {
		return interchange.Hypatia(os.DirFS(path), filepath.Base(absolute(path)))
	},
	"starrynet": func(path string) (*interchange.Import, error) {
		return interchange.StarryNet(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	},
	"netsatbench": func(path string) (*interchange.Import, error) {
		return interchange.ReadNetSatBench(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	},
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import hypatia|starrynet|netsatbench PATH",
		Short: "Make a scenario of another program's files",
		Long: `Make a scenario of the files of another program, and say what of them did not map:

  hypatia      the folder of a network that satgenpy generated (tles.txt, isls.txt …)
  starrynet    config.json of StarryNet
  netsatbench  sat-config.json of NetSatBench, with its epoch files beside it`,
		Example: "  orrery import hypatia gen_data/starlink_550_isls -o starlink && orrery up starlink/scenario.yaml",
		Args:    cobra.ExactArgs(2),
	}
	output := c.Flags().StringP("output", "o", "", "folder to write scenario.yaml and its files into; it must not have one")
	_ = c.MarkFlagRequired("output")
	c.RunE = func(_ *cobra.Command, args []string) error {
		read, ok := importFormats[args[0]]
		if !ok {
			return usageError(fmt.Errorf("%q: want one of hypatia, starrynet, netsatbench", args[0]))
		}
		m, err := read(args[1])
		if err != nil {
			return usageError(err)
		}
		return writeImport(m, *output)
	}
	return c
}

// writeImport writes the files, the scenario last, and lists what did not map.
func writeImport(m *interchange.Import, folder string) error {
	target := filepath.Join(folder, interchange.ScenarioName)
	if _, err := os.Lstat(target); err == nil {
		return usageError(fmt.Errorf("%s exists: name another folder by --output, or remove it", target))
	}
	for name, data := range m.Files {
		if err := writeInto(folder, name, data); err != nil {
			return err
		}
	}
	if err := writeInto(folder, interchange.ScenarioName, m.Scenario); err != nil {
		return err
	}
	p, err := load(target)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s, %s\n", target, plural(len(p.Nodes), "node"), plural(p.NumPorts(), "port"))
	for _, u := range m.Unmapped {
		fmt.Printf("not mapped: %s\n", u)
	}
	return nil
}

func writeInto(folder, name string, data []byte) error {
	f, err := creator(folder)(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/provision"
	"orrery.dev/orrery/provision/lab"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
)

func provisionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "provision",
		Short: "Take machines from power-on to a worker, over IPv6 alone",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(provisionServeCommand(), provisionStatusCommand(), provisionLabCommand())
	return c
}

// siteFlag adds -c to a verb that needs a site file.
func siteFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "site.yaml", "site file")
}

func loadSite(path string) (*site.Site, error) {
	s, err := site.Load(path)
	if err != nil {
		return nil, usageError(err)
	}
	return s, nil
}

func provisionServeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a segment: router advertisements, DHCPv6, TFTP, HTTP",
		Long: `Serve the segment of a site file until interrupted: router advertisements, DHCPv6,
TFTP, and HTTP for images, configurations and reports. Nothing is said over IPv4.
It takes root, and an interface that has the server's address. When it is
interrupted while it sends something, it goes on until that is sent, for a minute
at most: firmware does not ask again. A second interrupt ends it at once.`,
		Example: "  orrery provision serve -c site.yaml",
		Args:    cobra.NoArgs,
	}
	file := siteFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := loadSite(*file)
		if err != nil {
			return err
		}
		server, err := provision.Open(s, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			return &exitError{exitHost, err}
		}
		fmt.Fprintf(os.Stderr, "orrery: serving %s on %s as %s\n", s.Metadata.Name, s.Spec.Interface, s.Spec.Address)
		// The journal bears a sudden end, which is what a signal means from then on.
		defer context.AfterFunc(cmd.Context(), func() { signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) })()
		return server.Serve(cmd.Context())
	}
	return c
}

func provisionStatusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "List the machines of a site, and how far each has come",
		Long:    "Ask the running server of a site for every machine that it has seen.",
		Example: "  orrery provision status\n  orrery provision status -o json",
		Args:    cobra.NoArgs,
	}
	file := siteFlag(c)
	console := c.Flags().Bool("console", false, "show the last lines of the console beside errors")
	output := outputFlag(c, "table", "json", "csv")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := loadSite(*file)
		if err != nil {
			return err
		}
		list, err := provision.Status(cmd.Context(), s)
		if errors.Is(err, provision.ErrNotServing) {
			return &exitError{exitNoRun, err}
		}
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(os.Stdout, list)
		}
		return printMachines(os.Stdout, list, time.Now(), *output, *console)
	}
	return c
}

func printMachines(w io.Writer, list []registry.Machine, now time.Time, format string, console bool) error {
	t := table{head: []string{"machine", "mac", "duid", "address", "standing", "firmware", "path", "stage", "in stage", "last error"}}
	for _, m := range list {
		firmware, _, _ := strings.Cut(m.Firmware, ":UNDI")
		address := "-"
		if m.Address.IsValid() {
			address = m.Address.String()
		}
		duid := m.DUID
		if len(duid) > 12 && format == "table" {
			duid = "…" + duid[len(duid)-8:]
		}
		t.add(m.Name, dash(m.MAC), dash(duid), address, m.Standing, dash(firmware), dash(m.Path), string(m.Stage), clockTime(now.Sub(m.Since)), dash(m.Error))
	}
	if err := t.print(w, format); err != nil || !console {
		return err
	}
	for _, m := range list {
		if len(m.Console) > 0 {
			fmt.Fprintf(w, "\n%s, %s ago:\n%s\n", m.Name, clockTime(now.Sub(m.ErrorAt)), "  "+strings.Join(m.Console, "\n  "))
		}
	}
	return nil
}

// dash stands for nothing.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func provisionLabCommand() *cobra.Command {
	o := lab.Options{}
	var machines, parallel int
	var within time.Duration
	var paths []string
	c := &cobra.Command{
		Use:   "lab",
		Short: "Boot virtual machines against a server, on a segment of their own",
		Long: `Start a provisioning server and virtual machines (QEMU with UEFI firmware) on a segment
in this process, boot the machines to ready, and print how long each stage took.
Nothing of the host's network is touched. It takes root and the packages that
"scripts/deps.sh vm" installs.`,
		Example: "  orrery image build -O worker\n  orrery provision lab --image worker --machines 3",
		Args:    cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.Image, "image", "worker", "directory of the image")
	f.StringVar(&o.Key, "key", "", "public key that the image must be signed with")
	f.StringVar(&o.Dir, "dir", "", "directory for consoles, state and capture; default: one that is removed afterwards")
	f.StringVar(&o.Capture, "capture", "", "file that all frames of the segment are written to")
	f.StringVar(&o.Check, "check", "three-nodes", "what a machine must do before it is ready: three-nodes or none")
	f.StringVar(&o.Accelerator, "accel", "", "kvm or tcg; default: kvm where the host has it")
	install := f.Bool("install", false, "have each machine install its disk, and boot it from there with the server gone")
	f.IntVar(&machines, "machines", 3, "how many")
	f.StringSliceVar(&paths, "path", lab.Paths, "ways of booting, in turn")
	f.IntVar(&parallel, "parallel", 2, "how many run at the same time")
	f.IntVar(&o.Memory, "memory", 1024, "MiB of each machine")
	f.DurationVar(&within, "within", 15*time.Minute, "how long a machine may take")
	verbose := f.Bool("verbose", false, "show what the server logs")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		for i := range machines {
			if len(paths) == 0 {
				return usageError(errors.New("--path names no way of booting; write pxe, http or ipxe"))
			}
			o.Paths = append(o.Paths, paths[i%len(paths)])
		}
		if *install {
			o.Install = machines
		}
		if *verbose {
			o.Log = os.Stderr
		}
		return runLab(cmd.Context(), o, parallel, within)
	}
	return c
}

func runLab(ctx context.Context, o lab.Options, parallel int, within time.Duration) (err error) {
	if o.Orrery, err = os.Executable(); err != nil {
		return err
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "orrery-lab-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.Dir)
	}
	l, err := lab.New(o)
	if errors.Is(err, lab.ErrMissing) {
		return &exitError{exitHost, err}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	results, err := l.Run(ctx, parallel, within, func(m registry.Machine) {
		fmt.Fprintf(os.Stderr, "%s  %s: %s\n", time.Now().Format(time.TimeOnly), m.Name, m.Stage)
	})
	t := table{head: []string{"machine", "path", "firmware", "kernel", "root", "network", "doctor", "ready"}}
	for _, r := range results {
		cells := []string{r.Machine.Name, r.Machine.Path}
		for _, s := range append([]registry.Stage{registry.Firmware}, registry.Stages...) {
			at, ok := r.Machine.Passed[s]
			cell := "-"
			if ok {
				cell = fmt.Sprintf("%.1f s", at.Sub(r.PowerOn).Seconds())
			}
			cells = append(cells, cell)
		}
		t.add(cells...)
	}
	if err := errors.Join(err, t.print(os.Stdout, "table")); err != nil || o.Install == 0 {
		return err
	}
	if err := l.EndServer(); err != nil {
		return err
	}
	for _, h := range l.Hardware {
		ctx, cancel := context.WithTimeout(ctx, within)
		_, took, err := l.FromDisk(ctx, h, 0)
		cancel()
		if err != nil {
			return err
		}
		fmt.Printf("%s is ready from its disk, with the server gone, after %.1f s\n", h.Name, took.Seconds())
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/rundir"
)

type upOptions struct {
	name     string
	detach   bool
	length   time.Duration
	wait     string
	within   time.Duration
	record   recordOptions
	speed    float64
	plain    bool
	spin     bool
	oneByOne bool
	logs     string // format
	serve    serveOptions
	detached bool // this process is the one that --detach started
}

func upCommand() *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use:   "up FILE",
		Short: "Run a scenario",
		Long: `Make the scenario's nodes and links, start its software, and let the sky move,
until interrupted, until the scenario's duration or --for is over, or until
'orrery down'. Whichever it is, nothing of the run is left on the host.`,
		Example: `  orrery up examples/iridium.yaml
  orrery up examples/three-nodes.yaml --detach --wait converged`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return up(cmd.Context(), args[0], &o) },
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "name of the run; default the scenario's")
	f.BoolVarP(&o.detach, "detach", "d", false, "go on in the background")
	f.DurationVar(&o.length, "for", 0, "end after so much host time")
	f.StringVar(&o.wait, "wait", "", `"up": fail unless all software comes up; "converged": and all stations reach each other`)
	f.DurationVar(&o.within, "within", 5*time.Minute, "how long --wait waits")
	o.record.add(f)
	f.Float64Var(&o.speed, "speed", 0, "seconds of orbit per second; default the scenario's")
	f.BoolVar(&o.plain, "plain", false, "lines instead of a live picture, also on a terminal")
	f.BoolVar(&o.spin, "spin", false, "the workers that carry frames poll instead of sleeping: less lateness, for most of a CPU each")
	f.BoolVar(&o.oneByOne, "one-by-one", false, "hand each frame to its node by itself, also where several can be joined")
	f.StringVar(&o.logs, "log-format", "text", "of what the emulator logs: text or json")
	o.serve.flags(f)
	f.StringSliceVar(&o.serve.metricNodes, "metrics-nodes", nil, "nodes, as shell patterns, whose ports have metrics of their own")
	f.BoolVar(&o.detached, "detached", false, "")
	_ = f.MarkHidden("detached")
	_ = c.RegisterFlagCompletionFunc("wait", cobra.FixedCompletions([]string{"up", "converged"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// longestSocket is the longest path of a unix socket (unix(7)).
const longestSocket = 107

func up(ctx context.Context, file string, o *upOptions) error {
	switch o.wait {
	case "", "up", "converged":
	default:
		return usageError(fmt.Errorf("--wait %s: want up or converged", o.wait))
	}
	if o.logs != "text" && o.logs != "json" {
		return usageError(fmt.Errorf("--log-format %s: want text or json", o.logs))
	}
	if err := o.serve.check(); err != nil {
		return err
	}
	if !mayMakeNodes() && !o.detach {
		return again(ctx, os.Args[1:]...)
	}
	p, err := load(file)
	if err != nil {
		return err
	}
	if o.name != "" {
		p.Scenario.Metadata.Name = o.name
		if err := p.Scenario.Validate(); err != nil {
			return usageError(fmt.Errorf("--name %s: %w", o.name, err))
		}
	}
	if o.speed != 0 {
		p.Scenario.Spec.Speed = o.speed
		if err := p.Scenario.Validate(); err != nil {
			return usageError(fmt.Errorf("--speed %g: %w", o.speed, err))
		}
	}
	name := p.Scenario.Metadata.Name
	if alive(name) == nil {
		return &exitError{exitHost, fmt.Errorf("a run named %s is up already; end it with 'orrery down %s' or give this one another --name", name, name)}
	}
	if path := rundir.Socket(name); len(path) > longestSocket {
		return &exitError{exitHost, fmt.Errorf("the path of the control socket, %s, has %d bytes, and the kernel takes %d; set ORRERY_RUNTIME_DIR to a shorter directory", path, len(path), longestSocket)}
	}
	if mayMakeNodes() { // else the emulator looks for itself, once it may
		if err := preflight(ctx, p); err != nil {
			return err
		}
		if err := emulation.Preflight(p, node.Config{RunDir: rundir.Dir(name)}); err != nil {
			return err
		}
	}
	if _, err := o.record.recording(); err != nil {
		return err
	}
	if o.detach {
		return detach(ctx, file, name, o)
	}
	return foreground(ctx, p, o)
}

// detach starts this program again in the background and waits until it is up.
func detach(ctx context.Context, file, name string, o *upOptions) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := rundir.Make(name); err != nil {
		return err
	}
	log, err := os.OpenFile(rundir.Log(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"up", file, "--detached", "--plain", "--name", name, "--for", o.length.String(), "--speed", fmt.Sprint(o.speed),
		fmt.Sprintf("--spin=%v", o.spin), fmt.Sprintf("--one-by-one=%v", o.oneByOne), "--log-format", o.logs}
	args = append(args, o.serve.arguments()...)
	args = append(args, o.record.arguments()...)
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	died := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its log says why
		close(died)
	}()
	failed := func() error {
		text, _ := os.ReadFile(rundir.Log(name))
		// It cleans up after itself, unless it was killed.
		err := errors.Join(fmt.Errorf("the emulator of %s ended early: %s", name, lastLine(string(text))), remove(ctx, name))
		if code := cmd.ProcessState.ExitCode(); code == exitHost || code == exitUsage {
			err = &exitError{code, err}
		}
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for alive(name) != nil {
		select {
		case <-died:
			return failed()
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-died
			return ctx.Err()
		case <-tick.C:
		}
	}
	if o.wait != "" {
		if err := waitRemote(ctx, name, o); err != nil {
			return errors.Join(err, down(context.WithoutCancel(ctx), name))
		}
	}
	fmt.Printf("%s is up; 'orrery status %s' shows it, 'orrery down %s' ends it\n", name, name, name)
	if o.serve.listen != "" {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(rundir.Socket(name)), ownerURL))
		if err != nil {
			return err
		}
		fmt.Print(string(text))
	}
	return nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// waitRemote waits for a detached run to be up or converged.
func waitRemote(ctx context.Context, name string, o *upOptions) error {
	within, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	cl := api.Dial(rundir.Socket(name))
	var last *pb.Status
	for {
		st, err := getStatus(within, cl)
		if err != nil && within.Err() != nil && ctx.Err() == nil {
			return notInTime(ctx, last, cl, o)
		}
		if err != nil {
			return err
		}
		done, err := reached(st, o.wait)
		if done || err != nil {
			return err
		}
		last = st
		select {
		case <-within.Done():
			return notInTime(ctx, last, cl, o)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// foreground runs the scenario in this process.
func foreground(ctx context.Context, p *plan.Plan, o *upOptions) (err error) {
	name := p.Scenario.Metadata.Name
	dir, err := rundir.Make(name)
	if err != nil {
		return err
	}
	screen := newScreen(o.plain)
	log := slog.New(screen.logHandler(o.logs))
	listener, err := o.serve.openRun(p, log)
	if err != nil {
		_ = rundir.Remove(name)
		return err
	}
	engine, err := node.NewLinux(node.Config{
		RunDir: dir, Logger: log, Hidden: []string{rundir.Root()}, Shown: []string{p.Scenario.Path(".")},
	})
	if err != nil {
		return err
	}
	spec := &p.Scenario.Spec
	timeline := clock.New(clock.Host{}, 0, spec.Speed)
	cfg := emulation.Config{
		Plan: p, Nodes: engine, Timeline: timeline, Logger: log,
		Fabric: func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			return fabric.NewProcess(fabric.Config{Timeline: tl, Ports: ports, Seed: spec.Seed, Spin: o.spin, OneByOne: o.oneByOne})
		},
		Progress: screen.bringUp,
	}
	if cfg.Record, err = o.record.recording(); err != nil {
		return err
	}
	run, err := emulation.New(cfg)
	if err != nil {
		return errors.Join(err, rundir.Remove(name))
	}
	if err := run.Start(ctx); err != nil {
		_ = rundir.Remove(name)
		return err
	}
	o.record.list()
	// From here on the run is there, and must be gone when this returns, or panics.
	ended := false
	defer func() {
		if !ended {
			screen.close()
			run.Conclude(record.Failed, "the emulator failed")
			err = errors.Join(err, run.Stop(context.WithoutCancel(ctx)))
		}
		// What could not be ended is for "orrery down", which needs the directory.
		if !node.Remains(rundir.Dir(name)) {
			err = errors.Join(err, rundir.Remove(name))
		}
	}()
	server := api.NewServer(run)
	serve, endServe := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() {
		served <- o.serve.serveRun(serve, run, server, listener)
		close(served)
	}()

	if listener != nil {
		screen.note("page " + listener.URL(listener.Tokens.Owner))
	}
	reason := live(ctx, run, server, screen, o, served)
	last := server.Status()
	screen.close()
	if reason != nil {
		run.Conclude(record.Failed, reason.Error())
	}
	if dir := o.record.dir; dir != "" {
		if err := errors.Join(recordSummary(dir, last), recordLogs(dir, run)); err != nil {
			fmt.Fprintln(os.Stderr, "orrery: the record is not whole: "+err.Error())
		}
	}
	fmt.Fprintln(os.Stderr, "ending the run …")
	began := time.Now()
	ended = true
	err = run.Stop(context.WithoutCancel(ctx))
	server.Stopped(err)
	endServe()
	err = errors.Join(err, <-served)
	o.record.list() // how it ended is known now
	fmt.Print(summary(last, plainStyle(), textWidth()))
	if err == nil {
		fmt.Printf("Ended in %s; nothing of the run is left.\n", short(time.Since(began)))
	}
	return errors.Join(reason, err)
}

// live shows the run until something ends it, and says what went wrong, if so.
func live(ctx context.Context, run *emulation.Run, server *api.Server, screen *screen, o *upOptions, served <-chan error) error {
	var over, late <-chan time.Time
	if o.length > 0 {
		over = time.After(o.length)
	}
	if o.wait != "" && !o.detached {
		late = time.After(o.within)
	}
	tick := time.NewTicker(screen.interval())
	defer tick.Stop()
	history, events, cancel := run.Events()
	defer cancel()
	for i := range history {
		screen.event(api.EventMessage(&history[i]))
	}
	waiting := o.wait
	for {
		st := server.Status()
		screen.show(st, server)
		if waiting != "" {
			done, err := reached(st, waiting)
			if err != nil {
				return err
			}
			if done {
				waiting, late = "", nil
			}
		}
		for redraw := false; !redraw; {
			select {
			case <-ctx.Done():
				run.Conclude(record.Interrupted, "it was interrupted")
				return nil
			case <-over:
				run.Conclude(record.Complete, "--for was over")
				return nil
			case <-run.Ended():
				return nil
			case <-server.StopRequested():
				run.Conclude(record.Interrupted, "'orrery down' ended it")
				return nil
			case err := <-served:
				return err
			case <-late:
				return notInTime(ctx, server.Status(), server, o)
			case e := <-events:
				screen.event(api.EventMessage(&e))
			case <-tick.C:
				redraw = true
			}
		}
	}
}

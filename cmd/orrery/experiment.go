package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/index"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/report"
	"orrery.dev/orrery/rundir"
)

type experimentOptions struct {
	out     string
	maxRuns int
	again   bool
	atOnce  int
	apart   time.Duration
	dryRun  bool
	open    bool
}

func experimentCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "experiment",
		Short: "Compare variants of a scenario",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var o experimentOptions
	run := &cobra.Command{
		Use:   "run FILE",
		Short: "Run all variants of an experiment and write one report",
		Long: `Run each variant of an experiment as often as its file asks for, each into a
directory of its own, and write a report on all of them. Runs follow one after
the other, or share the host by --at-once.
Complete runs are kept: after a crash, or with more repetitions, the same
command does what is missing. A run that fails does not keep the others from
being done.`,
		Example: "  orrery experiment run examples/experiments/iridium-protocols.yaml --dry-run\n" +
			"  orrery experiment run examples/experiments/iridium-protocols.yaml --out protocols",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runExperiment(cmd.Context(), args[0], &o) },
	}
	f := run.Flags()
	f.StringVar(&o.out, "out", "", "directory of the experiment; default its name, here")
	f.IntVar(&o.maxRuns, "max-runs", 100, "refuse an experiment of more runs; 0 for any number")
	f.BoolVar(&o.again, "again", false, "replace complete runs that were made of something else than the file says now")
	f.DurationVar(&o.apart, "apart", 7*time.Second, "with --at-once: how long after one run the next begins, so that they do not have the sky's events together")
	f.IntVar(&o.atOnce, "at-once", 1, "how many runs share the host at the same time, and the next begin when all of them have ended; the verdict of each says whether it was large enough")
	f.BoolVar(&o.dryRun, "dry-run", false, "only list variants and runs")
	f.BoolVar(&o.open, "open", false, "open the report at the end")
	c.AddCommand(run)
	return c
}

func runExperiment(ctx context.Context, file string, o *experimentOptions) error {
	e, err := experiment.Load(file)
	if err != nil {
		return usageError(err)
	}
	if o.atOnce < 1 {
		return usageError(fmt.Errorf("--at-once is %d; give 1 or more", o.atOnce))
	}
	if o.dryRun {
		return printExperiment(os.Stdout, e, o.atOnce)
	}
	out := o.out
	if out == "" {
		out = e.Metadata.Name
	}
	unlock, err := lockDirectory(out)
	if err != nil {
		return err
	}
	defer unlock()
	var turns func(context.Context) error
	if o.atOnce > 1 {
		turns = apart(o.apart)
	}
	p := newProgress(e, o.atOnce, os.Stdout)
	done := e.Do(ctx, experiment.Options{Out: out, MaxRuns: o.maxRuns, Again: o.again, AtOnce: o.atOnce, Turn: turns, Launcher: upLauncher{}, Tell: p.step})
	p.close()
	switch {
	case errors.Is(done, experiment.ErrTooMany), errors.Is(done, experiment.ErrOther):
		return usageError(done)
	case errors.Is(done, context.Canceled):
		return errors.New("the experiment was interrupted; the same command goes on with it, and keeps what is complete")
	case done != nil && !errors.Is(done, experiment.ErrFailed):
		return done
	}
	written := writeReport(out, &reportOptions{open: o.open})
	if errors.Is(written, report.ErrNothing) {
		written = nil // the failures say it
	}
	return errors.Join(done, written)
}

// apart lets one after the other begin, so long apart. Runs under one sky that begin together have its events together,
// and their daemons would all want the host at that moment.
func apart(d time.Duration) func(context.Context) error {
	var mu sync.Mutex // guards next
	var next time.Time
	return func(ctx context.Context) error {
		mu.Lock()
		wait := max(0, time.Until(next))
		next = time.Now().Add(wait + d)
		mu.Unlock()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		return ctx.Err()
	}
}

// printExperiment lists what would be run.
func printExperiment(w io.Writer, e *experiment.Experiment, atOnce int) error {
	t := table{head: []string{"variant", "runs", "routing", "changes"}}
	var total time.Duration
	for _, v := range e.Variants() {
		var routing []string
		for _, r := range v.Scenario.Spec.Routing {
			routing = append(routing, strings.Trim(r.Protocol+"/"+r.Daemon, "/"))
		}
		slices.Sort(routing)
		t.add(v.Name, fmt.Sprint(e.Spec.Repetitions), strings.Join(slices.Compact(routing), ", "), strings.Join(v.Changes, "; "))
	}
	runs := e.Runs()
	for _, r := range runs {
		total += e.HostTime(r)
	}
	if err := t.print(w, "table"); err != nil {
		return err
	}
	rounds := (len(runs) + atOnce - 1) / atOnce
	_, err := fmt.Fprintf(w, "%s, at least %s of host time\n", plural(len(runs), "run"), (total / time.Duration(len(runs)) * time.Duration(rounds)).Round(time.Second))
	return err
}

// lockDirectory keeps a second process from working on the same experiment.
func lockDirectory(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process is running the experiment in %s; wait for it, or give another --out", dir)
		}
		return nil, fmt.Errorf("%s cannot be locked: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// upLauncher carries out runs by this program's "up", each in a process of its own:
// what goes wrong in one ends with it.
type upLauncher struct{}

// patience is how long an emulator that is told to end may take; then it is killed, and what
// it leaves is removed. On a crowded host a minute is not enough.
const patience = 5 * time.Minute

// Launch implements experiment.Launcher.
func (upLauncher) Launch(ctx context.Context, j *experiment.Job) error {
	if _, err := os.Stat(rundir.Dir(j.Name)); err == nil { // an emulator that died
		if alive(j.Name) == nil {
			return fmt.Errorf("a run named %s is up already; end it with 'orrery down %s'", j.Name, j.Name)
		}
		if err := remove(ctx, j.Name); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(j.Log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, upArguments(j)...)
	cmd.Stdout, cmd.Stderr = log, log
	// It ends in its own time, and cleans up; also when this process is killed, and not
	// by a terminal's Ctrl-C, which this process passes on.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	ran := make(chan error, 1)
	go func() {
		// The kernel sends the signal when the thread that started the process ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ran <- cmd.Run()
	}()
	err = <-ran
	if _, there := os.Stat(rundir.Dir(j.Name)); there == nil && alive(j.Name) != nil { // it was killed
		err = errors.Join(err, remove(context.WithoutCancel(ctx), j.Name))
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		text, _ := os.ReadFile(j.Log) // what cannot be read says nothing
		why := strings.TrimPrefix(lastLine(string(text)), "orrery: ")
		return fmt.Errorf("%s (exit code %d); see %s", why, exit.ExitCode(), j.Log)
	}
	return err
}

// progress tells how an experiment goes on: a line for each run, and on a terminal
// one that moves.
type progress struct {
	experiment *experiment.Experiment
	out        *os.File
	live       bool
	stop       chan struct{}
	stopped    sync.WaitGroup

	atOnce  int
	mu      sync.Mutex    // guards the rest
	running []going       // in the order of their beginnings
	extra   time.Duration // what runs took beyond their orbital time, in sum
	done    int           // of these
	to      int           // runs to come, and going on
	left    time.Duration // host time of these, as far as it is orbital
}

// going is a run that goes on.
type going struct {
	step  experiment.Step
	began time.Time
}

func newProgress(e *experiment.Experiment, atOnce int, out *os.File) *progress {
	p := &progress{experiment: e, out: out, live: isTerminal(out), stop: make(chan struct{}), atOnce: atOnce, to: len(e.Runs())}
	for _, r := range e.Runs() {
		p.left += e.HostTime(r)
	}
	if p.live {
		p.stopped.Go(p.tick)
	}
	return p
}

func (p *progress) tick() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
		}
		p.mu.Lock()
		if len(p.running) > 0 {
			fmt.Fprint(p.out, "\r\x1b[K", p.line())
		}
		p.mu.Unlock()
	}
}

// line tells of the runs that go on: of the one that began first, and how many more.
func (p *progress) line() string {
	first := p.running[0]
	text := fmt.Sprintf("[%d/%d] %s: %s of about %s", first.step.Number, first.step.Of, first.step.Run,
		time.Since(first.began).Round(time.Second), p.expected(first.step.Run).Round(time.Second))
	if others := len(p.running) - 1; others > 0 {
		text += fmt.Sprintf(", and %d more", others)
	}
	return text + fmt.Sprintf("; about %s left", p.remaining().Round(time.Minute))
}

// expected is how long a run takes, with what the others needed besides.
func (p *progress) expected(r experiment.Run) time.Duration {
	d := p.experiment.HostTime(r)
	if p.done > 0 {
		d += p.extra / time.Duration(p.done)
	}
	return d
}

func (p *progress) remaining() time.Duration {
	d := p.left
	if p.done > 0 {
		d += p.extra / time.Duration(p.done) * time.Duration(p.to)
	}
	for _, g := range p.running {
		d -= time.Since(g.began)
	}
	return max(0, d/time.Duration(p.atOnce))
}

// step is experiment.Options.Tell.
func (p *progress) step(s experiment.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	head := fmt.Sprintf("[%d/%d] %s: ", s.Number, s.Of, s.Run)
	if s.State == experiment.Started {
		p.running = append(p.running, going{s, time.Now()})
		if !p.live {
			fmt.Fprintf(p.out, "%sstarted, takes about %s\n", head, p.expected(s.Run).Round(time.Second))
		}
		return
	}
	nominal := p.experiment.HostTime(s.Run)
	p.left -= nominal
	p.to--
	var took time.Duration
	if i := slices.IndexFunc(p.running, func(g going) bool { return g.step.Number == s.Number }); i >= 0 {
		took = time.Since(p.running[i].began)
		p.running = slices.Delete(p.running, i, i+1)
	}
	switch s.State {
	case experiment.Kept:
		fmt.Fprintf(p.out, "%scomplete already, %s\n", head, verdictText(s.Record))
	case experiment.Done:
		p.extra, p.done = p.extra+max(0, took-nominal), p.done+1
		fmt.Fprintf(p.out, "%sdone in %s, %s\n", head, took.Round(time.Second), verdictText(s.Record))
	case experiment.Failed:
		fmt.Fprintf(p.out, "%sfailed: %v\n", head, s.Err)
	}
	if s.State == experiment.Failed {
		return
	}
	if err := addToIndex(s.Job.Record); err != nil {
		fmt.Fprintln(os.Stderr, "orrery: note: the run is not in the index: "+err.Error())
	}
}

func (p *progress) close() {
	close(p.stop)
	p.stopped.Wait()
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// verdictText is a run's verdict, and whether it counts.
func verdictText(r *record.Run) string {
	if r.Trusted() {
		return r.Fidelity.Level
	}
	share := r.Fidelity.Shares[record.Faithful]
	text := fmt.Sprintf("%s (faithful for %.1f %% of the span)", r.Fidelity.Level, math.Floor(share*1000)/10)
	if len(r.Fidelity.Reasons) > 0 {
		text += ": " + strings.Join(r.Fidelity.Reasons, "; ")
	}
	return text + "; it is left out of comparisons"
}

func addToIndex(dir string) error {
	ctx := context.Background()
	i, err := index.Open(ctx, index.DefaultPath())
	if err != nil {
		return err
	}
	return errors.Join(i.Add(ctx, dir), i.Close())
}

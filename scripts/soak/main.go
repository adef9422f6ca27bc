// Command soak runs a scenario for a long time and tells whether anything grows.
//
//	go run ./scripts/soak -for 2h examples/dt-10k.yaml
//
// The network moves faster than life and carries traffic: the stations' probes,
// and a TCP transfer between two of them. Every few seconds soak reads memory,
// descriptors and goroutines of the emulator and objects of the kernel. At the
// end it fits a line to each (least squares), from the first fifth of the run on,
// and prints its slope. What grew by more than the tolerance over the span, and
// by more than chance would have it, is a leak: soak then ends with 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type options struct {
	orrery    string
	scenario  string
	length    time.Duration
	interval  time.Duration
	speed     float64
	from, to  string
	tolerance float64
}

func main() {
	var o options
	flag.StringVar(&o.orrery, "orrery", "bin/orrery", "the program to test")
	flag.DurationVar(&o.length, "for", 10*time.Minute, "how long")
	flag.DurationVar(&o.interval, "interval", 5*time.Second, "between two readings")
	flag.Float64Var(&o.speed, "speed", 20, "seconds of orbit per second")
	flag.StringVar(&o.from, "from", "london", "station that sends by TCP")
	flag.StringVar(&o.to, "to", "tokyo", "station that receives")
	flag.Float64Var(&o.tolerance, "tolerance", 0.05, "growth over the whole span that is none, as a share")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: soak [flags] SCENARIO")
		os.Exit(2)
	}
	o.scenario = flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	leaks, err := soak(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	if leaks > 0 {
		fmt.Fprintf(os.Stderr, "soak: %d of the quantities above grow\n", leaks)
		os.Exit(1)
	}
}

// soak gives the number of quantities that grow.
func soak(ctx context.Context, o options) (leaks int, err error) {
	root, err := os.MkdirTemp("", "soak") // short: a unix socket's path has 107 bytes at most
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := os.Chmod(root, 0o755); err != nil { // daemons drop root
		return 0, err
	}
	file, err := filepath.Abs(o.orrery)
	if err != nil {
		return 0, err
	}
	r := &run{file: file, env: append(os.Environ(), "ORRERY_RUNTIME_DIR="+filepath.Join(root, "r"))}

	before, err := readKernel()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if out, err := r.orrery(ctx, "up", o.scenario, "--detach", "--wait", "converged", "--speed", fmt.Sprint(o.speed)); err != nil {
		return 0, fmt.Errorf("orrery up: %w\n%s", err, out)
	}
	defer func() {
		began := time.Now()
		if out, e := r.orrery(context.WithoutCancel(ctx), "down", "--all"); e != nil {
			err = errors.Join(err, fmt.Errorf("orrery down: %w\n%s", e, out))
			return
		}
		after, e := readKernel()
		err = errors.Join(err, e)
		fmt.Printf("ended in %v; beyond what was before: %s\n", time.Since(began).Round(time.Millisecond), after.beyond(before))
	}()
	fmt.Printf("%s: up and converged in %v, %g times faster than life\n", o.scenario, time.Since(began).Round(time.Millisecond), o.speed)

	life, cancel := context.WithCancel(ctx)
	traffic := make(chan string, 1)
	go func() { traffic <- r.transfer(life, o.from, o.to) }()
	series, s, err := r.observe(ctx, o)
	cancel()
	said := <-traffic
	if err != nil {
		return 0, err
	}
	leaks = report(os.Stdout, series, o.tolerance)
	fmt.Printf("frames %s, topology events %s; faithful %s, degraded %s, overloaded %s\ntraffic %s\n",
		s.Counters.ReceivedFrames, s.Events, or0(s.Fidelity.TimeFaithful), or0(s.Fidelity.TimeDegraded), or0(s.Fidelity.TimeOverloaded), said)
	return leaks, nil
}

func or0(s string) string {
	if s == "" {
		return "0s"
	}
	return s
}

// run is the emulation.
type run struct {
	file string
	env  []string
}

func (r *run) orrery(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.file, args...)
	cmd.Env = r.env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// status as "orrery status -o json" prints it.
type status struct {
	Events   string
	Problems []string
	Counters struct{ ReceivedFrames string }
	Fidelity struct{ TimeFaithful, TimeDegraded, TimeOverloaded string }
	Emulator struct {
		PID        int `json:"pid"`
		Goroutines int
		HeapBytes  string
	}
}

func (r *run) status(ctx context.Context) (s status, err error) {
	out, err := r.orrery(ctx, "status", "-o", "json")
	if err != nil {
		return s, fmt.Errorf("orrery status: %w\n%s", err, out)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("orrery status: %w in %q", err, out)
	}
	if s.Emulator.PID == 0 {
		return s, fmt.Errorf("orrery status does not name the emulator's process: %q", out)
	}
	return s, nil
}

// observe reads until the time is over.
func (r *run) observe(ctx context.Context, o options) (series []reading, last status, err error) {
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	began := time.Now()
	for time.Since(began) < o.length {
		select {
		case <-ctx.Done():
			return nil, last, ctx.Err()
		case <-tick.C:
		}
		if last, err = r.status(ctx); err != nil {
			return nil, last, err
		}
		if len(last.Problems) > 0 {
			return nil, last, fmt.Errorf("after %v: %s", time.Since(began).Round(time.Second), strings.Join(last.Problems, "; "))
		}
		now, err := read(last)
		if err != nil {
			return nil, last, err
		}
		now.at = time.Since(began)
		series = append(series, now)
	}
	return series, last, nil
}

// transfer sends by TCP from one station to the other until ctx ends, and again
// when a connection breaks. It tells how much arrived.
func (r *run) transfer(ctx context.Context, from, to string) string {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return "none but probes: iperf3 is not installed"
	}
	server, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _, _ = r.orrery(server, "exec", to, "--", "iperf3", "-s") }()
	address, err := r.orrery(ctx, "exec", to, "--", "sh", "-c", "ip -6 -o address show dev lo scope global | sed 's/.*inet6 //; s#/.*##'")
	if err != nil {
		return fmt.Sprintf("none but probes: %v: %s", err, address)
	}
	var bytes float64
	var done, broken int
	for ctx.Err() == nil {
		// A connection that hears nothing for a while waits ever longer.
		once, cancel := context.WithTimeout(ctx, time.Minute)
		out, err := r.orrery(once, "exec", from, "--", "iperf3", "-c", strings.TrimSpace(address), "-t", "20", "-b", "20M", "-J")
		cancel()
		var result struct {
			End struct {
				Received struct{ Bytes float64 } `json:"sum_received"`
			}
		}
		if err == nil && json.Unmarshal([]byte(out), &result) == nil {
			done++
			bytes += result.End.Received.Bytes
			continue
		}
		broken++
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return fmt.Sprintf("%s to %s by TCP: %.0f MB in %d connections of 20 s, %d broke or ended with the run", from, to, bytes/1e6, done, broken)
}

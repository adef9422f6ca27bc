// Command viewers tells what people who look at a run do to its fidelity.
//
//	go run ./test/viewers -viewers 10 -phase 1m -phases 3 examples/iridium.yaml
//
// A run goes on by itself and with viewers in turns. A viewer asks for what an open
// page does: the status, events and traffic of ports as streams, and positions and
// contacts for the minutes to come. All of them are in this process, on the CPUs of
// the run. At the end the lateness of frames by the run's own record, a row a
// second, stands side by side.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/record"
)

type options struct {
	orrery, scenario string
	viewers, phases  int
	phase            time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.orrery, "orrery", "bin/orrery", "the program to measure")
	flag.IntVar(&o.viewers, "viewers", 10, "how many look on")
	flag.IntVar(&o.phases, "phases", 3, "how many times without and with them")
	flag.DurationVar(&o.phase, "phase", time.Minute, "length of each")
	flag.Parse()
	if flag.NArg() != 1 || o.viewers < 1 || o.phases < 1 || o.phase < 10*time.Second {
		fmt.Fprintln(os.Stderr, "usage: viewers [flags] SCENARIO; a phase lasts 10s at least")
		os.Exit(2)
	}
	o.scenario = flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := measure(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "viewers:", err)
		os.Exit(1)
	}
}

// phase of a measurement, in scenario time.
type phase struct {
	viewers  int
	from, to time.Duration
	messages int64
}

// settle is left out at the begin of a phase.
const settle = 3 * time.Second

func measure(ctx context.Context, o options) (err error) {
	root, err := os.MkdirTemp("", "viewers") // short: a unix socket's path has 107 bytes at most
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := os.Chmod(root, 0o755); err != nil { // daemons drop root
		return err
	}
	orrery := func(ctx context.Context, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, o.orrery, args...)
		cmd.Env = append(os.Environ(), "ORRERY_RUNTIME_DIR="+filepath.Join(root, "r"))
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("orrery %s: %w\n%s", args[0], err, out)
		}
		return string(out), nil
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	at := free.Addr().String()
	if err := free.Close(); err != nil {
		return err
	}
	dir := filepath.Join(root, "record")
	if _, err := orrery(ctx, "up", o.scenario, "--detach", "--wait", "converged", "--listen", at, "--record", dir); err != nil {
		return err
	}
	phases, err := func() (list []phase, err error) {
		defer func() {
			_, e := orrery(context.WithoutCancel(ctx), "down", "--all")
			err = errors.Join(err, e)
		}()
		page, err := orrery(ctx, "url", "--viewer")
		if err != nil {
			return nil, err
		}
		v, err := newViewer(strings.TrimSpace(page))
		if err != nil {
			return nil, err
		}
		for i := range 2 * o.phases {
			p := phase{viewers: i % 2 * o.viewers}
			fmt.Fprintf(os.Stderr, "phase %d of %d: %d viewers\n", i+1, 2*o.phases, p.viewers)
			if err := p.carryOut(ctx, v, o.phase); err != nil {
				return nil, err
			}
			list = append(list, p)
		}
		return list, nil
	}()
	if err != nil {
		return err
	}
	return report(dir, phases)
}

func (p *phase) carryOut(ctx context.Context, v *viewer, length time.Duration) (err error) {
	life, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	before := v.messages.Load()
	for range p.viewers {
		all.Go(func() { v.look(life) })
	}
	defer func() {
		cancel()
		all.Wait()
		p.messages = v.messages.Load() - before
	}()
	for _, x := range []struct {
		wait time.Duration
		then *time.Duration
	}{{settle, &p.from}, {length - settle, &p.to}} {
		select {
		case <-time.After(x.wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		res, err := v.control.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{}))
		if err != nil {
			return err
		}
		*x.then = res.Msg.GetStatus().GetScenarioTime().AsDuration()
	}
	return nil
}

// viewer asks for what a page asks for, as often as it is told to look.
type viewer struct {
	control  orreryv1alpha1connect.ControlServiceClient
	sky      orreryv1alpha1connect.SkyServiceClient
	messages atomic.Int64
}

// newViewer looks through the address of a page, which ends in a token.
func newViewer(page string) (*viewer, error) {
	u, err := url.Parse(page)
	if err != nil {
		return nil, err
	}
	token := strings.TrimPrefix(u.Fragment, "token=")
	base := (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
	client := &http.Client{Transport: bearer(token)}
	return &viewer{
		control: orreryv1alpha1connect.NewControlServiceClient(client, base),
		sky:     orreryv1alpha1connect.NewSkyServiceClient(client, base),
	}, nil
}

// bearer is a token that goes with each request.
type bearer string

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// look follows the run until ctx ends.
func (v *viewer) look(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		s, err := v.control.WatchStatus(ctx, connect.NewRequest(&pb.WatchStatusRequest{}))
		follow(v, s, err)
	})
	all.Go(func() {
		s, err := v.control.WatchEvents(ctx, connect.NewRequest(&pb.WatchEventsRequest{History: true}))
		follow(v, s, err)
	})
	all.Go(func() {
		s, err := v.control.WatchTraffic(ctx, connect.NewRequest(&pb.WatchTrafficRequest{}))
		follow(v, s, err)
	})
	const window = 5 * time.Minute // of scenario time; here a page asks a little oftener
	for tick := time.NewTicker(time.Minute); ; {
		if res, err := v.control.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{})); err == nil {
			now := res.Msg.GetStatus().GetScenarioTime().AsDuration()
			if _, err := v.sky.GetPositions(ctx, connect.NewRequest(&pb.GetPositionsRequest{From: durationpb.New(now), Step: durationpb.New(time.Minute), Count: 5})); err == nil {
				v.messages.Add(1)
			}
			if _, err := v.sky.GetContacts(ctx, connect.NewRequest(&pb.GetContactsRequest{From: durationpb.New(now), To: durationpb.New(now + window)})); err == nil {
				v.messages.Add(1)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

func follow[T any](v *viewer, s *connect.ServerStreamForClient[T], err error) {
	if err != nil {
		return
	}
	for s.Receive() {
		v.messages.Add(1)
	}
	_ = s.Close()
}

// report prints what the record says of each phase, and of all with and all without.
func report(dir string, phases []phase) error {
	d, err := record.Open(dir)
	if err != nil {
		return err
	}
	rows, err := record.Fidelities.Read(d)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VIEWERS\tMESSAGES/S\tSECONDS\tFRAMES/S\tLATE P50\tP99\tWORST P99\tMAX\tFAITHFUL\tCPU")
	line := func(name string, within func(at time.Duration) bool, messages int64) {
		var p50, p99, longest []int64
		var frames uint64
		var busy float64
		faithful := 0
		for i := range rows {
			r := &rows[i]
			if !within(time.Duration(r.At) * time.Microsecond) {
				continue
			}
			p50, p99, longest = append(p50, r.FrameP50), append(p99, r.FrameP99), append(longest, r.FrameMax)
			frames += r.Frames
			busy += r.Busy
			if r.Level == "faithful" {
				faithful++
			}
		}
		n := len(p50)
		if n == 0 {
			fmt.Fprintf(w, "%s\tnothing was recorded\n", name)
			return
		}
		fmt.Fprintf(w, "%s\t%.0f\t%d\t%.0f\t%v\t%v\t%v\t%v\t%.1f %%\t%.0f %%\n", name, float64(messages)/float64(n), n, float64(frames)/float64(n),
			median(p50), median(p99), time.Duration(slices.Max(p99))*time.Microsecond, time.Duration(slices.Max(longest))*time.Microsecond,
			100*float64(faithful)/float64(n), 100*busy/float64(n))
	}
	messages := make(map[int]int64)
	for _, p := range phases {
		messages[p.viewers] += p.messages
		line(fmt.Sprint(p.viewers), func(at time.Duration) bool { return p.from < at && at <= p.to }, p.messages)
	}
	for _, viewers := range []int{phases[0].viewers, phases[1].viewers} {
		line(fmt.Sprintf("all with %d", viewers), func(at time.Duration) bool {
			return slices.ContainsFunc(phases, func(p phase) bool { return p.viewers == viewers && p.from < at && at <= p.to })
		}, messages[viewers])
	}
	return w.Flush()
}

func median(list []int64) time.Duration {
	slices.Sort(list)
	return time.Duration(list[len(list)/2]) * time.Microsecond
}

package emulation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"orrery.dev/orrery/node"
	"orrery.dev/orrery/observe/iperf"
	"orrery.dev/orrery/record"
)

// Workload is traffic of iperf3 from one node to another, all the time.
type Workload struct {
	Name                string
	Source, Destination string
	UDP                 bool
	Congestion          string  // of TCP: cubic, bbr …; empty for the kernel's default
	Rate                float64 // bit/s; 0: all there is room for, with UDP DefaultWorkloadRate
}

// DefaultWorkloadRate of UDP, in bit/s.
const DefaultWorkloadRate = 1e6

const (
	workloadPort = 20400 // the first; each workload has one of its own
	// workloadTurn is how long one client runs: it reports at its end only.
	workloadTurn  = 10 * time.Second
	workloadPause = time.Second // after one that failed
)

// work keeps all workloads going until ctx ends. They begin when all stations have
// reached each other, or with the measured span.
func (c *recorder) work(ctx context.Context) error {
	if c == nil || len(c.config.Workloads) == 0 {
		return nil
	}
	begin, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_ = c.run.timeline.WaitUntil(begin, c.config.WarmUp)
		cancel()
	}()
	select {
	case <-begin.Done():
	case <-c.run.converged:
	}
	available := availableCongestion()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		<-ctx.Done()
		c.forgetConnections()
	})
	for i, w := range c.config.Workloads {
		if w.Congestion != "" && available != nil && !slices.Contains(available, w.Congestion) {
			c.unobserved(fmt.Sprintf("workload %s: this kernel has no congestion control %s; it has %s", w.Name, w.Congestion, strings.Join(available, ", ")))
			continue
		}
		port := strconv.Itoa(workloadPort + i)
		err := c.run.nodes.Start(ctx, w.Destination, node.Process{
			Name: "iperf3-" + w.Name, Argv: []string{"iperf3", "-s", "-J", "-p", port}, Restart: node.Always,
		})
		if err != nil {
			if ctx.Err() == nil {
				c.unobserved("workload " + w.Name + ": " + err.Error())
			}
			continue
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				c.turn(ctx, &w, port)
			}
		})
	}
	return nil
}

// forgetConnections has the kernel give up connections that nobody has open any more
// after one attempt. Else those of clients that were ended while their peer could not be
// reached would hold their node's namespace for minutes.
func (c *recorder) forgetConnections() {
	for _, w := range c.config.Workloads {
		for _, n := range []string{w.Source, w.Destination} {
			// If it fails the namespace ends later.
			_ = c.run.nodes.Do(n, func() error {
				return os.WriteFile("/proc/sys/net/ipv4/tcp_orphan_retries", []byte("1"), 0)
			})
		}
	}
}

// availableCongestion is what TCP of this kernel can be told to use; nil if that is not
// known.
func availableCongestion() []string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// arguments of the client.
func (w *Workload) arguments(to, port string) []string {
	argv := []string{"iperf3", "-c", to, "-p", port, "-J", "-i", "1", "-t", strconv.Itoa(int(workloadTurn.Seconds())), "--connect-timeout", "2000"}
	rate := w.Rate
	if w.UDP {
		argv = append(argv, "-u", "--get-server-output")
		rate = cmp.Or(rate, DefaultWorkloadRate)
	} else if w.Congestion != "" {
		argv = append(argv, "-C", w.Congestion)
	}
	if rate > 0 {
		argv = append(argv, "-b", strconv.FormatFloat(rate, 'f', 0, 64))
	}
	return argv
}

// turn runs one client and records what it says.
func (c *recorder) turn(ctx context.Context, w *Workload, port string) {
	r := c.run
	began, speed := r.timeline.Now(), r.timeline.Speed()
	var out bytes.Buffer
	to := r.loopback(int(r.observer.nodes[w.Destination]))
	_, err := r.nodes.Exec(ctx, w.Source, w.arguments(to.String(), port), node.Stdio{Out: &out, Err: &out})
	if ctx.Err() != nil {
		return
	}
	var list []iperf.Interval
	if err == nil {
		list, err = iperf.Parse(out.Bytes(), w.UDP)
	}
	scenario := func(d time.Duration) int64 { return time.Duration(float64(d) * speed).Microseconds() }
	row := record.Flow{Name: w.Name, Source: w.Source, Destination: w.Destination, Protocol: "tcp", Congestion: w.Congestion}
	if w.UDP {
		row.Protocol = "udp"
	}
	for _, i := range list {
		x := row
		x.At, x.Interval = began.Microseconds()+scenario(i.From), scenario(i.To-i.From)
		x.Rate, x.Retransmits, x.RTT, x.Window = i.Rate, i.Retransmits, i.RTT.Microseconds(), i.Window
		x.Lost, x.Datagrams, x.Jitter = i.Lost, i.Datagrams, float64(i.Jitter)/1e3
		record.Flows.Write(c.out, x)
	}
	if err != nil {
		row.At, row.Interval, row.Problem = began.Microseconds(), (r.timeline.Now() - began).Microseconds(), err.Error()
		record.Flows.Write(c.out, row)
		select {
		case <-ctx.Done():
		case <-time.After(workloadPause):
		}
	}
}

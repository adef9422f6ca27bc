package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"orrery.dev/orrery/test/endtoend"
)

// measurement is one run of the benchmark.
type measurement struct {
	options *options
	cluster *endtoend.Installed
	file    string
	// sandboxes are network namespaces that the workers keep for pods before there are any of nodes: the operator's, and with CRI-O the host's.
	sandboxes int
}

const (
	agentPort, operatorPort = 9490, 9480
	// look is how often the cluster is asked how far it is.
	look = 5 * time.Second
	// stuck is for how long no pod may become ready.
	stuck = 10 * time.Minute
)

func (m *measurement) take(ctx context.Context) error {
	before, err := available()
	if err != nil {
		return err
	}
	if m.sandboxes, err = m.cluster.Sandboxes(); err != nil {
		return err
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d pods with five ports each, %d workers, routing %s\n\n", m.options.pods, m.options.workers, m.options.routing)
	began := time.Now()
	if err := m.cluster.Apply(ctx, string(text)); err != nil {
		return err
	}
	if err := m.start(ctx, began); err != nil {
		return err
	}
	after, err := available()
	if err != nil {
		return err
	}
	row("memory a pod", "%.1f MiB", float64(before-after)/float64(m.options.pods)/(1<<20))
	if err := errors.Join(m.shares(ctx), m.ports(ctx), m.pings(ctx), m.stay(ctx)); err != nil {
		return err
	}
	if err := m.consumption(ctx); err != nil { // of no matter for the rest
		row("what kubelets say of their pods", "%v", err)
	}
	return m.end(ctx)
}

func row(name, format string, args ...any) {
	fmt.Printf("%-44s %s\n", name, fmt.Sprintf(format, args...))
}

// available is the host's memory for new programs, in bytes.
func available() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo has no MemAvailable")
}

// ready is how many pods are.
func (m *measurement) ready(ctx context.Context) (int, error) {
	out, err := m.cluster.Kubectl(ctx, nil, "get", "scenario", "bench", "--output=jsonpath={.status.ready}")
	if err != nil {
		return 0, err
	}
	n, _ := strconv.Atoi(string(out)) // empty until there is a status
	return n, nil
}

// start waits until all pods are ready, and prints how fast each tenth of them became so.
func (m *measurement) start(ctx context.Context, began time.Time) error {
	step := max(m.options.pods/10, 1)
	last, lastAt, next, moved := 0, began, step, time.Now()
	for seen := 0; ; {
		n, err := m.ready(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if n > seen {
			seen, moved = n, now
		}
		if n >= next || n == m.options.pods {
			row(fmt.Sprintf("pods %d to %d", last, n), "%.0f a minute", float64(n-last)/now.Sub(lastAt).Minutes())
			last, lastAt, next = n, now, (n/step+1)*step
		}
		if n == m.options.pods {
			row("all pods are ready after", "%.1f s, %.0f a minute", now.Sub(began).Seconds(), float64(n)/now.Sub(began).Minutes())
			return nil
		}
		if now.Sub(moved) > stuck {
			why, err := m.cluster.Kubectl(ctx, nil, "get", "scenario", "bench", `--output=jsonpath={range .status.conditions[*]}{.type}={.status}: {.message}{"\n"}{end}`)
			return errors.Join(fmt.Errorf("stuck at %d pods for %v; the scenario says\n%s", n, stuck, why), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

// shares of Orrery in what a pod's start takes.
func (m *measurement) shares(ctx context.Context) error {
	agents, err := m.cluster.Agents(ctx)
	if err != nil {
		return err
	}
	var number, attaching, sandboxes, sandboxing, starts, starting float64
	for worker, pod := range agents {
		f, err := m.cluster.Figures(ctx, pod, agentPort)
		if err != nil {
			return err
		}
		number += endtoend.Sum(f, "orrery_attachments_total")
		attaching += endtoend.Sum(f, "orrery_attachment_seconds_total")
		out, err := m.cluster.Kubectl(ctx, nil, "get", "--raw=/api/v1/nodes/"+worker+"/proxy/metrics")
		if err != nil {
			return err
		}
		k := endtoend.Figures(string(out))
		sandboxes += endtoend.Sum(k, "kubelet_run_podsandbox_duration_seconds_count")
		sandboxing += endtoend.Sum(k, "kubelet_run_podsandbox_duration_seconds_sum")
		starts += endtoend.Sum(k, "kubelet_pod_start_duration_seconds_count")
		starting += endtoend.Sum(k, "kubelet_pod_start_duration_seconds_sum")
	}
	if number == 0 || sandboxes == 0 || starts == 0 {
		return errors.New("agents and kubelets have no figures of pods' starts")
	}
	row("attaching five ports, mean", "%.1f ms", 1e3*attaching/number)
	row("a sandbox with all its networks, mean", "%.0f ms", 1e3*sandboxing/sandboxes)
	row("a pod's start as the kubelet sees it, mean", "%.0f ms", 1e3*starting/starts)
	row("share of the attachment in a pod's start", "%.2f %%", 100*(attaching/number)/(starting/starts))
	return nil
}

// ports of all pods are there, and have addresses.
func (m *measurement) ports(ctx context.Context) error {
	out, err := m.cluster.Orrery(ctx, "nodes", "--output=json")
	if err != nil {
		return err
	}
	var list struct {
		Nodes []struct {
			Name  string
			Ports []struct{ Name, LinkLocal string }
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return err
	}
	// Each is looked at in its pod: a sample, since kubectl exec takes longer than all else.
	const sample = 20
	looked, addressed, wanted := 0, 0, 0
	for i := 0; i < len(list.Nodes); i += max(len(list.Nodes)/sample, 1) {
		n := list.Nodes[i]
		text, err := m.cluster.Orrery(ctx, "exec", n.Name, "--", "ip", "-6", "-o", "address", "show", "scope", "link")
		if err != nil {
			return err
		}
		looked++
		for _, p := range n.Ports {
			wanted++
			if strings.Contains(text, p.LinkLocal+"/") {
				addressed++
			}
		}
	}
	row("ports with their address, in a sample", "%d of %d, in %d pods", addressed, wanted, looked)
	if addressed != wanted {
		return errors.New("ports lack their addresses")
	}
	return nil
}

// pings between all stations.
func (m *measurement) pings(ctx context.Context) error {
	answered, pairs := 0, 0
	for i, a := range stations {
		for _, b := range stations[i+1:] {
			pairs++
			if _, err := m.cluster.Orrery(ctx, "ping", a, b, "--count=3", "--interval=200ms", "--quiet"); err == nil {
				answered++
			} else {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	row("pairs of stations that reach each other", "%d of %d", answered, pairs)
	return nil
}

// requests to the API server by Orrery, so far, and links that came and went.
func (m *measurement) requests(ctx context.Context) (requests float64, late map[string]float64, err error) {
	agents, err := m.cluster.Agents(ctx)
	if err != nil {
		return 0, nil, err
	}
	late = make(map[string]float64)
	for worker, pod := range agents {
		f, err := m.cluster.Figures(ctx, pod, agentPort)
		if err != nil {
			return 0, nil, err
		}
		requests += endtoend.Sum(f, "rest_client_requests_total")
		for name, v := range f {
			if strings.HasPrefix(name, "orrery_frame_lateness_seconds") && strings.Contains(name, `"0.99"`) {
				late[worker] = v
			}
		}
	}
	out, err := m.cluster.Kubectl(ctx, nil, "--namespace=orrery-system", "get", "pods", "--selector=app.kubernetes.io/name=orrery-operator", "--output=jsonpath={.items[0].metadata.name}")
	if err != nil {
		return 0, nil, err
	}
	f, err := m.cluster.Figures(ctx, string(out), operatorPort)
	if err != nil {
		return 0, nil, err
	}
	return requests + endtoend.Sum(f, "rest_client_requests_total"), late, nil
}

// events of the topology so far.
func (m *measurement) events(ctx context.Context) (int, error) {
	out, err := m.cluster.Orrery(ctx, "status", "bench", "--output=json")
	if err != nil {
		return 0, err
	}
	var s struct{ Events string }
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return 0, err
	}
	return strconv.Atoi(s.Events)
}

// stay keeps the pods for a while, and looks whether all stay ready.
func (m *measurement) stay(ctx context.Context) error {
	before, _, err := m.requests(ctx)
	if err != nil {
		return err
	}
	changed, err := m.events(ctx)
	if err != nil {
		return err
	}
	least, short, began := m.options.pods, 0, time.Now()
	looks := 0
	for end := began.Add(m.options.keep); time.Now().Before(end); looks++ {
		n, err := m.ready(ctx)
		if err != nil {
			return err
		}
		if n < m.options.pods {
			short++
		}
		if n < least {
			m.why(ctx, time.Since(began), n)
		}
		least = min(least, n)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(look, time.Until(end))):
		}
	}
	after, late, err := m.requests(ctx)
	if err != nil {
		return err
	}
	now, err := m.events(ctx)
	if err != nil {
		return err
	}
	row("ready pods, the least within "+m.options.keep.String(), "%d; fewer than all in %d of %d looks", least, short, looks)
	restarts, err := m.restarts(ctx)
	if err != nil {
		return err
	}
	row("containers that were started again", "%d of Orrery, %d of nodes", restarts["orrery-system"], restarts["default"])
	if after < before || restarts["orrery-system"] > 0 {
		row("requests of Orrery to the API server then", "not known, since counters began anew; links changed %d times", now-changed)
	} else {
		row("requests of Orrery to the API server then", "%.0f, while links changed %d times", after-before, now-changed)
	}
	for worker, v := range late {
		row("lateness of frames on "+worker+", p99", "%.3f ms", 1e3*v)
	}
	return nil
}

// why tells of workers and Orrery's own pods when fewer pods are ready than before.
func (m *measurement) why(ctx context.Context, since time.Duration, ready int) {
	fmt.Fprintf(os.Stderr, "%d pods are ready after %v\n", ready, since.Round(time.Second))
	for _, args := range [][]string{
		{"get", "nodes", `--output=jsonpath={range .items[*]}{.metadata.name}: {range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}: {.message}{end}{"\n"}{end}`},
		{"--namespace=orrery-system", "get", "pods", "--no-headers"},
	} {
		if out, err := m.cluster.Kubectl(ctx, nil, args...); err == nil {
			fmt.Fprintf(os.Stderr, "%s", out)
		}
	}
}

// restarts of containers so far, by namespace.
func (m *measurement) restarts(ctx context.Context) (map[string]int, error) {
	out, err := m.cluster.Kubectl(ctx, nil, "get", "pods", "--all-namespaces", `--output=jsonpath={range .items[*]}{.metadata.namespace} {.status.containerStatuses[*].restartCount}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}
	sum := make(map[string]int)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		for _, text := range f[min(1, len(f)):] {
			n, _ := strconv.Atoi(text)
			sum[f[0]] += n
		}
	}
	return sum, nil
}

// consumption of Orrery's own pods, and of nodes' in the mean, as the kubelets see it.
func (m *measurement) consumption(ctx context.Context) error {
	agents, err := m.cluster.Agents(ctx)
	if err != nil {
		return err
	}
	var nodes, memory, cpu float64
	for worker := range agents {
		out, err := m.cluster.Kubectl(ctx, nil, "get", "--raw=/api/v1/nodes/"+worker+"/proxy/stats/summary")
		if err != nil {
			return err
		}
		var s struct {
			Pods []struct {
				PodRef struct{ Name, Namespace string }
				Memory struct{ WorkingSetBytes float64 }
				CPU    struct{ UsageCoreNanoSeconds float64 }
			}
		}
		if err := json.Unmarshal(out, &s); err != nil {
			return fmt.Errorf("what the kubelet of %s says of its pods: %w", worker, err)
		}
		for _, p := range s.Pods {
			if p.PodRef.Namespace == "orrery-system" {
				row(p.PodRef.Name+" on "+worker, "%.0f MiB, %.1f s of CPU", p.Memory.WorkingSetBytes/(1<<20), p.CPU.UsageCoreNanoSeconds/1e9)
				continue
			}
			nodes, memory, cpu = nodes+1, memory+p.Memory.WorkingSetBytes, cpu+p.CPU.UsageCoreNanoSeconds
		}
	}
	if nodes > 0 {
		row("a node's containers, mean", "%.1f MiB, %.2f s of CPU", memory/nodes/(1<<20), cpu/nodes/1e9)
	}
	return nil
}

// end deletes all, and waits for the last sandbox.
func (m *measurement) end(ctx context.Context) error {
	began := time.Now()
	if _, err := m.cluster.Kubectl(ctx, nil, "delete", "scenario", "bench"); err != nil {
		return err
	}
	for gone := false; ; {
		out, err := m.cluster.Kubectl(ctx, nil, "get", "pods", "--output=name")
		if err != nil {
			return err
		}
		if len(out) == 0 && !gone {
			gone = true
			row("no pod is left in the API after", "%.1f s", time.Since(began).Seconds())
		}
		n, err := m.cluster.Sandboxes()
		if err != nil {
			return err
		}
		if gone && n <= m.sandboxes {
			row("no network namespace is left after", "%.1f s", time.Since(began).Seconds())
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

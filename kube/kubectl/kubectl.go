package kubectl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/kube/failures"
	"orrery.dev/orrery/kube/gateway"
)

// Labels and annotations, as package kube/v1alpha1 has them, which links
// Kubernetes.
const (
	labelScenario    = "orrery.dev/scenario"
	labelNode        = "orrery.dev/node"
	annotationPaused = "orrery.dev/paused"
	agents           = "app.kubernetes.io/name=orrery-agent"
)

// Program is how kubectl is run.
type Program struct {
	Path string
	// Flags go before all others, such as --context.
	Flags []string
}

// command runs kubectl in a namespace; empty: the user's present one.
func (p Program) command(ctx context.Context, namespace string, args ...string) *exec.Cmd {
	all := slices.Clone(p.Flags)
	if namespace != "" {
		all = append(all, "--namespace="+namespace)
	}
	return exec.CommandContext(ctx, p.Path, append(all, args...)...)
}

// output is what kubectl prints; an error has what it complained of.
func (p Program) output(ctx context.Context, namespace string, args ...string) (string, error) {
	cmd := p.command(ctx, namespace, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(complaint.String()); text != "" {
			return "", fmt.Errorf("kubectl %s: %s", args[0], text)
		}
		return "", fmt.Errorf("kubectl %s: %w", args[0], err)
	}
	return out.String(), nil
}

// Scenarios are the names of those in a namespace.
func (p Program) Scenarios(ctx context.Context, namespace string) ([]string, error) {
	out, err := p.output(ctx, namespace, "get", "scenarios.orrery.dev", `--output=jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`)
	return strings.Fields(out), err
}

// Namespace is the user's present one.
func (p Program) Namespace(ctx context.Context) (string, error) {
	out, err := p.output(ctx, "", "config", "view", "--minify", "--output=jsonpath={..namespace}")
	if out = strings.TrimSpace(out); out == "" {
		out = "default"
	}
	return out, err
}

// podOf is the pod of a node, as kubectl names resources.
func (p Program) podOf(ctx context.Context, namespace, scenario, node string) (string, error) {
	out, err := p.output(ctx, namespace, "get", "pods", "--selector="+labelScenario+"="+scenario+","+labelNode+"="+node, "--output=name")
	if err != nil {
		return "", err
	}
	pods := strings.Fields(out)
	if len(pods) == 0 {
		return "", fmt.Errorf("scenario %s has no pod of a node %q; 'kubectl orrery nodes' lists the nodes", scenario, node)
	}
	return pods[0], nil
}

// Exec is a command that runs in the pod of a node, which is not started yet.
func (p Program) Exec(ctx context.Context, namespace, scenario, node string, terminal bool, argv ...string) (*exec.Cmd, error) {
	pod, err := p.podOf(ctx, namespace, scenario, node)
	if err != nil {
		return nil, err
	}
	args := []string{"exec", "--stdin"}
	if terminal {
		args = append(args, "--tty")
	}
	return p.command(ctx, namespace, append(append(args, pod, "--container=node", "--"), argv...)...), nil
}

// Scenario is one as kubectl shows it. It implements gateway.Cluster. Its agents'
// connections last until the context that Open was given ends.
type Scenario struct {
	life            context.Context
	program         Program
	namespace, name string
	system          string // namespace of the agents

	mu      sync.Mutex // guards the rest, and is held while kubectl is asked
	asked   time.Time
	pods    map[string]gateway.Pod
	hosts   map[string]string // agents' pods by worker
	clients map[string]gateway.Agent
}

var _ gateway.Cluster = (*Scenario)(nil)

// Open makes one, and asks nothing yet. The agents are in the namespace system.
func Open(life context.Context, p Program, namespace, name, system string) *Scenario {
	return &Scenario{life: life, program: p, namespace: namespace, name: name, system: system, clients: make(map[string]gateway.Agent)}
}

// fresh is how long what kubectl has said is believed.
const fresh = 5 * time.Second

const podLines = `--output=jsonpath={range .items[*]}{.metadata.labels.orrery\.dev/node}{"\t"}{.spec.nodeName}{"\t"}` +
	`{.status.conditions[?(@.type=="Ready")].status}{"\t"}{.status.containerStatuses[*].state.waiting.reason}{"\n"}{end}`

const agentLines = `--output=jsonpath={range .items[*]}{.spec.nodeName}{"\t"}{.metadata.name}{"\t"}{.status.phase}{"\n"}{end}`

// look asks kubectl again if that is long ago. s.mu is held.
func (s *Scenario) look(ctx context.Context) error {
	if s.pods != nil && time.Since(s.asked) < fresh {
		return nil
	}
	out, err := s.program.output(ctx, s.namespace, "get", "pods", "--selector="+labelScenario+"="+s.name, podLines)
	if err != nil {
		return err
	}
	pods, err := parsePods(out)
	if err != nil {
		return err
	}
	if out, err = s.program.output(ctx, s.system, "get", "pods", "--selector="+agents, agentLines); err != nil {
		return err
	}
	hosts, err := parseAgents(out)
	if err != nil {
		return err
	}
	for worker, pod := range hosts {
		if s.hosts[worker] != pod {
			delete(s.clients, worker)
		}
	}
	s.pods, s.hosts, s.asked = pods, hosts, time.Now()
	return nil
}

// fields of a line that kubectl was told to print.
func fields(line string, n int) ([]string, error) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	if len(f) != n {
		return nil, fmt.Errorf("kubectl printed %q, which has not %d columns", line, n)
	}
	return f, nil
}

func parsePods(out string) (map[string]gateway.Pod, error) {
	pods := make(map[string]gateway.Pod)
	for line := range strings.Lines(out) {
		f, err := fields(line, 4)
		if err != nil {
			return nil, err
		}
		// A pod that is going and the one that comes after it have the same node.
		if old, ok := pods[f[0]]; ok && old.Worker != "" && f[1] == "" {
			continue
		}
		pods[f[0]] = gateway.Pod{Worker: f[1], Ready: f[2] == "True", Reason: f[3]}
	}
	return pods, nil
}

func parseAgents(out string) (map[string]string, error) {
	hosts := make(map[string]string)
	for line := range strings.Lines(out) {
		f, err := fields(line, 3)
		if err != nil {
			return nil, err
		}
		if f[0] != "" && f[2] == "Running" {
			hosts[f[0]] = f[1]
		}
	}
	return hosts, nil
}

// Pods implements gateway.Cluster.
func (s *Scenario) Pods(ctx context.Context) (map[string]gateway.Pod, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	return s.pods, nil // is replaced and never changed
}

// Agent implements gateway.Cluster.
func (s *Scenario) Agent(ctx context.Context, worker string) (gateway.Agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	pod, ok := s.hosts[worker]
	if !ok {
		return nil, fmt.Errorf("no pod of the agent runs there; 'kubectl --namespace=%s get pods' shows them", s.system)
	}
	if s.clients[worker] == nil {
		cmd := func() *exec.Cmd {
			return s.program.command(s.life, s.system, "exec", "--stdin", pod, "--container=agent", "--", "/usr/bin/orrery-agent", "connect", s.namespace+"/"+s.name)
		}
		s.clients[worker] = api.DialBy(dialer(cmd))
	}
	return s.clients[worker], nil
}

// SetPaused implements gateway.Cluster.
func (s *Scenario) SetPaused(ctx context.Context, paused bool) error {
	_, err := s.program.output(ctx, s.namespace, "annotate", "--overwrite", "scenarios.orrery.dev", s.name, annotationPaused+"="+strconv.FormatBool(paused))
	return err
}

// SetSpeed implements gateway.Cluster.
func (s *Scenario) SetSpeed(ctx context.Context, speed float64) error {
	if !(speed > 0) {
		return errors.New("the speed has to be more than 0")
	}
	patch := fmt.Sprintf(`{"spec":{"speed":%s}}`, strconv.FormatFloat(speed, 'f', -1, 64))
	_, err := s.program.output(ctx, s.namespace, "patch", "scenarios.orrery.dev", s.name, "--type=merge", "--patch="+patch)
	return err
}

// Failures implements gateway.Cluster.
func (s *Scenario) Failures(ctx context.Context) (list, version string, err error) {
	out, err := s.program.output(ctx, s.namespace, "get", "scenarios.orrery.dev", s.name,
		`--output=jsonpath={.metadata.resourceVersion}{"\t"}{.metadata.annotations.`+strings.ReplaceAll(failures.Annotation, ".", `\.`)+`}`)
	if err != nil {
		return "", "", err
	}
	f, err := fields(out, 2)
	if err != nil {
		return "", "", err
	}
	return f[1], f[0], nil
}

// SetFailures implements gateway.Cluster.
func (s *Scenario) SetFailures(ctx context.Context, list, version string) error {
	patch, err := failures.Patch(list, version)
	if err != nil {
		return err
	}
	_, err = s.program.output(ctx, s.namespace, "patch", "scenarios.orrery.dev", s.name, "--type=merge", "--patch="+patch)
	if err != nil && strings.Contains(err.Error(), "the object has been modified") { // what the API server says of a version that is over
		return fmt.Errorf("%w: %w", gateway.ErrChanged, err)
	}
	return err
}

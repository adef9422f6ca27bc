package kubectl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"orrery.dev/orrery/fidelity"
)

// Worker is one that carries nodes of a scenario, as its agent's metrics tell.
type Worker struct {
	Name string
	// Err is why nothing is known of it.
	Err   error
	Nodes int
	// Verdict on the last seconds.
	Verdict  fidelity.Level
	RealTime bool
	// Lateness of deliveries that 99 of 100 do not exceed, since the agent's start.
	Lateness time.Duration
	Peers    []Peer
}

// Peer is another worker as one sees it.
type Peer struct {
	Name string
	Up   bool
	// Differs is in what its agent differs, so that nothing is carried: "version",
	// "release" or "run"; empty if it is not known to.
	Differs string
	// Offset by which its clock is ahead, and by how much that may be wrong.
	Offset, Uncertainty time.Duration
	// Latency of datagrams from it, one way.
	LatencyP50, LatencyP99 time.Duration
	Lost                   uint64 // datagrams
	Late                   uint64 // frames that came after they were due
}

// metricsPort is the agent's.
const metricsPort = 9490

// Workers that have nodes of the scenario, by name.
func (s *Scenario) Workers(ctx context.Context) ([]Worker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	var list []Worker
	for _, p := range s.pods {
		if p.Worker != "" && !slices.ContainsFunc(list, func(w Worker) bool { return w.Name == p.Worker }) {
			list = append(list, Worker{Name: p.Worker})
		}
	}
	slices.SortFunc(list, func(a, b Worker) int { return cmp.Compare(a.Name, b.Name) })
	for i := range list {
		w := &list[i]
		pod, ok := s.hosts[w.Name]
		if !ok {
			w.Err = errors.New("no pod of the agent runs there")
			continue
		}
		text, err := s.program.output(ctx, "", "get", fmt.Sprintf("--raw=/api/v1/namespaces/%s/pods/%s:%d/proxy/metrics", s.system, pod, metricsPort))
		if err == nil {
			err = w.read(text, s.namespace, s.name)
		}
		w.Err = err
	}
	return list, nil
}

// read takes what an agent's metrics say of a scenario.
func (w *Worker) read(text, namespace, scenario string) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("the agent's metrics: %w", err)
	}
	peers := make(map[string]*Peer)
	for name, f := range families {
		for _, m := range f.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] != namespace || labels["scenario"] != scenario {
				continue
			}
			v, p := value(m), new(Peer)
			if host := labels["peer"]; host != "" {
				if peers[host] == nil {
					peers[host] = &Peer{Name: host}
				}
				p = peers[host]
			}
			switch name + labels["quantile"] {
			case "orrery_nodes":
				w.Nodes = int(v)
			case "orrery_fidelity":
				w.Verdict = min(max(fidelity.Level(v), fidelity.Faithful), fidelity.Overloaded)
			case "orrery_realtime":
				w.RealTime = v == 1
			case "orrery_frame_lateness_seconds0.99":
				w.Lateness = seconds(v)
			case "orrery_peer_up":
				p.Up = v == 1
			case "orrery_peer_refused":
				if v == 1 {
					p.Differs = labels["reason"]
				}
			case "orrery_peer_clock_offset_seconds":
				p.Offset = seconds(v)
			case "orrery_peer_clock_uncertainty_seconds":
				p.Uncertainty = seconds(v)
			case "orrery_peer_latency_seconds0.5":
				p.LatencyP50 = seconds(v)
			case "orrery_peer_latency_seconds0.99":
				p.LatencyP99 = seconds(v)
			case "orrery_peer_datagrams_lost_total":
				p.Lost = uint64(v)
			case "orrery_peer_frames_late_total":
				p.Late = uint64(v)
			}
		}
	}
	for _, p := range peers {
		w.Peers = append(w.Peers, *p)
	}
	slices.SortFunc(w.Peers, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// value of a gauge, a counter, or a metric whose kind was not told; 0 if it is no number of
// use.
func value(m *dto.Metric) float64 {
	v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	if math.IsNaN(v) || math.Abs(v) > 1e15 {
		return 0
	}
	return v
}

// seconds are as long as a duration can be at most.
func seconds(v float64) time.Duration {
	return time.Duration(max(min(v, 1e9), -1e9) * float64(time.Second))
}

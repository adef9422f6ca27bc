package agent_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/cni"
)

// Figures follow nodes and links, and how many there are does not.
func TestMetrics(t *testing.T) {
	b := newBench(t, t.TempDir(), twoStations)
	figures := prometheus.NewPedanticRegistry()
	if err := figures.Register(b.Metrics()); err != nil {
		t.Fatal(err)
	}
	gather := func() (values map[string]float64, number int) {
		t.Helper()
		families, err := figures.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values = make(map[string]float64)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				number++
				values[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		return values, number
	}
	if got, n := gather(); n != 2 || got["orrery_attachments_total"] != 0 {
		t.Errorf("an agent without pods has %d figures: %v", n, got)
	}
	add := func(node string) {
		t.Helper()
		b.cluster.SetMember("lab", "pod-"+node, agent.Member{Scenario: demo, Node: node})
		if _, err := b.Add(context.Background(), request(cni.Add, "pod-"+node)); err != nil {
			t.Fatal(err)
		}
	}
	add("east")
	got, before := gather()
	if got["orrery_nodes"] != 1 || got["orrery_links_up"] != 2 || got["orrery_attachments_total"] != 1 || got["orrery_speed"] != 1 {
		t.Errorf("with one node: %v", got)
	}
	add("west")
	got, after := gather()
	if got["orrery_nodes"] != 2 || got["orrery_attachments_total"] != 2 || after != before {
		t.Errorf("with two nodes there are %d figures, with one %d: %v", after, before, got)
	}
}

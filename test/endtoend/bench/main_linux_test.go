package main

import (
	"testing"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// However many pods are asked for, so many nodes there are, with five ports each, and the
// stations that are pinged are among them.
func TestScenario(t *testing.T) {
	for _, o := range []options{{pods: 10, routing: "oracle"}, {pods: 50, routing: "ospf3"}, {pods: 101, routing: "isis"}, {pods: 2000, routing: "oracle"}} {
		text := scenarioOf(&o)
		s, err := scenario.Parse("bench.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%+v: %v\n%s", o, err, text)
		}
		p, err := plan.Compile(s)
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if len(p.Nodes) != o.pods {
			t.Errorf("%d nodes for %d pods", len(p.Nodes), o.pods)
		}
		for i := range p.Nodes {
			if n := len(p.Nodes[i].Ports); n != 5 {
				t.Errorf("of %d: %s has %d ports", o.pods, p.Nodes[i].Name, n)
				break
			}
		}
		for _, name := range stations {
			if _, ok := p.Node(name); !ok {
				t.Errorf("there is no station %s", name)
			}
		}
	}
}

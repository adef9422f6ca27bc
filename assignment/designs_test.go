package assignment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// Each design that ships has a configuration for every node, and docs/routing.md tells of it.
func TestDesigns(t *testing.T) {
	files, err := filepath.Glob("../examples/designs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no designs: %v", err)
	}
	page, err := os.ReadFile("../docs/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(string(page), "| `"+name+"` |") {
				t.Errorf("docs/routing.md does not tell of it")
			}
			s, err := scenario.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.Compile(s)
			if err != nil {
				t.Fatal(err)
			}
			a, err := New(p)
			if err != nil {
				t.Fatal(err)
			}
			for i := range p.Nodes {
				entry := Routing(p, i)
				if entry == nil {
					t.Fatalf("node %s has no routing", p.Nodes[i].Name)
				}
				in, err := a.Input(i, entry, "/n")
				if err != nil {
					t.Fatal(err)
				}
				out, err := router.Render(in)
				if err != nil {
					t.Fatalf("node %s: %v", p.Nodes[i].Name, err)
				}
				if name == "isis-stripes" {
					checkStripes(t, &p.Nodes[i], out)
				}
			}
		})
	}
}

// checkStripes: satellites may meet stations, which are in no stripe, so each is a border
// between its stripe and level 2, and stations are of level 2 alone.
func checkStripes(t *testing.T, n *plan.Node, out router.Output) {
	t.Helper()
	want := "is-type level-1-2"
	if n.Kind == plan.Station {
		want = "is-type level-2-only"
	}
	for _, f := range out.Files {
		if f.Name == "isisd.conf" && !strings.Contains(string(f.Content), want) {
			t.Errorf("node %s is not of %s:\n%s", n.Name, want, f.Content)
		}
	}
}

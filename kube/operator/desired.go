package operator

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// desired is what a scenario asks for. It is computed once for each generation.
type desired struct {
	scenario *scenario.Scenario
	bundle   string // name of the ConfigMap
	packed   []byte
	nodes    []member
	byPod    map[string]int // index in nodes
}

// member is a node and its pod.
type member struct {
	node, pod  string
	definition string // hash of what the pod is made from
	group      int    // index in kubernetes.pods, -1 for none
	daemon     string // router.BIRD, router.FRR, or empty
}

// design computes what a scenario asks for, with the files that it names. The
// error is scenario.Errors or *scenario.Problem if the scenario is not valid.
func design(s *v1alpha1.Scenario, files map[string][]byte) (*desired, error) {
	dir, err := os.MkdirTemp("", "scenario-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	parsed, err := s.Parse(dir)
	if err != nil {
		return nil, err
	}
	if err := checkFiles(parsed, files); err != nil {
		return nil, err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	p, err := plan.Compile(parsed)
	if err != nil {
		return nil, hideDir(err, dir)
	}
	doc, err := s.File()
	if err != nil {
		return nil, err
	}
	d := &desired{scenario: parsed, byPod: make(map[string]int, len(p.Nodes))}
	if d.packed, err = bundle.Pack(doc, files); err != nil {
		return nil, parsed.Problem("spec", err.Error(), "")
	}
	d.bundle = bundleName(s.Name, d.packed)
	return d, d.addMembers(s.Name, p)
}

// bundleName is that of the ConfigMap with a packed scenario.
func bundleName(scenarioName string, packed []byte) string {
	return scenarioName + "-" + bundle.Name(packed)
}

// fileNames are the files that a scenario names, each once.
func fileNames(s *scenario.Scenario) []string {
	var names []string
	for _, c := range s.Spec.Constellations {
		if c.File != nil {
			names = append(names, c.File.Path)
		}
	}
	for _, r := range s.Spec.Routing {
		if r.Template != "" {
			names = append(names, r.Template)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkFiles refuses a scenario with files that are not at hand. Whatever a
// scenario says, no other file than these is ever opened.
func checkFiles(s *scenario.Scenario, files map[string][]byte) error {
	for _, name := range fileNames(s) {
		at := "spec.kubernetes.files"
		switch _, ok := files[name]; {
		case s.Spec.Kubernetes.Files == "":
			return s.Problem(at, fmt.Sprintf("the scenario names the file %q, and no ConfigMap that holds it", name),
				"put it into a ConfigMap with kubectl create configmap NAME --from-file, and write the ConfigMap's name here")
		case !ok:
			return s.Problem(at, fmt.Sprintf("the ConfigMap %q has no file %q", s.Spec.Kubernetes.Files, name),
				fmt.Sprintf("add it to the ConfigMap, as it is or gzipped as %q", name+".gz"))
		}
	}
	return nil
}

func (d *desired) addMembers(scenarioName string, p *plan.Plan) error {
	assigner, err := assignment.New(p)
	if err != nil {
		return err
	}
	scheme, err := assignment.Scheme(p)
	if err != nil {
		return err
	}
	spec := &p.Scenario.Spec
	for i := range p.Nodes {
		n := &p.Nodes[i]
		m := member{node: n.Name, pod: PodName(scenarioName, n.Name), group: spec.Kubernetes.Group(n.Name)}
		def := definition{Index: i, IPv4: spec.Network.IPv4, MTU: spec.Network.MTU, Prefix: scheme.Prefix(), SourceValidation: spec.Network.SourceValidation}
		for _, port := range n.Ports {
			def.Ports = append(def.Ports, router.Link{Name: port.Name, Role: port.Role.String()})
		}
		if entry := assignment.Routing(p, i); entry != nil {
			in, err := assigner.Input(i, entry, "")
			if err != nil {
				return err
			}
			if m.daemon, err = router.Daemon(*entry); err != nil {
				return err
			}
			def.Ports, def.Template, def.Area = in.Ports, in.Template, in.Area
			for _, r := range entry.Routes {
				if to, ok := in.Resolve(r.To); ok {
					def.Routes = append(def.Routes, to)
				}
			}
			if def.Routing, err = sparse(*entry); err != nil {
				return err
			}
			def.Routing.Nodes, def.Routing.Areas = nil, nil // said by Area and Ports
		}
		for j := range spec.Commands {
			c := &spec.Commands[j]
			if scenario.Match(c.Nodes, n.Name) {
				argv, env := assignment.Command(p, scheme, c, i)
				def.Commands = append(def.Commands, command{c.Name, argv, env, time.Duration(float64(c.Start.Std()) / spec.Speed), c.Restart})
			}
		}
		if m.group >= 0 {
			if def.Group, err = sparse(spec.Kubernetes.Pods[m.group]); err != nil {
				return err
			}
			def.Group.Nodes = nil
		}
		if m.definition, err = hash(&def); err != nil {
			return err
		}
		if other, taken := d.byPod[m.pod]; taken {
			return fmt.Errorf("the nodes %s and %s would have the same pod %s; rename one of them", d.nodes[other].node, m.node, m.pod)
		}
		d.byPod[m.pod] = len(d.nodes)
		d.nodes = append(d.nodes, m)
	}
	return nil
}

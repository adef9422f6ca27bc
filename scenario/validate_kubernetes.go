package scenario

import (
	"fmt"
	"regexp"
)

// What Kubernetes says of names and amounts: qualified names and values of
// labels, amounts of resources, keys of a ConfigMap, references to images.
var (
	qualifiedName = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue    = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
	amountForm    = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$`)
	fileName      = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,240}$`)
	imageForm     = regexp.MustCompile(`^[a-zA-Z0-9][-._/:@a-zA-Z0-9]{0,500}$`)
)

// FileName says whether a path can be the name of a file in a ConfigMap, as it
// has to be on Kubernetes.
func FileName(path string) bool {
	return fileName.MatchString(path) && path != "." && path != ".."
}

func (v *validator) kubernetes() {
	k := &v.spec.Kubernetes
	if k.Files != "" {
		for i, c := range v.spec.Constellations {
			if c.File != nil {
				v.keyed(c.File.Path, fmt.Sprintf("spec.constellations[%d].file.path", i))
			}
		}
		for i, r := range v.spec.Routing {
			if r.Template != "" {
				v.keyed(r.Template, fmt.Sprintf("spec.routing[%d].template", i))
			}
		}
	}
	for i := range k.Pods {
		p := &k.Pods[i]
		at := fmt.Sprintf("spec.kubernetes.pods[%d]", i)
		if v.source == nil || v.source.has(at+".nodes") {
			v.patterns(p.Nodes, at+".nodes")
		}
		if p.Image != "" && !imageForm.MatchString(p.Image) {
			v.problem(at+".image", fmt.Sprintf("%q is not the name of an image", clipped(p.Image)), "write a name such as example.org/router:1.0")
		}
		v.amounts(p.Requests, at+".requests")
		v.amounts(p.Limits, at+".limits")
		for _, name := range sortedKeys(p.NodeSelector) {
			at := at + ".nodeSelector." + name
			if !qualifiedName.MatchString(name) {
				v.problem(at, fmt.Sprintf("%q is not the name of a label", clipped(name)), "write a name such as kubernetes.io/arch")
			} else if value := p.NodeSelector[name]; !labelValue.MatchString(value) {
				v.problem(at, fmt.Sprintf("%q is not the value of a label", clipped(value)), "use letters, digits, '-', '_' and '.', 63 at most")
			}
		}
		for j := range p.Tolerations {
			v.toleration(&p.Tolerations[j], fmt.Sprintf("%s.tolerations[%d]", at, j))
		}
	}
}

// keyed checks a path whose file is in a ConfigMap.
func (v *validator) keyed(path, at string) {
	if !FileName(path) {
		v.problem(at, fmt.Sprintf("%q is no name of a file in a ConfigMap", clipped(path)), "write a plain name of letters, digits, '-', '_' and '.', since kubernetes.files is given")
	}
}

// amounts checks a list of resources.
func (v *validator) amounts(list map[string]string, at string) {
	for _, name := range sortedKeys(list) {
		at := at + "." + name
		if !qualifiedName.MatchString(name) {
			v.problem(at, fmt.Sprintf("%q is not the name of a resource", clipped(name)), "write cpu, memory, or another resource of the cluster")
		} else if !amountForm.MatchString(list[name]) {
			v.problem(at, fmt.Sprintf("%s: %q is not an amount", name, clipped(list[name])), "write an amount such as 10m (of a CPU) or 16Mi (of memory)")
		}
	}
}

func (v *validator) toleration(t *Toleration, at string) {
	switch {
	case t.Key != "" && !qualifiedName.MatchString(t.Key):
		v.problem(at+".key", fmt.Sprintf("%q is not the key of a taint", clipped(t.Key)), "write a key such as example.org/emulation")
	case t.Key == "" && t.Operator != "Exists":
		v.problem(at, "a toleration without a key tolerates all taints", `give it a key, or write "operator: Exists"`)
	case t.Operator == "Exists" && t.Value != "":
		v.problem(at+".value", "the operator Exists looks at no value", "leave value out, or write operator: Equal")
	case !labelValue.MatchString(t.Value):
		v.problem(at+".value", fmt.Sprintf("%q is not the value of a taint", clipped(t.Value)), "use letters, digits, '-', '_' and '.', 63 at most")
	}
}

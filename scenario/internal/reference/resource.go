package reference

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/scenario/internal/shape"
)

// Resource is the CustomResourceDefinition by which Kubernetes takes scenarios.
// Its schema is structural, as the API server demands: nothing is referred to,
// each value has one type, and what crosses fields are rules in CEL. It has no
// defaults: an object stays as its user wrote it.
func Resource(dir string) ([]byte, error) {
	c, err := readComments(dir)
	if err != nil {
		return nil, err
	}
	group, version, _ := strings.Cut(scenario.APIVersion, "/")
	column := func(name, kind, path, doc string) object {
		return object{"name": name, "type": kind, "jsonPath": path, "description": doc}
	}
	condition := func(of string) string { return fmt.Sprintf(`.status.conditions[?(@.type=="%s")].status`, of) }
	crd := object{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   object{"name": "scenarios." + group, "labels": object{"app.kubernetes.io/part-of": "orrery"}},
		"spec": object{
			"group": group,
			"scope": "Namespaced",
			"names": object{
				"kind": scenario.Kind, "listKind": scenario.Kind + "List", "singular": "scenario", "plural": "scenarios",
				"categories": []string{"orrery"},
			},
			"versions": []object{{
				"name": version, "served": true, "storage": true,
				"subresources": object{"status": object{}},
				"additionalPrinterColumns": []object{
					column("Nodes", "integer", ".status.nodes", "How many nodes the scenario has."),
					column("Pods", "integer", ".status.pods", "How many of them have a pod."),
					column("Ready", "integer", ".status.ready", "How many of the pods are ready."),
					column("Accepted", "string", condition("Accepted"), "Whether the scenario is valid."),
					column("Running", "string", condition("Running"), "Whether scenario time runs."),
					column("Degraded", "string", condition("Degraded"), "Whether something is amiss."),
					column("Age", "date", ".metadata.creationTimestamp", "When the scenario was made."),
				},
				"schema": object{"openAPIV3Schema": resourceSchema(c)},
			}},
		},
	}
	b, err := json.Marshal(crd)
	if err != nil {
		return nil, err
	}
	b, err = yaml.JSONToYAML(b)
	return append([]byte("# Written by go generate ./scenario from the Go types. Do not edit.\n"), b...), err
}

func resourceSchema(c comments) object {
	label := fmt.Sprintf("size(self.metadata.name) <= %d && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", scenario.MaxNodeName)
	return object{
		"description": c["Scenario"],
		"type":        "object",
		"required":    []string{"spec"},
		"properties": object{
			"apiVersion": object{"type": "string"},
			"kind":       object{"type": "string"},
			"metadata":   object{"type": "object"},
			"spec":       structural(c, reflect.TypeFor[scenario.Spec]()),
			"status":     statusSchema(),
		},
		"x-kubernetes-validations": []object{{
			"rule":    label,
			"message": fmt.Sprintf("the scenario's name is not a DNS label; use lower-case letters, digits and '-' (not first or last), %d at most", scenario.MaxNodeName),
		}},
	}
}

// rules in CEL of what crosses the fields of a type, beside exclusive. They are
// those that can be told without names of nodes; the others are the webhook's.
var rules = map[string][]object{
	"Spec": {
		{
			"rule":    "(has(self.constellations) && size(self.constellations) > 0) || (has(self.stations) && size(self.stations) > 0)",
			"message": "nothing moves here: there are neither constellations nor stations; add constellations and stations",
		},
		{
			"rule":    "!has(self.routing) || (has(self.network) && has(self.network.ipv4) && self.network.ipv4) || self.routing.all(r, r.protocol != 'ospf2')",
			"message": "ospf2 routes IPv4, which the network does not have; set network.ipv4: true, or use ospf3",
		},
	},
	"InterLink": {{
		"rule":    "self.between[0] != self.between[1]",
		"message": "an inter-link joins two different constellations; links within one are its own links",
	}},
	"Routing": {
		{"rule": "self.protocol == 'static' || !has(self.routes)", "message": "routes are for the protocol static; leave them out"},
		{"rule": "self.protocol != 'static' || has(self.routes)", "message": "protocol static lacks routes; add the routes, or use protocol none"},
		{
			"rule":    "!has(self.daemon) || self.daemon == 'none' || self.protocol in ['ospf3', 'static'] || (self.daemon == 'frr' && self.protocol in ['isis', 'ospf2', 'bgp'])",
			"message": "the daemon does not speak the protocol; frr speaks isis, ospf2 and bgp, bird and frr speak ospf3 and static, and oracle and none need no daemon",
		},
	},
	"Toleration": {{
		"rule":    "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
		"message": "a toleration without a key tolerates all taints; give it a key, or write operator: Exists",
	}},
}

// Bounds of lists and texts, which the API server needs to bound the cost of
// the rules in CEL. An object of Kubernetes is 1.5 MiB at most, so that they
// bound nothing that could be otherwise.
const (
	maxText = 4096
	// Few are the lists whose items have lists; many are those of nodes.
	few, some, many = 64, 512, 8192
)

var listBounds = map[string]int{
	"Constellation": few, "InterLink": few, "GroundLink": few, "Routing": few, "PodGroup": few, "Toleration": few,
	"Element": some * 4, "Station": many, "Waypoint": some, "TableRow": some, "Command": some, "Area": some, "StaticRoute": some,
}

// named are the types whose items in a list are told apart by their names.
var named = map[string]bool{"Constellation": true, "InterLink": true, "Station": true, "GroundLink": true, "Command": true, "Element": true}

// structural is the schema of a struct.
func structural(c comments, t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range shape.Fields(t) {
		s := structuralField(c, f)
		if doc := c.field(t, f, func(n string) string { return n }); doc != "" {
			s["description"] = doc
		}
		properties[f.Name] = s
		if f.Required {
			required = append(required, f.Name)
		}
	}
	s := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	checks := rules[t.Name()]
	switch names := exclusive[t.Name()]; {
	case names == nil:
	case t.Name() == "Loss": // rules do not see fields without a type
		var each []object
		for _, n := range names {
			each = append(each, object{"required": []string{n}})
		}
		s["oneOf"] = each
	default:
		checks = append([]object{oneOf(names)}, checks...)
	}
	if checks != nil {
		s["x-kubernetes-validations"] = checks
	}
	return s
}

// oneOf is the rule that exactly one of some fields is given.
func oneOf(names []string) object {
	terms := make([]string, len(names))
	for i, n := range names {
		terms[i] = fmt.Sprintf("(has(self.%s) ? 1 : 0)", n)
	}
	return object{
		"rule":    strings.Join(terms, " + ") + " == 1",
		"message": fmt.Sprintf("give exactly one of %s and %s", strings.Join(names[:len(names)-1], ", "), names[len(names)-1]),
	}
}

// structuralField is the schema of a field with what its tags say.
func structuralField(c comments, f shape.Field) object {
	s := structuralType(c, f.Type)
	if f.Enum != nil {
		s["enum"] = f.Enum
	}
	switch f.Format {
	case "label":
		s["pattern"], s["maxLength"] = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, scenario.MaxNodeName
	case "subdomain":
		s["maxLength"] = 253
	}
	if f.MinCount > 0 {
		s["minItems"] = f.MinCount
	}
	if f.MaxCount > 0 {
		s["maxItems"] = f.MaxCount
	}
	numeric := s
	if items, ok := s["items"].(object); ok {
		numeric = items
	}
	if kind := numeric["type"]; kind == "integer" || kind == "number" {
		// OpenAPI 3.0 has the exclusive bounds as flags.
		for _, b := range []struct {
			keyword, bound string
			open           bool
		}{{"minimum", f.Min, false}, {"maximum", f.Max, false}, {"minimum", f.Above, true}, {"maximum", f.Below, true}} {
			if b.bound == "" {
				continue
			}
			numeric[b.keyword] = json.Number(b.bound)
			if b.open {
				numeric["exclusive"+strings.ToUpper(b.keyword[:1])+b.keyword[1:]] = true
			}
		}
	}
	return s
}

func structuralType(c comments, t reflect.Type) object {
	if t.Kind() == reflect.Pointer {
		return structuralType(c, t.Elem())
	}
	if q, ok := scenario.Quantities()[t.Name()]; ok {
		return structuralQuantity(t.Name(), q)
	}
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return structural(c, t)
	case reflect.Slice:
		s := object{"type": "array", "items": structuralType(c, t.Elem()), "maxItems": many}
		name := t.Elem().Name()
		if n, ok := listBounds[name]; ok {
			s["maxItems"] = n
		}
		if named[name] {
			s["x-kubernetes-list-type"], s["x-kubernetes-list-map-keys"] = "map", []string{"name"}
		}
		return s
	case reflect.Array:
		return object{"type": "array", "items": structuralType(c, t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": structuralType(c, t.Elem()), "maxProperties": some}
	case reflect.String:
		return object{"type": "string", "maxLength": maxText}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer", "format": "int32"}
	case reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float64:
		return object{"type": "number"}
	}
	panic(fmt.Sprintf("reference: no structural schema for %v", t))
}

// structuralQuantity is a text with a unit, or 0. A fraction may be any number,
// for which structural schemas have no type that also takes texts.
func structuralQuantity(name string, q scenario.Quantity) object {
	if name == "Fraction" {
		return object{"x-kubernetes-preserve-unknown-fields": true, "minimum": 0, "maximum": 1, "pattern": q.Pattern}
	}
	return object{"x-kubernetes-int-or-string": true, "anyOf": []object{{"type": "integer"}, {"type": "string"}}, "minimum": 0, "maximum": 0, "pattern": q.Pattern, "maxLength": 128}
}

// statusSchema is that of what the operator tells, kube/v1alpha1.ScenarioStatus.
func statusSchema() object {
	count := func(doc string) object { return object{"type": "integer", "format": "int32", "description": doc} }
	text := func(doc string) object { return object{"type": "string", "description": doc} }
	instant := func(doc string) object {
		return object{"type": "string", "format": "date-time", "description": doc}
	}
	worker := object{
		"type": "object", "required": []string{"name", "pods", "ready"},
		"properties": object{
			"name": text("Name of the worker."), "pods": count("How many pods of the scenario it has."),
			"ready": count("How many of them are ready."),
			"lost":  object{"type": "boolean", "description": "The worker does not answer to the cluster."},
		},
	}
	timeline := object{
		"type": "object", "required": []string{"at", "scenario", "speed"},
		"description": "From which everyone computes scenario time: scenario + speed·(now - at), or scenario while paused.",
		"properties": object{
			"at": instant("An instant of the cluster's clocks."), "scenario": text("Scenario time at that instant."),
			"speed":  object{"type": "number", "description": "Seconds of scenario time per second from then on."},
			"paused": object{"type": "boolean", "description": "Scenario time stands."},
		},
	}
	condition := object{
		"type": "object", "required": []string{"type", "status", "lastTransitionTime", "reason", "message"},
		"properties": object{
			"type": text("What the condition is about."), "status": object{"type": "string", "enum": []string{"True", "False", "Unknown"}},
			"observedGeneration": object{"type": "integer", "format": "int64", "minimum": 0},
			"lastTransitionTime": instant("When the status changed last."), "reason": text("One word for why."), "message": text("A sentence for people."),
		},
	}
	return object{
		"type": "object", "description": "What the operator tells of the scenario.",
		"properties": object{
			"observedGeneration": object{"type": "integer", "format": "int64", "description": "Generation of the spec that the status is about."},
			"nodes":              count("How many nodes the scenario has."), "pods": count("How many of them have a pod."), "ready": count("How many of the pods are ready."),
			"bundle": text("Name of the ConfigMap with the packed scenario that pods and agents read."),
			"underlayPort": object{
				"type": "integer", "format": "int32",
				"description": "UDP port by which agents carry the scenario's frames to each other, and no other scenario's.",
			},
			"workers":  object{"type": "array", "items": worker, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []string{"name"}},
			"started":  instant("When scenario time began to run."),
			"timeline": timeline,
			"conditions": object{
				"type": "array", "items": condition, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []string{"type"},
			},
		},
	}
}

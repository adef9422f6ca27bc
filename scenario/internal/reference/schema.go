// Package reference writes what is known of the scenario file for readers: the
// JSON Schema for editors and the reference page for people. Both come from
// the Go types, their tags and their comments.
package reference

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/scenario/internal/shape"
)

// schemaID names the schema. It need not be fetched from there.
const (
	schemaID           = "https://orrery.dev/schema/v1alpha1/scenario.json"
	experimentSchemaID = "https://orrery.dev/schema/v1alpha1/experiment.json"
)

// changes is a mapping whose keys are paths.
var changes = reflect.TypeFor[scenario.Changes]()

// object is a JSON object; encoding/json sorts its keys, so that the output is
// always the same.
type object = map[string]any

// exclusive are the fields of which a type has exactly one.
var exclusive = map[string][]string{
	"Constellation": {"walker", "elements", "file"},
	"Element":       {"altitude", "semiMajorAxis"},
	"Station":       {"position", "waypoints"},
	"Loss":          {"probability", "gilbertElliott"},
}

// Schema is the JSON Schema (draft 2020-12) of the scenario file, made from the
// sources in dir.
func Schema(dir string) ([]byte, error) {
	return schemaOf(dir, reflect.TypeFor[scenario.Scenario](), "Orrery scenario", schemaID)
}

// ExperimentSchema is that of the experiment file; dir is that of package scenario.
func ExperimentSchema(dir string) ([]byte, error) {
	return schemaOf(dir, reflect.TypeFor[experiment.Experiment](), "Orrery experiment", experimentSchemaID)
}

func schemaOf(dir string, root reflect.Type, title, id string) ([]byte, error) {
	c, err := readComments(dir)
	if err != nil {
		return nil, err
	}
	defs := object{}
	for _, t := range types(root) {
		if t == changes {
			defs[t.Name()] = object{"type": "object", "description": c[t.Name()], "propertyNames": object{"pattern": `^spec(\.|$)`}}
			continue
		}
		defs[t.Name()] = structSchema(c, t)
	}
	for name, q := range scenario.Quantities() {
		defs[name] = quantitySchema(c[name], name, q)
	}
	schema := object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"$id":         id,
		"title":       title,
		"description": c[root.Name()],
		"$ref":        "#/$defs/" + root.Name(),
		"$defs":       defs,
	}
	b, err := json.MarshalIndent(schema, "", "  ")
	return append(b, '\n'), err
}

// types are all structs of the file of a root in order of first use.
func types(root reflect.Type) []reflect.Type {
	var list []reflect.Type
	seen := map[reflect.Type]bool{reflect.TypeFor[time.Time](): true}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			visit(t.Elem())
		case reflect.Struct:
			if seen[t] {
				return
			}
			seen[t] = true
			list = append(list, t)
			for _, f := range shape.Fields(t) {
				visit(f.Type)
			}
		}
	}
	visit(root)
	return list
}

func quantitySchema(doc, name string, q scenario.Quantity) object {
	if name == "Fraction" {
		return object{"description": doc, "anyOf": []object{
			{"type": "number", "minimum": 0, "maximum": 1},
			{"type": "string", "pattern": q.Pattern},
		}}
	}
	return object{"description": doc, "examples": []string{q.Example}, "anyOf": []object{
		{"type": "string", "pattern": q.Pattern},
		{"const": 0},
	}}
}

func structSchema(c comments, t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range shape.Fields(t) {
		s := fieldSchema(f)
		if doc := c.field(t, f, func(n string) string { return n }); doc != "" {
			s["description"] = doc
		}
		properties[f.Name] = s
		if f.Required {
			required = append(required, f.Name)
		}
	}
	for _, name := range shape.Ignored(t) {
		if properties[name] == nil {
			properties[name] = object{"description": "Kubernetes's own; says nothing about the network."}
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if doc := c[t.Name()]; doc != "" {
		s["description"] = doc
	}
	if len(required) > 0 {
		s["required"] = required
	}
	if names := exclusive[t.Name()]; names != nil {
		var each []object
		for _, n := range names {
			each = append(each, object{"required": []string{n}})
		}
		s["oneOf"] = each
	}
	return s
}

func fieldSchema(f shape.Field) object {
	s := typeSchema(f.Type)
	if f.Default != "" {
		s["default"] = defaultValue(f)
	}
	if f.Enum != nil {
		s["enum"] = f.Enum
	}
	if f.Format == "label" {
		s["pattern"], s["maxLength"] = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, scenario.MaxNodeName
	}
	if f.Format == "subdomain" {
		s["pattern"], s["maxLength"] = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`, 253
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
		for keyword, bound := range map[string]string{"minimum": f.Min, "maximum": f.Max, "exclusiveMinimum": f.Above, "exclusiveMaximum": f.Below} {
			if bound != "" {
				numeric[keyword] = json.Number(bound)
			}
		}
	}
	return s
}

func typeSchema(t reflect.Type) object {
	if t.Kind() == reflect.Pointer {
		return typeSchema(t.Elem())
	}
	if _, ok := scenario.Quantities()[t.Name()]; ok {
		return object{"$ref": "#/$defs/" + t.Name()}
	}
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return object{"$ref": "#/$defs/" + t.Name()}
	case reflect.Slice:
		return object{"type": "array", "items": typeSchema(t.Elem())}
	case reflect.Array:
		return object{"type": "array", "items": typeSchema(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": typeSchema(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	}
	panic(fmt.Sprintf("reference: no schema for %v", t))
}

// defaultValue is a default as JSON: a number for numbers, a text for the rest.
func defaultValue(f shape.Field) any {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	q, quantity := scenario.Quantities()[t.Name()]
	if _, err := strconv.ParseFloat(f.Default, 64); err == nil && (!quantity || q.Units == nil) {
		return json.Number(f.Default)
	}
	return f.Default
}

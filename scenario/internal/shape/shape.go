// Package shape reads the form of the scenario file off its Go types: the
// names of the fields by their json tags, and what further tags say of them.
// The parser, the JSON Schema and the reference page all stand on it.
//
//	default   value of a field that is left out
//	enum      the words that are allowed, separated by commas
//	min, max  closed bounds; above, below: open ones. On a list: of each item
//	count     how many items a list may have: "2", or "1.." for at least one
//	format    "label": a DNS label; "subdomain": labels joined by dots
package shape

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Field is one field of a mapping in the file.
type Field struct {
	Name  string       // in the file
	Owner reflect.Type // the struct that declares it; another one where it is embedded
	Go    string       // its name there
	Index []int        // for reflect.Value.FieldByIndex
	Type  reflect.Type

	Required bool
	Default  string
	Enum     []string
	Format   string

	Min, Max, Above, Below string
	// MinCount and MaxCount bound a list; MaxCount 0 is no bound.
	MinCount, MaxCount int
}

var cache sync.Map // reflect.Type to []Field

// Fields are the fields of a struct in order of declaration, those of embedded
// structs in their place.
func Fields(t reflect.Type) []Field {
	if f, ok := cache.Load(t); ok {
		return f.([]Field)
	}
	var list []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			for _, inner := range Fields(f.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				list = append(list, inner)
			}
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		field := Field{
			Name: name, Owner: t, Go: f.Name, Index: []int{i}, Type: f.Type,
			Required: !strings.Contains(options, "omit"),
			Default:  f.Tag.Get("default"),
			Format:   f.Tag.Get("format"),
			Min:      f.Tag.Get("min"), Max: f.Tag.Get("max"),
			Above: f.Tag.Get("above"), Below: f.Tag.Get("below"),
		}
		if e := f.Tag.Get("enum"); e != "" {
			field.Enum = strings.Split(e, ",")
		}
		if c := f.Tag.Get("count"); c != "" {
			from, to, isRange := strings.Cut(c, "..")
			field.MinCount, _ = strconv.Atoi(from)
			field.MaxCount, _ = strconv.Atoi(to)
			if !isRange {
				field.MaxCount = field.MinCount
			}
		}
		list = append(list, field)
	}
	cache.Store(t, list)
	return list
}

// Names are the names of the fields of a struct.
func Names(t reflect.Type) []string {
	fields := Fields(t)
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// ignored are the fields of a Kubernetes object that say nothing about the
// network, by the names of the types; an object as the API server prints it is
// read, too.
var ignored = map[string][]string{
	"Scenario": {"status"},
	"Metadata": {
		"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
		"generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
	},
}

// Ignored are the fields of a type that are accepted and not read.
func Ignored(t reflect.Type) []string { return ignored[t.Name()] }

package scenario

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"orrery.dev/orrery/scenario/internal/shape"
)

// decoder fills a Scenario from a tree and notes the place of each field.
type decoder struct {
	*report
	nodes int // how many values may still be read
}

// decode fills v, reading so many values at most, and collects what is wrong.
func decode(root *node, values int, v any, r *report) {
	d := &decoder{report: r, nodes: values}
	d.value(root, reflect.ValueOf(v).Elem(), "")
}

// wrong records that a value cannot be read.
func (d *decoder) wrong(n *node, path, what, right string) {
	d.setBroken(path)
	d.add(n.position, path, what, right)
}

// describe names what a node is.
func (n *node) describe() string {
	switch {
	case n.kind == mapping:
		return "a mapping"
	case n.kind == sequence:
		return "a list"
	case n.isNull():
		return "nothing"
	case n.quoted:
		return fmt.Sprintf("the text %q", clipped(n.text))
	case n.text == "true" || n.text == "false":
		return n.text
	case plainNumber.MatchString(n.text):
		return "the number " + clipped(n.text)
	}
	return fmt.Sprintf("the text %q", clipped(n.text))
}

// last is the last field name of a path, without indices.
func last(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	name, _, _ := strings.Cut(path, "[")
	return name
}

// wants records a wrong type.
func (d *decoder) wants(n *node, path, what, right string) {
	subject := "the document"
	if path != "" {
		subject = last(path)
	}
	if n.isNull() {
		d.wrong(n, path, subject+" has no value", fmt.Sprintf("give it %s", what))
		return
	}
	d.wrong(n, path, fmt.Sprintf("%s is %s, not %s", subject, n.describe(), what), right)
}

func (d *decoder) value(n *node, v reflect.Value, path string) {
	if d.nodes--; d.nodes < 0 {
		d.add(n.position, path, fmt.Sprintf("aliases repeat more than %d values", maxAliased), "use fewer of them")
		panic(errTooMany)
	}
	if d.source != nil {
		d.source.values[path] = n.position
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch p := v.Addr().Interface().(type) {
	case *Changes:
		d.changes(n, p, path)
		return
	case *Distance:
		quantity(d, n, p, path, distanceUnits.name, distanceUnits.example, ParseDistance)
		return
	case *Angle:
		quantity(d, n, p, path, angleUnits.name, angleUnits.example, ParseAngle)
		return
	case *Rate:
		quantity(d, n, p, path, rateUnits.name, rateUnits.example, ParseRate)
		return
	case *Size:
		quantity(d, n, p, path, sizeUnits.name, sizeUnits.example, ParseSize)
		return
	case *Duration:
		quantity(d, n, p, path, durationUnits.name, durationUnits.example, ParseDuration)
		return
	case *Fraction:
		quantity(d, n, p, path, "fraction", "0.01 or 1%", ParseFraction)
		return
	case *time.Time:
		t, err := time.Parse(time.RFC3339Nano, n.text)
		if n.kind != scalar || err != nil {
			d.wants(n, path, "an instant", "write it as 2026-01-01T00:00:00Z")
			return
		}
		*p = t.UTC()
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Slice, reflect.Array:
		d.sequence(n, v, path)
	case reflect.Map:
		d.texts(n, v, path)
	case reflect.String:
		d.text(n, v, path)
	case reflect.Bool:
		if n.kind != scalar || n.quoted || n.text != "true" && n.text != "false" {
			d.wants(n, path, "a truth value", "write true or false, without quotes")
			return
		}
		v.SetBool(n.text == "true")
	case reflect.Int, reflect.Uint64:
		d.integer(n, v, path)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.text, 64)
		if n.kind != scalar || n.quoted || !plainNumber.MatchString(n.text) || err != nil {
			d.wants(n, path, "a number", "write a decimal number without unit and quotes, such as 1.5")
			return
		}
		v.SetFloat(f + 0)
	default:
		panic("scenario: no decoder for " + v.Type().String())
	}
}

// quantity reads a number with a unit.
func quantity[T any](d *decoder, n *node, to *T, path, name, example string, parse func(string) (T, error)) {
	if n.kind != scalar || n.isNull() {
		d.wants(n, path, article(name), "write for example "+example)
		return
	}
	v, err := parse(n.text)
	var q *quantityError
	if errors.As(err, &q) {
		d.wrong(n, path, last(path)+": "+q.what, q.right)
		return
	}
	*to = v
}

func (d *decoder) integer(n *node, v reflect.Value, path string) {
	digits := n.kind == scalar && !n.quoted && n.text != "" && strings.Trim(strings.TrimLeft(n.text, "+-"), "0123456789") == ""
	var err error
	if digits && v.Kind() == reflect.Int {
		var i int64
		if i, err = strconv.ParseInt(n.text, 10, 32); err == nil {
			v.SetInt(i)
			return
		}
	} else if digits {
		var u uint64
		if u, err = strconv.ParseUint(strings.TrimPrefix(n.text, "+"), 10, 64); err == nil {
			v.SetUint(u)
			return
		}
	}
	if errors.Is(err, strconv.ErrRange) {
		d.wrong(n, path, fmt.Sprintf("%s is %s, which is out of range", last(path), n.describe()), "write a smaller whole number")
		return
	}
	what := "a whole number"
	if v.Kind() == reflect.Uint64 {
		what += " of 0 or more"
	}
	d.wants(n, path, what, "write decimal digits without unit and quotes, such as 6")
}

func (d *decoder) text(n *node, v reflect.Value, path string) {
	if n.kind != scalar || n.isNull() {
		d.wants(n, path, "a text", "write a word or a text in quotes")
		return
	}
	if !n.quoted && (n.text == "true" || n.text == "false" || plainNumber.MatchString(n.text)) {
		d.wants(n, path, "a text", fmt.Sprintf("put it in quotes: %q", clipped(n.text)))
		return
	}
	v.SetString(n.text)
}

func (d *decoder) sequence(n *node, v reflect.Value, path string) {
	if n.kind != sequence {
		d.wants(n, path, "a list", "write the items as \"- item\" on lines of their own, or as [a, b]")
		return
	}
	if v.Kind() == reflect.Array {
		if len(n.items) != v.Len() {
			d.wrong(n, path, fmt.Sprintf("%s has %d items", last(path), len(n.items)), fmt.Sprintf("write exactly %d", v.Len()))
			return
		}
	} else {
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	}
	for i, item := range n.items {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

// texts reads a mapping of free names to texts.
func (d *decoder) texts(n *node, v reflect.Value, path string) {
	if n.kind != mapping {
		d.wants(n, path, "a mapping", "write \"name: text\" on lines of their own")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for key, value := range d.fields(n, path) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(value, item, path+"."+key.text)
		v.SetMapIndex(reflect.ValueOf(key.text), item)
	}
}

// fields yields the fields of a mapping, each name once.
func (d *decoder) fields(n *node, path string) func(yield func(*node, *node) bool) {
	return func(yield func(*node, *node) bool) {
		seen := make(map[string]position, len(n.entries))
		for _, e := range n.entries {
			if first, ok := seen[e.key.text]; ok {
				d.add(e.key.position, join(path, e.key.text),
					fmt.Sprintf("%s is given twice, first in line %d, column %d", e.key.text, first.line, first.column),
					"keep one of them")
				continue
			}
			seen[e.key.text] = e.key.position
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// join is the path of a field.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) mapping(n *node, v reflect.Value, path string) {
	fields := shape.Fields(v.Type())
	if n.kind != mapping {
		var names []string
		for _, f := range fields {
			if f.Required || len(names) < 3 {
				names = append(names, f.Name)
			}
		}
		d.wants(n, path, "a mapping", fmt.Sprintf("write its fields (%s …) on lines of their own", strings.Join(names[:min(3, len(names))], ", ")))
		return
	}
	given := map[string]bool{}
	var unknown []*node
	for key, value := range d.fields(n, path) {
		i := slices.IndexFunc(fields, func(f shape.Field) bool { return f.Name == key.text })
		if i < 0 {
			if !slices.Contains(shape.Ignored(v.Type()), key.text) {
				unknown = append(unknown, key)
			}
			continue
		}
		given[key.text] = true
		p := join(path, key.text)
		if d.source != nil {
			d.source.keys[p] = key.position
		}
		d.value(value, v.FieldByIndex(fields[i].Index), p)
	}
	// Suggest what is still missing first, and do not tell that it is missing, too.
	meant := map[string]bool{}
	for _, key := range unknown {
		right := d.instead(key.text, fields, given)
		if strings.HasPrefix(right, "did you mean ") {
			name := strings.TrimSuffix(strings.TrimPrefix(right, "did you mean "), "?")
			meant[name] = true
			d.setBroken(join(path, name))
		}
		d.add(key.position, join(path, key.text), fmt.Sprintf("%q is not a field of %s", clipped(key.text), owner(path)), right)
	}
	var lacks, hints []string
	for _, f := range fields {
		if f.Required && !given[f.Name] && !meant[f.Name] {
			d.setBroken(join(path, f.Name))
			lacks, hints = append(lacks, f.Name), append(hints, hint(f))
		}
	}
	if lacks != nil {
		d.add(n.position, path, owner(path)+" lacks "+listed(lacks, "and"), "add "+listed(hints, "and"))
	}
}

// owner names the mapping at a path.
func owner(path string) string {
	if path == "" {
		return "the document"
	}
	return path
}

// instead suggests a field for an unknown name.
func (d *decoder) instead(name string, fields []shape.Field, given map[string]bool) string {
	var open, all []string
	for _, f := range fields {
		all = append(all, f.Name)
		if !given[f.Name] {
			open = append(open, f.Name)
		}
	}
	if n := nearest(name, open); n != "" {
		return "did you mean " + n + "?"
	}
	if n := nearest(name, all); n != "" {
		return n + " is already given; leave this out"
	}
	return "the fields are " + strings.Join(all, ", ")
}

// hint shows what a missing field looks like.
func hint(f shape.Field) string {
	example := map[reflect.Type]string{
		reflect.TypeFor[Distance](): "780km", reflect.TypeFor[Angle](): "10deg", reflect.TypeFor[Duration](): "15s",
		reflect.TypeFor[Fraction](): "0.01", reflect.TypeFor[int](): "6",
	}
	t := f.Type
	switch {
	case len(f.Enum) == 1:
		return fmt.Sprintf("\"%s: %s\"", f.Name, f.Enum[0])
	case len(f.Enum) > 1:
		return fmt.Sprintf("\"%s: %s\" (or %s)", f.Name, f.Enum[0], listed(f.Enum[1:], "or"))
	case example[t] != "":
		return fmt.Sprintf("\"%s: %s\"", f.Name, example[t])
	}
	return fmt.Sprintf("\"%s: …\"", f.Name)
}

// listed is "a, b and c".
func listed(words []string, and string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + and + " " + words[len(words)-1]
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// article is "a distance", "an angle".
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Changes are fields of a scenario that another document gives other values to.
// In the document they are a mapping of paths to values:
//
//	spec.routing[0].protocol: ospf3
//	spec.routing[0].bfd: {interval: 100ms}
//	spec.constellations[*].links.properties.silent: true
//	spec.groundLinks[feeder].policy: longest
//	spec.routing[0].hello: null
//
// An item of a list is named by its number from 0 (the number of items appends
// one), by its name, or by * for all. The value null takes a field or item away.
type Changes struct{ list []change }

// change is one of Changes.
type change struct {
	path  string
	at    position
	steps []step
	value *node
	count int // values in it
}

// step is a field's name, or an item of a list.
type step struct {
	name string // of a field; of an item where item is set
	item bool
}

// Len is how many fields are changed.
func (c Changes) Len() int { return len(c.list) }

// Lines are the changes as text, "path: value" each, in order of the document.
func (c Changes) Lines() []string {
	lines := make([]string, len(c.list))
	for i, ch := range c.list {
		lines[i] = ch.path + ": " + ch.value.flow()
	}
	return lines
}

// flow writes a value in one line.
func (n *node) flow() string {
	var parts []string
	switch n.kind {
	case mapping:
		for _, e := range n.entries {
			parts = append(parts, e.key.text+": "+e.value.flow())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case sequence:
		for _, item := range n.items {
			parts = append(parts, item.flow())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	switch {
	case n.isNull():
		return "null"
	case n.quoted:
		return strconv.Quote(n.text)
	}
	return n.text
}

// changes reads a mapping of paths to values of any form.
func (d *decoder) changes(n *node, to *Changes, path string) {
	if n.kind != mapping {
		d.wants(n, path, "a mapping", "write \"path: value\" on lines of their own, such as \"spec.routing[0].hello: 1s\"")
		return
	}
	for key, value := range d.fields(n, path) {
		steps, right := parseSteps(key.text)
		if steps == nil {
			d.add(key.position, path, fmt.Sprintf("%q is not the path of a field", clipped(key.text)), right)
			continue
		}
		c := change{path: key.text, at: key.position, steps: steps}
		c.at.in = d.source
		c.value = d.copied(value, path, &c.count)
		to.list = append(to.list, c)
	}
}

// copied is a value that keeps its place when another document takes it up.
func (d *decoder) copied(n *node, path string, count *int) *node {
	if d.nodes--; d.nodes < 0 {
		d.add(n.position, path, fmt.Sprintf("aliases repeat more than %d values", maxAliased), "use fewer of them")
		panic(errTooMany)
	}
	*count++
	c := *n
	c.in = d.source
	c.entries, c.items = nil, nil
	for _, e := range n.entries {
		c.entries = append(c.entries, entry{d.copied(e.key, path, count), d.copied(e.value, path, count)})
	}
	for _, item := range n.items {
		c.items = append(c.items, d.copied(item, path, count))
	}
	return &c
}

// parseSteps takes a path apart; without steps it says what would be right.
func parseSteps(path string) (steps []step, right string) {
	if path != "spec" && !strings.HasPrefix(path, "spec.") {
		return nil, "begin it with spec, such as spec.routing[0].hello"
	}
	for part := range strings.SplitSeq(path, ".") {
		name, items, ok := strings.Cut(part, "[")
		if name == "" {
			return nil, "write field.field[item].field"
		}
		steps = append(steps, step{name: name})
		for ok {
			var item string
			item, items, ok = strings.Cut(items, "]")
			if !ok || item == "" || items != "" && items[0] != '[' {
				return nil, "write items of lists as [0], [name] or [*]"
			}
			steps = append(steps, step{name: item, item: true})
			items, ok = strings.CutPrefix(items, "[")
		}
		if len(steps) > maxDepth {
			return nil, fmt.Sprintf("a path has %d steps at most", maxDepth)
		}
	}
	return steps, ""
}

// Base is a scenario file that variants are made of by changes.
type Base struct {
	src    *source
	root   *node
	values int
	files  bool // whether the files that it names are looked for
}

// LoadBase reads a scenario file for With. It tells what keeps it from being
// YAML of that kind; the rest is checked with the changes.
func LoadBase(path string) (*Base, error) {
	data, err := readFile(path, "scenario")
	if err != nil {
		return nil, err
	}
	return parseBase(path, data, true)
}

// ParseBase is LoadBase for a text; it touches no file.
func ParseBase(name string, data []byte) (*Base, error) { return parseBase(name, data, false) }

func parseBase(name string, data []byte, files bool) (*Base, error) {
	src := newSource(name)
	root, values, err := read(src, data, Kind)
	if err != nil {
		return nil, err
	}
	return &Base{src: src, root: root, values: values, files: files}, nil
}

// With is the scenario with the changes made one after the other, checked as
// Load does. Problems with what a change says point at the change.
func (b *Base) With(changes ...Changes) (*Scenario, error) {
	src := newSource(b.src.name)
	src.lines = b.src.lines
	r := &report{source: src}
	root, values := b.root, b.values
	func() {
		defer r.catch()
		for _, cs := range changes {
			for i := range cs.list {
				c := &cs.list[i]
				root = r.apply(root, c, 0, "")
				values += c.count
			}
		}
	}()
	if err := r.errors(); err != nil {
		return nil, err
	}
	return build(src, root, values, b.files)
}

// apply is a value with the change made below it; the value itself stays. A nil
// result takes it away.
func (r *report) apply(n *node, c *change, depth int, path string) *node {
	if depth == len(c.steps) {
		if c.value.isNull() {
			return nil
		}
		return c.value
	}
	s := c.steps[depth]
	if s.item {
		return r.applyItem(n, c, depth, path)
	}
	if n == nil || n.isNull() {
		n = &node{kind: mapping, position: c.at}
	}
	if n.kind != mapping {
		r.add(c.at, c.path, fmt.Sprintf("%s is %s and has no field %s", owner(path), n.describe(), s.name), "change it as a whole, or name another field")
		return n
	}
	out := *n
	out.entries = slices.Clone(n.entries)
	i := slices.IndexFunc(out.entries, func(e entry) bool { return e.key.text == s.name })
	if i < 0 {
		if v := r.apply(nil, c, depth+1, join(path, s.name)); v != nil {
			out.entries = append(out.entries, entry{&node{position: c.at, text: s.name}, v})
		}
		return &out
	}
	if v := r.apply(out.entries[i].value, c, depth+1, join(path, s.name)); v != nil {
		out.entries[i].value = v
	} else {
		out.entries = slices.Delete(out.entries, i, i+1)
	}
	return &out
}

// applyItem is apply for an item of a list.
func (r *report) applyItem(n *node, c *change, depth int, path string) *node {
	if n == nil || n.isNull() {
		n = &node{kind: sequence, position: c.at}
	}
	item := c.steps[depth].name
	if n.kind != sequence {
		r.add(c.at, c.path, fmt.Sprintf("%s is %s and has no items", owner(path), n.describe()), "leave out the ["+clipped(item)+"]")
		return n
	}
	var chosen []int
	if number, err := strconv.Atoi(item); err == nil {
		if number >= 0 && number <= len(n.items) {
			chosen = []int{number}
		}
	} else {
		for i, it := range n.items {
			if item == "*" || it.field("name") == item {
				chosen = append(chosen, i)
			}
		}
	}
	if chosen == nil {
		r.add(c.at, c.path, fmt.Sprintf("%s has no item %s", owner(path), clipped(item)), r.itemsOf(n))
		return n
	}
	out := *n
	out.items = slices.Clone(n.items)
	for _, i := range slices.Backward(chosen) {
		var old *node
		if i < len(out.items) {
			old = out.items[i]
		}
		v := r.apply(old, c, depth+1, fmt.Sprintf("%s[%d]", path, i))
		switch {
		case v == nil && old != nil:
			out.items = slices.Delete(out.items, i, i+1)
		case v != nil && old != nil:
			out.items[i] = v
		case v != nil:
			out.items = append(out.items, v)
		}
	}
	return &out
}

// itemsOf says how the items of a list can be named.
func (r *report) itemsOf(n *node) string {
	if len(n.items) == 0 {
		return "it is empty; [0] appends an item"
	}
	var names []string
	for _, it := range n.items {
		if name := it.field("name"); name != "" && len(names) < 8 {
			names = append(names, clipped(name))
		}
	}
	right := fmt.Sprintf("name one by its number, 0 to %d", len(n.items)-1)
	if names != nil {
		right += ", or by its name (" + listed(names, "or") + ")"
	}
	return right
}

// field is the text of a scalar field of a mapping, "" if there is none.
func (n *node) field(name string) string {
	for _, e := range n.entries {
		if e.key.text == name && e.value.kind == scalar {
			return e.value.text
		}
	}
	return ""
}

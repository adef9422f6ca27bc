// Package completion says what could be written at a place of a scenario that is being
// written, from the JSON Schema of the file.
//
// The text need not be right, nor even YAML, anywhere: what surrounds the cursor is
// read by the indentation of the lines above it, and within its own line by the
// brackets of flow style. Caveat: flow collections over several lines are not
// followed.
package completion

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"sync"
	"unicode/utf8"

	"orrery.dev/orrery/scenario"
)

// Kind of a candidate.
type Kind string

// The kinds of candidates.
const (
	Field Kind = "field"
	Value Kind = "value"
)

// Candidate is something that could be written.
type Candidate struct {
	Label         string
	Text          string // with the colon that a field needs
	Kind          Kind
	Detail        string // type, default
	Documentation string
}

// At are the candidates at a cursor, whose line and column count from 1, columns in
// characters, and the column at which the word begins that they are for. A cursor
// outside of the text has none.
func At(text string, line, column int) (from int, list []Candidate) {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) || column < 1 {
		return column, nil
	}
	before := lines[line-1]
	for i, n := 0, 1; i < len(before); n++ {
		if n == column {
			before = before[:i]
			break
		}
		_, size := utf8.DecodeRuneInString(before[i:])
		i += size
	}
	if comment(before) {
		return column, nil
	}
	c := read(before)
	path := append(above(lines[:line-1], c), c.flow...)
	s := root().descend(path)
	from = column - utf8.RuneCountInString(c.word)
	if c.value {
		list = s.property(c.key).values()
	} else {
		list = s.fields(present(lines, line-1, c))
	}
	word := strings.ToLower(strings.Trim(c.word, `"'`))
	return from, slices.DeleteFunc(list, func(x Candidate) bool { return !strings.HasPrefix(strings.ToLower(x.Label), word) })
}

// comment tells whether a line ends within a comment.
func comment(s string) bool {
	t := strings.TrimLeft(s, " ")
	return strings.HasPrefix(t, "#") || strings.Contains(s, " #")
}

// cursor is what a line up to the cursor says of it.
type cursor struct {
	indent int      // of the line's first key or item
	dashes []int    // columns of the items' dashes that the line begins with
	flow   []string // keys of the flow mappings around the cursor, within the line
	used   []string // keys of the innermost flow mapping
	key    string   // whose value it is, if value
	value  bool
	word   string // what is written up to the cursor
}

// read a line up to the cursor.
func read(s string) (c cursor) {
	i := 0
	for ; i < len(s); i++ {
		if s[i] == '-' && (i+1 == len(s) || s[i+1] == ' ') {
			c.dashes = append(c.dashes, i)
		} else if s[i] != ' ' {
			break
		}
	}
	c.indent = i
	// A stack of what surrounds the cursor: the key of each mapping that is open.
	type level struct {
		key  string
		used []string
		list bool
	}
	open := []level{{}}
	start := i
	for ; i < len(s); i++ {
		top := &open[len(open)-1]
		switch s[i] {
		case ':':
			if i+1 == len(s) || s[i+1] == ' ' {
				top.key = strings.Trim(strings.TrimSpace(s[start:i]), `"'`)
				top.used = append(top.used, top.key)
				start = i + 1
			}
		case '{':
			open = append(open, level{})
			start = i + 1
		case '[':
			open = append(open, level{list: true})
			start = i + 1
		case '}', ']':
			if len(open) > 1 {
				open = open[:len(open)-1]
			}
			start = i + 1
		case ',':
			if len(open) > 1 && !top.list {
				top.key = ""
			}
			start = i + 1
		}
	}
	c.word = strings.TrimLeft(s[start:], " ")
	last := len(open) - 1
	for k, l := range open[:last] {
		if l.key != "" && (k+1 < last || !open[last].list) {
			c.flow = append(c.flow, l.key)
		}
	}
	c.key, c.used = open[last].key, open[last].used
	if open[last].list {
		// An item: a value of the key before the bracket.
		for k := last - 1; k >= 0 && c.key == ""; k-- {
			c.key = open[k].key
		}
	}
	c.value = c.key != ""
	if last == 0 {
		c.used = nil // siblings are on other lines
	}
	return c
}

// key of a line, where it stands, and the dashes before it.
func keyOf(s string) (key string, indent int, dashes []int) {
	c := read(s)
	rest := s[c.indent:]
	if i := strings.IndexByte(rest, ':'); i > 0 && (i+1 == len(rest) || rest[i+1] == ' ') {
		key = strings.Trim(rest[:i], `"'`)
	}
	return key, c.indent, c.dashes
}

func blank(s string) bool {
	t := strings.TrimSpace(s)
	return t == "" || strings.HasPrefix(t, "#") || t == "---"
}

// above are the keys around a line, by the lines above it, outermost first.
func above(lines []string, c cursor) (path []string) {
	limit := c.indent // keys around it stand to the left of this
	if len(c.dashes) > 0 {
		limit = c.dashes[0] + 1 // the key of a list may stand right above its dashes
	}
	item := len(c.dashes) == 0 // the mapping may begin on a line with a dash
	for i := len(lines) - 1; i >= 0 && limit > 0; i-- {
		if blank(lines[i]) {
			continue
		}
		key, indent, dashes := keyOf(lines[i])
		switch {
		case item && len(dashes) > 0 && indent == limit:
			limit = dashes[0] + 1
			item = false
		case len(dashes) > 0 && indent >= limit:
			// another item, or deeper
		case indent < limit && key != "":
			path = append(path, key)
			limit = indent
			item = true
			if len(dashes) > 0 {
				limit = dashes[0] + 1
				item = false
			}
		}
	}
	slices.Reverse(path)
	return path
}

// present are the fields that the mapping around a line has already.
func present(lines []string, at int, c cursor) map[string]bool {
	out := make(map[string]bool)
	for _, k := range c.used {
		out[k] = true
	}
	if len(c.flow) > 0 || c.used != nil {
		return out
	}
	scan := func(step int) {
		for i := at + step; i >= 0 && i < len(lines); i += step {
			if blank(lines[i]) {
				continue
			}
			key, indent, dashes := keyOf(lines[i])
			switch {
			case indent == c.indent && (len(dashes) == 0 || step < 0):
				out[key] = true
			case indent > c.indent && len(dashes) == 0:
				continue
			case len(dashes) > 0 && dashes[0] >= c.indent:
				continue
			default:
				return
			}
			if len(dashes) > 0 {
				return
			}
		}
	}
	if len(c.dashes) == 0 {
		scan(-1)
	}
	scan(+1)
	return out
}

// schema is the part of JSON Schema that the scenario's uses.
type schema struct {
	Ref         string             `json:"$ref"`
	Defs        map[string]*schema `json:"$defs"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
	AnyOf       []*schema          `json:"anyOf"`
	OneOf       []*schema          `json:"oneOf"`
	AllOf       []*schema          `json:"allOf"`
	Enum        []any              `json:"enum"`
	Const       any                `json:"const"`
	Type        any                `json:"type"`
	Default     any                `json:"default"`
	Examples    []any              `json:"examples"`
	Description string             `json:"description"`
	Required    []string           `json:"required"`
}

var root = sync.OnceValue(func() *schema {
	s := new(schema)
	if err := json.Unmarshal(scenario.Schema(), s); err != nil {
		panic("completion: the scenario's schema: " + err.Error()) // it is part of the program
	}
	return s
})

// all are the schemas that hold together where one does, items of lists among them.
func (s *schema) all() (out []*schema) {
	var walk func(s *schema, depth int)
	walk = func(s *schema, depth int) {
		if s == nil || depth > 8 {
			return
		}
		out = append(out, s)
		if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
			walk(root().Defs[name], depth+1)
		}
		for _, list := range [][]*schema{s.AnyOf, s.OneOf, s.AllOf} {
			for _, x := range list {
				walk(x, depth+1)
			}
		}
		walk(s.Items, depth+1)
	}
	walk(s, 0)
	return out
}

// property is what a field of a mapping is to be, nil if there is none.
func (s *schema) property(key string) *schema {
	for _, x := range s.all() {
		if p, ok := x.Properties[key]; ok {
			return p
		}
	}
	return nil
}

func (s *schema) descend(path []string) *schema {
	for _, key := range path {
		if s = s.property(key); s == nil {
			return nil
		}
	}
	return s
}

// fields that a mapping may have and does not yet, those that it must have first.
func (s *schema) fields(present map[string]bool) (out []Candidate) {
	required := make(map[string]bool)
	for _, x := range s.all() {
		for _, k := range x.Required {
			required[k] = true
		}
		for key, p := range x.Properties {
			if present[key] || slices.ContainsFunc(out, func(c Candidate) bool { return c.Label == key }) {
				continue
			}
			out = append(out, Candidate{Label: key, Text: key + ": ", Kind: Field, Detail: p.detail(), Documentation: p.text()})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Label, out[j].Label
		if required[a] != required[b] {
			return required[a]
		}
		return a < b
	})
	for i := range out {
		if required[out[i].Label] {
			out[i].Detail = strings.TrimSpace(out[i].Detail + " (required)")
		}
	}
	return out
}

// values that a field can have, as far as the schema lists them.
func (s *schema) values() (out []Candidate) {
	add := func(v any, detail string) {
		b, err := json.Marshal(v)
		if err != nil || v == nil {
			return
		}
		text := strings.Trim(string(b), `"`)
		if slices.ContainsFunc(out, func(c Candidate) bool { return c.Label == text }) {
			return
		}
		out = append(out, Candidate{Label: text, Text: text, Kind: Value, Detail: detail, Documentation: s.text()})
	}
	for _, x := range s.all() {
		for _, v := range x.Enum {
			add(v, "")
		}
		add(x.Const, "")
		add(x.Default, "default")
		if x.Type == "boolean" {
			add(true, "")
			add(false, "")
		}
		for _, v := range x.Examples {
			add(v, "example")
		}
	}
	return out
}

func (s *schema) text() string {
	for _, x := range s.all() {
		if x.Description != "" {
			return x.Description
		}
	}
	return ""
}

// detail is a field's type in a word.
func (s *schema) detail() string {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return name
	}
	if t, ok := s.Type.(string); ok {
		if t == "array" && s.Items != nil {
			return "list of " + s.Items.detail()
		}
		return t
	}
	return ""
}

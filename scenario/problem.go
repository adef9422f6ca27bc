package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a scenario.
type Problem struct {
	// File is the name under which the scenario was read.
	File string
	// Line and Column count from 1, columns in characters; both are 0 when the
	// scenario was not read from a file.
	Line, Column int
	// Path of the field: spec.constellations[0].walker.planes. Empty where the
	// file is not even YAML.
	Path string
	// What is wrong, and what would be Right.
	What, Right string
	// Excerpt shows the place: source lines with their numbers, and a caret.
	Excerpt string
}

// Error is "file:line:column: what is wrong; what would be right", and the
// excerpt below it.
func (p *Problem) Error() string {
	var b strings.Builder
	switch {
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	}
	if p.Line == 0 && p.Path != "" {
		fmt.Fprintf(&b, "%s: ", p.Path)
	}
	b.WriteString(p.What)
	if p.Right != "" {
		b.WriteString("; ")
		b.WriteString(p.Right)
	}
	if p.Excerpt != "" {
		b.WriteByte('\n')
		b.WriteString(p.Excerpt)
	}
	return b.String()
}

// Errors are all the problems of a scenario, in order of the file. It is the
// error that Load, Parse and Validate return for a scenario that is not valid.
type Errors []*Problem

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, p := range e {
		texts[i] = p.Error()
	}
	if len(e) >= maxProblems {
		texts = append(texts, fmt.Sprintf("these are the first %d problems found; there may be more", len(e)))
	}
	return strings.Join(texts, "\n")
}

// Unwrap gives the problems one by one to errors.As.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, p := range e {
		list[i] = p
	}
	return list
}

// maxProblems bounds the report: a hostile file can hold a problem per byte.
const maxProblems = 20

// errTooMany stops the search for problems.
var errTooMany = errors.New("too many problems")

// position is a place in a source; the zero value is none.
type position struct {
	line, column int
	in           *source // nil for the source of the document that is read
}

// source is what a scenario was read from.
type source struct {
	name string
	// object is a source that nobody sees the lines of: fields have a path only.
	object bool
	lines  []string
	// keys and values are the places of the fields by their paths. The items of a
	// list have a value only.
	keys, values map[string]position
}

// newSource is the source of a text that is still to come.
func newSource(name string) *source {
	return &source{name: name, keys: map[string]position{}, values: map[string]position{}}
}

// at is the place of a field, or of the nearest field around it.
func (s *source) at(path string) position {
	for {
		if p, ok := s.values[path]; ok {
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return s.values[""]
		}
		path = path[:i]
	}
}

// has says whether a field is written in the source.
func (s *source) has(path string) bool {
	if s == nil {
		return false
	}
	_, ok := s.values[path]
	return ok
}

// problem puts a problem at a place.
func (s *source) problem(at position, path, what, right string) *Problem {
	p := &Problem{Path: path, What: what, Right: right}
	if s != nil {
		if at.in != nil {
			s = at.in
		}
		// The lexer has an anchor that ends its line begin before it.
		p.File, p.Line, p.Column = s.name, at.line, max(at.column, 1)
		p.Excerpt = s.excerpt(at)
	}
	return p
}

// excerptWidth is how many characters of a long line an excerpt shows.
const excerptWidth = 100

// excerpt is the line of a place with the line before it, and a caret:
//
//	  6 |     walker:
//	> 7 |       planes: x
//	    |               ^
func (s *source) excerpt(at position) string {
	if at.line < 1 || at.line > len(s.lines) {
		return ""
	}
	width := len(fmt.Sprint(at.line))
	var b strings.Builder
	if at.line > 1 && strings.TrimSpace(s.lines[at.line-2]) != "" {
		before, _ := clip(s.lines[at.line-2], 1)
		fmt.Fprintf(&b, "  %*d | %s\n", width, at.line-1, before)
	}
	line, column := clip(s.lines[at.line-1], at.column)
	fmt.Fprintf(&b, "> %*d | %s\n", width, at.line, line)
	fmt.Fprintf(&b, "  %*s | %*s", width, "", column, "^")
	return b.String()
}

// clip cuts a long line to a part around the column, and says where the column
// is in that part. Control characters, tabs among them, become spaces so that
// the caret stands right and a terminal stays sane.
func clip(line string, column int) (string, int) {
	runes := []rune(line)
	for i, r := range runes {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			runes[i] = ' '
		}
	}
	column = min(max(column, 1), len(runes)+1)
	from := 0
	if column > excerptWidth*3/4 {
		from = column - excerptWidth*3/4
	}
	to := min(from+excerptWidth, len(runes))
	text, shift := string(runes[from:to]), 0
	if from > 0 {
		text, shift = "…"+text, 1
	}
	if to < len(runes) {
		text += "…"
	}
	return text, column - from + shift
}

// report collects problems.
type report struct {
	source   *source // nil for a scenario that was not read from a file
	problems Errors
	// broken are the paths that could not be read; what depends on them is not
	// judged, so that one mistake is told once.
	broken map[string]bool
}

// add records a problem, each once; past maxProblems it panics with errTooMany, which
// catch ends.
func (r *report) add(at position, path, what, right string) {
	for _, p := range r.problems {
		if p.Line > 0 && (at.in == nil || p.File == at.in.name) && p.Line == at.line && p.Column == at.column && p.What == what {
			return // the same text once more, behind an alias
		}
	}
	r.problems = append(r.problems, r.source.problem(at, path, what, right))
	if len(r.problems) >= maxProblems {
		panic(errTooMany)
	}
}

// catch is deferred by whoever collects problems.
func (r *report) catch() {
	if e := recover(); e != nil && e != errTooMany {
		panic(e)
	}
}

// errors are the problems in order of the source, nil if there are none.
func (r *report) errors() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b *Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
	if r.source != nil && r.source.object {
		for _, p := range r.problems {
			p.File, p.Line, p.Column, p.Excerpt = "", 0, 0, ""
		}
	}
	return r.problems
}

// setBroken marks a field as unreadable.
func (r *report) setBroken(path string) {
	if r.broken == nil {
		r.broken = map[string]bool{}
	}
	r.broken[path] = true
}

// sound says whether the fields of these paths, all below them and all around
// them could be read.
func (r *report) sound(paths ...string) bool {
	for b := range r.broken {
		for _, p := range paths {
			if b == p || within(b, p) || within(p, b) {
				return false
			}
		}
	}
	return true
}

// nodesSound says whether the names of all nodes are known as far as the
// scenario holds them: whether no field that makes them is broken.
func (r *report) nodesSound() bool {
	return r.namesSound("spec.constellations") && r.namesSound("spec.stations")
}

// namesSound is nodesSound for one of the lists of nodes.
func (r *report) namesSound(list string) bool {
	for b := range r.broken {
		switch {
		case b == list || within(list, b):
			return false
		case within(b, list) && (strings.HasSuffix(b, "]") || naming[last(b)]):
			return false
		}
	}
	return true
}

// naming are the fields of constellations and stations that names depend on.
var naming = map[string]bool{"name": true, "walker": true, "planes": true, "satellitesPerPlane": true, "elements": true, "file": true}

// within says whether path a lies below path b.
func within(a, b string) bool {
	return b == "" || strings.HasPrefix(a, b) && len(a) > len(b) && (a[len(b)] == '.' || a[len(b)] == '[')
}

// nearest is the candidate that a word was probably meant to be, or "".
func nearest(word string, candidates []string) string {
	best, least := "", max(1, utf8.RuneCountInString(word)/3)+1
	if len(word) > 100 {
		return ""
	}
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least && d < max(len(c), 2) {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	older, old, now := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range old {
		old[j] = j
	}
	for i := range x {
		now[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			now[j+1] = min(old[j]+cost, old[j+1]+1, now[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				now[j+1] = min(now[j+1], older[j-1]+1)
			}
		}
		older, old, now = old, now, older
	}
	return old[len(y)]
}

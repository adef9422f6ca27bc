package scenario

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// The limits that keep a hostile file harmless. The lexer is linear in the
// size; the tree below is linear in the tokens, and recursion is bounded.
const (
	maxSize    = 4 << 20 // bytes of a file
	maxDepth   = 32      // nested mappings and lists; a scenario has about ten
	maxAliased = 100_000 // values that aliases may repeat
)

// kind of a node.
type kind uint8

const (
	scalar kind = iota
	mapping
	sequence
)

// node is a YAML value with its place.
type node struct {
	kind
	position
	text    string  // of a scalar
	quoted  bool    // scalar in quotes or a block: always text
	entries []entry // of a mapping
	items   []*node // of a sequence
}

// entry is a field of a mapping.
type entry struct{ key, value *node }

// isNull says whether a scalar stands for nothing.
func (n *node) isNull() bool {
	if n.kind != scalar || n.quoted {
		return false
	}
	switch n.text {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// syntaxError is the panic by which the builder ends.
type syntaxError struct {
	at          position
	what, right string
}

// builder makes the tree from the lexer's tokens. It reads the part of YAML
// that carries data: block and flow mappings and sequences, all scalars,
// anchors and aliases. Tags, complex keys, merge keys and directives are
// refused: they give a text a second reading.
type builder struct {
	kind    string // of the document, for messages
	lines   []string
	tokens  token.Tokens
	next    int
	depth   int
	anchors map[string]*node
}

// parseTree reads one YAML document of a kind. It has at most so many values, not
// counting those that aliases repeat.
func parseTree(text, kind string) (root *node, values int, err *syntaxError) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *syntaxError:
			root, err = nil, e
		default:
			panic(e)
		}
	}()
	b := &builder{kind: kind, lines: strings.Split(text, "\n"), anchors: map[string]*node{}}
	for _, t := range lexer.Tokenize(text) {
		switch t.Type {
		case token.CommentType:
			continue
		case token.InvalidType:
			what := t.Error
			if what == "" {
				what = "this is not YAML"
			}
			at := place(t)
			if strings.Contains(what, "\t") {
				// The lexer points at the end of what it had read before.
				at = b.firstTab(at.line)
				return nil, 0, &syntaxError{at, "a tab is used for indentation", "indent with spaces"}
			}
			return nil, 0, &syntaxError{at, what, "write valid YAML, or put text in quotes"}
		}
		b.tokens = append(b.tokens, t)
	}
	return b.document(), len(b.tokens) + 1, nil
}

// firstTab finds the tab in the indentation at or after a line.
func (b *builder) firstTab(line int) position {
	for n := line; n <= len(b.lines); n++ {
		text := b.lines[n-1]
		if at := strings.IndexByte(text[:len(text)-len(strings.TrimLeft(text, " \t"))], '\t'); at >= 0 {
			return position{line: n, column: at + 1}
		}
	}
	return position{line: line, column: 1}
}

func place(t *token.Token) position {
	return position{line: t.Position.Line, column: t.Position.Column}
}

func (b *builder) fail(at position, what, right string) {
	panic(&syntaxError{at, what, right})
}

// peek is the next token, nil at the end.
func (b *builder) peek() *token.Token {
	if b.next < len(b.tokens) {
		return b.tokens[b.next]
	}
	return nil
}

func (b *builder) take() *token.Token {
	t := b.peek()
	b.next++
	return t
}

// is says whether the next token is of a type.
func (b *builder) is(typ token.Type) bool {
	t := b.peek()
	return t != nil && t.Type == typ
}

// enter goes one level deeper.
func (b *builder) enter(at position) {
	if b.depth++; b.depth > maxDepth {
		b.fail(at, fmt.Sprintf("values are nested deeper than %d levels", maxDepth), "a scenario has about ten")
	}
}

func (b *builder) document() *node {
	if b.is(token.DocumentHeaderType) {
		b.take()
	}
	if t := b.peek(); t == nil || t.Type == token.DocumentEndType || t.Type == token.DocumentHeaderType {
		b.fail(position{line: 1, column: 1}, "the file holds no document", fmt.Sprintf("begin with %q and %q", "apiVersion: "+APIVersion, "kind: "+b.kind))
	}
	root := b.value(position{}, false)
	t := b.peek()
	for t != nil && t.Type == token.DocumentEndType {
		b.take()
		t = b.peek()
	}
	if t != nil && t.Type == token.DocumentHeaderType {
		b.fail(place(t), "a second document begins here", "a file holds one "+b.kind+"; put other documents into files of their own")
	}
	if t != nil {
		b.fail(place(t), fmt.Sprintf("%q is out of place", clipped(t.Value)), "check the indentation and the quotes")
	}
	return root
}

// value reads what follows a key or a dash at the place parent, or the root if
// parent is zero. It may begin on the parent's line, or on a later one further
// to the right; a sequence below a key may also begin in the key's own column.
func (b *builder) value(parent position, afterKey bool) *node {
	t := b.peek()
	if t == nil {
		return &node{position: b.end(parent)}
	}
	at := place(t)
	if at.line > parent.line {
		inColumn := afterKey && t.Type == token.SequenceEntryType && at.column == parent.column
		if at.column <= parent.column && !inColumn {
			return &node{position: b.end(parent)}
		}
		return b.block(parent)
	}
	if afterKey {
		n := b.inline(parent)
		if t := b.peek(); t != nil && t.Type == token.MappingValueType && t.Position.Line == at.line {
			b.fail(place(t), "a second ':' follows in the same line", "begin the inner mapping on its own line, or put the text in quotes")
		}
		return n
	}
	return b.block(parent) // "- key: value" and "- - x"
}

// end is where an absent value would stand: behind the last token.
func (b *builder) end(parent position) position {
	if b.next == 0 {
		return position{line: 1, column: 1}
	}
	last := b.tokens[b.next-1]
	if last.Position.Line == parent.line {
		return position{line: last.Position.Line, column: last.Position.Column + utf8.RuneCountInString(last.Value)}
	}
	return parent
}

// block reads a value below parent that may be a block mapping or sequence.
func (b *builder) block(parent position) *node {
	t := b.peek()
	switch {
	case t.Type == token.SequenceEntryType:
		return b.blockSequence(t.Position.Column)
	case b.keyed():
		return b.blockMapping(t.Position.Column)
	}
	return b.inline(parent)
}

// keyed says whether a scalar with a ':' behind it is next.
func (b *builder) keyed() bool {
	t := b.peek()
	if t.Type == token.MergeKeyType {
		b.fail(place(t), "merge keys (<<) are not read", "write the fields out, or use an alias for the whole value")
	}
	if !isScalar(t) || b.next+1 >= len(b.tokens) {
		return false
	}
	colon := b.tokens[b.next+1]
	return colon.Type == token.MappingValueType && colon.Position.Line == t.Position.Line
}

// isScalar says whether a token is a scalar in one piece.
func isScalar(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType, token.NullType, token.BoolType,
		token.IntegerType, token.FloatType, token.HexIntegerType, token.OctetIntegerType, token.BinaryIntegerType,
		token.InfinityType, token.NanType, token.ImplicitNullType:
		return true
	}
	return false
}

// takeScalar makes a node of a scalar token.
func (b *builder) takeScalar() *node {
	t := b.take()
	return &node{
		position: place(t),
		text:     t.Value,
		quoted:   t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType,
	}
}

func (b *builder) blockMapping(column int) *node {
	n := &node{kind: mapping, position: place(b.peek())}
	b.enter(n.position)
	defer func() { b.depth-- }()
	lastLine := 0
	for t := b.peek(); t != nil && !ends(t) && t.Position.Column >= column; t = b.peek() {
		at := place(t)
		switch {
		case at.line == lastLine:
			b.fail(at, fmt.Sprintf("%q follows a complete value", clipped(t.Value)), "put it in quotes, or on its own line")
		case t.Position.Column > column:
			at.column = b.indent(at)
			b.fail(at, fmt.Sprintf("this line begins in column %d, the fields around it in column %d", at.column, column), "indent it like its neighbours")
		case t.Type == token.SequenceEntryType:
			b.fail(at, "a list item stands between the fields of a mapping", "indent it below the field that holds the list")
		case t.Type == token.MappingKeyType:
			b.fail(at, "complex keys (?) are not read", "write \"field: value\"")
		case !b.keyed():
			b.fail(at, fmt.Sprintf("%q is not a field with a value", clipped(t.Value)), "write \"field: value\"")
		}
		key := b.takeScalar()
		lastLine = b.take().Position.Line
		n.entries = append(n.entries, entry{key, b.value(key.position, true)})
		lastLine = max(lastLine, b.tokens[b.next-1].Position.Line)
	}
	return n
}

func (b *builder) blockSequence(column int) *node {
	n := &node{kind: sequence, position: place(b.peek())}
	b.enter(n.position)
	defer func() { b.depth-- }()
	lastLine := 0
	for t := b.peek(); t != nil && !ends(t) && t.Position.Column >= column; t = b.peek() {
		at := place(t)
		switch {
		case at.line == lastLine:
			b.fail(at, fmt.Sprintf("%q follows a complete value", clipped(t.Value)), "put it in quotes, or on its own line")
		case t.Position.Column > column:
			at.column = b.indent(at)
			b.fail(at, fmt.Sprintf("this line begins in column %d, the items around it in column %d", at.column, column), "indent it like its neighbours")
		}
		if t.Type != token.SequenceEntryType {
			return n // the next field of the mapping that holds this list
		}
		b.take()
		n.items = append(n.items, b.value(at, false))
		lastLine = b.tokens[b.next-1].Position.Line
	}
	return n
}

// indent is the column in which the line of a place begins. A field that is
// indented more than its neighbours continues a plain text above, so that the
// token at the place is only the ':' behind it.
func (b *builder) indent(at position) int {
	if at.line > len(b.lines) {
		return at.column
	}
	text := b.lines[at.line-1]
	return len(text) - len(strings.TrimLeft(text, " ")) + 1
}

// ends says whether a token ends a document.
func ends(t *token.Token) bool {
	return t.Type == token.DocumentHeaderType || t.Type == token.DocumentEndType
}

// inline reads a scalar, an alias, a flow mapping or sequence, or an anchor
// with what it names. Parent is the key, dash or value that it belongs to.
func (b *builder) inline(parent position) *node {
	t := b.peek()
	at := place(t)
	switch t.Type {
	case token.AnchorType:
		return b.anchored(parent)
	case token.AliasType:
		b.take()
		name := b.name(at)
		n, ok := b.anchors[name]
		if !ok {
			b.fail(at, fmt.Sprintf("the alias *%s has no anchor before it", clipped(name)), fmt.Sprintf("mark the value that is meant with &%s", clipped(name)))
		}
		return n
	case token.LiteralType, token.FoldedType:
		b.take()
		n := &node{position: at, quoted: true}
		if b.is(token.StringType) {
			n.text = b.take().Value
		}
		return n
	case token.MappingStartType:
		return b.flowMapping()
	case token.SequenceStartType:
		return b.flowSequence()
	case token.TagType:
		b.fail(at, fmt.Sprintf("tags (%s) are not read", clipped(t.Value)), "leave it out; put text in quotes where it looks like a number")
	case token.DirectiveType:
		b.fail(at, "directives (%) are not read", "leave it out, or put text in quotes")
	case token.SequenceEntryType:
		b.fail(at, "a list begins in the line of its field", "begin the list on the next line, or write [a, b]")
	case token.MappingKeyType:
		b.fail(at, "complex keys (?) are not read", "write \"field: value\"")
	}
	if !isScalar(t) {
		b.fail(at, fmt.Sprintf("%q is out of place", clipped(t.Value)), "check the indentation and the quotes")
	}
	return b.takeScalar()
}

// anchored reads "&name value".
func (b *builder) anchored(parent position) *node {
	at := place(b.take())
	b.enter(at)
	defer func() { b.depth-- }()
	name := b.name(at)
	if t := b.peek(); t != nil && t.Position.Line == at.line && b.keyed() {
		b.fail(at, "an anchor stands before a field's name", "put it behind the ':'")
	}
	n := b.value(position{line: at.line, column: parent.column}, true)
	b.anchors[name] = n
	return n
}

// name is the name of an anchor or alias.
func (b *builder) name(at position) string {
	if !b.is(token.StringType) && (b.peek() == nil || !isScalar(b.peek())) {
		b.fail(at, "an anchor or alias has no name", "write &name and *name")
	}
	return b.take().Value
}

func (b *builder) flowMapping() *node {
	n := &node{kind: mapping, position: place(b.take())}
	b.enter(n.position)
	defer func() { b.depth-- }()
	for !b.is(token.MappingEndType) {
		t := b.peek()
		if t == nil || ends(t) {
			b.fail(n.position, "'{' is never closed", "end it with '}'")
		}
		if !b.keyed() {
			b.fail(place(t), fmt.Sprintf("%q is not a field with a value", clipped(t.Value)), "write {field: value, field: value}")
		}
		key := b.takeScalar()
		colon := b.take()
		value := &node{position: place(colon)}
		if !b.is(token.CollectEntryType) && !b.is(token.MappingEndType) {
			value = b.flowValue(n.position)
		}
		n.entries = append(n.entries, entry{key, value})
		b.separator(n.position, token.MappingEndType, "}")
	}
	b.take()
	return n
}

func (b *builder) flowSequence() *node {
	n := &node{kind: sequence, position: place(b.take())}
	b.enter(n.position)
	defer func() { b.depth-- }()
	for !b.is(token.SequenceEndType) {
		t := b.peek()
		if t == nil || ends(t) {
			b.fail(n.position, "'[' is never closed", "end it with ']'")
		}
		if b.keyed() {
			b.fail(place(t), "a field stands in a list", "write [{field: value}]")
		}
		n.items = append(n.items, b.flowValue(n.position))
		b.separator(n.position, token.SequenceEndType, "]")
	}
	b.take()
	return n
}

// flowValue is a value within brackets, where indentation has no meaning.
func (b *builder) flowValue(open position) *node {
	t := b.peek()
	if t == nil {
		b.fail(open, "a bracket is never closed", "close it")
	}
	if t.Type == token.AnchorType {
		at := place(b.take())
		name := b.name(at)
		b.enter(at)
		defer func() { b.depth-- }()
		n := b.flowValue(open)
		b.anchors[name] = n
		return n
	}
	return b.inline(open)
}

// separator reads a ',' or sees the end of a collection.
func (b *builder) separator(open position, end token.Type, bracket string) {
	t := b.peek()
	switch {
	case t == nil:
		b.fail(open, "a bracket is never closed", fmt.Sprintf("end it with '%s'", bracket))
	case t.Type == token.CollectEntryType:
		b.take()
	case t.Type != end:
		b.fail(place(t), fmt.Sprintf("%q stands where ',' or '%s' should", clipped(t.Value), bracket), "put text with special characters in quotes")
	}
}

// clipped shortens a text for a message.
func clipped(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

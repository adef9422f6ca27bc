package gp

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth bounds the nesting of JSON and XML. An OMM needs 1 and 7.
const maxDepth = 16

// lineCounter turns rising offsets of a text into line numbers.
type lineCounter struct {
	text   string
	offset int
	lines  int
}

func (c *lineCounter) at(offset int64) int {
	to := min(int(offset), len(c.text))
	if to > c.offset {
		c.lines += strings.Count(c.text[c.offset:to], "\n")
		c.offset = to
	}
	return c.lines + 1
}

// readJSON reads an array of flat objects, or one such object. Numbers may be
// strings.
func readJSON(text string) ([]Elements, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	r := jsonReader{dec: dec, lines: lineCounter{text: text}}
	var sets []Elements
	first, err := r.token()
	if err != nil {
		return nil, err
	}
	switch first {
	case json.Delim('{'):
		e, err := r.object()
		if err != nil {
			return nil, err
		}
		sets = append(sets, e)
	case json.Delim('['):
		for dec.More() {
			t, err := r.token()
			if err != nil {
				return nil, err
			}
			if t != json.Delim('{') {
				return nil, r.fail("the JSON array", fmt.Sprint(t), "objects, one for each satellite")
			}
			e, err := r.object()
			if err != nil {
				return nil, err
			}
			sets = append(sets, e)
		}
		if _, err := r.token(); err != nil { // the closing bracket
			return nil, err
		}
	default:
		return nil, r.fail("the JSON text", fmt.Sprint(first), "an array of objects, one for each satellite")
	}
	if t, err := dec.Token(); err != io.EOF {
		return nil, r.fail("the text after the end of the JSON", fmt.Sprint(t), "nothing more")
	}
	return sets, nil
}

type jsonReader struct {
	dec   *json.Decoder
	lines lineCounter
}

func (r *jsonReader) line() int { return r.lines.at(r.dec.InputOffset()) }

func (r *jsonReader) fail(field, found, want string) error {
	return &FieldError{r.line(), field, found, want}
}

func (r *jsonReader) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, r.fail("the JSON text", "", "its end, but the file stops before")
		case errors.As(err, &syntax):
			return nil, &FieldError{r.lines.at(syntax.Offset), "the JSON text", err.Error(), "well-formed JSON"}
		}
		return nil, r.fail("the JSON text", err.Error(), "well-formed JSON")
	}
	return t, nil
}

// object reads the members of an object whose opening brace is read.
func (r *jsonReader) object() (Elements, error) {
	m := newMessage(r.line())
	for r.dec.More() {
		key, err := r.token()
		if err != nil {
			return Elements{}, err
		}
		keyword, _ := key.(string)
		value, err := r.token()
		if err != nil {
			return Elements{}, err
		}
		line := r.line()
		var text string
		switch v := value.(type) {
		case string:
			text = v
		case json.Number:
			text = v.String()
		case json.Delim:
			if keywords[keyword] {
				return Elements{}, &FieldError{line, keyword, v.String(), "a number or a string"}
			}
			if err := r.skip(); err != nil {
				return Elements{}, err
			}
			continue
		case nil:
			continue
		default:
			text = fmt.Sprint(v)
		}
		if err := m.set(keyword, text, line); err != nil {
			return Elements{}, err
		}
	}
	if _, err := r.token(); err != nil { // the closing brace
		return Elements{}, err
	}
	return m.elements()
}

// skip passes over an array or object whose opening is read.
func (r *jsonReader) skip() error {
	for depth := 1; depth > 0; {
		t, err := r.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return r.fail("the JSON text", fmt.Sprint(t), fmt.Sprintf("no more than %d levels of nesting", maxDepth))
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

// readXML reads the omm elements of a document, whatever is around them: an
// ndm, or nothing.
func readXML(text string) ([]Elements, error) {
	dec := xml.NewDecoder(strings.NewReader(text))
	var sets []Elements
	var m *message
	var depth int
	var leaf strings.Builder // text of the element that was opened last
	var leafLine int
	for {
		t, err := dec.Token()
		line, _ := dec.InputPos()
		if errors.Is(err, io.EOF) {
			return sets, nil
		}
		if err != nil {
			return nil, &FieldError{line, "the XML text", err.Error(), "well-formed XML in UTF-8"}
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name.Local != "ndm" && t.Name.Local != "omm" {
				return nil, &FieldError{line, "the root element", t.Name.Local, "ndm or omm"}
			}
			if depth++; depth > maxDepth {
				return nil, &FieldError{line, "the element", t.Name.Local, fmt.Sprintf("no more than %d levels of nesting", maxDepth)}
			}
			if t.Name.Local == "omm" {
				if m != nil {
					return nil, &FieldError{line, "the element", "omm", "the end of the omm before"}
				}
				m = newMessage(line)
			}
			leaf.Reset()
			leafLine = line
		case xml.CharData:
			leaf.Write(t)
		case xml.EndElement:
			depth--
			switch {
			case m == nil:
			case t.Name.Local == "omm":
				e, err := m.elements()
				if err != nil {
					return nil, err
				}
				sets = append(sets, e)
				m = nil
			default:
				if err := m.set(t.Name.Local, leaf.String(), leafLine); err != nil {
					return nil, err
				}
			}
			leaf.Reset()
		}
	}
}

// readCSV reads a line of keywords and a line for each satellite. Fields may
// be quoted; they do not contain line breaks.
func readCSV(text string) ([]Elements, error) {
	const maxColumns = 256
	var sets []Elements
	var header, values []string
	lines := lineReader{text: text}
	for lines.next() {
		if strings.TrimSpace(lines.line) == "" {
			continue
		}
		var ok bool
		if values, ok = splitCSV(values[:0], lines.line, maxColumns); !ok {
			return nil, &FieldError{lines.number, "the line", lines.line, fmt.Sprintf("up to %d values with commas in between, each quoted wholly or not at all", maxColumns)}
		}
		if header == nil {
			header = append(header, values...)
			continue
		}
		if len(values) != len(header) {
			return nil, &FieldError{lines.number, "the line", lines.line, fmt.Sprintf("%d values as in the header, not %d", len(header), len(values))}
		}
		m := newMessage(lines.number)
		for i, v := range values {
			if err := m.set(strings.TrimSpace(header[i]), v, lines.number); err != nil {
				return nil, err
			}
		}
		e, err := m.elements()
		if err != nil {
			return nil, err
		}
		sets = append(sets, e)
	}
	return sets, nil
}

// splitCSV appends the values of a line (RFC 4180) to values.
func splitCSV(values []string, line string, most int) ([]string, bool) {
	for len(values) < most {
		if !strings.HasPrefix(line, `"`) {
			v, rest, more := strings.Cut(line, ",")
			if strings.Contains(v, `"`) {
				return nil, false
			}
			values = append(values, v)
			if !more {
				return values, true
			}
			line = rest
			continue
		}
		// A quote within quotes is doubled.
		end := 1
		for end < len(line) && (line[end] != '"' || strings.HasPrefix(line[end:], `""`)) {
			if line[end] == '"' {
				end++
			}
			end++
		}
		if end >= len(line) {
			return nil, false
		}
		values = append(values, strings.ReplaceAll(line[1:end], `""`, `"`))
		line = line[end+1:]
		if line == "" {
			return values, true
		}
		if line[0] != ',' {
			return nil, false
		}
		line = line[1:]
	}
	return nil, false
}

// readKVN reads lines "KEYWORD = value [unit]". A message begins with its
// version, or with the next object's name.
func readKVN(text string) ([]Elements, error) {
	var sets []Elements
	var m *message
	finish := func() error {
		if m == nil || len(m.fields) == 0 {
			return nil
		}
		e, err := m.elements()
		if err == nil {
			sets = append(sets, e)
		}
		return err
	}
	lines := lineReader{text: text}
	for lines.next() {
		line := strings.TrimSpace(lines.line)
		if line == "" || line == "COMMENT" || strings.HasPrefix(line, "COMMENT ") {
			continue
		}
		keyword, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, &FieldError{lines.number, "the line", line, "KEYWORD = value"}
		}
		keyword = strings.TrimSpace(keyword)
		if keyword == versionKeyword || m == nil || (keyword == keyName && m.has(keyName)) {
			if err := finish(); err != nil {
				return nil, err
			}
			m = newMessage(lines.number)
		}
		value = strings.TrimSpace(value)
		if strings.HasSuffix(value, "]") && keyword != keyName {
			if i := strings.LastIndexByte(value, '['); i >= 0 {
				value = value[:i] // the unit
			}
		}
		if err := m.set(keyword, value, lines.number); err != nil {
			return nil, err
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	return sets, nil
}

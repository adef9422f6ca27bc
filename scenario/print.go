package scenario

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"orrery.dev/orrery/scenario/internal/shape"
)

// YAML prints the scenario as a file that reads back as the same scenario. Of
// a scenario from Load or Parse that is the resolved one: every default is
// written out.
func (s *Scenario) YAML() ([]byte, error) {
	p := &printer{}
	if err := p.fields(reflect.ValueOf(s).Elem(), 0); err != nil {
		return nil, fmt.Errorf("the scenario cannot be printed: %w", err)
	}
	return p.Bytes(), nil
}

// printer writes block style, two columns a level, fields in order of the
// types. It is our own because what it writes must read back, whatever texts
// the scenario holds.
type printer struct {
	bytes.Buffer
	dash bool // a '-' has just been written, the next field stands in its line
}

// indent begins a line of a level, or goes on behind a dash.
func (p *printer) indent(level int) {
	if p.dash {
		p.dash = false
		p.WriteByte(' ')
		return
	}
	p.WriteString(strings.Repeat("  ", level))
}

// fields writes the fields of a struct that the file would hold.
func (p *printer) fields(v reflect.Value, level int) error {
	for _, f := range shape.Fields(v.Type()) {
		field := v.FieldByIndex(f.Index)
		if !f.Required && omitted(field) {
			continue
		}
		p.indent(level)
		p.WriteString(f.Name)
		p.WriteByte(':')
		if err := p.value(field, level+1); err != nil {
			return err
		}
	}
	return nil
}

// omitted says whether a field is left out: as omitempty, and omitzero for
// structs.
func omitted(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

// value writes what follows a ':' or '-', and the line's end.
func (p *printer) value(v reflect.Value, level int) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			p.WriteString(" null\n")
			return nil
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Time:
		p.scalar(x.UTC().Format(time.RFC3339Nano))
		return nil
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		p.scalar(string(text))
		return err
	case json.Marshaler:
		text, err := x.MarshalJSON()
		p.scalar(string(text))
		return err
	}
	switch v.Kind() {
	case reflect.String:
		p.scalar(quoted(v.String()))
	case reflect.Bool:
		p.scalar(strconv.FormatBool(v.Bool()))
	case reflect.Int:
		p.scalar(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint64:
		p.scalar(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float64:
		p.scalar(number(v.Float()))
	case reflect.Struct:
		start := p.Len()
		p.WriteByte('\n')
		body := p.Len()
		if err := p.fields(v, level); err != nil {
			return err
		}
		if p.Len() == body {
			p.Truncate(start)
			p.scalar("{}")
		}
	case reflect.Map:
		p.WriteByte('\n')
		for _, key := range sortedKeys(v.Interface().(map[string]string)) {
			p.indent(level)
			p.WriteString(quoted(key))
			p.WriteByte(':')
			p.scalar(quoted(v.MapIndex(reflect.ValueOf(key)).String()))
		}
	case reflect.Slice, reflect.Array:
		return p.list(v, level)
	default:
		return fmt.Errorf("no form for a %v", v.Type())
	}
	return nil
}

func (p *printer) scalar(text string) {
	p.WriteByte(' ')
	p.WriteString(text)
	p.WriteByte('\n')
}

// list writes lists of words in one line, others with an item a line.
func (p *printer) list(v reflect.Value, level int) error {
	switch v.Type().Elem().Kind() {
	case reflect.String, reflect.Int:
		words := make([]string, v.Len())
		for i := range words {
			if item := v.Index(i); item.Kind() == reflect.String {
				words[i] = quoted(item.String())
			} else {
				words[i] = strconv.FormatInt(item.Int(), 10)
			}
		}
		p.scalar("[" + strings.Join(words, ", ") + "]")
		return nil
	}
	p.WriteByte('\n')
	for i := range v.Len() {
		p.indent(level)
		p.WriteByte('-')
		item := v.Index(i)
		if item.Kind() != reflect.Struct {
			if err := p.value(item, level+1); err != nil {
				return err
			}
			continue
		}
		p.dash = true
		if err := p.fields(item, level+1); err != nil {
			return err
		}
		if p.dash {
			p.dash = false
			p.scalar("{}")
		}
	}
	return nil
}

// plainText is text that every reader of YAML takes for text without quotes.
var plainText = regexp.MustCompile(`^[A-Za-z/$][-A-Za-z0-9_./]*$`)

// words that some reader takes for something else than text.
var reserved = map[string]bool{
	"true": true, "false": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true, "null": true,
}

// quoted is a text as a YAML scalar: plain where that is safe, else in double
// quotes as in JSON, which is a part of YAML.
func quoted(text string) string {
	if plainText.MatchString(text) && !reserved[strings.ToLower(text)] {
		return text
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}

package scenario

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
)

// Check tells a problem of a document at a field ("spec.machines[2].mac"), with what is
// wrong and what would be right. Fields that could not be read are passed over.
type Check func(path, what, right string)

// ReadDocument reads a file of another kind than Scenario into v, a pointer to a struct
// whose fields are tagged as those of Scenario, with the same strictness and the same
// messages: unknown fields, wrong types and values out of bounds are told with line
// and column, and defaults are filled in. Then check judges what tags cannot say; it
// may be nil. The error is Errors, or the operating system's.
func ReadDocument(path, kind string, v any, check func(Check)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the %s cannot be read: %w", strings.ToLower(kind), err)
	}
	defer f.Close()
	var data bytes.Buffer
	if _, err := data.ReadFrom(&limited{f, maxSize + 1}); err != nil {
		return fmt.Errorf("the %s cannot be read: %w", strings.ToLower(kind), err)
	}
	return ParseDocument(path, data.Bytes(), kind, v, check)
}

// ParseDocument is ReadDocument for a text; name stands in messages.
func ParseDocument(name string, data []byte, kind string, v any, check func(Check)) error {
	src := newSource(name)
	r := &report{source: src}
	root, values, err := src.read(data)
	if err != nil {
		return err
	}
	func() {
		defer r.catch()
		if otherKind(r, root, kind) {
			return
		}
		decode(root, values+maxAliased, v, r)
		judge := &validator{report: r}
		judge.bounds(reflect.ValueOf(v).Elem(), "")
		fill(reflect.ValueOf(v).Elem())
		if check != nil {
			check(judge.problem)
		}
	}()
	return r.errors()
}

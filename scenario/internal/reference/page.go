package reference

import (
	_ "embed"
	"fmt"
	"reflect"
	"strings"
	"time"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/scenario/internal/shape"
)

// introduction is the hand-written beginning of the page.
//
//go:embed introduction.md
var introduction string

// experimentIntroduction is that of the page on experiments.
//
//go:embed experiment.md
var experimentIntroduction string

// Page is the reference page in Markdown, made from the sources in dir.
func Page(dir string) ([]byte, error) {
	return pageOf(dir, reflect.TypeFor[scenario.Scenario](), "introduction.md", introduction)
}

// ExperimentPage is that of experiment files; dir is that of package scenario.
func ExperimentPage(dir string) ([]byte, error) {
	return pageOf(dir, reflect.TypeFor[experiment.Experiment](), "experiment.md", experimentIntroduction)
}

func pageOf(dir string, root reflect.Type, file, introduction string) ([]byte, error) {
	c, err := readComments(dir)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Written by go generate ./scenario from the Go types and scenario/internal/reference/%s. Do not edit. -->\n\n", file)
	b.WriteString(introduction)
	b.WriteString("\n## Fields\n")
	for _, t := range types(root) {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n", t.Name(), describe(c[t.Name()], 0))
		if names := exclusive[t.Name()]; names != nil {
			fmt.Fprintf(&b, "\nExactly one of `%s` is given.\n", strings.Join(names, "`, `"))
		}
		b.WriteByte('\n')
		for _, f := range shape.Fields(t) {
			fmt.Fprintf(&b, "- **`%s`**: %s", f.Name, facts(f))
			if doc := c.field(t, f, func(n string) string { return "`" + n + "`" }); doc != "" {
				fmt.Fprintf(&b, "  \n  %s", describe(doc, 2))
			}
			b.WriteByte('\n')
		}
	}
	return []byte(b.String()), nil
}

// facts are type, bounds and default of a field.
func facts(f shape.Field) string {
	text := typeName(f.Type)
	if f.Enum != nil {
		text = "`" + strings.Join(f.Enum, "`, `") + "`"
	}
	for _, b := range []struct{ words, bound string }{{"at least", f.Min}, {"more than", f.Above}, {"at most", f.Max}, {"less than", f.Below}} {
		if b.bound != "" {
			text += fmt.Sprintf(", %s %s", b.words, b.bound)
		}
	}
	switch {
	case f.MinCount > 0 && f.MaxCount > 0:
		text += fmt.Sprintf(", exactly %d", f.MaxCount)
	case f.MinCount > 0:
		text += fmt.Sprintf(", at least %d", f.MinCount)
	}
	switch {
	case f.Required:
		text += "; required"
	case f.Default != "":
		text += fmt.Sprintf("; default `%s`", f.Default)
	}
	return text
}

// typeName names a type for a reader, with a link where it has a section.
func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if q, ok := scenario.Quantities()[t.Name()]; ok {
		return fmt.Sprintf("[%s](#quantities)", q.Name)
	}
	if t == reflect.TypeFor[time.Time]() {
		return "instant (`2026-01-01T00:00:00Z`)"
	}
	switch t.Kind() {
	case reflect.Struct:
		return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name()))
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Array:
		return fmt.Sprintf("%d × %s", t.Len(), typeName(t.Elem()))
	case reflect.Map:
		return "names with texts"
	case reflect.Bool:
		return "`true` or `false`"
	case reflect.Int, reflect.Uint64:
		return "whole number"
	case reflect.Float64:
		return "number"
	}
	return "text"
}

// describe is a doc comment as Markdown: its indented lines, which explain one
// word each, stay as they are.
func describe(doc string, indent int) string {
	var lines []string
	fenced := false
	for line := range strings.Lines(doc) {
		line = strings.TrimRight(line, "\n")
		if code := strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "  "); code != fenced && line != "" {
			lines, fenced = append(lines, "```"), code
		}
		lines = append(lines, line)
	}
	if fenced {
		lines = append(lines, "```")
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}

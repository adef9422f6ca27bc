package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
)

// plain is a tree as maps and slices of texts; what YAML takes for a number, a
// truth value or nothing is its text in brackets.
func (n *node) plain() any {
	switch n.kind {
	case mapping:
		m := map[string]any{}
		for _, e := range n.entries {
			m[e.key.text] = e.value.plain()
		}
		return m
	case sequence:
		l := []any{}
		for _, i := range n.items {
			l = append(l, i.plain())
		}
		return l
	}
	switch {
	case n.isNull():
		return "<>"
	case !n.quoted && (n.text == "true" || n.text == "false"):
		return "<" + n.text + ">"
	case !n.quoted && plainNumber.MatchString(n.text):
		return "<number>"
	}
	return n.text
}

// canonical is the same for a value of the library's own decoder.
func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = canonical(e)
		}
		return m
	case []any:
		l := []any{}
		for _, e := range v {
			l = append(l, canonical(e))
		}
		return l
	case nil:
		return "<>"
	case bool:
		return fmt.Sprintf("<%v>", v)
	case string:
		return v
	}
	return "<number>"
}

// yamlCases are documents in all forms that the reader knows.
var yamlCases = []string{
	"a: 1\nb: two\nc: 'three'\nd: \"fo\\u0075r\"\ne:\nf: ~\ng: true\nh: -1.5e3\n",
	"a:\n- 1\n- 2\nb:\n  - x: 1\n    y: 2\n  -\n    x: 3\n  - - p\n    - q\n  - [r, {s: t}]\n",
	"a: {b: 1, c: [1, 2, {d: e}], f: , \"g\": \"h\"}\nb: []\nc: {}\n",
	"a: [1,\n  2,\n  3\n]\nb: {x: 1,\n y: 2}\n",
	"a: |\n  one\n  two\nb: >-\n  three\n  four\n\n  five\nc: |+\n  x\n\nd: e\n",
	"a: &x {b: 1}\nc: *x\nd: &y\n  - 1\n  - 2\ne: *y\nf:\n- &z zed\n- *z\n",
	"- &a\n  x: 1\n- *a\n-\n- b\n",
	"---\na: 1\n...\n",
	"# comment\na: 1 # comment\n# comment\nb: '#no comment'\nc: a#b\n",
	"a: plain text\n  that goes on\nb: \"quoted\n  that goes on\"\n",
	"{\"a\": 1, \"b\": [true, null, \"x\"], \"c\": {\"d\": {}}}",
	"just text\n", "[1, 2]\n", "'quoted'\n",
	"a:\n  b:\n    c: 1\n  d: 2\ne: 3\n",
	"a: x:y\nurl: http://example.org/\ntime: 12:30:00\n",
	"ü: ö\n\"key with: colon\": 1\n'x': 2\n",
	"a:   \n  b: 1\n\n\n  c: 2\n",
	"a: - 1\n", "a: b: c\n", "a: 1\n b: 2\n", "[1, 2", "a: *x\n", "? a\n: b\n", "!!str 1\n", "a: 'x\n", "a\nb: 1\n",
}

// What the reader reads is what the library's own decoder reads.
func TestTree(t *testing.T) {
	for _, text := range yamlCases {
		n, _, problem := parseTree(text, Kind)
		var v any
		err := yaml.Unmarshal([]byte(text), &v)
		if problem != nil {
			continue // stricter than YAML: tags, complex keys
		}
		if err != nil {
			t.Errorf("read, although the library refuses it: %v\n%s", err, text)
			continue
		}
		if got, want := n.plain(), canonical(v); !reflect.DeepEqual(got, want) {
			t.Errorf("read as\n%v\nthe library reads\n%v\n%s", got, want, text)
		}
	}
	refused := 0
	for _, text := range yamlCases {
		if _, _, problem := parseTree(text, Kind); problem != nil {
			refused++
		}
	}
	if refused != 9 {
		t.Errorf("%d cases refused, want the last 9", refused)
	}
}

// Every scalar of the examples stands where the tree says.
func TestTreePositions(t *testing.T) {
	files, _ := filepath.Glob("../examples/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		n, _, problem := parseTree(string(data), Kind)
		if problem != nil {
			t.Fatal(problem)
		}
		var walk func(n *node)
		walk = func(n *node) {
			for _, e := range n.entries {
				walk(e.key)
				walk(e.value)
			}
			for _, i := range n.items {
				walk(i)
			}
			if n.kind != scalar || n.isNull() {
				return
			}
			rest := string([]rune(lines[n.line-1])[n.column-1:])
			if !strings.HasPrefix(strings.TrimLeft(rest, `"'`), n.text) {
				t.Errorf("%s:%d:%d: %q is not there: %q", file, n.line, n.column, n.text, rest)
			}
		}
		walk(n)
	}
}

// FuzzParse reads any text as a scenario. A scenario that is accepted must
// print as one that is accepted and equal; one that is refused must be refused
// with problems that point into the text.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("../examples/*.yaml")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(data)
		}
	}
	files, _ = filepath.Glob("testdata/bad/*.txtar")
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			f.Add(a.Files[0].Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.yaml", data)
		if err != nil {
			var problems Errors
			if !errors.As(err, &problems) || len(problems) == 0 || len(problems) > maxProblems {
				t.Fatalf("refused without problems: %v", err)
			}
			lines := bytes.Count(data, []byte("\n")) + 1
			for _, p := range problems {
				if p.What == "" || p.Right == "" || p.Line < 1 || p.Line > lines || p.Column < 1 {
					t.Errorf("a problem without place, reason or cure: %+v", p)
				}
			}
			return
		}
		text, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		a, _ := json.Marshal(s)
		b, _ := json.Marshal(again)
		if !bytes.Equal(a, b) {
			t.Fatalf("printed and read again, it is another scenario:\n%s\n%s", a, b)
		}
	})
}

// Hostile texts are refused in time that is linear in their size, and with a
// short report. There is no limit here but the one of go test: what is not
// linear takes hours.
func TestHostile(t *testing.T) {
	const size = maxSize / 16
	const head = "apiVersion: orrery.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\nspec:\n"
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	stations := strings.Builder{}
	for i := 0; stations.Len() < size; i++ {
		fmt.Fprintf(&stations, "  - {name: s%d, position: {lat: 0, lon: 0}}\n", i)
	}
	for name, text := range map[string]string{
		"brackets":      fill("["),
		"braces":        fill("{a: "),
		"dashes":        fill("- "),
		"colons":        fill("a: "),
		"questions":     fill("? "),
		"anchors":       fill("&a "),
		"aliases":       "a: &a b\n" + fill("c: *a\n"),
		"tags":          fill("!a "),
		"quotes":        fill("\""),
		"empty fields":  fill("abc:\n"),
		"fields":        fill("abc: d\n"),
		"documents":     fill("---\na\n"),
		"newlines":      "a:" + fill("\n"),
		"one line":      "a: " + fill("x"),
		"list":          "a: [" + fill("x, ") + "]",
		"comments":      fill("# x\n"),
		"literal":       "a: |\n" + fill("  x\n"),
		"too large":     strings.Repeat("x", maxSize+1),
		"steps":         stairs(2000),
		"bomb":          bomb,
		"bomb in names": head + "  routing:\n  - protocol: none\n    nodes: &a [x]\n" + strings.ReplaceAll(bomb, "a0: ", "  commands: "),
		"stations":      head + "  speed: 0\n  stations:\n" + stations.String(),
		"same station":  head + "  stations:\n" + fill("  - {name: s, position: {lat: 0, lon: 0}}\n"),
		"patterns":      head + "  constellations:\n  - {name: c, walker: {pattern: delta, planes: 300, satellitesPerPlane: 300, inclination: 0, altitude: 500km}}\n  routing:\n  - protocol: none\n    nodes: [" + fill("\"*[!x]*[!y]*z\", ") + "]\n",
		"aliases to a large list": head + "  labels: &l [" + strings.Repeat("x, ", 10000) + "]\n  routing:\n" +
			strings.Repeat("  - {protocol: none, nodes: *l}\n", 10000),
	} {
		t.Run(name, func(t *testing.T) {
			from := time.Now()
			_, err := Parse("hostile.yaml", []byte(text))
			t.Logf("%d bytes, %v", len(text), time.Since(from).Round(time.Millisecond))
			if err == nil {
				t.Fatal("accepted")
			}
			if len(err.Error()) > 1<<16 {
				t.Errorf("the report has %d bytes", len(err.Error()))
			}
		})
	}
}

// stairs are mappings in mappings, each one column further in.
func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
